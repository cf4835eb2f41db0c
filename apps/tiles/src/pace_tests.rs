use std::{cmp::Reverse, collections::BinaryHeap};

use super::*;

const MS: Duration = Duration::from_millis(1);
const S: Duration = Duration::from_secs(1);

/// A server that exists only in numbers. It has an own clock of requests: nothing here is random unless seeded.
struct Origin {
    delay: Duration,
    /// So many requests at once double the delay.
    crowd: f64,
    /// Requests a second that it can answer, after which they queue.
    capacity: f64,
    busy_until: Time,
    /// Requests a second that it allows, and how many at once.
    allows: Option<(f64, f64)>,
    tokens: f64,
    at: Time,
    retry_after: Duration,
    /// From when on its delay is another one.
    later: Option<(Time, Duration)>,
    /// From when to when it answers with errors only, after a tenth of the delay.
    fails: std::ops::Range<Time>,
    /// Of so many tiles one takes so long instead, at random.
    tail: Option<(u64, Duration)>,
    /// The first tiles that never answer: they are given up after ten seconds.
    never: u32,
    random: u64,
}

impl Origin {
    fn new(delay: Duration) -> Self {
        Self {
            delay,
            crowd: 1e9,
            capacity: 1e9,
            busy_until: Time::ZERO,
            allows: None,
            tokens: 0.0,
            at: Time::ZERO,
            retry_after: S,
            later: None,
            fails: Time::ZERO..Time::ZERO,
            tail: None,
            never: 0,
            random: 7,
        }
    }

    fn allowing(rate: f64, burst: f64) -> Self {
        Self { allows: Some((rate, burst)), tokens: burst, ..Self::new(50 * MS) }
    }

    /// What it says to a request that comes now, and when the answer is there.
    fn answer(&mut self, now: Time, at_once: u32) -> (Load, Time) {
        if let Some((_, delay)) = self.later.filter(|(from, _)| now >= *from) {
            self.delay = delay;
        }
        if self.fails.contains(&now) {
            return (Load::Trouble, now + self.delay / 10);
        }
        if let Some((rate, burst)) = self.allows {
            self.tokens = (self.tokens + (now - self.at).as_secs_f64() * rate).min(burst);
            self.at = now;
            if self.tokens < 1.0 {
                return (Load::Refused, now + self.delay);
            }
            self.tokens -= 1.0;
        }
        if self.never > 0 {
            self.never -= 1;
            return (Load::Trouble, now + 10 * S);
        }
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        if let Some((every, long)) = self.tail
            && (self.random >> 33).is_multiple_of(every)
        {
            return (Load::Fine, now + long);
        }
        self.busy_until = self.busy_until.max(now) + Duration::from_secs_f64(1.0 / self.capacity);
        (Load::Fine, self.busy_until + self.delay.mul_f64(1.0 + f64::from(at_once) / self.crowd))
    }
}

#[derive(Debug, Default)]
struct Seen {
    took: Time,
    accepted: u64,
    refused: u64,
    errors: u64,
    most_at_once: u32,
    fewest_slots: Option<u32>,
    /// Moment, slots and reason at the end of each second.
    seconds: Vec<(Limits, u64)>,
}

impl Seen {
    fn rate(&self) -> f64 {
        self.accepted as f64 / self.took.as_secs_f64()
    }
}

/// Fetches until so many requests were accepted or the time is over. What was refused or failed is asked again.
fn fetch(pace: &mut Pace, origin: &mut Origin, wanted: u64, until: Time) -> Seen {
    let mut seen = Seen::default();
    let mut answers: BinaryHeap<Reverse<(Time, Time, u8)>> = BinaryHeap::new();
    let mut now = Time::ZERO;
    while seen.accepted < wanted && now < until {
        let wake = loop {
            match pace.ask(now) {
                Permit::Go => {
                    let (load, at) = origin.answer(now, pace.in_flight());
                    answers.push(Reverse((at, now, load as u8)));
                    seen.most_at_once = seen.most_at_once.max(pace.in_flight());
                }
                // Timers have a grain of a millisecond.
                Permit::Wait(until) => break Some(MS * until.as_nanos().div_ceil(1_000_000) as u32),
                Permit::Full => break None,
            }
        };
        let next = answers.peek().map(|Reverse((at, ..))| *at);
        let before = now;
        now = match (wake, next) {
            (Some(wake), Some(next)) => wake.min(next),
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => panic!("it waits for an answer, and nothing was asked: {pace:?}"),
        };
        assert!(now >= before && (now > before || next == Some(now)), "time goes on");
        while answers.peek().is_some_and(|Reverse((at, ..))| *at <= now) {
            let Some(Reverse((_, sent, load))) = answers.pop() else { break };
            let load = [Load::Fine, Load::Refused, Load::Trouble][usize::from(load)];
            match load {
                Load::Fine => seen.accepted += 1,
                Load::Refused => seen.refused += 1,
                Load::Trouble => seen.errors += 1,
            }
            pace.answered(now, sent, load);
            seen.fewest_slots = seen.fewest_slots.into_iter().chain([pace.limits(now).slots]).min();
            if load == Load::Refused {
                pace.pause(now, now + origin.retry_after, Why::Refused(429));
            }
        }
        while seen.seconds.len() < now.as_secs() as usize {
            seen.seconds.push((pace.limits(now), seen.accepted));
        }
    }
    seen.took = now;
    seen
}

