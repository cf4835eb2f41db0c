//! The programs of `examples/prove`: each planted fault is found and its line shows it again, and each repaired twin passes.
//!
//! As oneself, and where that is root as an ordinary user too, for whom the containment is another one.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::{PermissionsExt as _, chown},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use rustix::process::getuid;
use serde_json::Value;
use tempfile::TempDir;

/// Trials of a repaired program.
const TWIN: &str = "60";
/// A replay line shows a fault again within so many trials: some need luck to the millisecond.
const TIMES: usize = 10;
/// The user who is nobody.
const NOBODY: u32 = 65534;

/// One test for each folder, so that they run beside each other and each has its own time limit.
macro_rules! plants {
    ($($name:ident),* $(,)?) => {
        const NAMES: &[&str] = &[$(stringify!($name)),*];
        $(
            #[test]
            fn $name() {
                fault_is_found_and_twin_passes(&stringify!($name).replace('_', "-"));
            }
        )*
    };
}

plants! {
    node_broken_streams,
    node_data_manager,
    node_failed_save,
    node_lost_buffer,
    node_second_signal,
    python_cancelled,
    python_child_left,
    python_console,
    python_dead_not_gone,
    python_idle_stop,
    python_late_act,
    python_lock_left,
    python_lost_at_start,
    python_minute_lost,
    python_nested_cleanup,
    python_pending_task,
    python_port_left,
    python_progress_lost,
    python_second_signal,
    python_unclosed_session,
    rust_child_left,
    rust_lost_at_start,
    rust_lost_buffer,
    rust_truncated,
}

/// A row of the table in `examples/prove/README.md`.
#[derive(Debug, Clone)]
struct Plant {
    name: String,
    /// One of these has to be broken; the first is what the fault is about.
    rules: Vec<String>,
    /// So many trials find it.
    within: u32,
    /// Which of the five originals had it; may be empty.
    originals: String,
}

impl Plant {
    /// Seconds; it ends earlier when all trials are made and the failure is short.
    fn budget(&self) -> String {
        (20 + 2 * self.within).to_string()
    }
}

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/prove")
}

fn table() -> Vec<Plant> {
    let text = fs::read_to_string(examples().join("README.md")).unwrap();
    let rows = text.lines().filter(|line| line.starts_with("| [`"));
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [name, _what, rules, within, originals] = cells[..] else { panic!("a row of five cells: {row}") };
        Plant {
            name: name.split('`').nth(1).unwrap().to_owned(),
            rules: rules.split(", ").map(|rule| rule.trim_matches('`').to_owned()).collect(),
            within: within.parse().unwrap(),
            originals: originals.to_owned(),
        }
    })
    .collect()
}

#[test]
fn every_folder_is_tried_and_stands_in_the_table() {
    let folders = fs::read_dir(examples()).unwrap().map(Result::unwrap).filter(|entry| entry.path().is_dir());
    let folders: BTreeSet<String> = folders.map(|entry| entry.file_name().into_string().unwrap()).collect();
    let table = table();

    assert_eq!(NAMES.iter().map(|name| name.replace('_', "-")).collect::<BTreeSet<_>>(), folders);
    assert_eq!(table.iter().map(|plant| plant.name.clone()).collect::<BTreeSet<_>>(), folders);
    assert_eq!(table.len(), folders.len());
    for original in ["S0", "S1", "S2", "S3", "S4"] {
        assert!(table.iter().any(|plant| plant.originals.contains(original)), "{original}");
    }
}

fn fault_is_found_and_twin_passes(name: &str) {
    let plant = table().into_iter().find(|plant| plant.name == name).unwrap();
    for user in users() {
        let place = Place::new(name, user);

        let found = place.prove("fault", &["--trials", &plant.within.to_string(), "--budget", &plant.budget()]);
        assert_eq!(found["exit_status"], 1, "{name}, user {user}: {found:#}");
        for rule in &plant.rules {
            let line = replay(&found, rule).unwrap_or_else(|| panic!("{name}, user {user}: no `{rule}`: {found:#}"));
            // Once is enough: the line is the same for everybody.
            if user != getuid().as_raw() {
                continue;
            }
            let mut again = (0..TIMES).map(|_| place.prove("fault", &["--replay", line]));
            assert!(
                again.any(|again| replay(&again, rule).is_some()),
                "{name}, user {user}: `{line}` shows no `{rule}`"
            );
        }
        place.clear();
        let twin = place.prove("repaired", &["--trials", TWIN, "--budget", "90", "--alone", "10"]);
        assert_eq!((&twin["exit_status"], &twin["trials"]), (&0.into(), &60.into()), "{name}, user {user}: {twin:#}");
    }
}

