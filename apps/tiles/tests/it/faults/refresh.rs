//! What is there already, asked for once more.

use std::collections::BTreeSet;

use sims::tiles::{Caching, Entry, Fault, Format, Origin, Payload, Rule, Script, Truth, Which as Some_, World};
use tiles::get::Which;

use super::support::{Get, TILES, config, world};

async fn origin(caching: Caching) -> Origin {
    let world = World { changing: 0.25, ..world() };
    Origin::start(sims::tiles::Config { world, caching, ..config(Script::default()) }).await.unwrap()
}

fn at_once() -> Caching {
    Caching { max_age: Some(0), ..Caching::default() }
}

/// Runs, changes the world, runs again as a refresh.
async fn refreshed(origin: &Origin) -> super::support::Ran {
    let mut get = Get::from(origin);
    get.run().await.is_complete(|tile| origin.truth(Format::Png, tile));
    origin.reset(None);
    origin.revise();
    get.which = Which::Stale;
    get.run().await
}

#[tokio::test]
async fn what_has_changed_is_fetched_and_what_has_not_costs_no_body() {
    for (caching, header) in [
        (at_once(), "if-none-match"),
        (Caching { last_modified: false, ..at_once() }, "if-none-match"),
        (Caching { etag: false, ..at_once() }, "if-modified-since"),
    ] {
        let origin = origin(caching).await;

        let ran = refreshed(&origin).await;

        ran.is_complete(|tile| origin.truth(Format::Png, tile));
        let log = origin.log();
        assert_eq!(log.entries().len(), TILES);
        assert!(log.entries().iter().all(|entry| entry.header(header).is_some()), "{header}");
        let unchanged = log.count(304) as u64;
        assert!((80..150).contains(&unchanged), "{unchanged}");
        assert_eq!((ran.numbers.safe.unchanged, ran.numbers.safe.stored), (unchanged, TILES as u64 - unchanged));
        ran.says(&format!(", {unchanged} unchanged; all there"));
    }
}

#[tokio::test]
async fn without_validators_all_of_it_comes_again() {
    let origin = origin(Caching { etag: false, last_modified: false, ..at_once() }).await;

    let ran = refreshed(&origin).await;

    ran.is_complete(|tile| origin.truth(Format::Png, tile));
    assert_eq!((ran.numbers.safe.stored, origin.log().count(304)), (TILES as u64, 0));
}

#[tokio::test]
async fn what_is_fresh_is_not_asked_for() {
    let fresh = [
        Caching::default(),
        Caching { max_age: None, expires: Some(3600), ..Caching::default() },
        Caching { max_age: Some(3600), age: Some(3000), ..Caching::default() },
    ];
    for caching in fresh {
        let origin = origin(caching).await;
        let ran = refreshed(&origin).await;
        assert_eq!((ran.report.code(), origin.log().entries().len()), (0, 0));
    }
    // It was kept on its way for longer than it keeps.
    let origin = origin(Caching { age: Some(3600), ..Caching::default() }).await;
    let ran = refreshed(&origin).await;
    assert_eq!(origin.log().entries().len(), TILES);
    ran.is_complete(|tile| origin.truth(Format::Png, tile));
}

#[tokio::test]
async fn an_answer_that_it_is_unchanged_makes_it_fresh() {
    let origin = origin(at_once()).await;
    let ran = refreshed(&origin).await;
    ran.is_complete(|tile| origin.truth(Format::Png, tile));
    let mut get = Get::from(&origin);
    get.run().await;
    get.which = Which::Stale;
    origin.reset(None);

    // All are stale, and none has changed.
    get.run().await.is_complete(|tile| origin.truth(Format::Png, tile));

    let log = origin.stop().await;
    assert_eq!((log.entries().len(), log.count(304)), (TILES, TILES));
}

#[tokio::test]
async fn a_refresh_that_fails_keeps_what_was_there() {
    let origin = origin(at_once()).await;
    let mut get = Get::from(&origin);
    get.run().await;
    let truth: Vec<_> = get.run().await.wanted();
    let page = Rule::new(Fault::Instead(Payload::Html)).which(Some_::all().zooms(12..=12));
    origin.reset(Some(Script::new(1).rule(page)));
    get.which = Which::Stale;

    let ran = get.run().await;

    assert_eq!((ran.report.code(), ran.numbers.failures()), (3, 30));
    ran.is_in_order();
    assert_eq!(ran.stored(), truth.len() as u64, "no tile is lost by it");
    let asked: BTreeSet<_> = origin.log().entries().iter().filter_map(|entry: &Entry| entry.tile).collect();
    assert_eq!(asked.len(), TILES);

    // The failed ones alone, and then nothing has failed any more.
    origin.reset(Some(Script::default()));
    get.which = Which::Failed;
    get.run().await.is_complete(|tile| origin.truth(Format::Png, tile));
    assert_eq!(origin.log().entries().len(), 30);
}

#[tokio::test]
async fn a_tile_that_is_gone_and_one_that_has_come_change_places() {
    let origin = origin(at_once()).await;
    let mut get = Get::from(&origin);
    let gone = |zoom| {
        let fault = Fault::Status { code: 404, retry_after: None, body: Payload::Text };
        Script::new(1).rule(Rule::new(fault).which(Some_::all().zooms(zoom..=zoom)))
    };
    let truth = |gone: u8| {
        let origin = &origin;
        move |tile: sims::tiles::Tile| match origin.truth(Format::Png, tile) {
            Truth::There(_) if tile.z == gone => Truth::Absent(sims::tiles::Absence::NotFound),
            truth => truth,
        }
    };
    origin.set_script(gone(12));
    get.run().await.is_complete(truth(12));

    origin.set_script(gone(11));
    get.which = Which::Stale;
    get.prune = true;
    get.run().await.is_complete(truth(11));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_server_does_not_have_any_more_stays_unless_it_is_to_go() {
    let origin = origin(at_once()).await;
    let mut get = Get::from(&origin);
    get.run().await.is_complete(|tile| origin.truth(Format::Png, tile));

    // A day on which it has nothing.
    origin.set_script(Script::new(1).rule(Rule::new(Fault::Status {
        code: 404,
        retry_after: None,
        body: Payload::Text,
    })));
    get.which = Which::Stale;
    let ran = get.run().await;

    assert_eq!(ran.report.code(), 0);
    ran.says("159 gone at the server and kept");
    ran.is_complete(|tile| origin.truth(Format::Png, tile));
}
