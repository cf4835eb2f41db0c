//! A service that uses everything the library has, stopped at every await point.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use softstop::{
    BoxError, Limits, Policy, Report, Restart, Result, Scope, Service, Status,
    testing::{Fault, Sweep, sweep},
};
use tokio::sync::mpsc;

use crate::support::ms;

/// What was opened, closed, saved and dropped, by name.
#[derive(Clone, Default)]
struct Books(Arc<Mutex<BTreeMap<&'static str, i64>>>);

impl Books {
    fn add(&self, what: &'static str, n: i64) {
        *self.0.lock().unwrap().entry(what).or_default() += n;
    }

    fn of(&self, what: &str) -> i64 {
        self.0.lock().unwrap().get(what).copied().unwrap_or_default()
    }
}

/// Counts itself in and out.
struct Alive(Books);

impl Alive {
    fn new(books: &Books) -> Self {
        books.add("alive", 1);
        Self(books.clone())
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.add("alive", -1);
    }
}

async fn open(scope: &Scope, books: &Books) -> Result<softstop::Held<Alive>> {
    let (acquire, close) = (books.clone(), books.clone());
    let acquire = async move {
        tokio::task::yield_now().await;
        acquire.add("opened", 1);
        Ok::<_, BoxError>(Alive::new(&acquire))
    };
    let close = async move |alive: Alive| {
        tokio::time::sleep(ms(1)).await;
        drop(alive);
        close.add("closed", 1);
        Ok(())
    };
    scope.open("thing", acquire, close).await
}

fn kitchen(service: &mut Service) -> Result<Books> {
    let books = Books::default();
    let own = books.clone();
    let store = service.component("store", (), async move |scope, ()| {
        let _at_the_end = open(&scope, &own).await?;
        let (tx, mut rx) = mpsc::channel::<u64>(2);
        let of_task = own.clone();
        let writing = scope.spawn_with("write", async move |scope| {
            let thing = open(&scope, &of_task).await?;
            let mut held = 0_u64;
            while scope.next(rx.recv()).await.is_some() {
                held += 1;
                if held.is_multiple_of(3) {
                    let books = of_task.clone();
                    let safe = scope.clone();
                    let write = async move {
                        let _alive = Alive::new(&books);
                        tokio::time::sleep(ms(2)).await;
                        safe.settle("items", 3);
                        books.add("stored", 3);
                    };
                    scope.critical(write).await?;
                    held = 0;
                }
            }
            // What is left in the channel is not taken any more: somebody hurries.
            thing.close().await?;
            Ok((held, rx))
        });
        let of_save = own.clone();
        let at_end = scope.clone();
        scope.on_stop(async move |_| {
            of_save.add("saves", 1);
            let Ok((held, mut rx)) = writing.await else { return Ok(()) };
            let mut rest = held;
            while rx.try_recv().is_ok() {
                rest += 1;
            }
            let thing = open(&at_end, &of_save).await?;
            tokio::time::sleep(ms(1)).await;
            at_end.settle("items", rest);
            of_save.add("stored", rest as i64);
            thing.close().await
        });
        own.add("stores", 1);
        Ok(tx)
    });
    let own = books.clone();
    let jobs = service.component("jobs", store, async move |scope, tx| {
        let of_task = own.clone();
        scope.spawn_with("dispatch", async move |scope| {
            let mut n = 0;
            while scope.sleep(ms(7)).await.is_ok() {
                n += 1;
                let job = scope.nested(format!("job {n}")).take_failures();
                let (tx, books) = (tx.clone(), of_task.clone());
                job.on_stop({
                    let books = books.clone();
                    async move |_| {
                        books.add("job saves", 1);
                        tokio::task::yield_now().await;
                        Ok(())
                    }
                });
                of_task.add("jobs", 1);
                job.spawn_with("work", async move |scope| {
                    let _alive = Alive::new(&books);
                    let thing = open(&scope, &books).await?;
                    let thing = thing.hand_on(&scope).map_err(|_| "closing already")?;
                    scope.owe("items", 1);
                    books.add("owed", 1);
                    if tx.send(n).await.is_err() {
                        scope.lost("items", 1);
                    }
                    if n.is_multiple_of(4) {
                        return Err("every fourth fails".into());
                    }
                    scope.sleep(ms(3)).await?;
                    drop(thing);
                    Ok(())
                });
                tokio::task::yield_now().await;
                if n.is_multiple_of(2) {
                    let end = job.stop(Limits::default()).await;
                    of_task.add("early ends", 1);
                    drop(end);
                }
            }
            Ok(())
        });
        scope.supervise("flaky", Policy::Restart(Restart::forever()), {
            let books = own.clone();
            move |scope| {
                let books = books.clone();
                async move {
                    let _alive = Alive::new(&books);
                    let thing = open(&scope, &books).await?;
                    scope.sleep(ms(5)).await?;
                    thing.close().await?;
                    // An error of its own after the stop was asked would be one of the service.
                    if scope.reason().is_some() { Ok(()) } else { Err("flaky".into()) }
                }
            }
        });
        Ok(())
    });
    let own = books.clone();
    service.component("extra", jobs, async move |scope, ()| {
        let books = own.clone();
        scope.spawn("plain", async move {
            let _alive = Alive::new(&books);
            for _ in 0..1000 {
                tokio::time::sleep(ms(4)).await;
            }
            Ok(())
        });
        let books = own.clone();
        scope.spawn_ignoring("careless", async move |scope| {
            for _ in 0..3 {
                let thing = open(&scope, &books).await?;
                scope.sleep(ms(6)).await?;
                thing.close().await?;
            }
            Err::<(), _>("ignored".into())
        });
        tokio::task::yield_now().await;
        Ok(())
    });
    Ok(books)
}

fn all_is_accounted_for(report: &Report, books: Books) -> Result {
    let lost: u64 = report.losses.iter().map(|loss| loss.count).sum();
    let of = |what| books.of(what);
    let accounts = format!("{:?}; lost {lost}", books.0.lock().unwrap());
    assert_eq!(of("opened"), of("closed"), "{accounts}");
    assert_eq!(of("alive"), 0, "{accounts}");
    assert_eq!(of("owed"), of("stored") + lost as i64, "{accounts}");
    assert_eq!(of("saves"), of("stores"), "{accounts}");
    assert_eq!(of("job saves"), of("jobs"), "{accounts}");
    for component in &report.components {
        for group in &component.resources {
            assert_eq!(group.opened, group.closed + group.failed + group.released, "{group:?}");
        }
    }
    Ok(())
}

fn kitchen_sweep() -> Sweep<impl Fn(&mut Service) -> Result<Books> + Send + Sync + 'static> {
    sweep(kitchen).lasting(ms(40))
}

#[test]
fn everything_is_accounted_for_wherever_it_is_stopped() {
    let swept = kitchen_sweep().pairs(200).run(all_is_accounted_for);

    assert!(swept.points.len() > 150 && swept.missed == 0, "{swept:?}");
}

#[test]
fn everything_is_accounted_for_when_something_goes_wrong() {
    let faults = [
        Fault::nth_open_fails("thing", 1),
        Fault::nth_open_fails("thing", 4),
        Fault::close_fails("thing"),
        Fault::close_takes("thing", ms(200)),
        Fault::task_fails("jobs/dispatch", 5),
        Fault::task_panics("extra/careless", 3),
        Fault::task_panics("extra/plain", 4),
        Fault::task_panics("extra/start", 1),
    ];
    for fault in faults {
        kitchen_sweep().at_most(60).pairs(20).fault(fault).allow(Status::Lost).run(all_is_accounted_for);
    }
}
