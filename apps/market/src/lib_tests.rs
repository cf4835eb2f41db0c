use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Mutex,
};

use softstop::testing::sweep;
use std::time::Duration;
use tempfile::TempDir;
use tokio::time;

use super::*;
use crate::store::Message;

#[expect(dead_code, reason = "the sweeps of tests/it use all of it")]
#[path = "../tests/it/memory.rs"]
mod memory;

use memory::{Exchange, Manner, Places, SCRIPT, folder, script};

/// A step before the store that acknowledges trades and then waits for the disk: the bug that the collector must not have.
fn acknowledges_first(service: &mut Service, store: Dep<Stored>) -> Dep<Stored> {
    service.component("write-behind", store, async |scope, (store, tracks)| {
        let (orders, mut received) = mpsc::channel::<Message>(1);
        scope.spawn_with("write", async move |scope| {
            while let Some(message) = scope.next(received.recv()).await {
                let trades =
                    if let Message::Write(order, _) = &message { order.rows.len() as u64 + order.known } else { 0 };
                scope.settle(TRADES, trades);
                let message = match message {
                    Message::Write(order, answer) => {
                        let _ = answer.send(Ok(()));
                        Message::Write(order, tokio::sync::oneshot::channel().0)
                    }
                    other => other,
                };
                if scope.until_cancelled(time::sleep(Duration::from_millis(5))).await.is_none() {
                    break;
                }
                scope.owe(TRADES, trades); // The store settles them as well.
                store.0.send(message).await.map_err(|_| "the store has ended")?;
            }
            Ok(())
        });
        Ok((Writer(orders), tracks))
    })
}

struct Ends {
    _folder: TempDir,
    received: Places,
    saved: Arc<Mutex<Saved>>,
}

#[test]
fn a_trade_that_is_acknowledged_before_it_is_stored_is_found_by_a_sweep() {
    let planted = sweep(|service| {
        let folder = folder()?;
        let exchange = Exchange::add(service, Manner::Polite);
        let saved = Arc::<Mutex<Saved>>::default();
        let (received, said, db) =
            (Arc::clone(&exchange.seen.received), Arc::clone(&saved), folder.path().join("m.db"));
        let symbols = script().into_iter().map(|trade| trade.symbol.to_owned());
        let config = Config {
            connect: Arc::new(move |_| {
                let connected = exchange.connect().map(|tap| Box::new(tap) as Box<dyn Connection>);
                Box::pin(std::future::ready(connected))
            }),
            tell: Arc::new(move |progress| {
                if let Progress::Saved(saved) = progress {
                    *said.lock().unwrap() = saved;
                }
            }),
            ..Config::new("ws://memory".parse()?, symbols, &db)
        };
        let skipped = Arc::<Skipped>::default();
        let store = super::store(service, &config, &skipped);
        let store = service.component("store", (), async move |scope, ()| store.start(&scope).await);
        let store = acknowledges_first(service, store);
        collect(service, store, config, skipped);
        Ok(Ends { _folder: folder, received, saved })
    });

    let found = catch_unwind(AssertUnwindSafe(|| {
        planted.lasting(SCRIPT).run(|report, ends| {
            let (received, stored) = (ends.received.lock().unwrap().len() as u64, ends.saved.lock().unwrap().trades);
            match report.losses.iter().map(|loss| loss.count).sum::<u64>() {
                lost if stored + lost == received => Ok(()),
                lost => Err(format!("{received} received, {stored} stored, {lost} declared as lost").into()),
            }
        });
    }));

    let said = found.expect_err("the sweep finds nothing");
    let said = said.downcast_ref::<String>().unwrap();
    assert!(said.contains(": 15 received, 14 stored, 0 declared as lost"), "{said}");
    assert!(said.contains("replay: SOFTSTOP_REPLAY='coarse "), "{said}");
}
