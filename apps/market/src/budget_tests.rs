use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn used(weight: u32) -> Limits {
    Limits { used_weight: Some(weight), retry_after: None }
}

#[test]
fn what_is_used_up_comes_back_with_the_next_minute() {
    let mut budget = Budget::new();
    budget.allows(100);

    for _ in 0..8 {
        assert_eq!(budget.wait(10, Purpose::Trades, SECOND), Duration::ZERO);
        budget.asked(10, SECOND);
        budget.ended(10);
    }

    assert_eq!(budget.wait(10, Purpose::Trades, 2 * SECOND), 59 * SECOND, "a fifth is left to others");
    assert_eq!(budget.wait(10, Purpose::Trades, 61 * SECOND), Duration::ZERO);
    budget.asked(10, 61 * SECOND);
    budget.ended(10);
    assert_eq!(budget.wait(10, Purpose::Trades, 62 * SECOND), Duration::ZERO);
    assert_eq!(budget.wait(500, Purpose::Trades, 62 * SECOND), 59 * SECOND);
    assert_eq!(Budget::new().wait(50_000, Purpose::Trades, SECOND), Duration::ZERO, "alone it is sent");
}

#[test]
fn what_the_exchange_has_counted_is_what_counts() {
    let mut budget = Budget::new();
    budget.asked(4, SECOND);
    budget.ended(4);
    budget.answered(used(4798), None, 2 * SECOND, 0);

    assert_eq!(budget.wait(4, Purpose::Trades, 3 * SECOND), 58 * SECOND, "others are at it as well");

    budget.answered(used(4), None, 20 * SECOND, 0);
    assert_eq!(budget.wait(4, Purpose::Trades, 20 * SECOND), Duration::ZERO);
}

#[test]
fn nothing_is_asked_while_the_exchange_does_not_want_it() {
    let wait = |wait, banned| Refusal::Wait { wait, banned, error: None };
    for (refusal, seconds) in [
        (wait(Some(Waiting::For(7 * SECOND)), false), 7),
        (wait(Some(Waiting::UntilMs(1_000_090_000)), true), 90),
        (wait(Some(Waiting::UntilMs(5)), true), 0),
        (wait(None, false), 60),
        (wait(None, true), 120),
        (Refusal::Firewall, 0),
    ] {
        let mut budget = Budget::new();
        budget.answered(Limits::default(), Some(&refusal), 10 * SECOND, 1_000_000_000);

        assert_eq!(budget.wait(1, Purpose::Trades, 10 * SECOND), seconds * SECOND, "{refusal:?}");
        assert_eq!(budget.wait(1, Purpose::Trades, (10 + seconds) * SECOND), Duration::ZERO);
    }
}

#[test]
fn books_leave_room_for_trades() {
    let mut budget = Budget::new();
    budget.allows(1000);
    let waits = |budget: &Budget| {
        [Purpose::Deeper, Purpose::Book, Purpose::Trades].map(|purpose| !budget.wait(50, purpose, SECOND).is_zero())
    };

    for (used, expected) in
        [(250, [false; 3]), (10, [true, false, false]), (240, [true, true, false]), (300, [true; 3])]
    {
        budget.asked(used, SECOND);
        budget.ended(used);
        assert_eq!(waits(&budget), expected, "{budget:?}");
    }
}

#[test]
fn an_answer_does_not_count_what_was_asked_beside_it_and_that_is_counted_all_the_same() {
    let mut budget = Budget::new();
    budget.asked(4, SECOND);
    budget.asked(4000, 2 * SECOND);

    budget.ended(4);
    budget.answered(used(4), None, 3 * SECOND, 0);

    assert_eq!(budget.wait(1000, Purpose::Trades, 3 * SECOND), 58 * SECOND);
    // It is over with no answer: what it has used nobody knows before the next answer.
    budget.ended(4000);
    budget.asked(4, 4 * SECOND);
    budget.ended(4);
    budget.answered(used(8), None, 5 * SECOND, 0);
    assert_eq!(budget.wait(1000, Purpose::Trades, 5 * SECOND), Duration::ZERO);
}

proptest! {
    /// Whoever waits as long as he is told never uses more than his share in any minute that begins with his first request.
    #[test]
    fn the_share_is_never_exceeded(weights in prop::collection::vec((1..60_u32, 0..20_u64), 1..200)) {
        let (mut budget, mut now, mut sent) = (Budget::new(), Duration::ZERO, Vec::<(Duration, u32)>::new());
        budget.allows(100);
        for (weight, pause) in weights {
            now += SECOND * u32::try_from(pause).unwrap();
            now += budget.wait(weight, Purpose::Trades, now);
            prop_assert_eq!(budget.wait(weight, Purpose::Trades, now), Duration::ZERO);
            budget.asked(weight, now);
            budget.ended(weight);
            sent.push((now, weight));
        }
        let mut window = (Duration::ZERO, 0);
        for (at, weight) in sent {
            if window.1 == 0 || window.0 + WINDOW <= at {
                window = (at, 0);
            }
            window.1 += weight;
            prop_assert!(window.1 <= 80, "{window:?}");
        }
    }
}

#[test]
fn an_exchange_that_counts_more_than_there_is_is_waited_for() {
    let mut budget = Budget::new();
    budget.asked(1, Duration::ZERO);
    budget.ended(1);
    budget.answered(used(u32::MAX), None, SECOND, 0);

    assert!(budget.wait(1, Purpose::Trades, SECOND) > Duration::ZERO);

    let until = Refusal::Wait { wait: Some(Waiting::UntilMs(i64::MAX)), banned: true, error: None };
    budget.answered(Limits::default(), Some(&until), SECOND, i64::MIN);
    assert_eq!(budget.wait(1, Purpose::Trades, SECOND), LONGEST_WAIT);
}
