//! How a program begins, and what is said if it does not.

use std::{
    ffi::OsString,
    fs,
    io::ErrorKind,
    os::unix::fs::{MetadataExt, PermissionsExt},
    process::{Command, Stdio},
};

use softstop_fleet::process::{Input, Level, Spec, StartError, levels, start};

use crate::support::{at, available, await_line, keeper, run, shell, soon, spec, status_of, written};

#[test]
fn a_level_that_does_not_work_says_why_and_what_to_do() {
    for (level, works) in levels(&keeper()) {
        if let Err(error) = works {
            assert!(matches!(level, Level::Cgroup | Level::PidNamespace), "{level} works anywhere: {error}");
            assert!(std::error::Error::source(&error).is_some(), "{error}");
            assert!(!error.hint().is_empty());
        }
    }
}

#[test]
fn a_program_that_does_not_exist_is_an_error_with_its_name_and_no_exit_status() {
    for level in available() {
        let mut wanted = at(level, spec("no-such-program", &[]));
        // Where a folder of the path may not be looked into, it might have been there.
        wanted.env = vec![("PATH".into(), Some("/usr/bin:/bin".into()))];
        let error = start(&wanted).err().expect("it cannot start");

        let StartError::Program { program, source } = &error else { panic!("{level}: {error:?}") };
        assert_eq!(program, "no-such-program");
        assert_eq!(source.kind(), ErrorKind::NotFound, "{level}");
        assert_eq!(error.to_string(), "cannot execute `no-such-program`");
    }
}

#[test]
fn a_file_that_is_not_executable_is_told_from_one_that_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("notes.txt");
    fs::write(&file, "not a program").unwrap();

    let error = start(&spec(file.to_str().unwrap(), &[])).err().expect("it cannot start");

    assert!(
        matches!(&error, StartError::Program { source, .. } if source.kind() == ErrorKind::PermissionDenied),
        "{error:?}"
    );
}

#[test]
fn a_folder_that_does_not_exist_is_named() {
    let mut wanted = spec("true", &[]);
    wanted.cwd = Some("/no/such/folder".into());

    let error = start(&wanted).err().expect("it cannot start");

    assert_eq!(error.to_string(), "cannot start in the folder `/no/such/folder`");
}

#[test]
fn a_binary_that_is_no_trampoline_is_told_from_a_program_that_cannot_start() {
    let mut wanted = spec("true", &[]);
    wanted.trampoline = "/bin/true".into();
    wanted = at(Level::Subreaper, wanted);

    let error = start(&wanted).err().expect("it cannot start");

    assert!(matches!(error, StartError::Keeper { .. }), "{error:?}");
    assert!(error.hint().contains("trampoline()"), "{}", error.hint());
}

#[test]
fn a_binary_that_never_called_trampoline_does_not_start_itself_without_end() {
    let error = start(&Spec::new("true")).err().expect("the main function of a test does not call it");

    assert!(matches!(&error, StartError::Keeper { tried, .. } if tried.contains("did not call")), "{error:?}");
}

#[test]
fn signals_that_we_inherited_ignored_or_blocked_are_not_for_the_program() {
    let folder = tempfile::tempdir().unwrap();
    let trampoline = folder.path().join("deaf");
    let script = format!(
        "#!/bin/sh\nexec env --ignore-signal=HUP,INT,QUIT,TERM,USR1,CHLD,TSTP,TTIN,TTOU,URG,XFSZ --block-signal=TERM,USR2,CHLD {} \"$@\"\n",
        keeper().display()
    );
    fs::write(&trampoline, script).unwrap();
    fs::set_permissions(&trampoline, fs::Permissions::from_mode(0o755)).unwrap();

    for level in available() {
        let mut wanted = at(level, spec("grep", &["-E", "^Sig(Ign|Blk)", "/proc/self/status"]));
        wanted.trampoline = trampoline.clone();
        let running = run(&wanted);

        assert_eq!(status_of(&running), (Some(0), None), "{level}");
        let lines = written(&running);
        let masks = lines.iter().map(|line| u64::from_str_radix(&line[8..], 16).unwrap());
        // 32 and 33 are the C library's: nobody can ignore them but who has no C library, and nobody hears them.
        let masks: Vec<u64> = masks.map(|mask| mask & !(0b11 << 31)).collect();
        assert_eq!(masks, [0, 0], "{level}: {lines:?}");
    }
}

