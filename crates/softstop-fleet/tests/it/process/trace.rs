//! System calls that are followed, and threads that are held at one.

use std::{collections::BTreeMap, fs, process::Command, time::Instant};

use softstop_fleet::process::{Meddling, Point, Recorded, Running, Signal, Spec, Target, Tracing};

use crate::support::{LONG, at, available, await_line, interpreter, run, shell, soon, spec, status_of, until, written};

fn followed(mut spec: Spec, tracing: Tracing) -> Spec {
    spec.trace = Some(tracing);
    spec
}

fn recorded(spec: Spec) -> Vec<Recorded> {
    let running = run(&followed(spec, Tracing { record: true, ..Tracing::default() }));
    assert!(running.wait_gone(soon()).is_some(), "{:?}", running.tree());
    assert_eq!(running.trace().unwrap().lost(), None);
    running.trace().unwrap().calls()
}

fn point(call: &str, nth: u32) -> Point {
    Point { call: call.to_owned(), nth, process: 1, thread: 1 }
}

fn python(script: &str) -> Spec {
    spec(interpreter(), &["-S", "-B", "-c", script])
}

/// The program, held at this call.
fn held(spec: Spec, point: Point) -> Running {
    let running = run(&followed(spec, Tracing { hold_at: Some(point), ..Tracing::default() }));
    let trace = running.trace().unwrap().clone();
    until(|| trace.holds());
    running
}

/// Who stands still for a while was stopped by a signal: at a call nobody stands for long.
fn await_stop(running: &Running) {
    let mut still = 0;
    until(|| {
        let stands = running.tree().iter().all(|process| "Tt".contains(process.state));
        still = if stands { still + 1 } else { 0 };
        still > 20
    });
}

fn count(calls: &[Recorded]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    calls.iter().for_each(|call| *counts.entry(call.call).or_default() += 1);
    counts
}

#[test]
fn every_call_is_recorded_as_strace_does() {
    if Command::new("strace").arg("-V").output().is_err() {
        eprintln!("not compared: there is no strace here");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let programs = [
        "true",
        "echo a > x; mv x y; rm y",
        "(exec sh -c 'ls / | wc -l'); for i in 1 2 3; do sh -c :; done",
        "python3 -S -B -c 'import subprocess; [subprocess.run([\"true\"]) for _ in range(3)]'",
        "python3 -S -B -c 'import threading; t = [threading.Thread(target=print) for _ in range(4)]; [(x.start(), x.join()) for x in t]'",
    ];
    for program in programs.map(|program| program.replace("python3", interpreter())) {
        let program = program.as_str();
        let log = folder.path().join("log");
        let mut script = shell(program);
        script.cwd = Some(folder.path().to_owned());
        let calls = recorded(script);
        let mut strace = Command::new("strace");
        strace.args(["-f", "-qq", "-e", "signal=none", "-o"]).arg(&log).args(["sh", "-c", program]);
        let strace = strace.current_dir(folder.path()).output().unwrap();
        assert!(strace.status.success());

        let log = fs::read_to_string(&log).unwrap();
        let names = log.lines().filter_map(|line| {
            let (_, call) = line.split_once(' ')?;
            let (name, _) = call.trim().split_once('(')?;
            name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_').then(|| name.to_owned())
        });
        let mut expected = BTreeMap::new();
        names.for_each(|name| *expected.entry(name).or_insert(0) += 1);
        // The first is ours.
        *expected.get_mut("execve").unwrap() -= 1;
        expected.retain(|_, count| *count > 0);
        // How often a thread waits for another is a matter of time, as is whether the last one comes to its own `exit` before the process
        // does, and what a longer environment costs.
        let by_chance = [
            "brk",
            "exit",
            "madvise",
            "mmap",
            "munmap",
            "mprotect",
            "newfstatat",
            "rt_sigreturn",
            "rt_sigprocmask",
            "wait4",
        ];
        let mut found: BTreeMap<String, usize> =
            count(&calls).into_iter().map(|(name, count)| (name.to_owned(), count)).collect();
        found.remove("futex");
        expected.remove("futex");
        for name in by_chance {
            let (found, expected) = (found.remove(name).unwrap_or(0), expected.remove(name).unwrap_or(0));
            assert!(found.abs_diff(expected) <= 12, "{program}: {name} {found} {expected}");
        }
        assert_eq!(found, expected, "{program}");
    }
}

#[test]
fn processes_and_threads_are_numbered_as_they_begin() {
    let calls = recorded(shell("sh -c 'exit 1'; sh -c 'sh -c :; :'; :"));
    let chain: Vec<(u32, u32, u32)> =
        calls.iter().filter(|call| call.call == "execve").map(|call| (call.process, call.thread, call.nth)).collect();
    assert_eq!(chain, [(2, 1, 1), (3, 1, 1), (4, 1, 1)]);

    let script = "import threading\nfor i in range(3):\n t = threading.Thread(target=__import__('os').getppid); t.start(); t.join()";
    let calls = recorded(python(script));
    let by: Vec<(u32, u32)> =
        calls.iter().filter(|call| call.call == "getppid").map(|call| (call.process, call.thread)).collect();
    assert_eq!(by, [(1, 2), (1, 3), (1, 4)]);
}

#[test]
fn a_signal_at_a_call_is_there_when_the_call_was_made() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("data");
    let script = "import os,sys\nf = os.open(sys.argv[1], os.O_WRONLY|os.O_TRUNC)\nos.write(f, b'new')\nos.close(f)";
    let mut program = python(script);
    program.args.push(file.clone().into());
    fs::write(&file, "old").unwrap();
    let calls = recorded(program.clone());
    let opens = calls.iter().rfind(|call| call.call == "openat" && call.telling).unwrap();
    let opened = point("openat", opens.nth);

    for level in available() {
        for _ in 0..5 {
            fs::write(&file, "old").unwrap();
            let running = held(at(level, program.clone()), opened.clone());
            assert_eq!(fs::read_to_string(&file).unwrap(), "old");
            let trace = running.trace().unwrap();
            trace.leave();
            running.signal(Target::Main, Signal::TERM).unwrap();
            trace.let_go();
            assert_eq!(status_of(&running), (None, Some(15)), "{level}");
            assert_eq!(fs::read_to_string(&file).unwrap(), "", "{level}: opened, and not written");

            let running = held(at(level, program.clone()), point("write", 1));
            let trace = running.trace().unwrap();
            trace.leave();
            running.signal(Target::All, Signal::TERM).unwrap();
            trace.let_go();
            assert_eq!(status_of(&running), (None, Some(15)), "{level}");
            assert_eq!(fs::read_to_string(&file).unwrap(), "new", "{level}");
        }
    }
}

