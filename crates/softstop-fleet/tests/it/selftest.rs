//! The self-test is a test of ours too.

use softstop_fleet::{process::Level, selftest};

use crate::support::{available, keeper};

#[test]
fn nobody_escapes_where_nobody_may_not_even_after_kill_9_of_ourselves() {
    let found = selftest::run(&keeper()).unwrap_or_else(|error| panic!("{error}"));

    assert!(found.passes(), "\n{found}");
    let here: Vec<Level> =
        found.users[0].levels.iter().filter(|tried| !tried.trials.is_empty()).map(|tried| tried.level).collect();
    assert_eq!(here, available(), "\n{found}");
    let ids: Vec<u32> = found.users.iter().map(|user| user.uid).collect();
    assert!(ids[0] != 0 || ids == [0, 65534], "root makes the trials as an ordinary user too\n{found}");
    for user in &found.users {
        let group = user.levels.last().unwrap();
        let left: usize = group.trials.iter().map(|trial| trial.left).sum();
        assert!(left > 0, "nobody escaped from a plain group, so nobody tried\n{found}");
    }
}
