//! What a reader of events may rely on, without a service.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Wake, Waker},
};

use tokio::sync::mpsc::unbounded_channel;

use super::*;

fn shared() -> Arc<Shared> {
    Arc::new(Shared::new(unbounded_channel().0))
}

/// An event that says its number.
fn event(n: u64) -> Event {
    Event::Level { level: Level::Hurry, at: Duration::from_nanos(n) }
}

async fn read(events: &mut Events) -> Vec<u128> {
    let mut read = Vec::new();
    while let Some(event) = events.next().await {
        read.push(event.at().as_nanos());
    }
    read
}

#[tokio::test]
async fn an_unread_stream_keeps_the_latest_events_and_counts_the_others() {
    let shared = shared();
    let mut events = shared.read_events();

    (0..1030).for_each(|n| shared.tell(&event(n)));
    shared.forget_observers();

    assert_eq!(events.missed(), 6);
    assert_eq!(read(&mut events).await, (6..1030).collect::<Vec<_>>());
}

#[tokio::test]
async fn readers_do_not_take_events_from_each_other() {
    let shared = shared();
    let (mut one, mut two) = (shared.read_events(), shared.read_events());

    shared.tell(&event(1));
    shared.tell(&event(2));
    shared.forget_observers();

    assert_eq!((read(&mut one).await, read(&mut two).await), (vec![1, 2], vec![1, 2]));
}

#[tokio::test]
async fn a_dropped_call_to_next_loses_no_event() {
    let shared = shared();
    let mut events = shared.read_events();
    {
        let mut next = std::pin::pin!(events.next());
        assert!(next.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        shared.tell(&event(1));
    }

    shared.tell(&event(2));
    shared.forget_observers();

    assert_eq!(read(&mut events).await, [1, 2]);
}

#[tokio::test]
async fn a_stream_that_is_asked_for_after_the_end_has_ended() {
    let shared = shared();
    shared.forget_observers();

    shared.tell(&event(1));

    assert_eq!(shared.read_events().next().await, None);
}

#[test]
fn streams_that_were_dropped_are_forgotten() {
    let shared = shared();

    let before = lock(&shared.observers).list.len();
    (0..100).for_each(|_| drop(shared.read_events()));

    assert_eq!(lock(&shared.observers).list.len(), before + 1, "the last one goes with the next call");
}

/// Its executor looks at the events in the very moment in which it is woken.
struct Looks(Arc<Shared>, AtomicUsize);

impl Wake for Looks {
    fn wake(self: Arc<Self>) {
        drop(self.0.read_events());
        self.0.tell(&event(2));
        self.1.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn a_reader_that_is_woken_may_use_the_service_at_once() {
    let shared = shared();
    let mut events = shared.read_events();
    let looks = Arc::new(Looks(Arc::clone(&shared), AtomicUsize::new(0)));
    let waker = Waker::from(Arc::clone(&looks));
    let mut next = std::pin::pin!(events.next());
    assert!(next.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());

    shared.tell(&event(1));

    assert_eq!(looks.1.load(Ordering::SeqCst), 1);
}