#[test]
fn who_is_let_go_runs_on_without_us() {
    let script = "import os,threading,time\nfor i in range(3): threading.Thread(target=time.sleep, args=(0.2,)).start()\nos.getppid(); print('on', flush=True); [os.getppid() for _ in range(1000)]";
    let running = held(python(script), point("getppid", 1));
    let trace = running.trace().unwrap();
    let (before, _) = trace.activity();

    trace.leave();
    trace.let_go();

    await_line(&running, "on");
    assert_eq!(status_of(&running), (Some(0), None));
    let (after, _) = trace.activity();
    assert!(after - before < 20, "{before} {after}");
}

#[test]
fn a_program_that_stops_itself_goes_on_when_it_is_told_to() {
    for level in available() {
        let script = "echo stops; kill -STOP $$; echo again";
        let running = run(&at(level, followed(shell(script), Tracing { record: true, ..Tracing::default() })));
        await_line(&running, "stops");
        await_stop(&running);
        running.signal(Target::Main, Signal::CONT).unwrap();
        await_line(&running, "again");
        assert_eq!(status_of(&running), (Some(0), None), "{level}");
    }
}

#[test]
fn threads_that_stop_and_go_on_together_lose_nothing() {
    let script = "import os,signal,threading,time\nts=[threading.Thread(target=time.sleep, args=(0.3,)) for _ in range(5)]\n[t.start() for t in ts]\nprint('started', flush=True)\nos.kill(os.getpid(), signal.SIGSTOP)\n[t.join() for t in ts]\nprint('joined', flush=True)";
    let running = run(&followed(python(script), Tracing { record: true, ..Tracing::default() }));
    await_line(&running, "started");
    await_stop(&running);
    running.signal(Target::Main, Signal::CONT).unwrap();
    await_line(&running, "joined");
    assert_eq!(status_of(&running), (Some(0), None));
}

#[test]
fn signals_that_are_not_ours_reach_the_program_unchanged() {
    let script = "import os,signal,sys\nseen=[]\nfor s in (signal.SIGTRAP, signal.SIGUSR1, signal.SIGCHLD, signal.SIGURG): signal.signal(s, lambda n, _: seen.append(n))\nfor s in (5, 10, 23): os.kill(os.getpid(), s)\nos.waitpid(os.spawnlp(os.P_NOWAIT, 'true', 'true'), 0)\nsys.exit(0 if sorted(set(seen)) == [5, 10, 17, 23] else repr(seen))";
    let running = run(&followed(python(script), Tracing { record: true, ..Tracing::default() }));
    assert_eq!(status_of(&running), (Some(0), None), "{:?}", written(&running));
}

