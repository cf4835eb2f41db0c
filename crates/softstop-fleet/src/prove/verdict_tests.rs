use serde_json::Value;

use super::*;
use crate::prove::{
    draw::Draw,
    judge::{Finding, judge},
    moments,
    packs::Lines,
    replay::{Edge, Moment, Signal, When},
    scenario::Scenario,
    shrink::Limits,
    trial::{Leftovers, Observation, Origin, Orphan, Planned, Said, Stream},
};

fn ms(ms: f64) -> Duration {
    Duration::from_secs_f64(ms / 1000.0)
}

/// A program of asyncio as it might be: it does not hear while a query runs, a second Ctrl+C destroys tasks, leaves a child or hangs,
/// and its state is renamed before it is whole.
pub(crate) fn example() -> Verdict {
    let scenario = Scenario {
        command: ["python", "agent.py", "--config", "my agent.toml"].map(str::to_owned).to_vec(),
        check: Some(vec!["./check.sh".to_owned()]),
        seed: 17,
        ..Scenario::default()
    };
    let rehearsal = moments::tests::rehearsal();
    let lines = Lines::new(&scenario.rules.packs, &scenario.rules.lines);
    let mut tally = Tally::new(&scenario);
    let mut draw = Draw::new(3);
    for planned in moments::plan(&scenario, &rehearsal, 300) {
        let seen = imagined(planned, &mut draw);
        tally.add(&seen, &judge(&scenario.rules, &lines, &seen));
    }
    // Shrunk against a program that fails whatever is done, or every other time.
    let failures: Vec<usize> = tally.failures().map(|(at, _)| at).collect();
    for at in failures {
        let mut shrink = tally.shrink(at, Limits::default()).unwrap();
        let mut turn = 0;
        while shrink.next().is_some() {
            turn += 1;
            shrink.told(at != 1 || turn % 2 == 1);
        }
        tally.shrunk(at, shrink.shrunk());
    }
    let isolation = vec!["its processes in a cgroup".to_owned(), "a network of its own".to_owned()];
    tally.finish(Ended::Complete, ms(41_300.0), isolation)
}

