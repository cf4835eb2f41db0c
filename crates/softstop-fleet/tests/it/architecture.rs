//! Holds what ARCHITECTURE.md says about this crate and the command. Comments are not looked at.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// What starts, contains, signals or kills. Each stands for a call that the rest of the crate has no business with.
const DEEDS: [&str; 16] = [
    ".spawn()",
    ".output()",
    ".exec()",
    "CommandExt",
    "kill_process",
    "kill_current",
    "pidfd_open",
    "pidfd_send_signal",
    "signal_hook",
    "sys::signal",
    "unshare",
    "sys::ptrace",
    "set_child_subreaper",
    "set_parent_process_death_signal",
    "cgroup.",
    "mount(",
];

#[test]
fn nothing_but_process_starts_contains_signals_or_kills() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let process = crates.join("softstop-fleet/src/process");
    // Programs that try to escape have to start others; that they turn deaf is all they do with signals.
    let patterns = crates.join("softstop-fleet/src/selftest/patterns.rs");
    let mut doers = 0;

    for file in ["softstop-fleet/src", "softstop-cli/src"].iter().flat_map(|folder| sources(&crates.join(folder))) {
        let code = code(&file);
        let done: Vec<&str> = DEEDS.into_iter().filter(|deed| code.contains(deed)).collect();
        if file.starts_with(&process) {
            doers += done.len();
        } else if file == patterns {
            assert!(done.iter().all(|deed| [".spawn()", "signal_hook"].contains(deed)), "{}: {done:?}", file.display());
        } else {
            assert_eq!(done, [""; 0], "{}: only the process module may", file.display());
        }
    }

    assert!(doers > 10, "the words are not those that the process module uses: this test holds nothing");
}

fn code(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap();
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let inner = folders.iter().flat_map(|folder| sources(folder));
    files.into_iter().chain(inner).collect()
}
