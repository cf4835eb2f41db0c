//! The clocks of one sample. A process takes one sample, so its state is static, and a task that
//! marks its first poll carries nothing for it: what is weighed is the task alone.

use std::{
    fs,
    sync::{
        OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use rustix::{
    param::page_size,
    time::{ClockId, clock_gettime},
};
use tokio::sync::Notify;

/// What a peer notes as it goes, in this order.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Step {
    /// The first task is about to be spawned.
    Spawning,
    /// Every task has been polled once and waits.
    Polled,
    /// The stop is about to be asked for.
    Asking,
    /// The call that asks has given the thread back.
    Asked,
    /// All tasks have ended, and the library has said so.
    Ended,
}

/// What lies between two steps.
pub(crate) struct Cost {
    pub(crate) wall: Duration,
    /// Processor time of the whole process: all workers, user and system.
    pub(crate) cpu: Duration,
    /// By how many bytes the resident memory grew, where both steps weighed it.
    pub(crate) rss: Option<i64>,
}

struct Moment {
    wall: Instant,
    cpu: Duration,
    rss: Option<i64>,
}

impl Moment {
    /// Something is about to begin: the wall clock is read last.
    fn before() -> Self {
        let (rss, cpu) = (resident(), processor_time());
        Self { wall: Instant::now(), cpu, rss }
    }

    /// Something goes on: only the wall clock is read, for the sake of what follows.
    fn meanwhile() -> Self {
        Self { wall: Instant::now(), cpu: Duration::ZERO, rss: None }
    }

    /// Something has ended: the wall clock is read first, the others once nothing runs any more.
    fn after() -> Self {
        let wall = Instant::now();
        let_the_others_park();
        Self { wall, cpu: processor_time(), rss: resident() }
    }
}

static MOMENTS: [OnceLock<Moment>; 5] = [const { OnceLock::new() }; 5];
static EXPECTED: AtomicUsize = AtomicUsize::new(0);
static POLLED: AtomicUsize = AtomicUsize::new(0);
static ALL_POLLED: Notify = Notify::const_new();

/// Says how many tasks there will be.
pub(crate) fn expect(tasks: usize) {
    EXPECTED.store(tasks, Ordering::Release);
}

/// Called by every task in its first poll.
pub(crate) fn first_poll() {
    if POLLED.fetch_add(1, Ordering::AcqRel) + 1 == EXPECTED.load(Ordering::Acquire) {
        ALL_POLLED.notify_one();
    }
}

/// Waits until every task has been polled, and notes [`Step::Polled`] and [`Step::Asking`]: what is
/// done between the two is the weighing of memory, which is in neither.
pub(crate) async fn all_polled() {
    ALL_POLLED.notified().await;
    note(Step::Polled);
    note(Step::Asking);
}

/// Notes that a step has come; the first time counts.
pub(crate) fn note(step: Step) {
    MOMENTS[step as usize].get_or_init(|| match step {
        Step::Spawning | Step::Asking => Moment::before(),
        Step::Asked => Moment::meanwhile(),
        Step::Polled | Step::Ended => Moment::after(),
    });
}

/// The kernel adds the time of a thread that runs on another processor to that of its process at
/// the next tick only, up to 10 ms later; of a thread that sleeps nothing is missing.
#[expect(clippy::disallowed_methods, reason = "the other workers have to see that nobody needs them")]
fn let_the_others_park() {
    std::thread::sleep(Duration::from_millis(10));
}

/// What lies between two steps that were noted.
///
/// # Errors
///
/// If the peer has not noted one of them.
pub(crate) fn between(from: Step, to: Step) -> softstop::Result<Cost> {
    let moment = |step: Step| MOMENTS[step as usize].get().ok_or_else(|| format!("{step:?} was not noted"));
    let (from, to) = (moment(from)?, moment(to)?);
    let rss = to.rss.zip(from.rss).map(|(to, from)| to - from);
    Ok(Cost { wall: to.wall - from.wall, cpu: to.cpu.saturating_sub(from.cpu), rss })
}

/// What all threads of this process have used, in user and system mode.
fn processor_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap_or_default()
}

/// Resident memory of this process, in bytes; the second number of `/proc/self/statm` is in pages.
fn resident() -> Option<i64> {
    let statm = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: i64 = statm.split(' ').nth(1)?.parse().ok()?;
    Some(pages * i64::try_from(page_size()).ok()?)
}
