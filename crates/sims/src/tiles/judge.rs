//! Decides what happens to a request: pure, told what was asked and when.

use std::{collections::HashMap, time::Duration};

use super::{
    chance::unit,
    script::{Delay, Fault, Limit, Rule, Script, Site, To},
    tile::Tile,
};

/// What keeps the choice of requests apart from the choice of tiles.
const SALT_CHANCE: u64 = 1 << 32;
const SALT_DELAY: u64 = 2 << 32;

/// A request for a tile.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ask {
    pub(crate) tile: Tile,
    pub(crate) site: Site,
    /// Whether a redirect has led here.
    pub(crate) redirected: bool,
}

/// What happens to it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Verdict {
    pub(crate) wait: Wait,
    /// The place of the rule that decided, and its fault.
    pub(crate) fault: Option<(usize, Fault)>,
}

/// How long the answer takes to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    For(Duration),
    Ever,
}

impl Default for Wait {
    fn default() -> Self {
        Self::For(Duration::ZERO)
    }
}

impl Wait {
    fn and(self, delay: Option<Duration>) -> Self {
        match (self, delay) {
            (Self::For(wait), Some(delay)) => Self::For(wait.saturating_add(delay)),
            _ => Self::Ever,
        }
    }
}

/// Remembers what the rules count: requests, tries of each tile, and what is left of each limit.
#[derive(Debug)]
pub(crate) struct Judge {
    seed: u64,
    rules: Vec<Rule>,
    buckets: HashMap<(usize, Site), Bucket>,
    requests: u64,
    tries: HashMap<Tile, u32>,
}

impl Judge {
    pub(crate) fn new(script: &Script) -> Self {
        let (buckets, tries) = (HashMap::new(), HashMap::new());
        Self { seed: script.seed, rules: script.rules.clone(), buckets, requests: 0, tries }
    }

    pub(crate) fn decide(&mut self, ask: Ask, now: Duration) -> Verdict {
        self.requests += 1;
        let tries = self.tries.entry(ask.tile).or_default();
        *tries += 1;
        let occasion = Occasion { ask, now, request: self.requests, try_: *tries, seed: self.seed };
        let mut wait = Wait::default();
        for (at, rule) in self.rules.iter().enumerate() {
            if !occasion.strikes(rule, at as u64) {
                continue;
            }
            match &rule.fault {
                Fault::Delay(delay) => wait = wait.and(occasion.delay(*delay, at as u64)),
                Fault::Limit(limit) => {
                    let bucket = self.buckets.entry((at, ask.site)).or_insert(Bucket { left: limit.burst, at: now });
                    if !bucket.take(limit, now) {
                        return Verdict { wait, fault: Some((at, rule.fault.clone())) };
                    }
                }
                fault => return Verdict { wait, fault: Some((at, fault.clone())) },
            }
        }
        Verdict { wait, fault: None }
    }
}

/// One request, with everything a rule may ask about.
struct Occasion {
    ask: Ask,
    now: Duration,
    request: u64,
    try_: u32,
    seed: u64,
}

impl Occasion {
    fn strikes(&self, rule: &Rule, salt: u64) -> bool {
        // What has been redirected arrives, unless the redirect leads to where it began.
        let moved = self.ask.redirected
            && matches!(rule.fault, Fault::Redirect { to: To::SameHost | To::OtherHost | To::Hops(_), .. });
        !moved
            && rule.site.is_none_or(|site| site == self.ask.site)
            && rule.requests.contains(&self.request)
            && self.request.is_multiple_of(rule.every)
            && rule.tries.contains(&self.try_)
            && rule.during.contains(&self.now)
            && rule.which.holds(self.ask.tile, self.seed, salt)
            && (rule.chance >= 1.0 || self.unit(SALT_CHANCE + salt) < rule.chance)
    }

