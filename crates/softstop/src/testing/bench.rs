//! Makes runs on a thread of its own, so that one which hangs can be told of.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::Ordering,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread,
    time::Duration,
};

use crate::{
    busy,
    error::{Result, chain},
    machine::Reason,
    report::Report,
    service::Service,
    shared::lock,
    task::panic_text,
};

use super::{
    lens::{Lens, Run, Trace},
    moment::Stop,
};

/// In real time: a run in which every task has waited for so long waits for something outside, such as a blocking job, during which
/// the paused clock stands still. It is asked to stop as if its time were over. A job that only waits for a busy machine is shorter.
pub(super) const QUIET: Duration = Duration::from_secs(1);

/// What came of one run.
pub(super) struct Ran {
    pub(super) report: Report,
    pub(super) verdict: Result<(), String>,
}

/// Makes one run, from the building of its runtime to the check. Only a service that cannot be built is an error.
pub(super) fn one_run<S>(
    run: &Run,
    lens: &Arc<Lens>,
    build: &(impl Fn(&mut Service) -> Result<S> + ?Sized),
    check: &(impl Fn(&Report, S) -> Result + ?Sized),
) -> Result<Ran, String> {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    // The service itself is looked at between any two tasks, so that a stop is where it was asked.
    let runtime = runtime.enable_all().start_paused(true).event_interval(1);
    let (parks, unparks) = (Arc::clone(&lens.gate), Arc::clone(&lens.gate));
    let runtime =
        runtime.on_thread_park(move || parks.parked(true)).on_thread_unpark(move || unparks.parked(false)).build();
    let runtime = runtime.map_err(|error| format!("cannot build the runtime: {error}"))?;
    let whole = async {
        let mut service = Service::new("test");
        let _ = service.shared.probe.set(Box::new(Arc::clone(lens)));
        *lock(&lens.handle) = Some(service.handle());
        let state =
            build(&mut service).map_err(|error| format!("cannot build the service: {}", chain(error.as_ref())))?;
        service.check().map_err(|error| format!("the service cannot be run: {error}"))?;
        if run.moment.stop == Stop::First {
            lens.stop();
        }
        let lasting = tokio::time::sleep(run.lasting);
        let last = async {
            lasting.await;
            lock(&lens.trace).stopped = true;
            Reason::Requested("the test".into())
        };
        Ok::<_, String>((service.run(last).await, state))
    };
    let (report, state) = runtime.block_on(Arc::clone(&lens.gate).watching(whole))?;
    *lock(&lens.handle) = None;
    runtime.shutdown_background();
    let verdict = match catch_unwind(AssertUnwindSafe(|| check(&report, state))) {
        Ok(result) => result.map_err(|error| chain(error.as_ref())),
        Err(panic) => Err(panic_text(&*panic)),
    };
    Ok(Ran { report, verdict })
}

pub(super) type Make = Box<dyn Fn(&Run, &Arc<Lens>) -> Result<Ran, String> + Send>;

/// A thread that makes the runs, so that one which hangs can be told of.
pub(super) struct Bench {
    pub(super) runs: Sender<(Run, Arc<Lens>)>,
    pub(super) results: Receiver<Result<Ran, String>>,
    pub(super) patience: Duration,
}

impl Bench {
    pub(super) fn start(make: Make, patience: Duration) -> Self {
        let (runs, to_make) = channel::<(Run, Arc<Lens>)>();
        let (made, results) = channel();
        let work = move || {
            for (run, lens) in to_make {
                if made.send(make(&run, &lens)).is_err() {
                    return;
                }
            }
        };
        let name = thread::current().name().unwrap_or("softstop-testing").to_owned();
        thread::Builder::new().name(name).spawn(work).expect("a test may start a thread");
        Self { runs, results, patience }
    }

    /// `Err` where the run does not end, or could not begin.
    pub(super) fn make(&self, run: &Run) -> Result<(Ran, Trace), String> {
        let lens = Arc::new(Lens::new(run.clone()));
        let _ = self.runs.send((run.clone(), Arc::clone(&lens)));
        let (mut polls, mut quiet, mut waited) = (0, Duration::ZERO, Duration::ZERO);
        let look = Duration::from_millis(50);
        loop {
            match self.results.recv_timeout(look) {
                Ok(result) => return result.map(|ran| (ran, std::mem::take(&mut *lock(&lens.trace)))),
                Err(RecvTimeoutError::Disconnected) => {
                    return Err("building or checking it ended the thread".to_owned());
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
            let now = lens.polls.load(Ordering::Relaxed);
            quiet = if now == polls && lens.gate.all_wait() { quiet + look } else { Duration::ZERO };
            polls = now;
            waited += look;
            if quiet >= QUIET && !lock(&lens.trace).stopped {
                lens.stop();
            }
            if waited >= self.patience {
                return Err(format!("it does not end; {}", holders(&lens)));
            }
        }
    }
}

/// Who holds a thread of a run that hangs.
pub(super) fn holders(lens: &Lens) -> String {
    let handle = lock(&lens.handle).clone();
    let blockers = handle.map(|handle| handle.report().blockers).unwrap_or_default();
    let still: Vec<String> = blockers.iter().filter(|b| b.still).map(ToString::to_string).collect();
    if still.is_empty() {
        let others = busy::holders().len();
        return format!("no task of it holds a thread ({others} others do)");
    }
    format!("held by {}", still.join("; "))
}
