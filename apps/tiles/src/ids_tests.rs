use proptest::prelude::*;

use super::*;

#[test]
fn ids_that_follow_on_each_other_are_one_range() {
    let mut set = IdSet::new();
    for id in [5, 7, 6, 1, 7] {
        set.insert(id);
    }

    assert_eq!(set.ranges().collect::<Vec<_>>(), [1..2, 5..8]);
    assert_eq!(set.len(), 4);
    assert_eq!(set.missing(0..10).collect::<Vec<_>>(), [0..1, 2..5, 8..10]);
    assert_eq!(set.missing(5..8).count(), 0);
    assert!(set.contains(6) && !set.contains(4) && !set.contains(8));
}

#[test]
fn a_hundred_million_ids_in_a_row_take_next_to_nothing() {
    let mut set = IdSet::new();

    set.insert_range(5..100_000_005);
    set.insert_range(0..10);

    assert_eq!(set.len(), 100_000_005);
    assert_eq!(set.chunks.len(), 100_000_005_usize.div_ceil(1 << 16));
    assert!(set.chunks.values().all(|chunk| matches!(chunk, Chunk::Runs(runs) if runs.len() == 1)));
    assert_eq!(set.missing(0..100_000_006).flatten().collect::<Vec<_>>(), [100_000_005]);
}

#[test]
fn scattered_ids_become_bits() {
    let set: IdSet = (0..60_000).map(|i| i * 7 % 65_536 * 2).collect();

    assert!(set.chunks.values().all(|chunk| matches!(chunk, Chunk::Bits(_))));
    assert_eq!(set.len(), 60_000);
    assert_eq!(set.ranges().flatten().count(), 60_000);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_set_holds_what_was_put_into_it(
        ranges in prop::collection::vec((60_000..140_000_u64, 1..3000_u64), 0..20),
        single in prop::collection::vec(60_000..140_000_u64, 0..1000),
        step in 2..40_u64,
        window in (60_000..140_000_u64, 60_000..140_000_u64),
    ) {
        let mut set = IdSet::new();
        let mut plain = vec![false; 150_000];
        for (from, length) in ranges {
            set.insert_range(from..from + length);
            plain[from as usize..(from + length) as usize].fill(true);
        }
        // Every few ids of one chunk, so that it becomes bits.
        set.extend((65_536..131_072).step_by(step as usize).chain(single.iter().copied()));
        (65_536..131_072).step_by(step as usize).chain(single).for_each(|id| plain[id as usize] = true);

        prop_assert_eq!(set.len(), plain.iter().filter(|there| **there).count() as u64);
        let all: Vec<u64> = set.ranges().flatten().collect();
        prop_assert_eq!(all, (0..150_000).filter(|id| plain[*id as usize]).collect::<Vec<_>>());
        let window = window.0.min(window.1)..window.0.max(window.1);
        let missing: Vec<u64> = set.missing(window.clone()).flatten().collect();
        prop_assert_eq!(missing, window.clone().filter(|id| !plain[*id as usize]).collect::<Vec<_>>());
        prop_assert!(window.step_by(97).all(|id| set.contains(id) == plain[id as usize]));
    }
}
