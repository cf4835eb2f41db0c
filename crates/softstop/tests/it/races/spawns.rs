//! Spawn against close: what is handed to a scope is run or refused, counted once, and dropped once.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
};

use softstop::{Outcome, Policy, Scope, Service, Task};
use tokio::{sync::oneshot, task::spawn_blocking};

use super::{Random, in_time, outcomes, race, reason, yields};
use crate::support::{forever, ms};

#[derive(Default)]
struct Lives {
    made: AtomicU64,
    begun: AtomicU64,
    /// Those of the begun that were dropped.
    ended: AtomicU64,
    dropped: AtomicU64,
    saving: AtomicBool,
    /// Those that had their first poll while the component saved.
    beside: AtomicU64,
}

/// Part of one future, or job, that was handed to a scope.
struct Life {
    of: Arc<Lives>,
    begun: bool,
}

impl Life {
    fn new(of: &Arc<Lives>) -> Self {
        of.made.fetch_add(1, Ordering::SeqCst);
        Self { of: Arc::clone(of), begun: false }
    }

    fn begin(&mut self) {
        self.begun = true;
        self.of.begun.fetch_add(1, Ordering::SeqCst);
        self.of.beside.fetch_add(u64::from(self.of.saving.load(Ordering::SeqCst)), Ordering::SeqCst);
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        self.of.dropped.fetch_add(1, Ordering::SeqCst);
        if self.begun {
            self.of.ended.fetch_add(1, Ordering::SeqCst);
        }
    }
}

async fn live<T>(mut life: Life, future: impl Future<Output = T>) -> T {
    life.begin();
    future.await
}

/// Hands something to the scope; `None` where it was handed back.
fn spawn_one(scope: &Scope, random: &mut Random, lives: &Arc<Lives>) -> Option<Task<()>> {
    let mut life = Life::new(lives);
    Some(match random.below(8) {
        0 => scope.spawn("yields", live(life, yields(random.below(4)))),
        1 => scope.spawn("forever", live(life, forever())),
        2 => scope.nested("n").spawn("nested", live(life, forever())),
        3 => scope.spawn_with("draining", |scope| {
            live(life, async move {
                scope.draining().await;
                Ok(())
            })
        }),
        4 => scope.spawn_with("cancelled", |scope| {
            live(life, async move {
                scope.cancelled().await;
                Ok(())
            })
        }),
        5 => scope.spawn_blocking("job", move |flag| {
            life.begin();
            while !flag.is_set() {
                thread::yield_now();
            }
            drop(life);
            Ok(())
        }),
        6 => {
            let life = Mutex::new(Some(life));
            scope.supervise("supervised", Policy::Stop, move |scope| {
                let life = life.lock().unwrap().take().unwrap();
                live(life, async move {
                    scope.unready().await;
                    Ok(())
                })
            })
        }
        _ => return scope.try_spawn("tried", live(life, forever())).ok(),
    })
}

/// Spawns until the scope takes no more.
fn spawn_many(scope: &Scope, mut random: Random, lives: &Arc<Lives>) -> Vec<Task<()>> {
    let (mut tasks, mut refused) = (Vec::new(), 0);
    while refused < 3 && tasks.len() < 40 {
        random.spin();
        match spawn_one(scope, &mut random, lives) {
            Some(task) if !task.is_finished() => tasks.push(task),
            Some(task) => {
                // Refused, or very quick.
                refused += 1;
                tasks.push(task);
            }
            None => refused += 1,
        }
    }
    tasks
}

#[test]
fn what_is_spawned_while_a_scope_closes_is_run_or_refused_and_counted_once() {
    let expected = ["finished", "cancelled", "aborted", "refused", "handed back", "run beside a save"];
    race(&expected, async |mut random, seen| {
        let lives = Arc::new(Lives::default());
        let mut service = Service::new("test");
        let handle = service.handle();
        let (started, scope) = oneshot::channel();
        let (in_save, of_save) = (Arc::clone(&lives), Arc::new(Mutex::new(Vec::new())));
        let (mut save, saved) = (random.fork(), Arc::clone(&of_save));
        let c = service.component("c", (), async move |scope, ()| {
            let within = scope.clone();
            scope.on_stop(async move |_| {
                let life = Life::new(&in_save);
                saved.lock().unwrap().push(within.spawn("of the save", live(life, yields(save.below(4)))));
                in_save.saving.store(true, Ordering::SeqCst);
                yields(save.below(8)).await?;
                save.spin();
                in_save.saving.store(false, Ordering::SeqCst);
                Ok(())
            });
            let _ = started.send(scope);
            Ok(())
        });
        // What is spawned while it saves is not told of anything.
        service.options(c).cancel(ms(20)).save(ms(20));

        let running = tokio::spawn(service.run(std::future::pending()));
        let scope: Scope = in_time(scope).await.unwrap();
        let mut stubborn = Vec::new();
        if random.one_in(50) {
            let life = Life::new(&lives);
            stubborn.push(scope.spawn_with("stubborn", |_| live(life, forever())));
        }
        let spawners: Vec<_> = (0..2)
            .map(|_| {
                let (scope, random, lives) = (scope.clone(), random.fork(), Arc::clone(&lives));
                spawn_blocking(move || spawn_many(&scope, random, &lives))
            })
            .collect();
        random.spin();
        handle.stop(reason("test"));
        let report = in_time(running).await.unwrap();
        let left = lives.begun.load(Ordering::SeqCst) - lives.ended.load(Ordering::SeqCst);
        let mut told = BTreeMap::new();
        let mut tasks = stubborn;
        tasks.append(&mut of_save.lock().unwrap());
        for spawner in spawners {
            tasks.extend(in_time(spawner).await.unwrap());
        }
        let handed = tasks.len() as u64;
        for task in tasks {
            let outcome = in_time(task).await.map_or_else(|error| error.outcome, |()| Outcome::Finished);
            *told.entry(Some(outcome)).or_default() += 1;
        }

        let refused = told.remove(&Some(Outcome::Refused)).unwrap_or(0);
        assert_eq!(left, 0, "nothing runs when the service has ended");
        assert_eq!(outcomes(&report), told, "the report says what the handles say: {report:?}");
        let (made, dropped) = (lives.made.load(Ordering::SeqCst), lives.dropped.load(Ordering::SeqCst));
        assert_eq!(dropped, made, "everything is dropped once");
        let told = |outcome| told.get(&Some(outcome)).copied().unwrap_or(0);
        seen.note("finished", told(Outcome::Finished));
        seen.note("cancelled", told(Outcome::Cancelled));
        seen.note("aborted", told(Outcome::Aborted));
        seen.note("refused", refused);
        seen.note("handed back", made - handed);
        seen.note("run beside a save", lives.beside.load(Ordering::SeqCst));
    });
}
