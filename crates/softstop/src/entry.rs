//! `softstop::main`: the one optional entry point that touches signals, prints and returns a status.

use std::{process::ExitCode, sync::Arc, time::Duration};

use crate::{
    console::{Console, Say, program_name},
    error::{Result, chain},
    machine::Reason,
    report::{Report, Status},
    service::Service,
    signal::{Signals, exit_now},
    task::Outcome,
    watchdog::{Watch, die_by_signal},
};

/// How long the last words may take to be written.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// Builds a runtime, runs the service that `build` describes, and returns its exit status.
///
/// What it does that [`Service::run`] does not, and nothing else: it takes SIGINT, SIGTERM,
/// SIGHUP, SIGQUIT and SIGUSR1 from its first line on, with a plain thread that also ends the
/// process when the total is over; it prints to stderr; it reads `SOFTSTOP_REPORT` (a file for the
/// JSON report, or `-` for the timeline); it leaves by `_exit` where something is stuck.
///
/// With the feature `systemd`, and where `NOTIFY_SOCKET` is set, it also tells systemd (sd_notify(3)):
/// `READY=1` when all components are ready, `STOPPING=1`, `STATUS=`, `EXTEND_TIMEOUT_USEC=` while a stop or
/// a start may take longer than the unit gives (`Service::unit_timeout`), and `WATCHDOG=1` after half of
/// `WATCHDOG_USEC`, but not while the runtime's workers do not answer: then systemd restarts the unit. A
/// stop is under the total and is not watched so.
///
/// An error of `build`, or a graph that cannot be run, is printed with its causes; the status is 78.
///
/// # Examples
///
/// ```no_run
/// fn main() -> std::process::ExitCode {
///     softstop::main(|service| {
///         service.component("ticker", (), async |scope, ()| {
///             scope.spawn_with("tick", async |scope| {
///                 while scope.sleep(std::time::Duration::from_secs(1)).await.is_ok() {}
///                 Ok(())
///             });
///             Ok(())
///         });
///         Ok(())
///     })
/// }
/// ```
pub fn main(build: impl FnOnce(&mut Service) -> Result) -> ExitCode {
    // Before any thread: one of ours could take a signal in the moment in which it would be lost.
    let signals = Signals::register();
    let mut service = Service::new(program_name());
    let console = Console::start(&service.shared);
    let watch = match signals.and_then(|signals| Watch::start(&service.shared, &console, signals)) {
        Ok(watch) => watch,
        Err(error) => return refuse(&console, Status::StartFailed, &format!("cannot take the signals: {error}"), ""),
    };
    let shared = Arc::clone(&service.shared);
    let refused = |status: Status, error: &str, hint: &str| {
        let mut report = shared.report();
        (report.status, report.why) = (status, error.to_owned());
        shared.tell_end(&report);
        watch.tell_manager(LAST_WORDS);
        refuse(&console, status, error, hint)
    };
    if let Err(error) = build(&mut service) {
        return refused(Status::Configuration, &chain(error.as_ref()), "");
    }
    if let Err(error) = service.check() {
        return refused(Status::Configuration, &error.to_string(), error.hint());
    }
    let mut builder = match service.current_thread {
        true => tokio::runtime::Builder::new_current_thread(),
        false => tokio::runtime::Builder::new_multi_thread(),
    };
    let runtime = match builder.enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return refused(Status::StartFailed, &format!("cannot build the runtime: {error}"), ""),
    };
    if let Some(to) = service.report_to.take() {
        console.report_to(to);
    }
    if let Some(line) = service.status_line.take() {
        console.say(Say::Line(line));
    }
    if service.quiet {
        console.say(Say::Quiet);
    }
    let (by_signal, quiet) = (service.dies_by_signal, service.quiet);
    let report = runtime.block_on(service.run_with(std::future::pending(), true));
    // Decided before any output: a closed stderr changes nothing.
    let status = report.code();
    watch.decided(status);
    console.finish(&report, quiet, LAST_WORDS);
    watch.tell_manager(LAST_WORDS);
    runtime.shutdown_background();
    if let (true, 0, Reason::Signal(number)) = (by_signal, status, &report.reason) {
        die_by_signal(*number);
    }
    if something_is_stuck(&report) {
        exit_now(status);
    }
    ExitCode::from(status)
}

/// Leaving by `exit` would run destructors beside a task that never yields.
fn something_is_stuck(report: &Report) -> bool {
    report.status == Status::Overrun
        || report.components.iter().flat_map(|c| &c.tasks).any(|t| matches!(t.outcome, None | Some(Outcome::Stuck)))
}

fn refuse(console: &Console, status: Status, error: &str, hint: &str) -> ExitCode {
    let hint = if hint.is_empty() { String::new() } else { format!("hint: {hint}\n") };
    console.say(Say::Text(format!("error: {error}\n{hint}")));
    console.last(String::new(), LAST_WORDS);
    ExitCode::from(status.code())
}
