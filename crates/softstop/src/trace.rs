//! Events as `tracing` events (feature `tracing`). Names, levels and fields are a promise: `trace.md`.

use std::time::Duration;

use crate::{
    events::Event,
    machine::signal_name,
    report::{Failure, Report, Saved, Status, TaskGroup, ms},
};

macro_rules! put_out {
    ($level:ident, $name:literal, $message:literal, $($fields:tt)*) => {
        tracing::event!(name: $name, target: "softstop", tracing::Level::$level, { $($fields)* }, $message)
    };
}

pub(crate) fn put_out(event: &Event) {
    let at_ms = ms(event.at());
    match event {
        Event::Service { state, .. } => {
            put_out!(INFO, "softstop.service", "service state", state = %state, at_ms);
        }
        Event::State { component, state, .. } => {
            put_out!(DEBUG, "softstop.state", "component state", component = component.as_str(), state = %state, at_ms);
        }
        Event::Signal { number, effect, .. } => {
            put_out!(INFO, "softstop.signal", "signal", signal = signal_name(*number), effect, at_ms);
        }
        Event::Stopping { reason, .. } => {
            put_out!(INFO, "softstop.stopping", "stopping", reason = %reason, at_ms);
        }
        Event::Level { level, .. } => put_out!(INFO, "softstop.level", "level", level = %level, at_ms),
        Event::Failed(failure) => failed(failure, at_ms),
        Event::Restarting { component, task, message, pause, .. } => put_out!(
            WARN,
            "softstop.restarting",
            "restarting",
            component = component.as_str(),
            task = task.as_str(),
            error = message.as_str(),
            pause_ms = ms(*pause),
            at_ms
        ),
        Event::Leaked { component, leak, .. } => put_out!(
            WARN,
            "softstop.leaked",
            "left open",
            component = component.as_str(),
            kind = leak.kind.as_str(),
            task = leak.task.as_str(),
            site = leak.site.as_str(),
            age_ms = ms(leak.age),
            at_ms
        ),
        Event::Straggler { component, tasks, .. } => straggler(component, tasks, at_ms),
        Event::Saved { component, saved, .. } => save(component, saved, at_ms),
        Event::Lost { loss, .. } => put_out!(
            WARN,
            "softstop.lost",
            "lost",
            what = loss.what.as_str(),
            count = loss.count,
            why = loss.why,
            at_ms
        ),
        Event::Said { component, text, .. } => {
            put_out!(INFO, "softstop.said", "said", component = component.as_str(), text = text.as_str(), at_ms);
        }
        Event::Stopped { report, .. } => stopped(report, at_ms),
    }
}

/// So many events were not put out because too many were waiting.
pub(crate) fn missed(count: u64, at: Duration) {
    put_out!(WARN, "softstop.missed", "events missed", count, at_ms = ms(at));
}

fn failed(failure: &Failure, at_ms: f64) {
    put_out!(
        ERROR, "softstop.failed", "failed",
        component = failure.component.as_str(), task = failure.task.as_deref(), site = failure.site.as_deref(),
        outcome = %failure.outcome, error = failure.message.as_str(), at_ms
    );
}

fn straggler(component: &str, tasks: &TaskGroup, at_ms: f64) {
    let outcome = tasks.outcome.map_or_else(|| "running".to_owned(), |outcome| outcome.to_string());
    put_out!(
        WARN,
        "softstop.straggler",
        "given up",
        component,
        task = tasks.name.as_str(),
        site = tasks.site.as_str(),
        outcome,
        count = tasks.count,
        at_ms
    );
}

fn save(component: &str, saved: &Saved, at_ms: f64) {
    let (outcome, took, error) = match saved {
        Saved::NotRun => ("not run", None, None),
        Saved::Unfinished => ("unfinished", None, None),
        Saved::Done { took } => ("done", Some(took), None),
        Saved::Failed { took, message } => ("failed", Some(took), Some(message.as_str())),
    };
    let took_ms = took.map(|took| ms(*took));
    if outcome == "done" {
        put_out!(DEBUG, "softstop.saved", "saved", component, outcome, took_ms, error, at_ms);
    } else {
        put_out!(WARN, "softstop.saved", "saved", component, outcome, took_ms, error, at_ms);
    }
}

fn stopped(report: &Report, at_ms: f64) {
    macro_rules! stopped {
        ($level:ident) => {
            put_out!(
                $level, "softstop.stopped", "stopped",
                service = report.service.as_str(), reason = %report.reason, level = %report.level,
                status = u64::from(report.code()), outcome = %report.status, why = report.why.as_str(),
                took_ms = ms(report.took), at_ms
            )
        };
    }
    if report.status == Status::Clean {
        stopped!(INFO);
    } else {
        stopped!(WARN);
    }
}

#[cfg(test)]
#[path = "trace_tests.rs"]
mod tests;
