use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn ids(aggregate: i64, first: i64, last: i64) -> Ids {
    Ids { aggregate, first, last }
}

fn gap(ids: (i64, i64), aggregates: (i64, i64)) -> Gap {
    Gap { ids, aggregates, hole: aggregates.0 > aggregates.1 }
}

#[test]
fn what_comes_twice_is_known_and_what_is_left_out_is_missing() {
    let mut chain = Chain::default();

    assert_eq!(chain.take(ids(10, 100, 102)), Link::New);
    assert_eq!(chain.take(ids(10, 100, 102)), Link::Known);
    assert_eq!(chain.take(ids(9, 98, 99)), Link::Known, "older than all");
    assert_eq!(chain.take(ids(11, 103, 103)), Link::New);
    assert_eq!(chain.gaps(), []);

    assert_eq!(chain.take(ids(15, 110, 111)), Link::New);
    assert_eq!(chain.gaps(), [gap((104, 109), (12, 14))]);
    assert_eq!(chain.take(ids(13, 105, 106)), Link::Late);
    assert_eq!(chain.take(ids(13, 105, 106)), Link::Known);
    assert_eq!(chain.gaps(), [gap((104, 104), (12, 12)), gap((107, 109), (14, 14))]);
    assert_eq!(chain.take(ids(12, 104, 104)), Link::Late);
    assert_eq!(chain.take(ids(14, 107, 109)), Link::Late);
    assert_eq!(chain.gaps(), []);
    assert_eq!(chain.changes(), Some(((104, 109), vec![])));
    assert_eq!(chain.changes(), None);
}

#[test]
fn trades_that_belong_to_no_aggregate_are_a_hole_at_once() {
    let mut chain = Chain::default();
    chain.take(ids(1, 1, 1));

    chain.take(ids(2, 5, 5));

    assert_eq!(chain.gaps(), [Gap { ids: (2, 4), aggregates: (2, 1), hole: true }]);
    assert_eq!(chain.open().count(), 0);
}

#[test]
fn what_the_exchange_does_not_list_is_a_hole_and_what_it_sends_late_is_taken_all_the_same() {
    let mut chain = Chain::default();
    chain.take(ids(1, 1, 1));
    chain.take(ids(9, 9, 9));

    assert_eq!(chain.take(ids(3, 3, 3)), Link::Late);
    chain.listed(2, 5);

    assert_eq!(
        chain.gaps(),
        [Gap { ids: (2, 2), aggregates: (6, 1), hole: true }, Gap { ids: (4, 8), aggregates: (6, 8), hole: false },]
    );
    chain.listed(6, 20);
    assert_eq!(chain.open().count(), 0);
    assert_eq!(chain.take(ids(6, 6, 6)), Link::Late);
    assert!(chain.gaps().iter().all(|gap| gap.hole));
}

#[test]
fn without_the_aggregate_of_the_last_trade_the_gap_is_as_wide_as_it_can_be() {
    let mut chain = Chain::resume(Some(Ends { first: 1, last: 100, aggregate: None }), Vec::new());

    chain.take(ids(50, 104, 104));

    assert_eq!(chain.gaps(), [gap((101, 103), (47, 49))]);
}

#[test]
fn an_aggregate_of_trades_that_others_have_is_not_counted() {
    let mut chain = Chain::default();
    chain.take(ids(1, 10, 19));
    chain.take(ids(3, 30, 39));

    for wrong in [ids(4, 39, 40), ids(2, 15, 25), ids(2, 25, 35), ids(3, 40, 41), ids(2, 10, 39)] {
        assert_eq!(chain.take(wrong), Link::Contradiction, "{wrong:?}");
    }
    assert_eq!(chain.gaps(), [gap((20, 29), (2, 2))]);
}

proptest! {
    /// Whatever order the aggregates come in, and however often: the gaps are what a set of ids says.
    #[test]
    fn the_gaps_are_what_a_set_of_ids_says(
        sizes in prop::collection::vec(1..4_i64, 1..40),
        order in prop::collection::vec(0..40_usize, 0..120),
    ) {
        let mut next = 1000;
        let all: Vec<Ids> = (500..).zip(&sizes).map(|(aggregate, size)| {
            let first = next;
            next += size;
            ids(aggregate, first, next - 1)
        }).collect();
        let (mut chain, mut taken) = (Chain::default(), BTreeSet::new());
        for place in order {
            let one = all[place % all.len()];
            let fresh = match (taken.first(), taken.contains(&one.first)) {
                (Some(first), false) if one.first < *first => Link::Known,
                (_, true) => Link::Known,
                _ if taken.last().is_none_or(|last| one.first > *last) => Link::New,
                _ => Link::Late,
            };
            prop_assert_eq!(chain.take(one), fresh);
            if fresh != Link::Known {
                taken.extend(one.first..=one.last);
            }
        }

        let missing: BTreeSet<i64> = chain.gaps().iter().flat_map(|gap| gap.ids.0..=gap.ids.1).collect();
        let hull = taken.first().copied().unwrap_or(0)..=taken.last().copied().unwrap_or(-1);
        prop_assert_eq!(&missing, &hull.filter(|id| !taken.contains(id)).collect());
        // What is missing lies in the aggregates that are still to be asked for, and in no hole.
        for one in all.iter().filter(|one| missing.contains(&one.first)) {
            prop_assert!(chain.open().any(|gap| (gap.aggregates.0..=gap.aggregates.1).contains(&one.aggregate)));
        }
        prop_assert!(chain.gaps().iter().all(|gap| !gap.hole));

        chain.listed(0, 10_000);
        prop_assert!(chain.gaps().iter().all(|gap| gap.hole));
    }
}

#[test]
fn what_came_before_the_first_that_was_taken_is_missing_once_it_is_wanted() {
    let mut chain = Chain::default();
    chain.begins(1, 1);
    assert_eq!(chain, Chain::default());
    chain.take(ids(7, 20, 21));
    chain.take(ids(9, 24, 24));
    chain.changes();

    chain.begins(5, 15);

    assert_eq!(chain.ends().map(|ends| (ends.first, ends.last)), Some((15, 24)));
    assert_eq!(chain.open().map(|gap| gap.ids).collect::<Vec<_>>(), [(15, 19), (22, 23)]);
    assert_eq!(chain.changes().map(|(range, gaps)| (range, gaps.len())), Some(((14, 19), 1)));
    assert_eq!(
        [chain.take(ids(4, 13, 14)), chain.take(ids(5, 15, 17)), chain.take(ids(6, 18, 19))],
        [Link::Known, Link::Late, Link::Late]
    );
    assert_eq!(chain.open().map(|gap| gap.ids).collect::<Vec<_>>(), [(22, 23)]);

    chain.begins(5, 15);
    assert_eq!(chain.open().count(), 1, "nothing came before");
    chain.begins(9, 24);
    assert_eq!(chain.ends().map(|ends| ends.first), Some(15), "it is not before");
}

#[test]
fn what_the_exchange_does_not_have_of_the_beginning_is_a_hole() {
    let mut chain = Chain::default();
    chain.take(ids(7, 20, 21));
    chain.begins(3, 10);
    chain.take(ids(3, 10, 12));

    chain.listed(3, 9);
    assert_eq!(
        chain.open().map(|gap| gap.aggregates).collect::<Vec<_>>(),
        [(10, 12)],
        "nobody knows how few there are"
    );
    chain.listed(10, 15);

    assert_eq!(chain.gaps().iter().map(|gap| (gap.ids, gap.hole)).collect::<Vec<_>>(), [((13, 19), true)]);
}
