//! Tasks wait for a step of the stop while it comes.

use std::{
    collections::VecDeque,
    future::poll_fn,
    pin::pin,
    task::{Poll, Waker},
};

use loom::{
    future::block_on,
    sync::{Arc, Mutex},
    thread,
};

use crate::{
    check,
    inner::{Inner, Phase},
    sync::lock,
    wait::{Before, Draining, Told},
};

fn scope() -> Arc<Inner> {
    Arc::new(Inner::new())
}

fn advance(inner: &Arc<Inner>, phases: &'static [Phase]) {
    let inner = Arc::clone(inner);
    thread::spawn(move || phases.iter().for_each(|phase| inner.advance(*phase)));
}

#[test]
fn who_waits_for_a_phase_is_woken_by_it() {
    check(Some(4), || {
        let inner = scope();
        advance(&inner, &[Phase::Unready, Phase::Draining]);

        block_on(Told::new(&inner, Phase::Draining, true));

        assert!(inner.phase() >= Phase::Draining && inner.limit_is_of(Phase::Draining));
    });
}

#[test]
fn two_that_wait_for_two_phases_are_both_woken() {
    check(Some(2), || {
        let inner = scope();
        let other = Arc::clone(&inner);
        thread::spawn(move || block_on(Told::new(&other, Phase::Cancelled, false)));
        advance(&inner, &[Phase::Draining, Phase::Cancelled]);

        block_on(Told::new(&inner, Phase::Draining, false));
    });
}

#[test]
fn who_gives_up_waiting_holds_up_nobody() {
    check(Some(3), || {
        let inner = scope();
        let other = Arc::clone(&inner);
        thread::spawn(move || {
            let mut told = pin!(Told::new(&other, Phase::Draining, false));
            block_on(poll_fn(|cx| {
                let _ = told.as_mut().poll(cx);
                Poll::Ready(())
            }));
        });
        advance(&inner, &[Phase::Draining]);

        block_on(Told::new(&inner, Phase::Draining, false));
    });
}

/// A channel as a task sees it.
#[derive(Default)]
struct Queue {
    items: VecDeque<u32>,
    waker: Option<Waker>,
}

fn put(queue: &Mutex<Queue>, item: u32) {
    let waker = {
        let mut queue = lock(queue);
        queue.items.push_back(item);
        queue.waker.take()
    };
    waker.into_iter().for_each(Waker::wake);
}

fn take(queue: &Mutex<Queue>) -> impl Future<Output = u32> + '_ {
    poll_fn(|cx| {
        let mut queue = lock(queue);
        match queue.items.pop_front() {
            Some(item) => Poll::Ready(item),
            None => {
                queue.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    })
}

/// How many items are taken of one that came before the drain.
fn taken(next: impl AsyncFn(&Inner, &Mutex<Queue>) -> Option<u32>) -> u32 {
    let (inner, queue) = (scope(), Arc::new(Mutex::new(Queue::default())));
    let (driver, feed) = (Arc::clone(&inner), Arc::clone(&queue));
    // A component is told only after those that send to it have gone.
    thread::spawn(move || {
        put(&feed, 1);
        driver.advance(Phase::Draining);
    });
    let mut taken = 0;
    while block_on(next(&inner, &queue)).is_some() {
        taken += 1;
    }
    taken
}

#[test]
fn what_came_before_the_drain_is_taken() {
    check(Some(4), || {
        assert_eq!(taken(async |inner, queue| Draining::new(inner, take(queue)).await), 1);
    });
}

#[test]
fn what_came_before_the_drain_is_taken_by_who_ends_with_a_cancel() {
    check(Some(4), || {
        assert_eq!(taken(async |inner, queue| Draining::until_cancelled(inner, take(queue)).await), 1);
    });
}

#[test]
fn a_cancel_ends_what_is_pending_and_an_item_is_not_taken_twice() {
    check(Some(3), || {
        let (inner, queue) = (scope(), Arc::new(Mutex::new(Queue::default())));
        let feed = Arc::clone(&queue);
        thread::spawn(move || put(&feed, 1));
        advance(&inner, &[Phase::Cancelled]);

        let mut taken = 0;
        while block_on(Before::new(&inner, Phase::Cancelled, take(&queue))).is_some() {
            taken += 1;
        }

        assert!(taken <= 1);
    });
}