#[test]
fn a_parent_learns_of_its_children_as_ever() {
    // A shell with job control asks for who was stopped, and an exec in a thread takes the number of the first.
    let script = "import os,signal\np=os.fork()\nif p==0:\n os.kill(os.getpid(), signal.SIGSTOP); os._exit(7)\n_,s=os.waitpid(p, os.WUNTRACED); assert os.WIFSTOPPED(s), s\nos.kill(p, signal.SIGCONT); _,s=os.waitpid(p,0); assert os.WEXITSTATUS(s)==7, s\nimport threading\nthreading.Thread(target=os.execlp, args=('sh','sh','-c','echo done')).start()\nthreading.Event().wait()";
    for level in available() {
        let running = run(&at(level, followed(python(script), Tracing { record: true, ..Tracing::default() })));
        assert_eq!(status_of(&running), (Some(0), None), "{level}: {:?}", written(&running));
        assert_eq!(written(&running), ["done"], "{level}");
    }
}

#[test]
fn a_real_time_signal_ends_the_following_and_says_so() {
    let script = "import os,signal\nsignal.signal(signal.SIGRTMIN+3, lambda *_: None)\nos.kill(os.getpid(), signal.SIGRTMIN+3)\nprint('on')";
    let running = run(&followed(python(script), Tracing { record: true, ..Tracing::default() }));
    assert_eq!(status_of(&running), (Some(0), None));
    assert!(running.trace().unwrap().lost().is_some());
}

#[test]
fn who_is_held_is_killed_with_the_rest() {
    for level in available() {
        let running =
            held(at(level, shell("sleep 60 & sleep 60 & sh -c :; wait")), Point { process: 4, ..point("execve", 1) });
        let began = Instant::now();

        let killed = running.kill_all(LONG);

        assert!(killed.left.is_empty() && killed.found.len() == 4, "{level}: {killed:?}");
        assert!(began.elapsed() < LONG / 4);
        drop(running);
    }
}

#[test]
fn calls_are_counted_anew_from_each_aim() {
    let script =
        "import os\n[os.getppid() for _ in range(5)]\nos.getsid(0)\n[os.getppid() for _ in range(3)]\nprint('late')";
    let running = held(python(script), point("getsid", 1));
    let trace = running.trace().unwrap();

    trace.aim(Some(point("getppid", 2)));
    trace.let_go();

    until(|| trace.holds());
    assert_eq!(written(&running), [""; 0]);
    trace.leave();
    trace.let_go();
    assert_eq!(status_of(&running), (Some(0), None));
}

#[test]
fn on_a_full_disk_writes_to_files_fail_from_the_one_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("data");
    let script = "import os,sys\nf=os.open(sys.argv[1], os.O_WRONLY|os.O_CREAT)\nn=0\ntry:\n for _ in range(9): n+=os.write(f, b'x')\nexcept OSError as e: print(e.errno, n, os.lseek(f,0,1))\nos.close(f)\nprint('still', os.getpid() > 0)";
    let mut program = python(script);
    program.args.push(file.clone().into());
    let running = run(&followed(program, Tracing { meddling: vec![Meddling::DiskFull(4)], ..Tracing::default() }));
    assert_eq!(status_of(&running), (Some(0), None), "{:?}", written(&running));
    assert_eq!(written(&running), ["28 3 3", "still True"]);
    assert_eq!(fs::read_to_string(&file).unwrap(), "xxx");
    let denied = running.trace().unwrap().denied();
    assert_eq!(denied.iter().map(|denied| denied.file.as_str()).collect::<Vec<_>>(), [file.to_str().unwrap()]);
}

#[test]
fn a_silent_peer_hears_nothing_after_the_aim() {
    let script = "
import socket,threading,sys
s=socket.create_server(('127.0.0.1',0))
def serve():
    c,_=s.accept()
    while True:
        d=c.recv(9)
        if not d: return
        c.sendall(d)
threading.Thread(target=serve,daemon=True).start()
c=socket.create_connection(s.getsockname())
c.sendall(b'a'); print(c.recv(9).decode(), flush=True)
sys.stdin.read(1)
";
    // The aim comes between two calls of one thread: it is held there.
    let script = script.replace("sys.stdin.read(1)", "import os; os.getppid(); c.settimeout(0.3); c.sendall(b'b')\ntry: print(c.recv(9).decode())\nexcept TimeoutError: print('silence')");
    let tracing =
        Tracing { hold_at: Some(point("getppid", 1)), meddling: vec![Meddling::SilentPeer], ..Tracing::default() };
    let running = run(&followed(python(&script), tracing));
    let trace = running.trace().unwrap().clone();
    until(|| trace.holds());
    trace.aim(None);
    trace.let_go();
    assert_eq!(status_of(&running), (Some(0), None), "{:?}", written(&running));
    assert_eq!(written(&running), ["a", "silence"]);
}

#[test]
fn a_program_that_cannot_be_executed_is_told_as_ever() {
    let none = followed(spec("/nonexistent/program", &[]), Tracing { record: true, ..Tracing::default() });

    let error = softstop_fleet::process::start(&none).map(drop).unwrap_err();

    assert!(matches!(error, softstop_fleet::process::StartError::Program { .. }), "{error}");
}