#[test]
fn a_far_host_gets_all_slots_within_two_seconds() {
    let mut pace = Pace::new(4, 500, None);
    let seen = fetch(&mut pace, &mut Origin::new(50 * MS), u64::MAX, 60 * S);

    assert_eq!(seen.seconds[2].0, Limits { slots: 500, rate: None, reason: Reason::Ceiling });
    assert_eq!(seen.seconds[0].0.reason, Reason::Starting);
    let after_start = (seen.accepted - seen.seconds[2].1) as f64 / 57.0;
    assert!(after_start >= 0.9 * 10_000.0, "{after_start} a second of 10,000");
    assert!(seen.rate() >= 0.9 * 10_000.0, "{} a second with the start", seen.rate());
}

#[test]
fn tiles_that_take_long_by_themselves_keep_no_slots_from_the_others() {
    for (start, ceiling, every, long) in [(4, 64, 20, 5 * S), (4, 16, 20, 5 * S), (4, 64, 100, 5 * S), (16, 500, 10, S)]
    {
        let mut rates = Vec::new();
        for random in 1..=4 {
            let mut pace = Pace::new(start, ceiling, None);
            let mut origin = Origin { tail: Some((every, long)), random, ..Origin::new(5 * MS) };
            let seen = fetch(&mut pace, &mut origin, u64::MAX, 60 * S);
            rates.push(seen.rate());
        }

        let mean = (long.as_secs_f64() + (every - 1) as f64 * 0.005) / every as f64;
        let best = f64::from(ceiling) / mean;
        let worst = rates.into_iter().reduce(f64::min).unwrap();
        let what = format!("one in {every} takes {long:?}, {ceiling} slots: {worst:.0} of {best:.0} a second");
        println!("{what}");
        assert!(worst >= 0.8 * best, "{what}");
    }
}

#[test]
fn two_tiles_that_never_answer_cost_no_slots() {
    let mut pace = Pace::new(4, 4, None);
    let seen = fetch(&mut pace, &mut Origin { never: 2, ..Origin::new(20 * MS) }, u64::MAX, 15 * S);

    assert_eq!((seen.errors, seen.fewest_slots), (2, Some(4)));
}

#[test]
fn where_many_of_all_tiles_never_answer_there_are_fewer_slots() {
    let mut pace = Pace::new(64, 64, None);
    let seen = fetch(&mut pace, &mut Origin { never: 50, ..Origin::new(200 * MS) }, u64::MAX, 15 * S);

    assert_eq!(seen.seconds[8].0.slots, 64);
    assert!(seen.seconds[9].0.slots <= 32, "{:?}", seen.seconds);
}

#[test]
fn a_rate_that_was_asked_for_gets_the_slots_it_needs_and_no_more() {
    let tail = Some((20, 5 * S));
    for (delay, tail, least, slots) in [
        (50 * MS, None, 98.0, 4..=8),
        (500 * MS, None, 98.0, 50..=64),
        (S, None, 62.0, 64..=64),
        (5 * MS, Some((20, S)), 98.0, 8..=64),
        (5 * MS, Some((10, S)), 98.0, 8..=64),
        (5 * MS, Some((5, 500 * MS)), 98.0, 8..=64),
        (5 * MS, tail, 98.0, 30..=64),
    ] {
        let mut pace = Pace::new(4, 64, Some(100.0));
        let seen = fetch(&mut pace, &mut Origin { tail, ..Origin::new(delay) }, u64::MAX, 60 * S);

        let ((_, before), (limits, after)) = (seen.seconds[18], seen.seconds[58]);
        let rate = (after - before) as f64 / 40.0;
        let what = format!("{delay:?}: {rate:.1} a second, {} slots", limits.slots);
        println!("{what}");
        assert!(rate >= least && slots.contains(&limits.slots), "{what}");
    }
}