    /// `None`: for ever.
    fn delay(&self, delay: Delay, salt: u64) -> Option<Duration> {
        match delay {
            Delay::Fixed(time) => Some(time),
            Delay::Exponential(mean) => {
                let times = -(1.0 - self.unit(SALT_DELAY + salt)).ln();
                Some(mean.mul_f64(times.clamp(0.0, 10.0)))
            }
            Delay::Never => None,
        }
    }

    fn unit(&self, salt: u64) -> f64 {
        let Tile { z, x, y } = self.ask.tile;
        unit(self.seed, &[salt, u64::from(z), u64::from(x), u64::from(y), u64::from(self.try_)])
    }
}

#[derive(Debug)]
struct Bucket {
    left: f64,
    at: Duration,
}

impl Bucket {
    fn take(&mut self, limit: &Limit, now: Duration) -> bool {
        let passed = now.saturating_sub(self.at).as_secs_f64();
        self.left = (self.left + passed * limit.per_second).min(limit.burst);
        self.at = now;
        let enough = self.left >= 1.0;
        if enough {
            self.left -= 1.0;
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tiles::{Which, script::RetryAfter};

    const NOW: Duration = Duration::ZERO;

    fn ask(x: u32) -> Ask {
        Ask { tile: Tile::new(14, x, 0), site: Site::Main, redirected: false }
    }

    fn judge(rules: impl IntoIterator<Item = Rule>) -> Judge {
        Judge::new(&Script { seed: 7, rules: rules.into_iter().collect(), ..Script::default() })
    }

    /// Which of the first `count` requests, each for another tile, are struck.
    fn struck(rule: Rule, count: u32) -> Vec<u32> {
        let mut judge = judge([rule]);
        (1..=count).filter(|x| judge.decide(ask(*x), NOW).fault.is_some()).collect()
    }

    fn failing() -> Rule {
        Rule::new(Fault::status(500))
    }

    #[test]
    fn a_rule_strikes_the_requests_it_names_and_no_other() {
        assert_eq!(struck(failing(), 4), [1, 2, 3, 4]);
        assert_eq!(struck(failing().requests(2..=3), 4), [2, 3]);
        assert_eq!(struck(failing().every(3), 7), [3, 6]);
        assert_eq!(struck(failing().which(Which::all().zooms(0..=13)), 4), Vec::<u32>::new());
        assert_eq!(struck(failing().which(Which::tile(Tile::new(14, 2, 0))), 4), [2]);
        assert_eq!(struck(failing().on(Site::Other), 4), Vec::<u32>::new());
        let columns = Which { columns: 3..=9, ..Which::all() };
        assert_eq!(struck(failing().which(columns), 4), [3, 4]);
    }

    #[test]
    fn a_share_is_of_tiles_and_a_chance_is_of_requests() {
        let of_tiles = struck(failing().share(0.1), 5000);
        assert!((430..570).contains(&of_tiles.len()), "{} of 5000", of_tiles.len());
        let mut judge_ = judge([failing().share(0.1)]);
        for _ in 0..3 {
            assert!(of_tiles.iter().all(|x| judge_.decide(ask(*x), NOW).fault.is_some()), "at every try");
        }

        let mut judge_ = judge([failing().chance(0.1)]);
        let again = (0..5000).filter(|_| judge_.decide(ask(1), NOW).fault.is_some()).count();
        assert!((430..570).contains(&again), "{again} of 5000");
    }

    #[test]
    fn a_choice_depends_on_the_seed_the_tile_and_the_try_but_not_on_the_order() {
        let rules = [failing().share(0.3), failing().chance(0.3), failing().first_tries(1).chance(0.3)];
        let verdicts = |order: &[u32]| {
            let mut judge = judge(rules.clone());
            let mut all: Vec<(u32, bool)> =
                order.iter().map(|x| (*x, judge.decide(ask(*x), NOW).fault.is_some())).collect();
            all.sort_unstable();
            all
        };
        let up: Vec<u32> = (0..500).collect();
        let down: Vec<u32> = (0..500).rev().collect();

        assert_eq!(verdicts(&up), verdicts(&down));
    }

    #[test]
    fn the_first_tries_fail_and_then_it_goes_well() {
        let mut judge = judge([failing().first_tries(2)]);

        let fails: Vec<bool> = (0..4).map(|_| judge.decide(ask(1), NOW).fault.is_some()).collect();

        assert_eq!(fails, [true, true, false, false]);
        assert!(judge.decide(ask(2), NOW).fault.is_some(), "each tile counts for itself");
    }

    #[test]
    fn a_window_of_time_ends() {
        let second = Duration::from_secs(1);
        let mut judge = judge([failing().during(second..second * 2)]);

        let fails: Vec<bool> = (0..6).map(|half| judge.decide(ask(1), second * half / 2).fault.is_some()).collect();

        assert_eq!(fails, [false, false, true, true, false, false]);
    }

    #[test]
    fn delays_add_up_and_the_first_other_fault_decides() {
        let second = Duration::from_secs(1);
        let delay = |delay| Rule::new(Fault::Delay(delay));
        let mut judge_ = judge([
            delay(Delay::Fixed(second)),
            delay(Delay::Fixed(second)),
            failing(),
            delay(Delay::Never),
            Rule::new(Fault::reset()),
        ]);
        let verdict = judge_.decide(ask(1), NOW);
        assert_eq!(verdict, Verdict { wait: Wait::For(second * 2), fault: Some((2, Fault::status(500))) });

        let mut never = judge([delay(Delay::Never), delay(Delay::Fixed(second))]);
        assert_eq!(never.decide(ask(1), NOW).wait, Wait::Ever);
    }

    #[test]
    fn exponential_delays_have_the_mean_they_are_told() {
        let mean = Duration::from_millis(50);
        let mut judge = judge([Rule::new(Fault::Delay(Delay::Exponential(mean)))]);

        let waits: Vec<Duration> = (0..5000)
            .map(|x| match judge.decide(ask(x), NOW).wait {
                Wait::For(time) => time,
                Wait::Ever => panic!("it ends"),
            })
            .collect();

        let found = waits.iter().sum::<Duration>() / 5000;
        assert!((mean * 9 / 10..mean * 11 / 10).contains(&found), "{found:?}");
        assert!(waits.iter().any(|wait| *wait > mean * 3) && waits.iter().all(|wait| *wait <= mean * 10));
    }

    #[test]
    fn a_limit_accepts_its_burst_then_its_rate_for_each_host() {
        let limit = Limit { retry_after: Some(RetryAfter::Date(2)), ..Limit::new(10.0, 5.0) };
        let mut judge = judge([Rule::new(Fault::Limit(limit))]);
        let mut accepted = |site, now: Duration| {
            let ask = Ask { site, ..ask(1) };
            (0..20).filter(|_| judge.decide(ask, now).fault.is_none()).count()
        };

        assert_eq!(accepted(Site::Main, NOW), 5);
        assert_eq!(accepted(Site::Main, Duration::from_millis(300)), 3);
        assert_eq!(accepted(Site::Other, Duration::from_millis(300)), 5);
        assert_eq!(accepted(Site::Main, Duration::from_secs(60)), 5, "no more than the burst is saved up");
    }

    #[test]
    fn what_was_redirected_arrives_and_a_loop_does_not_end() {
        let redirect = |to| Rule::new(Fault::Redirect { code: 301, to });
        let redirected = Ask { redirected: true, ..ask(1) };

        for (to, again) in [(To::SameHost, false), (To::OtherHost, false), (To::Hops(3), false), (To::Itself, true)] {
            let mut judge = judge([redirect(to)]);
            assert!(judge.decide(ask(1), NOW).fault.is_some(), "{to:?}");
            assert_eq!(judge.decide(redirected, NOW).fault.is_some(), again, "{to:?}");
        }
    }
}
