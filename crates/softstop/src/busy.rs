//! What each thread is at while it runs code of the user: who holds a worker has a name and an age.
//!
//! A thread writes down which task it enters and when, by a clock that costs a few nanoseconds and
//! counts in steps of some milliseconds; the plain thread, or whoever asks, reads it. This works for
//! workers, for the pool of blocking jobs and for the thread of `block_on` alike, which the index of
//! a worker would not.

use std::{
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use rustix::time::{ClockId, clock_gettime};

use crate::{
    place::{Entry, Place},
    shared::lock,
};

/// A poll or a destructor that takes so long is worth a name: nothing else runs on its worker.
pub(crate) const LONG: Duration = Duration::from_millis(100);

/// What a thread is doing with a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Doing {
    /// Polling its future: between two await points.
    Polling,
    /// Dropping its future: in a destructor.
    Dropping,
    /// Running it as a blocking job, on a thread that is there for that.
    Job,
}

impl fmt::Display for Doing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Polling => "polling",
            Self::Dropping => "in a destructor",
            Self::Job => "a blocking job",
        })
    }
}

/// A thread that is inside a task.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Holder {
    pub(crate) scope: u64,
    pub(crate) slot: usize,
    pub(crate) doing: Doing,
    pub(crate) held: Duration,
}

static PLACES: Mutex<Vec<Arc<Place>>> = Mutex::new(Vec::new());

/// The place of one thread, listed as long as the thread lives.
struct Mine(Arc<Place>);

impl Mine {
    fn register() -> Self {
        let place = Arc::<Place>::default();
        lock(&PLACES).push(Arc::clone(&place));
        Self(place)
    }
}

impl Drop for Mine {
    fn drop(&mut self) {
        lock(&PLACES).retain(|place| !Arc::ptr_eq(place, &self.0));
    }
}

thread_local! {
    static MINE: Mine = Mine::register();
}

/// Nanoseconds of a coarse clock, never 0.
fn coarse_now() -> u64 {
    #[cfg(target_os = "linux")]
    let now = clock_gettime(ClockId::MonotonicCoarse);
    #[cfg(not(target_os = "linux"))]
    let now = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
    let nanos = u64::try_from(now.tv_nsec).unwrap_or_default();
    seconds.wrapping_mul(1_000_000_000).wrapping_add(nanos).max(1)
}

/// Runs `f` as what this thread is at. Also says how long it took, exact to some milliseconds.
pub(crate) fn during<T>(scope: u64, slot: usize, doing: Doing, f: impl FnOnce() -> T) -> (T, Duration) {
    let began = coarse_now();
    // The slot times four, plus what is done with it.
    let entry = Entry { scope, task: (slot as u64) << 2 | doing as u64, since: began };
    let noted = MINE.try_with(|mine| mine.0.enter(entry));
    let value = f();
    if noted.is_ok() {
        let _ = MINE.try_with(|mine| mine.0.leave());
    }
    (value, Duration::from_nanos(coarse_now().saturating_sub(began)))
}

/// From here to the end of `during` it is the destructor that runs.
pub(crate) fn now_dropping() {
    let _ = MINE.try_with(|mine| mine.0.change(|task| task & !3 | Doing::Dropping as u64));
}

/// All threads that have been inside one task for [`LONG`] or more, longest first.
pub(crate) fn holders() -> Vec<Holder> {
    let now = coarse_now();
    let read = |place: &Arc<Place>| {
        let Entry { scope, task, since } = place.read()?;
        let held = Duration::from_nanos(now.saturating_sub(since));
        let doing = match task & 3 {
            0 => Doing::Polling,
            1 => Doing::Dropping,
            _ => Doing::Job,
        };
        let slot = usize::try_from(task >> 2).ok()?;
        (held >= LONG).then_some(Holder { scope, slot, doing, held })
    };
    let mut holders: Vec<Holder> = lock(&PLACES).iter().filter_map(read).collect();
    holders.sort_by_key(|holder| std::cmp::Reverse(holder.held));
    holders
}
