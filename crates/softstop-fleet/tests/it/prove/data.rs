//! Commands beside the program, and going on with its data, in the trial's own namespaces.

use std::fs;

use softstop_fleet::prove::{judge::Rule, scenario::Severity};

use super::{Program, assert_passed, problem};

/// Counts in a file that only its trial has, and goes on where the last run has ended.
fn journal(save: &str) -> Program {
    Program::new(&format!(
        r#"
import json, os, sys, time
place = "/tmp/journal"
os.makedirs(place, exist_ok=True)
path = os.path.join(place, "state.json")
def save(text):
{save}
def load():
    return json.load(open(path)) if os.path.exists(path) else {{"count": 0, "rest": "x" * 1000}}
if "check" in sys.argv:
    state = load()
    print("count", state["count"])
    sys.exit(0 if len(state["rest"]) == 1000 else 1)
state = load()
os.write(1, b"ready\n")
while True:
    state["count"] += 1
    save(json.dumps(state))
    time.sleep(0.001)
"#
    ))
}

const WHOLE: &str = "    open(path + '.new', 'w').write(text)\n    os.rename(path + '.new', path)";
/// Half of it first, and the rest a moment later.
const TORN: &str = "    file = open(path, 'w')\n    file.write(text[:500])\n    file.flush()\n    time.sleep(0.003)\n    file.write(text[500:])\n    file.close()";

fn scenario(program: &Program, moments: &str) -> String {
    let script = program.script();
    let script = script.display();
    format!(
        "signals: [KILL]\nmoments: [{moments}]\ntrials: 12\nbudget: 15s\nparallel: 2\nmay_stay: ['/tmp/journal*']\n\
         check: [python3, -S, {script}, check]\nresume: {{within: 10s}}\n"
    )
}

#[test]
fn who_writes_whole_files_goes_on_after_any_kill() {
    let program = journal(WHOLE);

    let verdict = program.prove(&scenario(&program, "random"));

    assert_passed(&verdict);
    let judged = |rule: Rule| verdict.rules.iter().find(|result| result.rule == rule).unwrap().judged;
    assert!(judged(Rule::Check) >= 3 && judged(Rule::Resume) >= 3, "{}", verdict.to_text(120));
}

#[test]
fn who_writes_in_place_is_found_by_killing_it() {
    let program = journal(TORN);

    let verdict = program.prove(&scenario(&program, "sweep: {from: 300ms, to: 553ms, step: 23ms}"));

    assert!(!verdict.passed(), "{}", verdict.to_text(120));
    assert!(problem(&verdict, Rule::Check, Severity::Failure).is_some(), "{}", verdict.to_text(120));
    assert!(problem(&verdict, Rule::Resume, Severity::Failure).is_some(), "{}", verdict.to_text(120));
}

/// Serves a number on a port that all trials have, and keeps it in `/tmp`.
const SERVER: &str = r#"
import os, signal, socket, sys
def stop(*_):
    open("/tmp/served", "w").write(str(served))
    sys.exit()
signal.signal(signal.SIGTERM, stop)
served = 0
listener = socket.create_server(("127.0.0.1", 18432))
while True:
    connection, _ = listener.accept()
    served += 1
    connection.sendall(b"x")
    connection.close()
"#;

#[test]
fn load_check_and_readiness_are_where_the_program_is_and_many_at_once() {
    let program = Program::new(SERVER);
    let load = "import socket,time\nfor _ in range(20):\n  try: s=socket.create_connection(('127.0.0.1',18432)); s.recv(1)\n  \
                except OSError: break\n  time.sleep(0.01)";
    let yaml = format!(
        "ready: [tcp: '127.0.0.1:18432']\nload: [python3, -S, -c, {load:?}]\ncheck: [sh, -c, 'test -s /tmp/served']\n\
         signals: [TERM]\nmoments: [sweep: {{from: 600ms, to: 900ms, step: 20ms}}]\ntrials: 12\nparallel: 4\n\
         may_stay: [/tmp/served]\n"
    );

    let verdict = program.prove_as(&yaml);

    let own = verdict.isolation.iter().any(|had| had == "a network of its own");
    if own {
        assert_passed(&verdict);
        let judged = |rule: Rule| verdict.rules.iter().find(|result| result.rule == rule).unwrap().judged;
        assert!(judged(Rule::Load) >= 10 && judged(Rule::Check) >= 10, "{}", verdict.to_text(120));
    }
}

#[test]
fn each_trial_has_a_folder_for_its_data_that_goes_with_it() {
    let shell = |script: &str| format!("[sh, -c, \"{script}\"]");
    let program = Program::new("");
    let keeps =
        "test ! -e {data}/a || exit 9; test -e {data}/seed || exit 8; echo 1 > {data}/a; echo ready; exec sleep 9";

    let verdict = program.prove(&format!(
        "command: {}\nprepare: {}\ncheck: {}\nresume: {{command: {}}}\ntrials: 20\nbudget: 30s\nmoments: [edges]\n",
        shell(keeps),
        shell("touch {data}/seed"),
        shell("test -d {data}"),
        shell("rm -f {data}/a; echo ready; exec sleep 9"),
    ));

    assert_passed(&verdict);
    let left = fs::read_dir(std::env::temp_dir()).unwrap().filter_map(Result::ok);
    let ours = format!("softstop-prove-{}-", std::process::id());
    assert_eq!(left.filter(|entry| entry.file_name().to_string_lossy().starts_with(&ours)).count(), 0);
}

#[test]
fn who_writes_to_what_all_trials_share_is_tried_alone() {
    let program = Program::new(
        "import os, sys, time\nfile = open(sys.argv[1], 'a')\nprint('ready', flush=True)\nwhile True:\n    file.write('x')\n    file.flush()\n    time.sleep(0.01)\n",
    );
    let script = program.script();
    let log = program.folder.path().join("log");
    let proved = |file: &str| {
        let command = format!("command: [python3, -S, {}, '{file}']\n", script.display());
        program.prove(&format!("{command}trials: 8\nmoments: [syscalls, random]\n")).isolation.join("; ")
    };

    let shared = proved(log.to_str().unwrap());
    assert!(shared.contains(&format!("{} shared with all, so one trial", log.display())), "{shared}");
    let own = proved("{data}/log");
    assert!(!own.contains("so one trial"), "{own}");
}
