//! Questions put to a real runtime whose workers are blocked and come back.

use std::{
    sync::{Barrier, mpsc::channel},
    thread,
};

use tokio::{runtime::Builder, sync::mpsc::unbounded_channel};

use super::*;

fn shared_with(runtime: &tokio::runtime::Runtime) -> Arc<Shared> {
    let shared = Arc::new(Shared::new(unbounded_channel().0));
    let _ = shared.runtime.set(runtime.handle().clone());
    shared
}

fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < until, "{what} does not come");
        thread::park_timeout(Duration::from_millis(1));
    }
}

#[test]
fn a_runtime_is_deaf_while_all_of_its_workers_are_blocked_and_no_longer() {
    let runtime = Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let shared = shared_with(&runtime);
    let blocked = Arc::new(Barrier::new(3));
    let (release, released): (Vec<_>, Vec<_>) = (0..2).map(|_| channel::<()>()).unzip();
    for wait in released {
        let blocked = Arc::clone(&blocked);
        spawn_apart(runtime.handle(), async move {
            blocked.wait();
            let _ = wait.recv();
        });
    }
    blocked.wait();
    assert_eq!(shared.deaf_for(), None, "nothing was asked");

    shared.ask();
    wait_until("deafness", || shared.deaf_for() >= Some(Duration::from_millis(20)));
    let before = shared.deaf_for();
    shared.ask();
    assert!(shared.deaf_for() >= before, "asking again does not forget how long the first question waits");

    drop(release);
    wait_until("the answer", || shared.deaf_for().is_none());
}

#[test]
fn one_free_worker_is_enough_to_answer() {
    let runtime = Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let shared = shared_with(&runtime);
    let blocked = Arc::new(Barrier::new(2));
    let (release, released) = channel::<()>();
    let entered = Arc::clone(&blocked);
    spawn_apart(runtime.handle(), async move {
        entered.wait();
        let _ = released.recv();
    });
    blocked.wait();

    shared.ask();

    wait_until("the answer", || shared.deaf_for().is_none());
    drop(release);
}

#[test]
fn a_runtime_that_has_gone_does_not_answer() {
    let runtime = Builder::new_multi_thread().worker_threads(1).build().unwrap();
    let shared = shared_with(&runtime);
    runtime.shutdown_background();

    shared.ask();

    assert!(shared.deaf_for().is_some());
}

#[test]
fn without_a_runtime_nothing_is_asked() {
    let shared = Arc::new(Shared::new(unbounded_channel().0));

    shared.ask();

    assert_eq!(shared.deaf_for(), None);
}

#[test]
fn the_answer_wakes_who_waits_for_it() {
    let runtime = Builder::new_multi_thread().worker_threads(1).build().unwrap();
    let shared = shared_with(&runtime);
    let (woken, wakes) = channel();
    let _ = shared.wake.set(Box::new(move || woken.send(()).unwrap()));

    shared.ask();
    wait_until("the answer", || shared.deaf_for().is_none());
    assert!(wakes.try_recv().is_err(), "nobody had asked to be woken");
    shared.question.set_wakes(true);
    shared.ask();

    wakes.recv_timeout(Duration::from_secs(30)).unwrap();
}
