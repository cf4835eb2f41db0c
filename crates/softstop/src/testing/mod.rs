//! Stops a service at every await point of a run, on a paused clock, and looks each time whether anything was lost.
//!
//! A stop comes at a moment of its own choosing. A test that stops once, after some sleep, sees one of the hundreds of places at
//! which a task can be when it comes. [`sweep`] sees them all: it runs the service once undisturbed and counts the polls of every
//! task, then once per poll with the stop asked exactly there, and for some of them once more with a hurry
//! at a moment of the stop.
//!
//! ```
//! use softstop::{Result, Service, testing};
//! use std::{sync::{Arc, Mutex}, time::Duration};
//! use tokio::sync::mpsc;
//!
//! /// What the world outside would see.
//! #[derive(Clone, Default)]
//! struct Ends { sent: Arc<Mutex<u64>>, kept: Arc<Mutex<u64>> }
//!
//! fn pipeline(service: &mut Service, ends: &Ends) -> Result {
//!     let (sent, kept) = (ends.sent.clone(), ends.kept.clone());
//!     let sink = service.component("sink", (), async |scope, ()| {
//!         let (tx, mut rx) = mpsc::channel::<u64>(4);
//!         scope.spawn_with("keep", async move |scope| {
//!             while scope.next(rx.recv()).await.is_some() {
//!                 *kept.lock().unwrap() += 1;
//!                 scope.settle("numbers", 1);
//!             }
//!             Ok(())
//!         });
//!         Ok(tx)
//!     });
//!     service.component("feed", sink, async |scope, tx| {
//!         scope.spawn_with("send", async move |scope| {
//!             for n in 0.. {
//!                 scope.owe("numbers", 1);
//!                 tx.send(n).await?;
//!                 *sent.lock().unwrap() += 1;
//!                 if scope.sleep(Duration::from_millis(10)).await.is_err() { break }
//!             }
//!             Ok(())
//!         });
//!         Ok(())
//!     });
//!     Ok(())
//! }
//!
//! # /*
//! #[test]
//! # */
//! fn every_number_is_kept_or_declared_lost() {
//!     testing::sweep(|service| {
//!         let ends = Ends::default();
//!         pipeline(service, &ends)?;
//!         Ok(ends)
//!     })
//!     .run(|report, ends| {
//!         let lost: u64 = report.losses.iter().map(|loss| loss.count).sum();
//!         assert_eq!(*ends.sent.lock().unwrap(), *ends.kept.lock().unwrap() + lost);
//!         Ok(())
//!     });
//! }
//! # every_number_is_kept_or_declared_lost();
//! ```
//!
//! Without the account this fails: somebody who hurries leaves numbers in the channel, and nothing says so.
//!
//! # What it checks
//!
//! After each run, besides the check that is given: it ended within its total; nothing is open, nothing leaked, no task is stuck or
//! still running; the exit status is 0, or one that was [allowed](Sweep::allow), or follows from a [fault](Sweep::fault);
//! every eighth run is made twice, and both reports are the same. A run that does not end within its [patience](Sweep::patience) has
//! failed, and whoever holds the thread is named.
//!
//! # What it is not
//!
//! - One thread polls everything, in two schedules: tasks run as far as they can, and tasks are handed one item a poll
//!   (tokio's cooperative budget is used up before each poll), so that also an await that is ready at once is an await point. What only
//!   two threads at once can do is not seen.
//! - A `select!` without `biased` chooses at random, which no seed reaches in stable tokio. Where a service uses it, say
//!   [`not_repeatable`](Sweep::not_repeatable).
//! - Sockets and files work, but while all tasks wait for them the paused clock jumps to the next timer. In-memory ends
//!   (`tokio::io::duplex`, channels) are better.
//! - A blocking job runs while every task waits and the clock stands still, so that it comes at the same moment each time; its end is
//!   no point of its own, but the poll of who waits for it is. Two jobs at once end in either order.
//! - Polls of tasks that tokio spawned without a scope are not seen.

mod bench;
mod fault;
mod gate;
mod lens;
mod moment;
mod sweeping;

use std::{collections::BTreeSet, fmt, sync::Arc, time::Duration};

use crate::{
    console::replay_variable,
    error::Result,
    report::{Report, Status},
    service::Service,
};

pub use self::fault::Fault;
use self::{
    bench::{Bench, Make, one_run},
    sweeping::Sweeping,
};

/// In real time: a run that takes longer hangs, unless more is stated.
const PATIENCE: Duration = Duration::from_secs(30);