fn imagined(planned: Planned, draw: &mut Draw) -> Observation {
    let mut around = |middle: f64| ms(middle * (0.8 + 0.3 * draw.unit() + 0.8 * draw.unit().powi(8)));
    let (handler, output, ready) = (around(85.0), around(95.0), around(112.0));
    let milestones = Milestones {
        handler: Some(handler),
        output: Some(output),
        listening: Some(ready - ms(1.0)),
        ready: Some(ready),
    };
    let at = match planned.replay.at {
        Moment::At(at) => at * 4,
        Moment::Edge(edge, after) => milestones.of(edge).unwrap_or_default() + after,
        Moment::Call { nth, .. } => ms(2.0 * f64::from(nth)),
    };
    let mut sent = vec![Sent { act: planned.replay.first, at }];
    let log = |at: Duration, text: &str| LogLine { at, stream: Stream::Err, text: text.to_owned() };
    let mut seen = Observation {
        timed: planned.origin != Origin::Syscall,
        faults: Vec::new(),
        unsaved: None,
        loaded: false,
        milestones,
        ladder: Ladder { delivered: Some(at + ms(0.1)), ..Ladder::default() },
        exit: Exit::Status(0),
        leftovers: Leftovers::default(),
        log: vec![log(output, "INFO agent: starting"), log(ready, "INFO agent: listening on 127.0.0.1:8000")],
        load: None,
        check: Some(Said { ok: true, text: String::new() }),
        resumed: None,
        cpu: Duration::ZERO,
        sent: Vec::new(),
        planned,
    };
    seen.log.retain(|line| line.at < at);
    seen.log.sort_by_key(|line| line.at);
    let gone = |seen: &mut Observation, acted: Duration, exited: Duration| {
        seen.ladder.acted = Some(acted);
        seen.ladder.exited = Some(exited);
        seen.ladder.clean = Some(exited + ms(0.6));
    };
    if at < handler {
        seen.milestones = Milestones::default();
        let number = seen.planned.replay.first.deed.signal().map_or(0, Signal::number);
        seen.exit = Exit::Signal(number);
        let exited = at + around(1.6);
        gone(&mut seen, exited, exited);
        seen.sent = sent;
        return seen;
    }
    let deaf = around(100.0) > ms(107.0);
    let acted = at + if deaf { around(430.0) } else { around(4.5) };
    let mut exited = acted + around(38.0);
    seen.log.push(log(acted, "INFO agent: stopping, 3 sessions open"));
    if let Some((act, when)) = seen.planned.replay.then.first() {
        let second = match when {
            When::Later(gap) => at + *gap,
            When::At(Moment::Edge(Edge::Acted, after)) => acted + *after,
            When::At(_) => acted + around(20.0),
        };
        if second < exited {
            sent.push(Sent { act: *act, at: second });
            exited = second.max(acted) + around(6.0);
            seen.log.push(log(exited, "Task was destroyed but it is pending!"));
            seen.log
                .push(log(exited, "task: <Task pending name='Task-7' coro=<Session.save() running at agent.py:88>>"));
            if around(100.0) > ms(118.0) {
                let command = "python -c from multiprocessing.spawn import spawn_main; spawn_main()".to_owned();
                seen.leftovers.orphans.push(Orphan { pid: 4711, command });
            }
        }
    }
    seen.ladder.unserving = Some(acted + ms(2.0));
    seen.log.push(log(exited, "INFO agent: <closed> & gone"));
    gone(&mut seen, acted, exited);
    if !seen.leftovers.orphans.is_empty() {
        seen.ladder.clean = None;
    }
    if sent.len() > 1 && around(100.0) > ms(140.0) {
        (seen.exit, seen.ladder.exited, seen.ladder.clean) = (Exit::Forced, None, None);
    }
    let renaming = matches!(&seen.planned.replay.at, Moment::Call { call, .. } if call.starts_with("openat"));
    if renaming && around(100.0) > ms(108.0) {
        let text = "state.json: unexpected end of data at byte 4096".to_owned();
        seen.check = Some(Said { ok: false, text });
    }
    let reached = |state: Option<Duration>| state.filter(|state| *state < exited);
    seen.milestones = Milestones {
        output: reached(milestones.output),
        listening: reached(milestones.listening),
        ready: reached(milestones.ready),
        ..milestones
    };
    seen.sent = sent;
    seen
}

/// A verdict without a single failure.
pub(crate) fn clean() -> Verdict {
    let scenario = Scenario { command: vec!["true".to_owned()], ..Scenario::default() };
    let mut tally = Tally::new(&scenario);
    for _ in 0..30 {
        let seen = crate::prove::judge::tests::good("TERM at ready");
        tally.add(&seen, &judge(&scenario.rules, &Lines::new(&[], &[]), &seen));
    }
    tally.finish(Ended::Complete, ms(900.0), Vec::new())
}

fn ended(ended: Ended) -> Verdict {
    Tally::new(&Scenario::default()).finish(ended, ms(10.0), Vec::new())
}

pub(crate) fn all() -> Vec<Verdict> {
    let why = "`python` is not in PATH <&>".to_owned();
    vec![example(), clean(), ended(Ended::Interrupted), ended(Ended::NotStarted(why)), ended(Ended::BudgetSpent(7))]
}

