//! What a program has for itself.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use softstop_fleet::process::{Input, Level, Namespaces, Spec, start, start_inside};

use crate::support::{LONG, at, available, await_line, run, shell, soon, status_of, written};

/// All of them, unless this machine does not let us.
fn own(script: &str, namespaces: impl Fn(&mut Namespaces)) -> Vec<Spec> {
    let wanted = available().into_iter().map(|level| {
        let mut spec = at(level, shell(script));
        namespaces(&mut spec.namespaces);
        spec
    });
    let wanted: Vec<Spec> = wanted.collect();
    let works = |spec: &Spec| start(spec).map(drop);
    match wanted.first().map(works) {
        Some(Ok(())) => wanted,
        Some(Err(error)) => {
            eprintln!("no such namespaces here: {error}");
            Vec::new()
        }
        None => Vec::new(),
    }
}

#[test]
fn a_network_of_its_own_has_a_loopback_interface_that_is_up() {
    for spec in own("cat /sys/class/net/lo/flags /proc/net/dev | grep -v Receive", |own| own.network = true) {
        let running = run(&spec);
        // sysfs shows the network of who mounted it, so the list of interfaces comes from procfs.
        assert_eq!(status_of(&running), (Some(0), None));
        let devices: Vec<String> = written(&running).into_iter().filter(|line| line.contains(": ")).collect();
        assert!(devices.len() == 1 && devices[0].trim().starts_with("lo:"), "{devices:?}");
    }
}

#[test]
fn a_port_is_free_in_each_network_and_a_listener_is_seen_from_outside() {
    let serve = "python3 -c 'import socket,time; s=socket.socket(); s.bind((\"127.0.0.1\",4711)); s.listen(); \
                 c=socket.create_connection((\"127.0.0.1\",4711)); print(\"listening\",flush=True); time.sleep(60)'";
    for spec in own(serve, |own| own.network = true) {
        let both = [run(&spec), run(&spec)];

        for running in &both {
            await_line(running, "listening");
            let sockets = fs::read_to_string(running.inside().join("net/tcp")).unwrap();
            // proc(5): local address and port in hexadecimal, state 0A is listening.
            assert!(sockets.lines().any(|line| line.contains(":1267 00000000:0000 0A")), "{sockets}");
        }
    }
}

#[test]
fn what_is_left_in_a_private_folder_is_seen_after_the_end_and_never_by_others() {
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    fs::write(folder.path().join("ours"), "").unwrap();
    let script = format!("cd {0}; ls; echo > {0}/left; ls", folder.path().display());
    for spec in own(&script, |own| own.private = vec![folder.path().to_owned()]) {
        let running = run(&spec);
        assert_eq!(status_of(&running), (Some(0), None));
        assert!(running.wait_gone(soon()).is_some());

        assert_eq!(written(&running), ["left"]);
        let inside = running.inside().join("root").join(folder.path().strip_prefix("/").unwrap());
        let names: Vec<_> = fs::read_dir(inside).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["left"]);
        assert!(folder.path().join("ours").exists() && !folder.path().join("left").exists());
    }
}

#[test]
fn process_numbers_of_its_own_begin_anew_and_show_no_others() {
    for spec in own("echo $$; exec ls -d /proc/[0-9]*", |own| own.pid = true) {
        let running = run(&spec);
        assert_eq!(status_of(&running), (Some(0), None));

        assert_eq!(written(&running), ["2", "/proc/1", "/proc/2"], "{:?}", running.level());
    }
}

#[test]
fn shared_memory_of_its_own_is_not_ours() {
    for spec in own("readlink /proc/self/ns/ipc", |own| own.ipc = true) {
        let running = run(&spec);
        assert_eq!(status_of(&running), (Some(0), None));

        let ours = fs::read_link("/proc/self/ns/ipc").unwrap();
        assert_ne!(written(&running), [ours.to_str().unwrap()]);
    }
}

#[test]
fn in_a_user_namespace_the_program_has_no_more_rights_than_before() {
    let script = "id -u; grep -E '^Cap(Inh|Prm|Eff|Amb)' /proc/self/status | cut -f2 | sort -u";
    for spec in own(script, |own| own.user = true) {
        let running = run(&spec);
        assert_eq!(status_of(&running), (Some(0), None));
        let ours = std::os::unix::fs::MetadataExt::uid(&fs::metadata(Path::new("/proc/self")).unwrap());

        let lines = written(&running);
        assert_eq!(lines[0], ours.to_string());
        if ours != 0 {
            assert_eq!(lines[1..], ["0".repeat(16)], "{:?}: it has capabilities", running.level());
        }
    }
}