#[test]
fn no_job_begins_with_the_few_slots_of_a_bad_one() {
    assert_eq!([(1, 64), (9, 64), (1, 2)].map(|(start, most)| Pace::new(start, most, None).slots.count()), [4, 9, 2]);
}

#[test]
fn no_rate_grows_without_end() {
    let mut pace = Pace::new(4, 64, Some(f64::INFINITY));
    assert_eq!(pace.ask(S), Permit::Go);
    pace.answered(S, S, Load::Refused);
    pace.pause(S, 2 * S, Why::Refused(429));
    for now in [2 * S, 3 * S, 3_000_000 * S, 3_000_001 * S] {
        if pace.ask(now) == Permit::Go {
            pace.answered(now, now, Load::Fine);
        }
        assert!(pace.limits(now).rate.unwrap() <= 1e6, "{:?}", pace.limits(now));
    }
}

#[test]
fn a_host_that_is_full_gets_no_more_slots_than_make_it_faster() {
    for start in [4, 60] {
        let mut pace = Pace::new(start, 500, None);
        let mut origin = Origin { capacity: 1000.0, ..Origin::new(20 * MS) };
        let seen = fetch(&mut pace, &mut origin, u64::MAX, 60 * S);

        assert!(seen.rate() >= 950.0, "{} a second of 1,000", seen.rate());
        // 20 slots keep it busy; at 40 an answer takes twice as long as it has to.
        let slots: Vec<u32> = seen.seconds[20..].iter().map(|(limits, _)| limits.slots).collect();
        assert!(slots.iter().all(|slots| (15..=66).contains(slots)), "{slots:?}");
    }
}

#[test]
fn a_host_that_gets_slower_with_every_request_is_not_crowded() {
    let mut pace = Pace::new(4, 500, None);
    // 20 at once take twice as long as one; the rate would grow up to a thousand at once.
    let seen = fetch(&mut pace, &mut Origin { crowd: 20.0, ..Origin::new(20 * MS) }, u64::MAX, 25 * S);

    let slots: Vec<u32> = seen.seconds[5..].iter().map(|(limits, _)| limits.slots).collect();
    assert!(slots.iter().all(|slots| (15..=35).contains(slots)), "{slots:?}");
}

#[test]
fn answers_that_take_longer_by_themselves_cost_no_slots() {
    let mut pace = Pace::new(4, 64, None);
    let mut origin = Origin { later: Some((10 * S, 400 * MS)), ..Origin::new(10 * MS) };
    let seen = fetch(&mut pace, &mut origin, u64::MAX, 40 * S);

    let slots: Vec<u32> = seen.seconds.iter().map(|(limits, _)| limits.slots).collect();
    assert_eq!(slots[9], 64);
    assert!(slots[10..].iter().all(|slots| *slots >= 50), "{slots:?}");
}

#[test]
fn a_limit_of_a_thousand_a_second_is_nearly_reached_and_hardly_touched() {
    for (delay, burst, least, most) in [
        // The one that is promised; then nearer and farther ones, with more and less credit.
        (50 * MS, 200.0, 900.0, 0.005),
        (MS / 2, 200.0, 900.0, 0.005),
        (5 * MS, 200.0, 900.0, 0.005),
        (200 * MS, 200.0, 850.0, 0.005),
        (50 * MS, 50.0, 850.0, 0.005),
        (50 * MS, 1000.0, 900.0, 0.01),
        (MS / 2, 50.0, 800.0, 0.005),
        (MS / 2, 1.0, 400.0, 0.005),
        (50 * MS, 1.0, 100.0, 0.005),
    ] {
        let mut pace = Pace::new(4, 500, None);
        let mut origin = Origin { delay, ..Origin::allowing(1000.0, burst) };
        let seen = fetch(&mut pace, &mut origin, 50_000, 600 * S);

        let refused = seen.refused as f64 / (seen.accepted + seen.refused) as f64;
        let what = format!("{delay:?}, burst {burst}: {:.0} a second, {refused:.4} refused", seen.rate());
        println!("{what}");
        assert!(refused <= most && seen.rate() >= least, "{what}");
        assert_eq!(seen.seconds[30].0.reason, Reason::Allowed, "{what}");
    }
}

