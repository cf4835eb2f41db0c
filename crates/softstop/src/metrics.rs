//! Events as metrics (feature `metrics`). Names, kinds and labels are a promise: `metrics.md`.

use ::metrics::{
    Unit, counter, describe_counter as describe_count, describe_gauge as describe_level,
    describe_histogram as describe_time, gauge, histogram,
};

use crate::{
    events::Event,
    machine::{ServiceState, signal_name},
    report::{Report, reason_kind},
};

/// Says once what each of them is.
pub(crate) fn describe() {
    let (n, s) = (Unit::Count, Unit::Seconds);
    describe_level!("softstop_ready", n, "1 while all components are ready and no stop has begun, else 0");
    describe_level!("softstop_component_state", n, "from 0, waiting, over 2, running, to 7, stopped");
    describe_count!("softstop_failures_total", n, "failures that the service takes as its own");
    describe_count!("softstop_restarts_total", n, "runs of supervised tasks that failed and were to be run again");
    describe_count!("softstop_leaks_total", n, "resources left open by their tasks");
    describe_count!("softstop_losses_total", n, "what was lost, by its account");
    describe_count!("softstop_signals_total", n, "signals that arrived");
    describe_count!("softstop_missed_events_total", n, "events that were not put out");
    describe_count!("softstop_stops_total", n, "stops that are over");
    describe_time!("softstop_stop_seconds", s, "how long a stop took");
    describe_time!("softstop_step_seconds", s, "how long a step of a component took");
    describe_count!("softstop_tasks_total", n, "how tasks ended");
}

/// `components` are the names of all of them.
pub(crate) fn put_out(event: &Event, components: &[String]) {
    let component = |name: &str| root(name, components).to_owned();
    match event {
        Event::Service { state, .. } => {
            gauge!("softstop_ready").set(if *state == ServiceState::Running { 1.0 } else { 0.0 });
        }
        Event::State { component, state, .. } => {
            gauge!("softstop_component_state", "component" => component.clone()).set(f64::from(*state as u8));
        }
        Event::Signal { number, effect, .. } => {
            counter!("softstop_signals_total", "signal" => signal_name(*number), "effect" => *effect).increment(1);
        }
        Event::Failed(failure) => {
            counter!("softstop_failures_total", "component" => component(&failure.component)).increment(1);
        }
        Event::Restarting { component: name, .. } => {
            counter!("softstop_restarts_total", "component" => component(name)).increment(1);
        }
        Event::Leaked { leak, .. } => counter!("softstop_leaks_total", "kind" => leak.kind.clone()).increment(1),
        Event::Lost { loss, .. } => {
            let what = if loss.is_of_a_save() { "save" } else { &loss.what };
            counter!("softstop_losses_total", "what" => what.to_owned()).increment(loss.count);
        }
        Event::Stopped { report, .. } => stopped(report),
        // The level and the stragglers stand in the report of the end; the saves are steps of it.
        Event::Said { .. }
        | Event::Stopping { .. }
        | Event::Level { .. }
        | Event::Straggler { .. }
        | Event::Saved { .. } => {}
    }
}

/// So many events were not put out because too many were waiting.
pub(crate) fn missed(count: u64) {
    counter!("softstop_missed_events_total").increment(count);
}

fn stopped(report: &Report) {
    let (reason, level) = (reason_kind(&report.reason), report.level.to_string());
    let status = report.code().to_string();
    counter!("softstop_stops_total", "reason" => reason, "level" => level, "status" => status).increment(1);
    histogram!("softstop_stop_seconds").record(report.took.as_secs_f64());
    for component in &report.components {
        for step in &component.steps {
            let (name, step_name) = (component.name.clone(), step.state.to_string());
            histogram!("softstop_step_seconds", "component" => name, "step" => step_name)
                .record(step.took.as_secs_f64());
        }
        for tasks in &component.tasks {
            let outcome = tasks.outcome.map_or_else(|| "running".to_owned(), |outcome| outcome.to_string());
            counter!("softstop_tasks_total", "component" => component.name.clone(), "outcome" => outcome)
                .increment(tasks.count);
        }
    }
}

/// The component that `name` is, or is nested in: one connection of many must not be a series of its own.
fn root<'a>(name: &'a str, components: &'a [String]) -> &'a str {
    let holds = |component: &&String| {
        name.strip_prefix(component.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    components.iter().filter(holds).max_by_key(|component| component.len()).map_or(name, String::as_str)
}

#[cfg(test)]
#[path = "metrics_tests.rs"]
mod tests;
