//! Many ring, one answers.

use std::sync::atomic::{AtomicUsize as Plain, Ordering::Relaxed};

use loom::{
    sync::{Arc, atomic::AtomicUsize},
    thread,
};

use crate::{bell::Bell, check, sync::Messages};

#[test]
fn every_change_is_seen_after_the_last_message() {
    check(Some(3), || {
        let messages = Arc::new(Messages::new());
        let (bell, left) = (Arc::new(Bell::default()), Arc::new(AtomicUsize::new(2)));
        let sent = Arc::new(Plain::new(0));
        bell.watch();
        for _ in 0..2 {
            let (bell, left, sent) = (Arc::clone(&bell), Arc::clone(&left), Arc::clone(&sent));
            let messages = Arc::clone(&messages);
            thread::spawn(move || {
                left.fetch_sub(1, Relaxed);
                if bell.ring() {
                    sent.fetch_add(1, Relaxed);
                    messages.send();
                }
            });
        }

        let mut looks = 0;
        loop {
            bell.heard();
            looks += 1;
            if left.load(Relaxed) == 0 {
                break;
            }
            messages.receive();
        }

        assert!(sent.load(Relaxed) <= looks + 1, "one message for each time that it was heard");
    });
}

#[test]
fn many_rings_are_one_message() {
    check(None, || {
        let bell = Arc::new(Bell::default());
        bell.watch();
        let ring = |bell: &Arc<Bell>| {
            let bell = Arc::clone(bell);
            thread::spawn(move || usize::from(bell.ring()))
        };

        let rings = [ring(&bell), ring(&bell)];
        let messages: usize = rings.into_iter().map(|ring| ring.join().expect("it does not panic")).sum();

        assert_eq!(messages, 1);
        bell.heard();
        assert!(bell.ring());
    });
}

#[test]
fn nobody_is_told_where_nobody_answers() {
    check(None, || assert!(!Bell::default().ring()));
}