/// The part of JSON Schema that `prove.schema.json` uses.
fn check(schema: &Value, value: &Value, path: &str) {
    for key in schema.as_object().unwrap().keys() {
        let known = ["$schema", "title", "description", "type", "additionalProperties", "required", "properties"];
        assert!(known.contains(&key.as_str()) || ["items", "enum", "const"].contains(&key.as_str()), "{path}: {key}");
    }
    if let Some(types) = schema.get("type") {
        let is = |name: &str| match name {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "number" => value.is_number(),
            "integer" => value.is_u64(),
            "boolean" => value.is_boolean(),
            "null" => value.is_null(),
            other => panic!("{path}: type {other}"),
        };
        let fits = types.as_str().map_or_else(|| types.as_array().unwrap().iter().any(|t| is(t.as_str().unwrap())), is);
        assert!(fits, "{path} is {value}, not {types}");
    }
    if let Some(constant) = schema.get("const") {
        assert_eq!(constant, value, "{path}");
    }
    if let Some(allowed) = schema.get("enum") {
        assert!(allowed.as_array().unwrap().contains(value), "{path} is {value}, not one of {allowed}");
    }
    if let Some(fields) = value.as_object() {
        let properties = schema["properties"].as_object().unwrap();
        for required in schema["required"].as_array().unwrap() {
            assert!(fields.contains_key(required.as_str().unwrap()), "{path} lacks {required}");
        }
        for (name, field) in fields {
            let schema = properties.get(name).unwrap_or_else(|| panic!("{path}.{name} is not in the schema"));
            check(schema, field, &format!("{path}.{name}"));
        }
    }
    for (at, item) in value.as_array().into_iter().flatten().enumerate() {
        check(&schema["items"], item, &format!("{path}[{at}]"));
    }
}

#[test]
fn the_json_form_keeps_to_its_schema() {
    let schema: Value = serde_json::from_str(include_str!("../../prove.schema.json")).unwrap();

    for verdict in all() {
        let json: Value = serde_json::from_str(&verdict.to_json()).unwrap();

        check(&schema, &json, "verdict");
    }
}

#[test]
fn the_exit_status_tells_the_four_ends_apart() {
    let statuses: Vec<u8> = all().iter().map(Verdict::exit_status).collect();

    assert_eq!(statuses, [1, 0, 3, 2, 2], "failed, passed, interrupted, not started, nothing tried");
}

#[test]
fn failures_come_first_and_can_be_replayed() {
    let verdict = example();

    assert!(verdict.problems.is_sorted_by_key(|problem| std::cmp::Reverse(problem.severity)));
    for problem in &verdict.problems {
        let command = verdict.replay_command(problem.shortest());
        let line = command.split('\'').nth(1).unwrap();
        assert_eq!(line.parse::<Replay>().as_ref(), Ok(problem.shortest()));
        assert!(command.ends_with("-- python agent.py --config 'my agent.toml'"), "{command}");
        assert_eq!(verdict.timelines[problem.timeline].line, problem.replay.to_string());
    }
}

#[test]
fn counts_agree_with_each_other() {
    let verdict = example();

    assert_eq!(verdict.trials, 300);
    assert_eq!(verdict.rows.iter().map(|row| row.trials).sum::<u64>() + verdict.missed, 300);
    assert_eq!(verdict.rows.iter().map(|row| row.failed).sum::<u64>(), verdict.failed);
    assert_eq!(verdict.dots.iter().filter(|dot| dot.outcome == Some(Severity::Failure)).count() as u64, verdict.failed);
    let gone = &verdict.rules[0];
    assert!(gone.judged < 300, "before a handler it is not judged");
    assert!(gone.random.trials < gone.judged, "edges and calls say nothing of how likely it is");
}

#[test]
fn a_failure_finds_room_among_many_notes() {
    let scenario = Scenario::default();
    let mut tally = Tally::new(&scenario);
    let seen = crate::prove::judge::tests::good("TERM at ready");
    let finding = |severity, kind: usize| Finding {
        rule: Rule::Exit,
        severity,
        text: String::new(),
        hint: String::new(),
        kind: kind.to_string(),
    };
    (0..100).for_each(|kind| tally.add(&seen, &[finding(Severity::Note, kind)]));
    tally.add(&seen, &[finding(Severity::Failure, 0)]);

    assert_eq!(tally.failures().count(), 1);
    assert!(tally.shrink(1000, Limits::default()).is_none());
    let verdict = tally.finish(Ended::Complete, ms(1.0), Vec::new());
    assert_eq!((verdict.problems[0].severity, verdict.trials, verdict.failed), (Severity::Failure, 101, 1));
}

