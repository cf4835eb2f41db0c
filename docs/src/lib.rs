//! Compiles and runs the snippets of the book, page by page, and lends them what they do not show:
//! a way to run a service, and models of third-party clients.
//!
//! The pages are in `book/src`. `cargo test --doc -p book` runs their snippets.

use std::time::Duration;

use softstop::{Reason, Report, Result, Service, Status};
use tokio::runtime::{Builder, Runtime};

pub mod clients;

/// Puts each page where rustdoc finds its snippets.
macro_rules! pages {
    ($($name:ident: $file:literal)*) => {
        $(
            #[cfg(doctest)]
            #[doc = include_str!(concat!("../book/src/", $file))]
            struct $name;
        )*

        #[cfg(test)]
        const PAGES: &[&str] = &[$($file),*];
    };
}

pages! {
    Introduction: "README.md"
    Loop: "loop.md"
    Stream: "stream.md"
    Blocking: "blocking.md"
    ChildProcess: "child-process.md"
    ThirdPartyClient: "third-party-client.md"
    FiniteJob: "finite-job.md"
    SecondCtrlC: "second-ctrl-c.md"
    Save: "save.md"
    Container: "container.md"
    Tests: "tests.md"
    Prove: "prove.md"
    Market: "market.md"
    MarketRedis: "market-redis.md"
    FromTokioUtil: "from-tokio-util.md"
    FromTokioGracefulShutdown: "from-tokio-graceful-shutdown.md"
    FromPython: "from-python.md"
    MarketFromOriginal: "market-from-original.md"
}

/// Runs the service on paused time, asks it to stop after ten seconds of its clock, and gives the
/// report.
///
/// # Panics
///
/// If the service cannot be described, or the runtime cannot be built.
pub fn run(build: impl FnOnce(&mut Service) -> Result) -> Report {
    let runtime = Builder::new_current_thread().enable_all().start_paused(true).build();
    stop_after(Duration::from_secs(10), &runtime.expect("a runtime"), build)
}

/// The same in real time, with a stop after a fifth of a second: for what lives outside the
/// runtime, as threads and processes do.
///
/// # Panics
///
/// As [`run`].
pub fn run_in_real_time(build: impl FnOnce(&mut Service) -> Result) -> Report {
    let runtime = Builder::new_multi_thread().enable_all().build();
    stop_after(Duration::from_millis(200), &runtime.expect("a runtime"), build)
}

/// Does what [`run`] does, and insists on a clean stop.
///
/// # Panics
///
/// If the report has another status.
pub fn stops_clean(build: impl FnOnce(&mut Service) -> Result) {
    insist(&run(build));
}

/// Does what [`run_in_real_time`] does, and insists on a clean stop.
///
/// # Panics
///
/// If the report has another status.
pub fn stops_clean_in_real_time(build: impl FnOnce(&mut Service) -> Result) {
    insist(&run_in_real_time(build));
}

/// Starts nothing, and insists on a service that could be run.
///
/// # Panics
///
/// If its graph or its budgets are wrong.
pub fn fits_its_total(build: impl FnOnce(&mut Service) -> Result) {
    describe(build).check().expect("a service that can be run");
}

fn stop_after(time: Duration, runtime: &Runtime, build: impl FnOnce(&mut Service) -> Result) -> Report {
    runtime.block_on(describe(build).run(async move {
        tokio::time::sleep(time).await;
        Reason::Requested("the page".into())
    }))
}

fn describe(build: impl FnOnce(&mut Service) -> Result) -> Service {
    let mut service = Service::new("page");
    build(&mut service).expect("the page describes a service");
    service
}

fn insist(report: &Report) {
    assert_eq!(report.status, Status::Clean, "{}", report.line());
}

#[cfg(test)]
mod tests;
