//! Times and counts of many trials, in memory that does not grow.
//!
//! Up to [`EXACT`] times are kept as they are: most runs have fewer, and their quantiles are exact. From then on each falls into a bucket
//! of 2 % width (a DDSketch without its collapsing, <https://arxiv.org/abs/1908.10693>): a quantile is then within 1 % of the true one,
//! however the times are spread, where keeping a random sample would lose just the rare long ones that a tail is about. Minimum and
//! maximum stay exact.

use std::{collections::BTreeMap, time::Duration};

/// So many times are kept exactly: 32 KiB.
pub const EXACT: usize = 4096;
/// Each bucket ends at so many times its beginning.
const WIDTH: f64 = 1.02;
/// The first bucket begins here; what is shorter is in it.
const SHORTEST: f64 = 1e-6;
/// Up to 1.02^1200 µs, about six hours.
const BUCKETS: usize = 1200;
/// Bins of a histogram in each factor of ten.
const BINS_PER_DECADE: i32 = 8;

/// Times, as many as there may be.
#[derive(Debug, Clone, Default)]
pub struct Times {
    count: u64,
    least: Duration,
    most: Duration,
    exact: Vec<Duration>,
    /// Empty while all are exact.
    buckets: Vec<u64>,
}

/// What is said of many times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// How many.
    pub count: u64,
    /// Half were no longer.
    pub p50: Duration,
    /// 95 of 100 were no longer.
    pub p95: Duration,
    /// 99 of 100 were no longer.
    pub p99: Duration,
    /// The longest.
    pub max: Duration,
}

/// One bin of a histogram; times at its end belong to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bin {
    /// Its beginning.
    pub from: Duration,
    /// Its end.
    pub to: Duration,
    /// How many times fall into it.
    pub count: u64,
}

impl Times {
    /// Takes one in.
    pub fn add(&mut self, time: Duration) {
        self.least = if self.count == 0 { time } else { self.least.min(time) };
        self.most = self.most.max(time);
        self.count += 1;
        if !self.buckets.is_empty() {
            self.buckets[bucket(time)] += 1;
        } else if self.exact.len() < EXACT {
            self.exact.push(time);
        } else {
            self.buckets = vec![0; BUCKETS];
            for time in std::mem::take(&mut self.exact).into_iter().chain([time]) {
                self.buckets[bucket(time)] += 1;
            }
        }
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The quantile by nearest rank: the shortest time that at least this part of all does not exceed. `None` where there are none.
    pub fn quantile(&self, part: f64) -> Option<Duration> {
        let rank = ((part * self.count as f64).ceil() as u64).clamp(1, self.count.max(1));
        let mut seen = 0;
        let (time, _) = self.sorted().into_iter().find(|(_, count)| {
            seen += count;
            seen >= rank
        })?;
        Some(time.clamp(self.least, self.most))
    }

    /// The quantiles that are reported. `None` where there are no times.
    pub fn summary(&self) -> Option<Summary> {
        Some(Summary {
            count: self.count,
            p50: self.quantile(0.5)?,
            p95: self.quantile(0.95)?,
            p99: self.quantile(0.99)?,
            max: self.most,
        })
    }

    /// How the times are spread, in bins of equal width on a logarithmic scale; without empty ones at either end.
    pub fn histogram(&self) -> Vec<Bin> {
        let mut counts = BTreeMap::new();
        for (time, count) in self.sorted() {
            *counts.entry(bin(time.clamp(self.least, self.most))).or_default() += count;
        }
        let (first, last) = (counts.keys().next().copied(), counts.keys().last().copied());
        let all = first.zip(last).map(|(first, last)| first..=last);
        let count = |at: i32| counts.get(&at).copied().unwrap_or_default();
        all.into_iter().flatten().map(|at| Bin { from: edge(at), to: edge(at + 1), count: count(at) }).collect()
    }

    /// Each time and how often it came, ascending.
    fn sorted(&self) -> Vec<(Duration, u64)> {
        if self.buckets.is_empty() {
            let mut times = self.exact.clone();
            times.sort_unstable();
            return times.into_iter().map(|time| (time, 1)).collect();
        }
        let filled = self.buckets.iter().enumerate().filter(|(_, count)| **count > 0);
        filled.map(|(at, count)| (middle(at), *count)).collect()
    }
}

fn bucket(time: Duration) -> usize {
    let at = (time.as_secs_f64() / SHORTEST).max(1.0).ln() / WIDTH.ln();
    (at as usize).min(BUCKETS - 1)
}

/// The geometric middle of a bucket: at most 1 % from both ends.
fn middle(bucket: usize) -> Duration {
    Duration::from_secs_f64(SHORTEST * WIDTH.powf(bucket as f64 + 0.5))
}

/// Which bin a time falls into; 0 begins at 10 µs.
fn bin(time: Duration) -> i32 {
    let at = (time.as_secs_f64().max(1e-5).log10() + 5.0) * f64::from(BINS_PER_DECADE);
    // The beginning of a bin belongs to it, whatever its logarithm rounds to.
    (at + 1e-6).floor() as i32
}

fn edge(bin: i32) -> Duration {
    Duration::from_nanos(10_f64.powf(f64::from(bin) / f64::from(BINS_PER_DECADE) + 4.0).round() as u64)
}

/// How large the true part of failures may be, with 95 % confidence, if `failed` of `trials` drawn at random failed.
///
/// The upper bound of Clopper and Pearson, one-sided and exact: the largest part for which so few failures have a chance of at least 5 %.
/// For no failure it is 1 - 0.05^(1/n), just below 3/n. 1 where there were no trials.
pub fn upper_bound(failed: u64, trials: u64) -> f64 {
    if trials == 0 || failed >= trials {
        return 1.0;
    }
    let (mut low, mut high) = (failed as f64 / trials as f64, 1.0);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if at_most(failed, trials, middle) > 0.05 { low = middle } else { high = middle }
    }
    high
}