#[test]
fn a_failure_is_made_shorter_from_where_it_can_be_placed_again() {
    let mut tally = Tally::new(&Scenario::default());
    let finding = Finding {
        rule: Rule::Exit,
        severity: Severity::Failure,
        text: String::new(),
        hint: String::new(),
        kind: "exit".to_owned(),
    };
    let line = |tally: &Tally| tally.shrink(0, Limits::default()).unwrap().next().unwrap().to_string();
    let mut seen = |line: &str| tally.add(&crate::prove::judge::tests::good(line), std::slice::from_ref(&finding));

    seen("TERM at 60ms");
    seen("TERM at 61ms");
    seen("INT at output");
    seen("INT at ready");

    assert_eq!(line(&tally), "INT at output, seed 0");
    let verdict = tally.finish(Ended::Complete, ms(1.0), Vec::new());
    assert_eq!(verdict.problems[0].replay.to_string(), "TERM at 60ms, seed 0");
}

#[test]
fn of_ten_thousand_trials_a_few_are_kept() {
    let mut tally = Tally::new(&Scenario::default());
    let seen = crate::prove::judge::tests::good("TERM at ready");
    (0..10_000).for_each(|_| tally.add(&seen, &[]));

    let verdict = tally.finish(Ended::Complete, ms(1.0), Vec::new());

    assert_eq!(verdict.rows[0].exit.unwrap().count, 10_000);
    assert_eq!(verdict.dots.len(), 1500);
    assert_eq!(verdict.timelines.len(), 1);
}

#[test]
fn bounds_are_rounded_up() {
    let words = |failed, trials| Confidence { trials, failed }.words();

    assert_eq!(words(0, 300), "0 of 300, so below 1.0 %");
    assert_eq!(words(3, 300), "3 of 300, so below 2.6 %");
    assert_eq!(words(0, 3), "0 of 3, so below 64 %");
    assert_eq!(words(0, 0), "none");
}

#[test]
fn text_fits_any_width_but_for_what_is_pasted() {
    for verdict in all() {
        for width in [0, 40, 57, 80, 100, 200] {
            let text = verdict.to_text(width);

            let room = usize::from(width).max(40);
            let long: Vec<&str> = text.lines().filter(|line| line.chars().count() > room).collect();
            assert!(long.iter().all(|line| line.trim_start().starts_with("softstop prove --replay")), "{long:#?}");
        }
    }
}

#[test]
fn text_says_what_failed_how_often_and_what_to_paste() {
    let text = example().to_text(200);

    for expected in [
        "failed: 4 of 9 rules broken",
        "lines: wrote `Task was destroyed but it is pending!`: the event loop was closed while a task was still waiting",
        "hint: keep every task, cancel it and await it before the loop ends",
        "softstop prove --replay 'INT at ",
        "FAILED  data intact: ",
        "flaky: fails 3 of 5 times by the line below",
        "before handler  TERM ",
        "Times are taken from trials that ran alone",
    ] {
        assert!(text.contains(expected), "{expected} in\n{text}");
    }
}

#[test]
fn xml_has_a_test_for_each_rule_and_no_bare_character() {
    for verdict in all() {
        let xml = verdict.to_junit();

        let tests = xml.matches("<testcase ").count();
        assert_eq!(tests, verdict.rules.len() + usize::from(verdict.exit_status() > 1));
        assert!(xml.starts_with(&format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites tests=\"{tests}\"")));
        let failures = verdict.rules.iter().filter(|rule| rule.failed > 0).count();
        assert_eq!(xml.matches("<failure ").count(), failures);
        let untried = verdict.rules.iter().filter(|rule| rule.judged == 0).count();
        assert_eq!(xml.matches("<skipped ").count(), untried);
        assert!(!xml.contains("<closed>") && !xml.contains(" & "));
    }
    assert!(ended(Ended::Interrupted).to_junit().contains("<error message=\"interrupted after 10 ms: 0 of 0 trials"));
}

#[test]
fn a_log_cannot_command_the_terminal_nor_break_the_xml() {
    let mut verdict = example();
    verdict.problems[0].log[0].text = "\u{1b}[2J\u{0}]]>".to_owned();

    assert!(!verdict.to_text(80).contains('\u{1b}'));
    assert!(!verdict.to_junit().contains(['\u{1b}', '\0']));
}