/// Sweeps a stop over a service: `build` describes it, and returns what the check needs to look at. It is called once per run.
///
/// See the [module](self) for an example.
pub fn sweep<S, B>(build: B) -> Sweep<B>
where
    B: Fn(&mut Service) -> Result<S> + Send + Sync + 'static,
{
    Sweep {
        build,
        lasting: Duration::from_secs(1),
        most: usize::MAX,
        pairs: 50,
        seed: 0,
        patience: PATIENCE,
        faults: Vec::new(),
        allowed: BTreeSet::from([Status::Clean]),
        repeatable: true,
    }
}

/// A sweep that can be run; made by [`sweep`].
#[must_use = "nothing happens until `run`"]
pub struct Sweep<B> {
    build: B,
    lasting: Duration,
    most: usize,
    pairs: usize,
    seed: u64,
    patience: Duration,
    faults: Vec<Fault>,
    allowed: BTreeSet<Status>,
    repeatable: bool,
}

impl<B> fmt::Debug for Sweep<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sweep").field("lasting", &self.lasting).field("faults", &self.faults).finish_non_exhaustive()
    }
}

impl<B> Sweep<B> {
    /// How long the undisturbed run lasts on the clock, where the service does not end by itself; 1 s unless stated.
    pub fn lasting(mut self, lasting: Duration) -> Self {
        self.lasting = lasting;
        self
    }

    /// At most so many points of each schedule, drawn by the seed; all of them unless stated.
    pub fn at_most(mut self, points: usize) -> Self {
        self.most = points;
        self
    }

    /// How many runs of each schedule are hurried at a moment of their stop, drawn by the seed; 50 unless stated.
    pub fn pairs(mut self, pairs: usize) -> Self {
        self.pairs = pairs;
        self
    }

    /// What is drawn is drawn by this number; 0 unless stated.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// How long one run may take in real time before it counts as hanging; 30 s unless stated.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Lets something go wrong in every run. Statuses that follow from it are allowed.
    pub fn fault(mut self, fault: Fault) -> Self {
        if fault.fails() {
            self.allowed.extend([Status::StartFailed, Status::Failed]);
        }
        self.faults.push(fault);
        self
    }

    /// Allows one more exit status.
    pub fn allow(mut self, status: Status) -> Self {
        self.allowed.insert(status);
        self
    }

    /// Does not ask for the same report of the same run: for a service that draws at random or works with the outside.
    pub fn not_repeatable(mut self) -> Self {
        self.repeatable = false;
        self
    }

    /// Runs it all. `check` is given the report of each run and what `build` returned; an error or a panic of it is a failure.
    ///
    /// With `SOFTSTOP_REPLAY` in the environment only the run that it describes is made, and what happened is printed.
    ///
    /// # Panics
    ///
    /// If anything failed: with the point, what failed there, and a line that replays it. If a [`Fault`] never came about.
    #[track_caller]
    pub fn run<S, C>(self, check: C) -> Swept
    where
        S: 'static,
        B: Fn(&mut Service) -> Result<S> + Send + Sync + 'static,
        C: Fn(&Report, S) -> Result + Send + Sync + 'static,
    {
        let build = self.build;
        let make: Make = Box::new(move |run, lens| one_run(run, lens, &build, &check));
        let sweeping = Sweeping {
            bench: Bench::start(make, self.patience),
            lasting: self.lasting,
            most: self.most,
            pairs: self.pairs,
            seed: self.seed,
            faults: Arc::new(self.faults),
            allowed: self.allowed,
            repeatable: self.repeatable,
            swept: Swept::default(),
            failures: Vec::new(),
        };
        if let Some(described) = replay_variable() {
            return match described.parse() {
                Ok(moment) => sweeping.replay(moment),
                Err(error) => panic!("SOFTSTOP_REPLAY={described:?}: {error}"),
            };
        }
        sweeping.sweep()
    }
}

/// What a sweep has done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Swept {
    /// The points at which the stop was asked, as `schedule component/task@poll`: schedule by schedule, in the order of the
    /// undisturbed run.
    pub points: Vec<String>,
    /// Points of the undisturbed runs that were left out for [`Sweep::at_most`].
    pub left_out: usize,
    /// Runs that were hurried as well.
    pub pairs: usize,
    /// All runs.
    pub runs: usize,
    /// Runs that did not come to their point, because the service does not do the same every time.
    pub missed: usize,
}
