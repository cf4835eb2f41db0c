//! The driver sets its alarm, the plain thread keeps it, and is woken only where it would look too late.

use loom::{
    sync::{
        Arc,
        atomic::{
            AtomicU64,
            Ordering::{Acquire, Release},
        },
    },
    thread,
};

use crate::{alarm::Alarm, check, sync::Messages};

struct Shared {
    alarm: Alarm,
    /// The end of the total, once a stop has begun.
    deadline: AtomicU64,
    woken: Messages,
}

impl Shared {
    fn new() -> Arc<Self> {
        Arc::new(Self { alarm: Alarm::new(), deadline: AtomicU64::new(Alarm::NEVER), woken: Messages::new() })
    }

    fn set(&self, due: u64) {
        if self.alarm.set(due) {
            self.woken.send();
        }
    }

    fn begin(&self, deadline: u64) {
        self.deadline.store(deadline, Release);
        if self.alarm.is_late_for(deadline) {
            self.woken.send();
        }
    }

    /// The loop of the plain thread: waits for times after `late`, and returns when it would look in time.
    fn keep(&self, late: u64) {
        loop {
            let (due, deadline) = (self.alarm.due(), self.deadline.load(Acquire));
            let next = due.min(deadline);
            self.alarm.looks_at(next);
            if (self.alarm.due(), self.deadline.load(Acquire)) != (due, deadline) {
                continue;
            }
            if next <= late {
                return;
            }
            self.woken.receive();
        }
    }
}

#[test]
fn an_earlier_alarm_is_never_slept_through() {
    check(Some(3), || {
        let shared = Shared::new();
        // The thread was to look at 10, comes back from there, and has nothing to wait for yet.
        shared.alarm.looks_at(10);
        let driver = Arc::clone(&shared);
        thread::spawn(move || {
            driver.set(50);
            driver.set(20);
        });

        shared.keep(20);
    });
}

#[test]
fn a_deadline_is_never_slept_through() {
    check(None, || {
        let shared = Shared::new();
        // As above.
        shared.alarm.looks_at(10);
        let driver = Arc::clone(&shared);
        thread::spawn(move || driver.begin(30));

        shared.keep(30);
    });
}

#[test]
fn an_alarm_that_is_taken_as_due_while_the_next_is_set_comes_back() {
    check(Some(3), || {
        let (shared, tick) = (Shared::new(), Arc::new(Messages::new()));
        shared.alarm.set(10);
        let (driver, ticks) = (Arc::clone(&shared), Arc::clone(&tick));
        thread::spawn(move || {
            driver.set(20);
            ticks.receive();
            driver.set(20);
        });
        if shared.alarm.due() <= 10 {
            shared.set(Alarm::NEVER);
        }
        tick.send();

        shared.keep(20);
    });
}

#[test]
fn nobody_is_woken_for_a_later_alarm() {
    check(None, || {
        let alarm = Alarm::new();
        alarm.looks_at(20);
        assert!(!alarm.set(20) && !alarm.set(30) && !alarm.set(Alarm::NEVER) && alarm.set(19));
    });
}
