//! Makes a scenario of a tree: every key known, every value checked.

use std::{str::FromStr, time::Duration};

use settings::{At, Error, Node, Result, Value};

use super::{ExitRule, Isolation, Moments, Ready, Resume, Rules, Scenario, Severity, Stdin, Wish, words::Words};
use crate::prove::{
    moments::MOST_STEPS,
    packs::{self, OwnLine, Pack},
    replay::{Pattern, ReplayError, Target},
    time,
};

const READY: &str =
    "output, listening, quiet: 500ms, http: URL, tcp: HOST:PORT, log: REGEX, command: [...] or delay: 2s";
const MOMENTS: &str = "random, edges, syscalls, syscalls: 100 or sweep: {from: 0ms, to: 1s, step: 20ms}";

pub(super) fn scenario(root: &Node) -> Result<Scenario> {
    let root = At::root(root);
    let Value::Map(_) = root.node.value else {
        return Err(Error {
            line: root.node.line,
            key: String::new(),
            value: String::new(),
            expected: "keys with values, such as `command: python agent.py`".to_owned(),
        });
    };
    let mut fields = root.fields("a mapping")?;
    let mut to = Scenario::default();
    let strings = |at: &At<'_>| at.items().iter().map(|item| item.text("a path").map(str::to_owned)).collect();
    fields.set("command", &mut to.command, At::command)?;
    fields.set("stdin", &mut to.stdin, |at| at.one_of(&[("open", Stdin::Open), ("empty", Stdin::Empty)]))?;
    fields.set("ready", &mut to.ready, |at| at.list(READY, ready))?;
    fields.set("ready_within", &mut to.ready_within, At::duration)?;
    to.load = fields.option("load", At::command)?;
    fields.set("moments", &mut to.moments, |at| at.list(MOMENTS, moments))?;
    fields.set("signals", &mut to.signals, |at| at.list("TERM, INT, INT+INT, …", parsed::<Pattern>))?;
    fields.set("gaps", &mut to.gaps, |at| at.list(time::ALLOWED, At::duration))?;
    fields.set("target", &mut to.target, |at| at.one_of(&Target::ALL.map(|target| (target.name(), target))))?;
    fields.set("rules", &mut to.rules, rules)?;
    fields.set("watch", &mut to.watch, strings)?;
    fields.set("may_stay", &mut to.may_stay, strings)?;
    to.prepare = fields.option("prepare", At::command)?;
    to.check = fields.option("check", At::command)?;
    to.resume = fields.option("resume", |at| resume(at, to.ready_within))?;
    fields.set("isolation", &mut to.isolation, isolation)?;
    fields.set("faults", &mut to.faults, |at| at.items().iter().map(parsed).collect())?;
    to.trials = fields.option("trials", positive)?;
    fields.set("budget", &mut to.budget, At::duration)?;
    fields.set("seed", &mut to.seed, |at| at.number("a whole number from 0 on"))?;
    fields.set("alone", &mut to.alone, |at| at.number("a whole number from 0 on"))?;
    to.parallel = fields.option("parallel", positive)?;
    fields.done()?;
    Ok(to)
}

fn positive(at: &At<'_>) -> Result<u32> {
    let expected = "a whole number from 1 on";
    match at.number(expected)? {
        0 => Err(at.wrong(expected)),
        number => Ok(number),
    }
}

fn parsed<T: FromStr<Err = ReplayError>>(at: &At<'_>) -> Result<T> {
    let text = at.text("a word")?;
    text.parse().map_err(|error: T::Err| at.wrong(error.expected))
}

fn ready(at: &At<'_>) -> Result<Ready> {
    Ok(match at.word(READY)? {
        ("output", None) => Ready::Output,
        ("listening", None) => Ready::Listening,
        ("quiet", Some(value)) => Ready::Quiet(value.duration()?),
        ("delay", Some(value)) => Ready::Delay(value.duration()?),
        ("http", Some(value)) => {
            let expected = "an address such as http://127.0.0.1:8000/health";
            let url = value.text(expected)?;
            let host = url.strip_prefix("http://").is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'));
            Ready::Http(if host { url.to_owned() } else { return Err(value.wrong(expected)) })
        }
        ("tcp", Some(value)) => {
            let expected = "host and port, such as 127.0.0.1:8000";
            let text = value.text(expected)?;
            let port =
                text.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
            Ready::Tcp(if port { text.to_owned() } else { return Err(value.wrong(expected)) })
        }
        ("log", Some(value)) => Ready::Log(regex(&value)?),
        ("command", Some(value)) => Ready::Command(value.command()?),
        _ => return Err(at.wrong(READY)),
    })
}

fn regex(at: &At<'_>) -> Result<String> {
    let text = at.text("a regular expression")?;
    packs::check(text).map_err(|error| at.wrong(format!("a regular expression ({error})")))?;
    Ok(text.to_owned())
}

