//! An exchange that speaks TLS, with a certificate that only those trust who are told to.

use std::{
    path::Path,
    sync::{Arc, Mutex},
};

use market::{Config, Progress, Times, internet, service};
use sims::exchange::{self, CERTIFICATE, Exchange, RequestFault, Rule, Script, SocketFault};
use softstop::{Reason, Service, Status};
use tokio::time::timeout;

use super::{
    PATIENCE,
    refill::{all_is_there, assert_nothing_is_missing},
    rig::{MS, SYMBOLS, goes_on},
};

async fn exchange(host: &str, seed: u64, script: Script) -> Exchange {
    let at = format!("{host}:0").parse().unwrap();
    Exchange::start(exchange::Config { tls: true, ws: at, rest: at, ..goes_on(seed, script) }).await.unwrap()
}

/// Collects until `enough` completes, and trusts the certificates of a file or nobody besides Mozilla's. Returns what was told.
async fn collect(
    exchange: &Exchange,
    db: &Path,
    roots: Option<&Path>,
    enough: impl AsyncFnOnce(&Mutex<Vec<Progress>>),
) -> Vec<Progress> {
    let heard = Arc::<Mutex<Vec<Progress>>>::default();
    let told = Arc::clone(&heard);
    let config = Config {
        rest: Some(exchange.rest_url().parse().unwrap()),
        connect: internet(roots).unwrap(),
        tell: Arc::new(move |progress| told.lock().unwrap().push(progress)),
        times: Times { reconnect: (5 * MS, 40 * MS), retry: (5 * MS, 100 * MS), ..Times::default() },
        ..Config::new(exchange.ws_url().parse().unwrap(), SYMBOLS.map(str::to_owned), db)
    };
    let mut market = Service::new("market");
    service(&mut market, config);
    let stop = async {
        timeout(PATIENCE, enough(&heard)).await.expect("it comes so far");
        Reason::Requested("the test".into())
    };
    let report = timeout(2 * PATIENCE, market.run(stop)).await.unwrap();
    assert_eq!(report.status, Status::Clean, "{}\n{:?}", report.line(), report.failures);
    std::mem::take(&mut *heard.lock().unwrap())
}

/// How often a connection could not be made, and what was said of REST.
fn refused(heard: &[Progress]) -> (usize, Vec<&str>) {
    let rest = heard.iter().filter_map(|event| match event {
        Progress::Unfilled(_, error) => Some(error.as_str()),
        _ => None,
    });
    (heard.iter().filter(|event| matches!(event, Progress::Disconnected(_))).count(), rest.collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_tls_a_broken_stream_is_made_again_and_what_it_missed_is_fetched() {
    let script = Script::new(51)
        .socket(Rule::new(SocketFault::Skip(5)).after(50).every(500))
        .socket(Rule::new(SocketFault::Drop).numbers(1..=3).after(1000))
        .request(Rule::new(RequestFault::Break).of("aggTrades").numbers(2..=3));
    let exchange = exchange("127.0.0.1", 51, script).await;
    let folder = tempfile::tempdir().unwrap();
    let (db, roots) = (folder.path().join("m.db"), folder.path().join("root.pem"));
    std::fs::write(&roots, CERTIFICATE).unwrap();

    let heard = collect(&exchange, &db, Some(&roots), async |_| {
        exchange.until_log(|log| log.struck.get("drop").copied() >= Some(3)).await;
        exchange.until(|truth| truth.count() >= 5000).await;
        all_is_there(&db, &exchange).await;
    })
    .await;

    assert!(heard.iter().filter(|event| matches!(event, Progress::Connected)).count() >= 4, "{heard:?}");
    assert!(exchange.log().asked("aggTrades") > 3, "over TLS as well");
    assert!(assert_nothing_is_missing(&db, &exchange.truth()) > 2000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_is_not_good_is_said_and_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let roots = folder.path().join("root.pem");
    std::fs::write(&roots, CERTIFICATE).unwrap();
    for (host, roots, says) in [
        ("127.0.0.1", None, "nobody who is trusted here has issued its certificate (UnknownIssuer)"),
        // It is not among those of the certificate.
        ("127.0.0.3", Some(roots.as_path()), "not valid for name"),
    ] {
        let exchange = exchange(host, 52, Script::default()).await;

        let heard = collect(&exchange, &folder.path().join("m.db"), roots, async |heard| {
            while refused(&heard.lock().unwrap()).0 < 3 || refused(&heard.lock().unwrap()).1.is_empty() {
                tokio::time::sleep(10 * MS).await;
            }
        })
        .await;

        let said: Vec<String> = heard.iter().map(ToString::to_string).collect();
        let stream = said.iter().find(|line| line.starts_with(&format!("cannot connect to wss://{host}:")));
        assert!(stream.is_some_and(|line| line.contains(says) && line.ends_with("; trying again")), "{said:?}");
        let (_, rest) = refused(&heard);
        assert!(rest[0].contains("cannot connect to https://") && rest[0].contains(says), "{rest:?}");
        assert_eq!(exchange.log().requests, [], "nothing was asked for");
    }
}
