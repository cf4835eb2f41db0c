//! Faults are made, and what cannot be made is said.

use softstop_fleet::prove::{judge::Rule, scenario::Severity};

use super::{Program, assert_passed, only, problem};

/// Ends its child as the word says and waits for it.
fn parent(kill: &str) -> Program {
    Program::new(&format!(
        "import os, signal, subprocess, sys, time\nchild = subprocess.Popen(['sleep', '60'])\n\
         def stop(*_):\n    child.{kill}()\n    child.wait()\n    sys.exit()\n\
         signal.signal(signal.SIGTERM, stop)\nos.write(1, b'ready\\n')\nwhile True: time.sleep(0.01)"
    ))
}

const STOPPED: &str = "TERM at ready, fault stopped-child";

#[test]
fn who_waits_for_a_child_that_cannot_hear_is_found() {
    let rules = "rules: {gone_within: 1s}";

    let (asks, ends) = (parent("terminate").replay(STOPPED, rules), parent("kill").replay(STOPPED, rules));

    assert!(problem(&asks, Rule::Gone, Severity::Failure).is_some(), "{}", asks.to_text(120));
    assert_passed(&ends);
    assert!(ends.remarks().iter().any(|said| said.contains("its first child stood still")), "{:?}", ends.remarks());
    assert_passed(&parent("terminate").replay("TERM at ready", rules));
}

#[test]
fn a_fault_that_cannot_be_made_is_said() {
    let childless = "import os, signal, sys, time\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit())\n\
                     os.write(1, b'ready\\n')\nwhile True: time.sleep(0.01)";

    let verdict = Program::new(childless).replay(STOPPED, "");

    assert_passed(&verdict);
    let said = "In 1 trial fault stopped-child was not made: the program had no child.";
    assert!(verdict.remarks().iter().any(|remark| remark == said), "{:?}", verdict.remarks());
}

#[test]
fn a_squeezed_program_takes_its_time_which_is_none_of_the_statistics() {
    // 60 ms of work for its stop; with a tenth of a processor, 600.
    let works = "import os, signal, sys, time\ndef stop(*_):\n    began = time.process_time()\n\
                 \x20   while time.process_time() < began + 0.06: pass\n    sys.exit()\n\
                 signal.signal(signal.SIGTERM, stop)\nos.write(1, b'ready\\n')\nwhile True: time.sleep(0.01)";
    let program = Program::new(works);

    let verdict = program.replay("TERM at ready, fault cpu-10%", "");

    assert_passed(&verdict);
    assert!(verdict.rows.iter().all(|row| row.exit.is_none()), "{}", verdict.to_text(120));
    let took = verdict.dots[0].exit.unwrap().as_millis();
    assert!((300..5000).contains(&took), "{took} ms");
    let how = |remark: &String| remark.starts_with("In 1 trial fault cpu-10%: by ");
    assert!(verdict.remarks().iter().any(how), "{:?}", verdict.remarks());
    let free = program.replay("TERM at ready", "");
    assert!(only(&free).timed && free.dots[0].exit.unwrap().as_millis() < u128::from(took as u64));
}