#[test]
fn a_program_has_nothing_open_but_its_streams_and_what_we_inherited() {
    let list = "/proc/self/fd";
    let plain = Command::new("ls").arg(list).stdin(Stdio::null()).stderr(Stdio::null()).output().unwrap();
    let plain = String::from_utf8(plain.stdout).unwrap();
    for level in available() {
        let running = run(&at(level, spec("ls", &[list])));

        assert_eq!(status_of(&running), (Some(0), None));
        assert_eq!(written(&running), plain.lines().collect::<Vec<_>>(), "{level}");
    }
}

#[test]
fn a_program_leads_a_session_and_a_group_of_its_own() {
    for level in available() {
        let running = run(&at(level, spec("sleep", &["60"])));

        let tree = running.tree();
        let main = tree.iter().find(|process| process.pid == running.pid()).expect("it is in its tree");
        assert_eq!((main.group, main.session), (main.pid, main.pid), "{level}");
        assert_eq!(main.command, ["sleep", "60"], "{level}");
    }
}

#[test]
fn arguments_environment_and_folder_arrive_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let mut wanted = shell(r#"printf '%s\n' "$1" "$GIVEN" "${HOME-unset}" "$PWD" "${#2}""#);
    let odd = OsString::from("two words\tand \u{1f980} 'quotes'");
    // Linux takes no argument of more than 128 KiB; together they are far larger than a socket's buffer.
    let long = "x".repeat(120_000);
    wanted = wanted.args(["sh".into(), odd.clone(), long.clone().into(), long.clone().into(), OsString::from(long)]);
    wanted.env = vec![("GIVEN".into(), Some("value".into())), ("HOME".into(), None)];
    wanted.cwd = Some(folder.path().to_owned());

    let running = run(&wanted);

    assert_eq!(status_of(&running), (Some(0), None));
    let folder = folder.path().canonicalize().unwrap();
    assert_eq!(written(&running), [odd.to_str().unwrap(), "value", "unset", folder.to_str().unwrap(), "120000"]);
}

#[test]
fn another_user_has_that_users_numbers_and_no_further_groups() {
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        eprintln!("not root: there is no becoming another user");
        return;
    }
    for level in available() {
        let mut wanted = at(level, shell("grep -E '^(Uid|Gid|Groups|CapEff):' /proc/self/status"));
        wanted.user = Some((65534, 65533));
        let running = run(&wanted);

        assert_eq!(status_of(&running), (Some(0), None), "{level}: {:?}", written(&running));
        let lines: Vec<String> = written(&running).iter().map(|line| line.trim().to_owned()).collect();
        let ids = |id: &str| [id; 4].join("\t");
        let expected = [
            format!("Uid:\t{}", ids("65534")),
            format!("Gid:\t{}", ids("65533")),
            "Groups:".to_owned(),
            format!("CapEff:\t{}", "0".repeat(16)),
        ];
        assert_eq!(lines, expected, "{level}");
    }
}

#[test]
fn a_silent_input_has_no_end_and_the_null_one_ends_at_once() {
    let mut null = spec("cat", &[]);
    null.stdin = Input::Null;
    let mut silent = shell("echo reading; cat; echo ended");
    silent.stdin = Input::Silent;

    assert_eq!(status_of(&run(&null)), (Some(0), None));
    let silent = run(&silent);
    await_line(&silent, "reading");
    let early = std::time::Instant::now() + std::time::Duration::from_millis(50);
    assert_eq!(silent.wait(early), None);
    assert!(silent.kill_all(soon() - std::time::Instant::now()).left.is_empty());
}