fn moments(at: &At<'_>) -> Result<Moments> {
    Ok(match at.word(MOMENTS)? {
        ("random", None) => Moments::Random,
        ("edges", None) => Moments::Edges,
        ("syscalls", None) => Moments::Syscalls { at_most: 100 },
        ("syscalls", Some(value)) => Moments::Syscalls { at_most: positive(&value)? },
        ("sweep", Some(value)) => {
            let expected = "{from: 0ms, to: 1s, step: 20ms}";
            let mut fields = value.fields(expected)?;
            let mut from = Duration::ZERO;
            fields.set("from", &mut from, At::duration)?;
            let to = fields.required("to", expected)?.duration()?;
            let step = fields.required("step", expected)?;
            let width = step.duration()?;
            fields.done()?;
            if width.is_zero()
                || to < from
                || (to - from).as_micros() / width.as_micros().max(1) > u128::from(MOST_STEPS)
            {
                return Err(step.wrong(format!("more than 0, at most {MOST_STEPS} steps, and `from` not after `to`")));
            }
            Moments::Sweep { from, to, step: width }
        }
        _ => return Err(at.wrong(MOMENTS)),
    })
}

fn rules(at: &At<'_>) -> Result<Rules> {
    let mut fields = at.fields("rules such as {gone_within: 5s, exit: [0]}")?;
    let mut to = Rules::default();
    fields.set("gone_within", &mut to.gone_within, At::duration)?;
    fields.set("act_warn", &mut to.act_warn, At::duration)?;
    fields.set("act_fail", &mut to.act_fail, At::duration)?;
    fields.set("exit", &mut to.exit, |at| at.list("0, 128+n, by-signal", exit))?;
    fields.set("orphans", &mut to.orphans, severity)?;
    fields.set("ports", &mut to.ports, severity)?;
    fields.set("files", &mut to.files, severity)?;
    fields.set("locks", &mut to.locks, severity)?;
    fields.set("keyboard_interrupt", &mut to.keyboard_interrupt, severity)?;
    fields.set("packs", &mut to.packs, |at| {
        at.items().iter().map(|item| item.one_of(&Pack::ALL.map(|pack| (pack.name(), pack)))).collect()
    })?;
    fields.set("lines", &mut to.lines, |at| at.items().iter().map(own_line).collect())?;
    fields.done()?;
    if to.act_fail < to.act_warn {
        let shown = time::exact(to.act_warn);
        return Err(at.wrong(format!("an `act_fail` that is not shorter than `act_warn`, which is {shown}")));
    }
    Ok(to)
}

fn severity(at: &At<'_>) -> Result<Severity> {
    at.one_of(&[("fail", Severity::Failure), ("warn", Severity::Warning), ("note", Severity::Note)])
}

fn exit(at: &At<'_>) -> Result<ExitRule> {
    let expected = "0, another status up to 255, 128+n or by-signal";
    Ok(match at.text(expected)? {
        "128+n" => ExitRule::Plus128,
        "by-signal" => ExitRule::BySignal,
        _ => ExitRule::Status(at.number(expected)?),
    })
}

fn own_line(at: &At<'_>) -> Result<OwnLine> {
    let Value::Map(_) = at.node.value else {
        return Ok(OwnLine { pattern: regex(at)?, hint: None });
    };
    let expected = "a regular expression, or {line: REGEX, hint: text}";
    let mut fields = at.fields(expected)?;
    let pattern = regex(&fields.required("line", expected)?)?;
    let hint = fields.option("hint", |at| at.text("a text").map(str::to_owned))?;
    fields.done()?;
    Ok(OwnLine { pattern, hint })
}

fn resume(at: &At<'_>, within: Duration) -> Result<Resume> {
    let mut to = Resume { command: None, within, only_after_kill: false };
    if let Value::Text { .. } = at.node.value {
        return Ok(if at.bool()? { to } else { return Err(at.wrong("true, or leave the key out")) });
    }
    let mut fields = at.fields("true, or {command: …, within: 30s, only_after_kill: true}")?;
    to.command = fields.option("command", At::command)?;
    fields.set("within", &mut to.within, At::duration)?;
    fields.set("only_after_kill", &mut to.only_after_kill, At::bool)?;
    fields.done()?;
    Ok(to)
}

fn isolation(at: &At<'_>) -> Result<Isolation> {
    let wish = |at: &At<'_>| {
        at.one_of(&[("where-possible", Wish::WherePossible), ("required", Wish::Required), ("off", Wish::Off)])
    };
    if let Value::Text { .. } = at.node.value {
        let all = wish(at)?;
        return Ok(Isolation { processes: all, network: all, files: all, ipc: all });
    }
    let mut fields = at.fields("where-possible, required, off, or one of these for processes, network, files, ipc")?;
    let mut to = Isolation::default();
    fields.set("processes", &mut to.processes, wish)?;
    fields.set("network", &mut to.network, wish)?;
    fields.set("files", &mut to.files, wish)?;
    fields.set("ipc", &mut to.ipc, wish)?;
    fields.done()?;
    Ok(to)
}
