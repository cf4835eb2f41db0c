//! SIGTERM to an idle process, until it is gone.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{
    Result,
    figures::{median, table},
    many::times,
};

const SERVICE: &str = env!("CARGO_BIN_EXE_idle_softstop");
const BARE: &str = env!("CARGO_BIN_EXE_idle_bare");
/// Long enough for a process that said it is ready to become idle.
const SETTLE: Duration = Duration::from_millis(20);

/// Pairs of a service and a bare program, in seconds.
pub(crate) struct Idle(Vec<(f64, f64)>);

/// Ends `pairs` pairs; which of the two comes first alternates.
pub(crate) fn measure(pairs: usize) -> Result<Idle> {
    let pair = |at: usize| {
        if at.is_multiple_of(2) {
            let service = end(SERVICE)?;
            return Ok((service, end(BARE)?));
        }
        let bare = end(BARE)?;
        Ok((end(SERVICE)?, bare))
    };
    (0..pairs).map(pair).collect::<Result<_>>().map(Idle)
}

/// How long `program` takes from SIGTERM until it has been waited for.
#[expect(clippy::disallowed_methods, reason = "nothing tells a parent that its child has become idle")]
fn end(program: &str) -> Result<f64> {
    let mut command = Command::new(program);
    command.env("TOKIO_WORKER_THREADS", "2").env_remove("SOFTSTOP_REPORT");
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let mut ready = String::new();
    if let Some(output) = &mut child.stdout {
        BufReader::new(output).read_line(&mut ready)?;
    }
    std::thread::sleep(SETTLE);
    let began = Instant::now();
    kill_process(Pid::from_child(&child), Signal::TERM)?;
    let status = child.wait()?;
    let took = began.elapsed().as_secs_f64();
    if ready.trim() == "ready" && status.success() { Ok(took) } else { Err(format!("{program}: {status}").into()) }
}

impl Idle {
    /// The median of the ratios of the pairs.
    pub(crate) fn ratio(&self) -> f64 {
        median(self.0.iter().map(|(service, bare)| service / bare))
    }

    pub(crate) fn table(&self) -> String {
        let row = |title: &str, of: fn(&(f64, f64)) -> f64| {
            let all = || self.0.iter().map(of).map(|seconds| seconds * 1e6);
            let least = all().fold(f64::INFINITY, f64::min);
            [title.to_owned(), format!("{:.0}", median(all())), format!("{least:.0}")]
        };
        let rows = vec![row("**`softstop::main`**", |pair| pair.0), row("tokio alone", |pair| pair.1)];
        let ratio = format!("The median of the ratios of {} pairs is {}.", self.0.len(), times(self.ratio()));
        format!("### Idle exit\n\n{ratio}\n\n{}", table(["", "median, us", "least, us"], rows))
    }
}
