//! A program that gets less of a processor than there is.

use std::{
    fmt, fs, io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::{
    Process, Signal,
    cgroup::{Cgroup, Freezer},
};

/// The scheduler's customary period for quotas; a tenth of it is what 10 % gets at once.
const QUOTA_PERIOD_US: u32 = 100_000;
/// How often a tree is frozen; a change costs the kernel some 20 µs.
const FREEZE_PERIOD: Duration = Duration::from_millis(10);
/// How often its processes are stopped; each time all of `/proc` is read.
const STOP_PERIOD: Duration = Duration::from_millis(40);
/// It is not held longer in one go.
const LONGEST_HOLD: Duration = Duration::from_secs(1);

/// How a program is kept from the processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Squeeze {
    /// By the scheduler, exactly: `cpu.max` of its control group, where that controller is there for us.
    Quota,
    /// Its control group is frozen for the rest of each 10 ms. The percentage is of the time, so several threads together get more.
    Freezer,
    /// Its processes are stopped for the rest of each 40 ms by SIGSTOP and SIGCONT, which parents can see.
    Stopping,
}

impl fmt::Display for Squeeze {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Quota => "by cpu.max of its control group",
            Self::Freezer => "by freezing its control group for the rest of each 10 ms",
            Self::Stopping => "by SIGSTOP and SIGCONT every 40 ms",
        })
    }
}

/// A tree that is kept from the processor until this is dropped.
pub struct Squeezed {
    how: Squeeze,
    /// `cpu.max`.
    quota: Option<PathBuf>,
    cycle: Option<(Arc<AtomicBool>, JoinHandle<()>)>,
}

impl Squeezed {
    /// How.
    #[must_use]
    pub fn how(&self) -> Squeeze {
        self.how
    }

    pub(super) fn begin(
        percent: u8,
        cgroup: Option<&Cgroup>,
        descendants: impl Fn() -> Vec<Process> + Send + 'static,
    ) -> io::Result<Self> {
        let percent = u32::from(percent.clamp(1, 99));
        let Some(cgroup) = cgroup else {
            let stopper = Stopper { descendants, stopped: Vec::new() };
            return Self::cycling(Squeeze::Stopping, STOP_PERIOD, percent, stopper);
        };
        let quota = cgroup.folder().join("cpu.max");
        match fs::write(&quota, format!("{} {QUOTA_PERIOD_US}", percent * QUOTA_PERIOD_US / 100)) {
            Ok(()) => Ok(Self { how: Squeeze::Quota, quota: Some(quota), cycle: None }),
            Err(_) => Self::cycling(Squeeze::Freezer, FREEZE_PERIOD, percent, cgroup.freezer()?),
        }
    }

    fn cycling(how: Squeeze, period: Duration, percent: u32, mut brake: impl Brake + 'static) -> io::Result<Self> {
        let end = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&end);
        let runs = period * percent / 100;
        let cycle = move || {
            let mut ran = runs;
            while !ended.load(Ordering::Relaxed) {
                brake.hold();
                // On a busy machine we wake late; what it ran too long it waits the longer.
                thread::park_timeout((ran * (100 - percent) / percent).min(LONGEST_HOLD));
                let began = Instant::now();
                brake.release();
                thread::park_timeout(runs);
                ran = began.elapsed();
            }
        };
        let thread = thread::Builder::new().name("softstop squeeze".to_owned()).spawn(cycle)?;
        Ok(Self { how, quota: None, cycle: Some((end, thread)) })
    }
}

impl Drop for Squeezed {
    fn drop(&mut self) {
        if let Some(quota) = &self.quota {
            let _ = fs::write(quota, format!("max {QUOTA_PERIOD_US}"));
        }
        if let Some((end, thread)) = self.cycle.take() {
            end.store(true, Ordering::Relaxed);
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}

/// Holds a tree and lets it go on.
trait Brake: Send {
    fn hold(&mut self);
    fn release(&mut self);
}

impl Brake for Freezer {
    fn hold(&mut self) {
        self.set(true);
    }

    fn release(&mut self) {
        self.set(false);
    }
}

struct Stopper<D> {
    descendants: D,
    /// Those whom we have stopped: who stands still for another reason is left so.
    stopped: Vec<Process>,
}

impl<D: Fn() -> Vec<Process> + Send> Brake for Stopper<D> {
    fn hold(&mut self) {
        let running = (self.descendants)().into_iter().filter(|process| process.state != 'T');
        self.stopped.extend(running.filter(|process| process.signal(Signal::STOP).unwrap_or(false)));
    }

    fn release(&mut self) {
        for process in self.stopped.drain(..) {
            let _ = process.signal(Signal::CONT);
        }
    }
}
