//! A thread enters one task after the other, and another one looks.

use loom::{sync::Arc, thread};

use crate::{
    check,
    place::{Entry, Place},
};

fn entry(n: u64) -> Entry {
    Entry { scope: n, task: n << 2, since: 100 * n }
}

#[test]
fn a_reader_never_pairs_a_task_with_the_time_of_another() {
    check(None, || {
        let place = Arc::new(Place::default());
        let writer = Arc::clone(&place);
        thread::spawn(move || {
            writer.enter(entry(1));
            writer.leave();
            writer.enter(entry(2));
            writer.change(|task| task | 1);
            writer.leave();
        });

        if let Some(Entry { scope, task, since }) = place.read() {
            assert_eq!((task >> 2, since), (scope, 100 * scope));
        }
    });
}

#[test]
fn what_was_left_before_is_not_seen() {
    check(None, || {
        let place = Arc::new(Place::default());
        let writer = Arc::clone(&place);
        let left = thread::spawn(move || {
            writer.enter(entry(1));
            writer.leave();
        });
        left.join().expect("it does not panic");

        assert_eq!(place.read(), None);
        place.enter(entry(2));
        assert_eq!(place.read(), Some(entry(2)));
    });
}
