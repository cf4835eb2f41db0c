//! A set of tile ids that stays small: what is stored already, for any size of job. Pure.
//!
//! Ids are kept in chunks of 65,536. A chunk is a list of runs, or, where there would be more than two thousand of them, one bit for
//! every id. Tiles that were fetched along the curve cost a few bytes per chunk, scattered ones at most four bytes or one bit each.

use std::{
    collections::BTreeMap,
    iter,
    ops::{Range, RangeInclusive},
};

/// Ids in a chunk.
const CHUNK: u64 = 1 << 16;
/// More runs than this take more memory than a bit for every id.
const MOST_RUNS: usize = 2048;
/// How many ids that come in no order are sorted at once.
const SORTED_AT_ONCE: usize = 1 << 18;

/// A set of ids.
#[derive(Debug, Clone, Default)]
pub struct IdSet {
    chunks: BTreeMap<u64, Chunk>,
    len: u64,
}

#[derive(Debug, Clone)]
enum Chunk {
    /// Ascending, with at least one missing id between two.
    Runs(Vec<RangeInclusive<u16>>),
    Bits(Box<[u64; 1024]>),
}

impl IdSet {
    /// The empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many ids are in it.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether this id is in it.
    pub fn contains(&self, id: u64) -> bool {
        self.run_from(id).is_some_and(|run| run.start == id)
    }

    /// Adds one id.
    pub fn insert(&mut self, id: u64) {
        self.insert_range(id..id + 1);
    }

    /// Adds all ids of a range; takes a time that grows with its length.
    pub fn insert_range(&mut self, range: Range<u64>) {
        let mut from = range.start;
        while from < range.end {
            let (key, end) = (from / CHUNK, range.end.min((from / CHUNK + 1) * CHUNK));
            let chunk = self.chunks.entry(key).or_insert_with(|| Chunk::Runs(Vec::new()));
            self.len += chunk.insert((from % CHUNK) as u16..=((end - 1) % CHUNK) as u16);
            from = end;
        }
    }

    /// The ids of a range that are not in the set, as ranges, ascending.
    pub fn missing(&self, range: Range<u64>) -> impl Iterator<Item = Range<u64>> {
        let mut from = range.start;
        iter::from_fn(move || self.next_missing(&mut from, range.end))
    }

    /// The next range of missing ids from `from` on, which is moved behind it; none where there is none before `end`.
    pub(crate) fn next_missing(&self, from: &mut u64, end: u64) -> Option<Range<u64>> {
        while *from < end {
            let run = self.run_from(*from).filter(|run| run.start < end).unwrap_or(end..end);
            let missing = *from..run.start;
            *from = run.end;
            if !missing.is_empty() {
                return Some(missing);
            }
        }
        None
    }

    /// All ids, as ranges, ascending; two that follow on each other may touch.
    pub fn ranges(&self) -> impl Iterator<Item = Range<u64>> {
        let mut from = 0;
        iter::from_fn(move || {
            let run = self.run_from(from)?;
            from = run.end;
            Some(run)
        })
    }

    /// The first ids of the set that are not below `from` and follow on each other, within one chunk.
    pub(crate) fn run_from(&self, from: u64) -> Option<Range<u64>> {
        let mut least = (from % CHUNK) as u16;
        for (key, chunk) in self.chunks.range(from / CHUNK..) {
            let least = if *key == from / CHUNK { std::mem::take(&mut least) } else { 0 };
            if let Some(run) = chunk.run_from(least) {
                return Some(key * CHUNK + u64::from(*run.start())..key * CHUNK + u64::from(*run.end()) + 1);
            }
        }
        None
    }
}

impl Extend<u64> for IdSet {
    /// Adds ids that come in no order: they are sorted in groups, so that those that follow on each other are added together.
    fn extend<I: IntoIterator<Item = u64>>(&mut self, ids: I) {
        let mut ids = ids.into_iter();
        let mut group = Vec::with_capacity(ids.size_hint().0.clamp(1024, SORTED_AT_ONCE));
        loop {
            group.extend(ids.by_ref().take(SORTED_AT_ONCE));
            if group.is_empty() {
                return;
            }
            group.sort_unstable();
            for run in group.chunk_by(|a, b| b - a <= 1) {
                self.insert_range(run[0]..run[run.len() - 1] + 1);
            }
            group.clear();
        }
    }
}

impl FromIterator<u64> for IdSet {
    fn from_iter<I: IntoIterator<Item = u64>>(ids: I) -> Self {
        let mut set = Self::new();
        set.extend(ids);
        set
    }
}

impl Chunk {
    /// Adds a run; returns how many ids of it are new.
    fn insert(&mut self, new: RangeInclusive<u16>) -> u64 {
        match self {
            Self::Bits(bits) => new.map(|id| set(bits, id)).sum(),
            Self::Runs(runs) => {
                let added = insert_run(runs, new);
                if runs.len() > MOST_RUNS {
                    let mut bits = Box::new([0; 1024]);
                    runs.iter().flat_map(Clone::clone).for_each(|id| {
                        set(&mut bits, id);
                    });
                    *self = Self::Bits(bits);
                }
                added
            }
        }
    }

    /// The first run that is not below `from`, or the part of it that is not.
    fn run_from(&self, from: u16) -> Option<RangeInclusive<u16>> {
        match self {
            Self::Runs(runs) => {
                let run = runs.get(runs.partition_point(|run| *run.end() < from))?;
                Some(*run.start().max(&from)..=*run.end())
            }
            Self::Bits(bits) => {
                let start = next_bit(bits, from, false)?;
                Some(start..=next_bit(bits, start, true).map_or(u16::MAX, |end| end - 1))
            }
        }
    }
}

/// Adds a run to others and joins those that meet it; returns how many ids of it are new.
fn insert_run(runs: &mut Vec<RangeInclusive<u16>>, new: RangeInclusive<u16>) -> u64 {
    let length = |run: &RangeInclusive<u16>| u64::from(run.end() - run.start()) + 1;
    // Runs that only touch the new one become one with it as well.
    let first = runs.partition_point(|run| run.end().saturating_add(1) < *new.start());
    let behind = runs.partition_point(|run| *run.start() <= new.end().saturating_add(1));
    let met = &runs[first..behind];
    let joined = match (met.first(), met.last()) {
        (Some(low), Some(high)) => *low.start().min(new.start())..=*high.end().max(new.end()),
        _ => new,
    };
    let added = length(&joined) - met.iter().map(length).sum::<u64>();
    runs.splice(first..behind, [joined]);
    added
}

fn set(bits: &mut [u64; 1024], id: u16) -> u64 {
    let (word, bit) = (&mut bits[usize::from(id >> 6)], 1 << (id & 63));
    let new = *word & bit == 0;
    *word |= bit;
    u64::from(new)
}

/// The first bit from `from` on that is set, or with `clear` that is not.
fn next_bit(bits: &[u64; 1024], from: u16, clear: bool) -> Option<u16> {
    let word = |at: usize| if clear { !bits[at] } else { bits[at] };
    let begin = usize::from(from >> 6);
    let first = word(begin) & (u64::MAX << (from & 63));
    let words = iter::once((begin, first)).chain((begin + 1..1024).map(|at| (at, word(at))));
    let (at, found) = words.into_iter().find(|(_, word)| *word != 0)?;
    Some((at as u16) << 6 | found.trailing_zeros() as u16)
}

#[cfg(test)]
#[path = "ids_tests.rs"]
mod tests;