#[test]
fn a_low_limit_with_much_credit_is_found_in_a_few_pauses() {
    let mut pace = Pace::new(4, 64, None);
    let mut origin = Origin { delay: 5 * MS, ..Origin::allowing(10.0, 100.0) };
    let seen = fetch(&mut pace, &mut origin, 2000, 900 * S);

    assert!(seen.rate() >= 8.0 && seen.refused <= 40, "{} a second of 10, {} refused", seen.rate(), seen.refused);
}

#[test]
fn a_limit_by_the_minute_is_spread_over_the_minute() {
    let mut pace = Pace::new(4, 64, None);
    // 600 a minute, all at once if one likes.
    let mut origin = Origin { retry_after: 60 * S, ..Origin::allowing(10.0, 600.0) };
    let seen = fetch(&mut pace, &mut origin, 3000, 900 * S);

    assert!(seen.rate() >= 8.0, "{} a second of 10", seen.rate());
    assert!(seen.refused <= 100, "{} refused", seen.refused);
}

#[test]
fn a_host_that_was_down_for_a_minute_is_soon_asked_as_before() {
    for (status, slowly) in [(429, true), (503, false)] {
        let mut pace = Pace::new(4, 4, None);
        for i in 0..20 {
            assert_eq!(pace.ask(i * MS), Permit::Go);
            pace.answered(i * MS, i * MS, Load::Fine);
        }
        assert_eq!(pace.ask(30 * MS), Permit::Go);
        pace.answered(30 * MS, 30 * MS, Load::Refused);
        let until = Duration::from_secs(60);
        pace.pause(30 * MS, until, Why::Refused(status));
        assert_eq!(pace.ask(until), Permit::Go);
        pace.answered(until, until, Load::Fine);

        let rate = pace.limits(until).rate.unwrap();

        assert_eq!(rate < 1.0, slowly, "{status}: {rate}");
    }
}

#[test]
fn a_person_gets_the_rate_that_was_asked_for() {
    let mut pace = Pace::new(4, 64, Some(25.0));
    let seen = fetch(&mut pace, &mut Origin::new(50 * MS), u64::MAX, 60 * S);

    assert!((24.5..=25.5).contains(&seen.rate()), "{}", seen.rate());
    assert_eq!(seen.seconds[30].0, Limits { slots: 4, rate: Some(25.0), reason: Reason::Asked });
    assert_eq!(seen.most_at_once, 2);
}

#[test]
fn a_host_that_fails_is_asked_ten_times_a_second_and_found_again() {
    let mut pace = Pace::new(4, 64, None);
    let mut origin = Origin { fails: 10 * S..20 * S, ..Origin::new(20 * MS) };
    let seen = fetch(&mut pace, &mut origin, u64::MAX, 40 * S);

    assert!((50..400).contains(&seen.errors), "{} errors", seen.errors);
    assert_eq!((seen.seconds[15].0.rate, seen.seconds[15].0.reason), (Some(CRAWL), Reason::Failing));
    let slots: Vec<u32> = seen.seconds.iter().map(|(limits, _)| limits.slots).collect();
    assert!(slots[9] == 64 && slots[30] >= 60, "{slots:?}");
    let lost = 64 * 50 * 30 - seen.accepted;
    assert!(lost < 64 * 50 * 5, "{lost} fewer than without the failure");
}

#[test]
fn some_errors_halve_the_slots_and_a_few_do_not() {
    for (every, slots, reason) in [(100, 16, Reason::Ceiling), (25, 8, Reason::Errors)] {
        let mut pace = Pace::new(16, 16, None);
        for i in 0..250_u32 {
            assert_eq!(pace.ask(i * MS), Permit::Go);
            pace.answered(i * MS + MS, i * MS, if i % every == 0 { Load::Trouble } else { Load::Fine });
        }
        pace.slots.were_full();
        assert_eq!(pace.ask(250 * MS), Permit::Go);
        pace.answered(251 * MS, 250 * MS, Load::Fine);

        let limits = pace.limits(251 * MS);
        assert_eq!(limits.slots, slots, "an error in {every}");
        assert!(every == 100 || limits.reason == reason);
    }
}

#[test]
fn a_burst_of_errors_halves_the_slots_at_once() {
    let mut pace = Pace::new(4, 16, None);
    let mut now = Time::ZERO;
    let mut answer = |load| {
        now += MS / 10;
        assert_eq!(pace.ask(now), Permit::Go);
        pace.answered(now, now, load);
        pace.limits(now).slots
    };

    // One connection is refused as often as it is tried, while three work.
    let loads = [Load::Fine, Load::Trouble, Load::Trouble, Load::Fine, Load::Trouble, Load::Trouble];
    assert!(loads.into_iter().all(|load| answer(load) == 4));
    assert_eq!(answer(Load::Trouble), 2);
    assert_eq!(answer(Load::Trouble), 2, "what follows is another burst");
}

