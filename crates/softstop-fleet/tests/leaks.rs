//! What many starts leave behind in the process that made them. Alone in its process, because it looks at the whole of it.

#![expect(
    clippy::unwrap_used,
    reason = "a test may stop at the first surprise; clippy.toml does not reach the helpers"
)]

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use softstop_fleet::process::{Contain, Spec, Tracing, levels, start};

const KEEPER: &str = env!("CARGO_BIN_EXE_softstop-keeper");

#[test]
fn hundreds_of_starts_leave_no_descriptor_no_child_no_thread_and_no_control_group() {
    start_some();
    // The test's and the main one; a thread that was joined may be listed for a moment longer.
    settle(2);
    let before = (descriptors(), threads());

    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(start_some);
        }
    });

    settle(before.1);
    assert_eq!((descriptors(), threads()), before);
    assert_eq!(children(), "");
    assert_eq!(own_groups(), Vec::<PathBuf>::new());
}

/// Waits until there are no more threads than this.
fn settle(expected: usize) {
    let end = Instant::now() + Duration::from_secs(5);
    while threads() > expected && Instant::now() < end {
        thread::yield_now();
    }
}

/// Programs that end, programs that are killed, and programs that do not exist, at each level.
fn start_some() {
    for (level, works) in levels(Path::new(KEEPER)) {
        for program in if works.is_ok() { ["true", "sleep", "/no/such/program"].as_slice() } else { &[] } {
            for round in 0..5 {
                let mut spec = Spec::new(program).args(["60"]);
                spec.contain = Contain::At(level);
                spec.trampoline = KEEPER.into();
                // Every other one is followed.
                spec.trace = (round % 2 == 0).then(Tracing::default);
                let Ok(running) = start(&spec) else { continue };
                if *program == "true" {
                    assert!(running.wait(Instant::now() + Duration::from_secs(20)).is_some(), "{level}");
                }
            }
        }
    }
}

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

fn threads() -> usize {
    fs::read_dir("/proc/self/task").unwrap().count()
}

fn children() -> String {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    tasks.map(|task| fs::read_to_string(task.unwrap().path().join("children")).unwrap_or_default()).collect()
}

/// The control groups that this process has made and not removed.
fn own_groups() -> Vec<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    let points = mounts.lines().filter(|line| line.split(' ').nth(2) == Some("cgroup2"));
    let mut folders: Vec<PathBuf> = points.filter_map(|line| Some(line.split(' ').nth(1)?.into())).collect();
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        let inner = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
        let inner: Vec<PathBuf> = inner.filter(|path| path.is_dir()).collect();
        let ours = format!("softstop_{}_", std::process::id());
        let is_ours = |path: &&PathBuf| path.file_name().unwrap().to_string_lossy().starts_with(&ours);
        found.extend(inner.iter().filter(is_ours).cloned());
        folders.extend(inner);
    }
    found
}