#[test]
fn by_default_an_act_after_450_ms_is_a_warning() {
    let place = Place::new("python-late-act", getuid().as_raw());
    fs::write(place.folder().join("prove.yaml"), "rules: {}\n").unwrap();

    let found = place.prove("fault", &["--trials", "20", "--budget", "30"]);

    assert_eq!(found["exit_status"], 0, "{found:#}");
    let problems = found["problems"].as_array().unwrap();
    let late = |problem: &Value| problem["rule"] == "response" && problem["severity"] == "warning";
    assert!(problems.iter().any(late), "{found:#}");
}

/// The line that shows a failure of this rule again, if there was one.
fn replay<'a>(found: &'a Value, rule: &str) -> Option<&'a str> {
    let mut problems = found["problems"].as_array().unwrap().iter();
    problems.find(|problem| problem["severity"] == "failure" && problem["rule"] == rule)?["replay"].as_str()
}

/// Who tries: oneself, and an ordinary user.
fn users() -> Vec<u32> {
    let own = getuid().as_raw();
    if own == 0 {
        return vec![0, NOBODY];
    }
    #[expect(clippy::print_stderr, reason = "who reads the output shall know what was not tried")]
    {
        eprintln!("not root: tried as user {own} only");
    }
    vec![own]
}

/// A copy of a folder of `examples/prove` and of the command, which a user may read and write.
struct Place {
    root: TempDir,
    name: String,
    user: u32,
}

impl Place {
    fn new(name: &str, user: u32) -> Self {
        let place = Self { root: tempfile::tempdir().unwrap(), name: name.to_owned(), user };
        fs::set_permissions(place.root.path(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::copy(env!("CARGO_BIN_EXE_softstop"), place.root.path().join("softstop")).unwrap();
        place.copy(&examples().join(name), &place.folder());
        if name.starts_with("rust-") {
            let built = Path::new(env!("CARGO_BIN_EXE_softstop")).with_file_name("examples");
            for which in ["fault", "repaired"] {
                let program = built.join(format!("{name}-{which}"));
                let copied = fs::copy(&program, place.folder().join(which));
                copied.unwrap_or_else(|error| {
                    panic!("{}: {error}; build it: cargo build -p softstop-cli --examples", program.display())
                });
            }
        }
        if name == "python-unclosed-session" {
            let packages = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/python");
            assert!(packages.join("aiohttp").exists(), "aiohttp is not there: run scripts/python.sh");
            place.copy(&packages, &place.root.path().join("packages"));
        }
        place
    }

    /// With the times of the files, or Python would compile each again.
    fn copy(&self, from: &Path, to: &Path) {
        let copied = Command::new("cp").args(["-r", "--preserve=timestamps"]).args([from, to]).status().unwrap();
        assert!(copied.success(), "{} to {}", from.display(), to.display());
        chown(to, Some(self.user), None).unwrap();
    }

    fn folder(&self) -> PathBuf {
        self.root.path().join(&self.name)
    }

    /// What a fault has left would be found again.
    fn clear(&self) {
        let _ = fs::remove_dir_all(self.folder().join("data"));
    }

    /// Proves one of the two programs and returns the verdict.
    fn prove(&self, which: &str, options: &[&str]) -> Value {
        let file = |ending: &str| self.folder().join(format!("{which}{ending}")).exists();
        let mut program = match () {
            () if file(".py") => vec!["python3".to_owned(), format!("{which}.py")],
            () if file(".js") => vec!["node".to_owned(), format!("{which}.js")],
            () => vec![format!("./{which}")],
        };
        if fs::read_to_string(self.folder().join("prove.yaml")).unwrap().contains("{data}") {
            program.push("{data}".to_owned());
        }
        let mut command = if self.user == getuid().as_raw() {
            Command::new(self.root.path().join("softstop"))
        } else {
            let user = self.user.to_string();
            let mut other = Command::new("setpriv");
            other.args(["--reuid", &user, "--regid", &user, "--clear-groups", "--"]);
            other.arg(self.root.path().join("softstop"));
            other
        };
        command.args(["prove", "--scenario", "prove.yaml", "--json", "-"]).args(options).arg("--").args(program);
        // What everybody may run comes first: an interpreter in somebody's home cannot be run by others.
        let path = format!("/usr/local/bin:/usr/bin:/bin:{}", std::env::var("PATH").unwrap_or_default());
        command.current_dir(self.folder()).env("PATH", path).env("PYTHONPATH", self.root.path().join("packages"));
        command.env("PYTHONDONTWRITEBYTECODE", "1").stdin(Stdio::null());
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let said = String::from_utf8_lossy(&output.stderr);
        let verdict: Value = serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("{} {which}, user {}: {error}: {text}{said}", self.name, self.user));
        assert_eq!(output.status.code().map(i64::from), verdict["exit_status"].as_i64(), "{said}");
        verdict
    }
}