#[test]
fn all_together_at_once_and_killed() {
    for spec in own("setsid sleep 67 & setsid sleep 68 & echo there; sleep 69", |own| {
        own.network = true;
        own.ipc = true;
        own.pid = true;
        own.private = vec!["/tmp".into(), "/dev/shm".into()];
    }) {
        let running = run(&spec);
        await_line(&running, "there");

        let killed = running.kill_all(LONG);

        if running.level() != Level::Group {
            assert!(killed.left.is_empty(), "{:?}: {killed:?}", running.level());
        }
    }
}

#[test]
fn what_is_kept_of_a_private_folder_is_there_and_shared_and_nothing_else() {
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    for name in ["kept", "file", "hidden"] {
        fs::write(folder.path().join(name), name).unwrap();
    }
    fs::create_dir_all(folder.path().join("deep/below")).unwrap();
    let script = format!(
        "cd {0} && find . -type f | sort; echo changed > {0}/file; echo > {0}/deep/below/new",
        folder.path().display()
    );
    for spec in own(&script, |own| {
        own.private = vec![folder.path().to_owned()];
        own.keep = ["kept", "file", "deep/below", "vanished"].map(|name| folder.path().join(name)).to_vec();
    }) {
        let _ = fs::remove_file(folder.path().join("deep/below/new"));
        let running = run(&spec);

        assert_eq!(status_of(&running), (Some(0), None), "{:?}", written(&running));
        assert_eq!(written(&running), ["./file", "./kept"]);
        assert_eq!(fs::read_to_string(folder.path().join("file")).unwrap(), "changed\n");
        assert!(folder.path().join("deep/below/new").exists() && folder.path().join("hidden").exists());
    }
}

#[test]
fn who_is_started_inside_sees_the_same_files_and_network() {
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    let place = folder.path().display();
    let first =
        format!("echo data > {place}/left; echo there; readlink /proc/self/ns/net /proc/self/ns/ipc; exec sleep 60");
    for spec in own(&first, |own| {
        own.network = true;
        own.ipc = true;
        own.private = vec![folder.path().to_owned()];
    }) {
        let running = run(&spec);
        await_line(&running, "there");
        running.wait_for(soon(), |seen| seen.output.lines().len() == 3);
        let mut second = at(
            running.level(),
            shell(&format!(
                "cat {place}/left; readlink /proc/self/ns/net /proc/self/ns/ipc; pwd; setsid sleep 61 & exit 3"
            )),
        );
        second.cwd = None;

        let inside = start_inside(&second, &running)
            .unwrap_or_else(|error| panic!("{error}: {:?}", std::error::Error::source(&error)));

        assert_eq!(status_of(&inside), (Some(3), None), "{:?}", running.level());
        let (ours, theirs) = (written(&running), written(&inside));
        assert_eq!(theirs[0], "data");
        assert_eq!(theirs[1..3], ours[1..3], "{:?}", running.level());
        assert_eq!(theirs[3], std::env::current_dir().unwrap().to_str().unwrap());
        let killed = inside.kill_all(LONG);
        assert!(killed.left.is_empty() || running.level() == Level::Group, "{:?}: {killed:?}", running.level());
        assert!(running.exited().is_none(), "{:?}: the other goes on", running.level());
    }
}

#[test]
fn who_has_no_namespaces_is_joined_as_well() {
    let running = run(&shell("sleep 60"));

    let inside = start_inside(&shell("exit 4"), &running).unwrap();

    assert_eq!(status_of(&inside), (Some(4), None));
}

#[test]
fn killing_who_is_gone_does_not_hit_who_is_inside() {
    for level in available() {
        let running = run(&at(level, shell("exit 0")));
        assert!(running.wait_gone(soon()).is_some());

        let mut told = shell("read line; exit 5");
        told.stdin = Input::Silent;
        let inside = start_inside(&told, &running).unwrap_or_else(|error| panic!("{level}: {error}"));

        running.kill_all(LONG);

        // Its keeper would have told by then that it was killed.
        inside.wait_for(Instant::now() + Duration::from_millis(100), |seen| seen.exit.is_some());
        inside.feed(b"go on\n").unwrap_or_else(|error| panic!("{level}: {error}"));
        assert_eq!(status_of(&inside), (Some(5), None), "{level}");
    }
}