/// The chance of at most `failed` failures in `trials`, each with the chance `p`, which is above 0 and below 1.
fn at_most(failed: u64, trials: u64, p: f64) -> f64 {
    // In logarithms: (1-p)^n may be too small for a number.
    let odds = p.ln() - (1.0 - p).ln();
    let mut term = trials as f64 * (1.0 - p).ln();
    let mut sum = term.exp();
    for k in 0..failed {
        term += ((trials - k) as f64).ln() - ((k + 1) as f64).ln() + odds;
        sum += term.exp();
    }
    sum
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(micros: impl IntoIterator<Item = u64>) -> Times {
        let mut times = Times::default();
        micros.into_iter().for_each(|us| times.add(Duration::from_micros(us)));
        times
    }

    #[test]
    fn few_times_are_exact() {
        let summary = of((1..=100).rev().map(|n| n * 1000)).summary().unwrap();

        let ms = |n| Duration::from_millis(n);
        assert_eq!(summary, Summary { count: 100, p50: ms(50), p95: ms(95), p99: ms(99), max: ms(100) });
        assert_eq!(of([]).summary(), None);
        assert_eq!(of([7]).summary().unwrap().p50, Duration::from_micros(7));
    }

    #[test]
    fn many_times_cost_no_more_memory() {
        let mut times = of((0..100_000).map(|n| n * n % 977_000));

        let size = times.exact.capacity() + times.buckets.capacity();
        (0..100_000).for_each(|n| times.add(Duration::from_micros(n)));

        assert_eq!(times.exact.capacity() + times.buckets.capacity(), size);
        assert_eq!(times.count(), 200_000);
    }

    #[test]
    fn a_histogram_counts_everything_once() {
        let histogram = of([1, 99, 100, 101, 5000, 5001, 2_000_000]).histogram();

        assert_eq!(histogram.iter().map(|bin| bin.count).sum::<u64>(), 7);
        assert!(histogram.windows(2).all(|pair| pair[0].to == pair[1].from));
        assert_eq!(histogram[0].count, 1);
        assert!(histogram.iter().any(|bin| bin.count == 2 && bin.from == Duration::from_micros(100)));
        assert_eq!(of([]).histogram(), []);
    }

    #[test]
    fn bounds_agree_with_published_tables() {
        let close = |failed, trials, expected: f64| {
            let bound = upper_bound(failed, trials);
            assert!((bound - expected).abs() < 0.0005, "{failed} of {trials}: {bound}");
        };
        // One-sided upper limits of 95 % for a binomial part.
        close(0, 10, 0.2589);
        close(1, 10, 0.3942);
        close(2, 10, 0.5069);
        close(0, 30, 0.0950);
        close(0, 300, 0.0099);
        close(3, 300, 0.0256);
        assert_eq!((upper_bound(0, 0), upper_bound(5, 5)), (1.0, 1.0));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn the_bound_keeps_its_promise(trials in 1_u64..5_000, part in 0.0_f64..1.0) {
            let failed = ((trials as f64 * part) as u64).min(trials - 1);

            let bound = upper_bound(failed, trials);

            prop_assert!(bound > failed as f64 / trials as f64 && bound <= 1.0);
            prop_assert!((at_most(failed, trials, bound) - 0.05).abs() < 1e-6);
            prop_assert!(failed > 0 || bound <= 3.0 / trials as f64);
        }

        #[test]
        fn a_sketch_is_within_one_percent(micros in prop::collection::vec(1_u64..50_000_000, EXACT + 1..EXACT + 500), part in 0.0_f64..=1.0) {
            let mut sorted = micros.clone();
            sorted.sort_unstable();
            let rank = ((part * sorted.len() as f64).ceil() as usize).max(1);
            let exact = sorted[rank - 1] as f64 / 1e6;

            let found = of(micros).quantile(part).unwrap().as_secs_f64();

            prop_assert!((found / exact - 1.0).abs() < 0.0101, "{found} {exact}");
        }
    }
}
