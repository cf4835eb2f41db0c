//! `market selftest`, as a person runs it.

use std::{fs, process::Stdio};

use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
    time::timeout,
};

use super::PATIENCE;

fn selftest(folder: &std::path::Path) -> Command {
    let mut command = Command::new("env");
    command.args(["--default-signal=INT", env!("CARGO_BIN_EXE_market"), "selftest"]).env("TMPDIR", folder);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

#[tokio::test]
async fn the_selftest_passes_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();

    let ended = timeout(4 * PATIENCE, selftest(folder.path()).output()).await.expect("it ends").unwrap();

    let out = String::from_utf8(ended.stdout).unwrap();
    assert_eq!(ended.status.code(), Some(0), "{out}{}", String::from_utf8_lossy(&ended.stderr));
    let (verdict, groups) =
        out.lines().collect::<Vec<_>>().split_last().map(|(last, rest)| (*last, rest.len())).unwrap();
    assert!(groups >= 12 && out.lines().take(groups).all(|line| line.starts_with("ok    ")), "{out}");
    let failures: u64 = verdict.strip_prefix("passed: ").unwrap().split(' ').next().unwrap().parse().unwrap();
    assert!(failures >= 150 && verdict.contains("none missing, none twice"), "{verdict}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn ctrl_c_ends_the_selftest_and_nothing_is_left_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = selftest(folder.path()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let first = timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap();
    assert!(first.is_some_and(|line| line.starts_with("ok    ")));

    let pid = child.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().await.unwrap().success());
    let ended = timeout(PATIENCE, child.wait()).await.expect("it ends").unwrap();

    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&ended), Some(2), "{ended}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}
