//! What a program needs of the folders that a trial has for itself.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use crate::prove::scenario::{Ready, Scenario};

/// Variables that name where interpreters find what they run.
const PATHS: [&str; 8] =
    ["PATH", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "NODE_PATH", "LD_LIBRARY_PATH", "CLASSPATH", "GEM_PATH"];

/// The paths that the commands of a scenario name and that exist, the working folder, and what interpreters look into.
pub(super) fn of(scenario: &Scenario) -> Vec<PathBuf> {
    let here = env::current_dir().unwrap_or_default();
    let ready = scenario.ready.iter().filter_map(|ready| match ready {
        Ready::Command(command) => Some(command),
        _ => None,
    });
    let resume = scenario.resume.as_ref().and_then(|resume| resume.command.as_ref());
    let further = scenario.prepare.iter().chain(&scenario.load).chain(&scenario.check).chain(resume).chain(ready);
    let commands: Vec<&Vec<String>> = [&scenario.command].into_iter().chain(further).collect();
    let mut needed = vec![here.clone()];
    needed.extend(commands.iter().filter_map(|command| found(command.first()?)));
    for word in commands.into_iter().flatten() {
        needed.push(here.join(word));
        needed.extend(within(word));
    }
    // What is prepared may not be there yet; then the folder that it will be in has to stay.
    let prepared = scenario.prepare.iter().flatten().flat_map(|word| within(word));
    needed.extend(prepared.filter_map(|path| path.ancestors().find(|place| place.exists()).map(Path::to_owned)));
    needed.extend(PATHS.iter().filter_map(env::var_os).flat_map(|paths| env::split_paths(&paths).collect::<Vec<_>>()));
    needed.retain(|path| path.exists());
    // Also where a link leads, as that of an interpreter in a virtual environment.
    let real: Vec<PathBuf> = needed.iter().filter_map(|path| fs::canonicalize(path).ok()).collect();
    needed.extend(real);
    needed
}

/// The paths that stand within a word: `--config=/a/b`, or a script of a shell.
fn within(word: &str) -> impl Iterator<Item = PathBuf> {
    let parts = word.split(|c: char| c.is_whitespace() || "=:,;'\"()<>|&".contains(c));
    parts.filter(|part| part.starts_with('/')).map(PathBuf::from)
}

/// Where a program without a path is found.
fn found(program: &str) -> Option<PathBuf> {
    let folders = env::var_os("PATH")?;
    let mut places = env::split_paths(&folders).map(|folder| folder.join(program));
    if program.contains('/') { None } else { places.find(|place| place.is_file()) }
}

/// Whether a trial can have a folder for itself. Not where what is needed lies in it without a folder between: a file would have to be a mount
/// of its own then, over which no other can be renamed.
pub(super) fn may_be_covered(needed: &[PathBuf], folder: &Path) -> bool {
    needed.iter().all(|path| path != folder && (path.parent() != Some(folder) || path.is_dir()))
}

/// What stays of the private folders: the entry of each that a needed path is in, so that what lies beside a script is there too.
pub(super) fn kept(needed: &[PathBuf], private: &[PathBuf]) -> Vec<PathBuf> {
    let entry = |path: &Path, folder: &PathBuf| {
        let below = path.strip_prefix(folder).ok()?;
        Some(folder.join(below.components().next()?))
    };
    let mut kept: Vec<PathBuf> =
        private.iter().flat_map(|folder| needed.iter().filter_map(move |path| entry(path, folder))).collect();
    kept.sort();
    kept.dedup();
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_stays_with_what_lies_beside_it() {
        let needed = ["/tmp/x/bin/agent.py", "/tmp/x/lib", "/tmp/y", "/usr/bin/python3"].map(PathBuf::from);
        let private = ["/tmp", "/run"].map(PathBuf::from);

        assert_eq!(kept(&needed, &private), ["/tmp/x", "/tmp/y"].map(PathBuf::from));
    }

    #[test]
    fn a_folder_with_a_needed_file_right_in_it_is_not_covered() {
        let folder = tempfile::tempdir().unwrap();
        let (file, inner) = (folder.path().join("state.json"), folder.path().join("inner"));
        fs::write(&file, "").unwrap();
        fs::create_dir(&inner).unwrap();

        assert!(!may_be_covered(&[file], folder.path()));
        assert!(!may_be_covered(&[folder.path().to_owned()], folder.path()));
        assert!(may_be_covered(&[inner.join("below"), inner], folder.path()));
    }

    #[test]
    fn paths_are_found_in_commands_in_words_and_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| {
            let path = folder.path().join(name);
            fs::write(&path, "").unwrap();
            path
        };
        let (script, data, config) = (place("agent.py"), place("data"), place("config"));
        let scenario = Scenario {
            command: ["sh", script.to_str().unwrap(), &format!("--data={}", data.display())]
                .map(str::to_owned)
                .to_vec(),
            check: Some(vec!["sh".to_owned(), "-c".to_owned(), format!("test -e {};", config.display())]),
            ..Scenario::default()
        };

        let needed = of(&scenario);

        for path in [script, data, config, env::current_dir().unwrap()] {
            assert!(needed.contains(&path), "{} in {needed:?}", path.display());
        }
        assert!(needed.iter().any(|path| path.ends_with("bin/sh")), "{needed:?}");
    }
}
