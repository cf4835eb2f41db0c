use proptest::prelude::*;

use super::*;
use crate::prove::replay::When;

fn read(text: &str) -> Scenario {
    Scenario::from_yaml(text).unwrap_or_else(|error| panic!("{error}"))
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[test]
fn nothing_said_is_a_sensible_mixture() {
    for text in ["", "# only a comment\n", "---\n", "command: ~\n"] {
        let scenario = read(text);

        assert_eq!(scenario, Scenario::default());
    }
    let Scenario { signals, rules, budget, .. } = Scenario::default();
    assert_eq!(signals.len(), 3);
    assert_eq!((rules.gone_within, rules.act_warn, rules.act_fail), (ms(10_000), ms(100), ms(1000)));
    assert_eq!(budget, ms(60_000));
}

#[test]
fn the_example_has_every_key() {
    let scenario = read(include_str!("../../prove.example.yaml"));

    assert_eq!(scenario.command, ["python", "-m", "agent", "--name", "two words"]);
    assert_eq!(scenario.ready.len(), 8);
    assert_eq!(scenario.ready[5], Ready::Log(r"ready in \d+ ms".to_owned()));
    assert_eq!(scenario.moments[2], Moments::Syscalls { at_most: 40 });
    assert_eq!(scenario.moments[3], Moments::Sweep { from: ms(10), to: ms(1000), step: ms(20) });
    assert_eq!(scenario.signals.len(), 6);
    assert_eq!(scenario.signals[2].target, Some(Target::Group));
    assert_eq!(scenario.signals[2].then[0].1, Some(When::Later(ms(5))));
    assert_eq!(scenario.rules.exit, [ExitRule::Status(0), ExitRule::Status(3), ExitRule::Plus128]);
    assert_eq!(scenario.rules.lines[1].hint.as_deref(), Some("flush before closing"));
    assert_eq!(scenario.resume.as_ref().unwrap().within, ms(4000));
    assert_eq!(scenario.isolation.network, Wish::Required);
    assert_eq!(scenario.faults, [Fault::DiskFull(3), Fault::StoppedChild, Fault::Cpu(10), Fault::SilentPeer]);
    assert_eq!((scenario.trials, scenario.parallel, scenario.seed), (Some(300), Some(4), 17));
}

#[test]
fn the_example_says_of_every_key_that_there_is() {
    let example = include_str!("../../prove.example.yaml");
    for (text, keys) in [("?: 1", 22), ("rules: {?: 1}", 11), ("resume: {?: 1}", 3), ("isolation: {?: 1}", 4)] {
        let error = Scenario::from_yaml(&text.replace('?', "zzzzzzzz")).unwrap_err();
        let names: Vec<&str> = error.expected.rsplit_once("there are ").unwrap().1.split(", ").collect();

        assert_eq!(names.len(), keys, "{names:?}");
        assert!(names.iter().all(|name| example.contains(&format!("{name}:"))), "{names:?}");
    }
}

#[test]
fn a_single_value_stands_for_a_list_of_one() {
    let scenario = read("signals: TERM\nready: listening\nrules: {exit: 0}\nresume: true\nisolation: off");

    assert_eq!(scenario.signals, [Pattern::from(Signal::Term)]);
    assert_eq!(scenario.ready, [Ready::Listening]);
    assert_eq!(scenario.rules.exit, [ExitRule::Status(0)]);
    assert_eq!(scenario.resume.unwrap().command, None);
    assert_eq!(scenario.isolation.ipc, Wish::Off);
}

#[test]
fn errors_name_line_key_value_and_what_to_write() {
    let wrong = [
        ("\nbudgte: 3s", "line 2: `budgte`: there is no such key; did you mean `budget`?"),
        ("rules:\n  gone_witihn: 3s", "line 2: `rules.gone_witihn`: there is no such key; did you mean `gone_within`?"),
        ("colour: red", "line 1: `colour`: there is no such key; there are command, stdin,"),
        ("budget: 10 parsecs", "line 1: `budget` is `10 parsecs`; write a duration such as `250ms`"),
        ("trials: 0", "line 1: `trials` is `0`; write a whole number from 1 on"),
        ("seed:\n  a: 1", "line 2: `seed` is a mapping; write a whole number"),
        ("ready: [http: 'localhost']", "`ready[0]` is `localhost`; write an address such as http://"),
        ("ready: [tcp: 'localhost:x']", "write host and port"),
        ("ready: []", "`ready` is a list; write at least one of output"),
        ("ready: [listen]", "`ready[0]` is `listen`; write output, listening"),
        ("ready: [log: '(']", "write a regular expression ("),
        ("signals:\n- TERM\n- TREM", "line 3: `signals[1]` is `TREM`; write TERM, INT"),
        ("signals: [close-stdout]", "such as `close-stdout+TERM`"),
        ("moments: [sweep: {to: 1s}]", "with the key `step`"),
        ("moments: [sweep: {to: 1s, step: 0ms}]", "more than 0"),
        ("moments: [sweep: {from: 2s, to: 1s, step: 1ms}]", "not after `to`"),
        ("rules: {exit: [256]}", "`rules.exit[0]` is `256`; write 0, another status up to 255"),
        ("rules: {act_warn: 2s}", "not shorter than `act_warn`, which is 2s"),
        ("rules: {packs: [perl]}", "`rules.packs[0]` is `perl`; write python or node or go or rust or java"),
        ("faults: [disk-full]", "write disk-full#1, stopped-child"),
        ("command: 'a \"b'", "write a closing quote"),
        ("command: ''", "write a command such as"),
        ("seed: 1\nseed: 2", "line 2: expected the key `seed` once"),
        ("a: &x 1\nb: *x", "line 1: expected plain values"),
        ("seed: [1", "expected YAML: "),
        ("- 1", "line 1: expected keys with values"),
        ("seed: 1\n---\nseed: 2", "expected one document"),
    ];

    for (text, expected) in wrong {
        let error = Scenario::from_yaml(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{text:?}\n  says {error}\n  not  {expected}");
    }
}

#[test]
fn depth_is_limited() {
    let deep = format!("seed: {}1{}", "[".repeat(5000), "]".repeat(5000));

    assert!(Scenario::from_yaml(&deep).is_err());
}

#[test]
fn a_star_stands_for_any_text() {
    let yes =
        [("/tmp/a*", "/tmp/abc"), ("/tmp/*.db", "/tmp/x.db"), ("/a*b*c", "/a1b2c"), ("/tmp/a", "/tmp/a"), ("*", "")];
    let no = [("/tmp/a*", "/tmp/b"), ("/tmp/*.db", "/tmp/x.db2"), ("/a*b*c", "/a1c"), ("/tmp/a", "/tmp/ab")];

    assert!(yes.iter().all(|(pattern, text)| matches(pattern, text)), "{yes:?}");
    assert!(!no.iter().any(|(pattern, text)| matches(pattern, text)), "{no:?}");
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "([a-z_]{1,6}|: |- |\\[|\\]|\\{|\\}|, |\n|  |rules|signals|ready|TERM|'|\"|&|\\*|[0-9]|ms|é){0,30}") {
        if let Err(error) = Scenario::from_yaml(&text) {
            prop_assert!(error.line >= 1, "{}", error);
        }
    }
}
