//! The driver waits until nobody holds the drain, while tasks have their first poll, spawn others, and end.

use std::sync::atomic::{AtomicUsize as Plain, Ordering::Relaxed};

use loom::{sync::Arc, thread};

use crate::{check, inner::Inner};

/// A task that does not drain. Its first poll is all that the driver may wait for.
fn passes(inner: &Arc<Inner>) {
    let inner = Arc::clone(inner);
    inner.admit();
    thread::spawn(move || inner.first_polled());
}

/// A task that drains: it holds from its first poll on, and its work is `done` before it ends.
fn drains(inner: &Arc<Inner>, done: &Arc<Plain>, then: impl FnOnce(&Arc<Inner>) + 'static) {
    let (inner, done) = (Arc::clone(inner), Arc::clone(done));
    inner.admit();
    thread::spawn(move || {
        inner.holds_drain();
        inner.first_polled();
        then(&inner);
        done.fetch_add(1, Relaxed);
        inner.release();
    });
}

#[test]
fn the_last_first_poll_is_noticed() {
    check(Some(3), || {
        let inner = Arc::new(Inner::new());
        passes(&inner);
        passes(&inner);

        inner.drain();
    });
}

#[test]
fn nothing_is_cancelled_while_a_task_drains() {
    check(Some(3), || {
        let (inner, done) = (Arc::new(Inner::new()), Arc::new(Plain::new(0)));
        drains(&inner, &done, |_| {});
        passes(&inner);

        inner.drain();

        assert_eq!(done.load(Relaxed), 1);
    });
}

#[test]
fn a_task_spawned_by_one_that_ends_is_not_missed() {
    check(Some(3), || {
        let (inner, done) = (Arc::new(Inner::new()), Arc::new(Plain::new(0)));
        let child = Arc::clone(&done);
        drains(&inner, &done, move |inner| drains(inner, &child, |_| {}));

        inner.drain();

        assert_eq!(done.load(Relaxed), 2);
    });
}
