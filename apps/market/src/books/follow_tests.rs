use proptest::prelude::*;

use super::*;

fn diff(first: i64, last: i64) -> Diff {
    Diff { first, last, previous: None, bids: Vec::new(), asks: Vec::new() }
}

fn snapshot(last_id: i64) -> Snapshot {
    Snapshot { last_id, bids: Vec::new(), asks: Vec::new() }
}

fn live(last_id: i64, now: Instant) -> Follow {
    let mut follow = Follow::new(10);
    follow.change(7, diff(last_id, last_id), now);
    assert_eq!(follow.wants(), Some(Purpose::Book));
    assert_eq!(follow.snapshot(&snapshot(last_id), now), (Taken::Live { applied: 0 }, None));
    follow
}

const MS: Duration = Duration::from_millis(1);

#[test]
fn what_one_of_two_connections_brings_too_early_waits_for_the_other() {
    let now = Instant::now();
    let mut follow = live(100, now);

    for (first, last) in [(106, 109), (103, 105), (100, 100), (103, 105)] {
        assert_eq!(follow.change(8, diff(first, last), now), None);
    }
    assert_eq!((follow.book().last_id(), follow.gives_up_at(MS)), (Some(100), Some(now + MS)));
    assert_eq!(follow.change(9, diff(101, 102), now), None);

    assert_eq!((follow.book().last_id(), follow.gives_up_at(MS), follow.time_ms()), (Some(109), None, 9));
}

#[test]
fn what_does_not_come_costs_the_book_until_a_snapshot_behind_the_gap() {
    let now = Instant::now();
    let mut follow = live(100, now);
    follow.change(8, diff(105, 109), now);
    follow.change(8, diff(103, 104), now);

    assert_eq!(follow.give_up(), Some(Loss::Gap { after: 100, before: 103 }));

    assert!(!follow.is_live());
    assert_eq!((follow.wants(), follow.gives_up_at(MS)), (Some(Purpose::Book), None));
    assert_eq!(follow.snapshot(&snapshot(101), now).0, Taken::TooOld { first: 103 });
    assert_eq!(follow.snapshot(&snapshot(102), now).0, Taken::Live { applied: 2 });
    assert_eq!(follow.book().last_id(), Some(109));
}

#[test]
fn a_snapshot_behind_a_gap_closes_it_without_a_loss() {
    let now = Instant::now();
    let mut follow = live(100, now);
    follow.expect_snapshot();
    follow.change(8, diff(105, 109), now);

    assert_eq!(follow.snapshot(&snapshot(104), now), (Taken::Live { applied: 0 }, None));

    assert_eq!((follow.book().last_id(), follow.gives_up_at(MS)), (Some(109), None));
}

#[test]
fn too_many_that_come_too_early_are_a_loss() {
    let now = Instant::now();
    let mut follow = live(100, now);

    let lost: Vec<_> = (0..200).filter_map(|n| follow.change(8, diff(102 + n, 102 + n), now)).collect();

    assert_eq!(lost, [Loss::Gap { after: 100, before: 102 }]);
    assert_eq!(follow.snapshot(&snapshot(150), now).0, Taken::Live { applied: 151 });
}

proptest! {
    /// However two connections are interleaved, the book is never lost and ends at the end.
    #[test]
    fn two_connections_that_have_everything_together_lose_nothing(
        lengths in prop::collection::vec(1..5_i64, 1..60),
        first in prop::collection::vec(any::<bool>(), 60),
        cut in 0..60_usize,
        turns in prop::collection::vec(any::<bool>(), 200),
    ) {
        let (now, mut last) = (Instant::now(), 100);
        let diffs: Vec<Diff> = lengths.iter().map(|length| {
            last += length;
            diff(last - length + 1, last)
        }).collect();
        // Each change comes over one of them at least; from some place on over the second alone.
        let over = |one: bool| diffs.iter().enumerate().filter(move |(n, _)| if *n >= cut { !one } else { first[*n] == one });
        let (mut old, mut new) = (over.clone()(true).peekable(), over(false).peekable());
        let mut follow = live(100, now);
        for old_first in turns {
            let next = if old_first { old.next().or_else(|| new.next()) } else { new.next().or_else(|| old.next()) };
            if let Some((_, diff)) = next {
                prop_assert_eq!(follow.change(1, diff.clone(), now), None);
            }
        }
        prop_assert_eq!(follow.book().last_id(), Some(last));
        prop_assert_eq!(follow.gives_up_at(MS), None);
    }
}
