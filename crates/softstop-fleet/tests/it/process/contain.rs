//! Nobody outlives it.

use std::{fs, time::Duration};

use softstop_fleet::process::{Level, Signal, Target};

use crate::support::{LONG, at, available, await_line, run, shell, soon, status_of, until};

/// Starts a child in a session of its own that its parent has left, and waits for it to be there.
const ESCAPED: &str = "(setsid sh -c 'trap \"echo told; exit\" TERM; echo there; while :; do sleep 0.05; done' &); ";

fn strong() -> impl Iterator<Item = Level> {
    available().into_iter().filter(|level| *level != Level::Group)
}

#[test]
fn killing_ends_who_has_left_group_session_and_parent() {
    for level in strong() {
        let running = run(&at(level, shell(&format!("{ESCAPED} sleep 62"))));
        await_line(&running, "there");

        let killed = running.kill_all(LONG);

        assert!(killed.left.is_empty(), "{level}: {killed:?}");
        assert!(killed.found.len() >= 2, "{level}: {killed:?}");
        assert!(killed.took < LONG / 4, "{level}: {:?}", killed.took);
        assert!(running.wait_for(soon(), |seen| seen.streams_closed.is_some()), "{level}: somebody holds the output");
        assert!(running.escaped().is_empty());
    }
}

#[test]
fn dropping_kills_what_is_left() {
    for level in strong() {
        let mut wanted = at(level, shell(&format!("{ESCAPED} exit 0")));
        let name = format!("MARK_{}_{level:?}", std::process::id());
        wanted.env = vec![(name.clone().into(), Some("1".into()))];
        let running = run(&wanted);
        await_line(&running, "there");
        assert!(!with_variable(&name).is_empty());

        drop(running);

        assert_eq!(with_variable(&name), Vec::<String>::new(), "{level}");
    }
}

/// The processes that have this variable.
fn with_variable(name: &str) -> Vec<String> {
    let has = |pid: &String| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|entry| entry.starts_with(format!("{name}=").as_bytes()))
    };
    let entries = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    entries.filter(has).collect()
}

#[test]
fn a_signal_reaches_main_group_or_all() {
    for level in strong() {
        let running = run(&at(level, shell(&format!("trap 'echo main' TERM; {ESCAPED} while :; do sleep 0.05; done"))));
        await_line(&running, "there");

        assert_eq!(running.signal(Target::Main, Signal::TERM).unwrap(), 1);
        await_line(&running, "main");
        assert_eq!(running.signal(Target::Group, Signal::INT).unwrap(), 1);
        assert_eq!(status_of(&running), (None, Some(2)), "{level}: the group has heard Ctrl+C");
        assert!(running.look(|seen| seen.gone.is_none()), "{level}: who has left the group has not");
        assert_eq!(running.signal(Target::Main, Signal::TERM).unwrap(), 0);
        assert!(running.signal(Target::All, Signal::TERM).unwrap() >= 1);

        await_line(&running, "told");
        assert!(running.wait_gone(soon()).is_some(), "{level}");
    }
}

#[test]
fn at_group_level_who_escapes_is_left_and_named() {
    let running = run(&at(Level::Group, shell("(setsid sleep 63 &); echo there; sleep 64")));
    await_line(&running, "there");

    let sleeps = |processes: &[softstop_fleet::process::Process]| {
        processes.iter().filter(|process| process.command == ["sleep", "63"]).count()
    };
    until(|| sleeps(&running.tree()) == 1);
    let killed = running.kill_all(LONG);

    assert_eq!(sleeps(&killed.left), 1, "{killed:?}");
    kill_left(&killed.left);
}

fn kill_left(left: &[softstop_fleet::process::Process]) {
    for process in left {
        let pid = process.pid.to_string();
        let mut command = std::process::Command::new("kill");
        assert!(command.args(["-9", &pid]).status().unwrap().success());
    }
}

#[test]
fn who_kills_the_keeper_does_not_get_away() {
    for level in strong() {
        // From inside a PID namespace its first process cannot be killed at all, so we do it from outside.
        let running = run(&at(level, shell(&format!("{ESCAPED} sleep 65"))));
        await_line(&running, "there");
        let keeper = running.inside().file_name().unwrap().to_owned();

        let mut command = std::process::Command::new("kill");
        assert!(command.arg("-9").arg(keeper).status().unwrap().success());
        assert!(running.wait_for(soon(), |seen| seen.keeper_lost || seen.gone.is_some()), "{level}");
        let killed = running.kill_all(LONG);

        assert!(killed.left.is_empty(), "{level}: {killed:?}");
        assert!(running.wait_for(soon(), |seen| seen.streams_closed.is_some()), "{level}: somebody holds the output");
        let exit = running.exited().expect("it has ended");
        assert_eq!(exit.status.and_then(|status| status.code()), None, "{level}");
    }
}

#[test]
fn a_program_that_stops_itself_is_killed_all_the_same() {
    for level in strong() {
        let running = run(&at(level, shell("kill -STOP $$; sleep 66")));
        until(|| running.tree().iter().any(|process| process.state == 'T'));

        assert!(running.kill_all(Duration::from_secs(5)).left.is_empty(), "{level}");
    }
}