#[test]
fn a_refusal_stops_everything_and_one_request_goes_ahead() {
    let mut pace = Pace::new(8, 8, None);
    let why = Why::Refused(429);
    for _ in 0..8 {
        assert_eq!(pace.ask(S), Permit::Go);
    }
    assert_eq!(pace.ask(S), Permit::Full);

    pace.answered(2 * S, S, Load::Refused);
    pace.pause(2 * S, 5 * S, why);
    pace.answered(2 * S, S, Load::Refused);
    pace.pause(2 * S, 4 * S, why);
    for _ in 0..5 {
        pace.answered(2 * S, S, Load::Fine);
    }
    assert_eq!(pace.limits(2 * S).reason, Reason::Paused { until: 5 * S, why }, "the latest moment counts");
    assert_eq!(pace.ask(4 * S), Permit::Wait(5 * S));

    assert_eq!((pace.ask(5 * S), pace.ask(5 * S)), (Permit::Go, Permit::Full));
    pace.answered(5 * S, S, Load::Fine);
    assert_eq!(pace.limits(5 * S).reason, Reason::Probing(why), "what was sent before the pause says nothing");
    pace.dropped(6 * S);
    assert_eq!(pace.ask(6 * S), Permit::Go, "a probe that was cancelled has said nothing");
    pace.answered(7 * S, 6 * S, Load::Refused);
    pace.pause(7 * S, 9 * S, why);
    assert_eq!(pace.ask(8 * S), Permit::Wait(9 * S));
    assert_eq!(pace.ask(9 * S), Permit::Go);
    pace.answered(10 * S, 9 * S, Load::Fine);
    assert_eq!(pace.in_flight(), 0);
    assert!(pace.limits(10 * S).rate.is_some_and(|rate| rate > 0.5), "{:?}", pace.limits(10 * S));
}

#[test]
fn a_host_that_could_not_be_reached_gets_no_rate_for_it() {
    let mut pace = Pace::new(8, 8, None);
    assert_eq!(pace.ask(S), Permit::Go);
    pace.answered(2 * S, S, Load::Trouble);
    pace.pause(2 * S, 3 * S, Why::Unreachable);

    assert_eq!(pace.ask(3 * S), Permit::Go);
    pace.answered(4 * S, 3 * S, Load::Fine);

    assert_eq!(pace.limits(4 * S).rate, None);
    assert_eq!(pace.ask(4 * S), Permit::Go);
}

#[test]
fn nothing_in_any_order_makes_it_stand_still() {
    for seed in 0..300_u64 {
        let mut state = seed;
        let mut random = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        let rate = [None, Some(50.0)][random(2) as usize];
        let mut pace = Pace::new(random(8) as u32, random(40) as u32, rate);
        let (mut now, mut flying) = (Time::ZERO, Vec::new());
        for _ in 0..500 {
            match pace.ask(now) {
                Permit::Go => flying.push(now),
                Permit::Wait(until) => {
                    assert!(until > now, "seed {seed}: it waits for what has been");
                    now = if random(2) == 0 { until } else { now + MS };
                }
                Permit::Full => {
                    assert!(!flying.is_empty(), "seed {seed}: it waits for an answer, and nothing was asked")
                }
            }
            assert_eq!(pace.in_flight() as usize, flying.len());
            now += u32::try_from(random(30)).unwrap() * MS;
            if !flying.is_empty() && random(3) > 0 {
                let sent = flying.swap_remove(random(flying.len() as u64) as usize);
                match random(20) {
                    0 => {
                        pace.answered(now, sent, Load::Refused);
                        pace.pause(now, now + u32::try_from(random(9000)).unwrap() * MS, Why::Refused(429));
                    }
                    1 => {
                        pace.answered(now, sent, Load::Trouble);
                        pace.pause(now, now + S, Why::Unreachable);
                    }
                    2 => pace.dropped(now),
                    3..6 => pace.answered(now, sent, Load::Trouble),
                    _ => pace.answered(now, sent, Load::Fine),
                }
            }
            let limits = pace.limits(now);
            assert!(
                limits.slots >= 1 && limits.rate.is_none_or(|rate| rate.is_finite() && rate > 0.0),
                "seed {seed}: {limits:?}"
            );
        }
    }
}
