//! Servers that send us elsewhere.

use sims::tiles::{Entry, Fault, Format, Origin, Rule, Script, Site, To};
use tiles::answer::Class;

use super::support::{Get, SECRET, TILES, asked_at_most, config};

fn redirecting(code: u16, to: To) -> Script {
    Script::new(4).rule(Rule::new(Fault::Redirect { code, to }))
}

#[tokio::test]
async fn a_move_for_good_costs_one_request_for_each_tile_once_it_is_known() {
    for (code, to) in [(301, To::SameHost), (308, To::SameHost), (301, To::OtherHost), (308, To::OtherHost)] {
        let origin = Origin::start(config(redirecting(code, to))).await.unwrap();

        let ran = Get::from(&origin).run().await;

        ran.is_complete(|tile| origin.truth(Format::Png, tile));
        let log = origin.stop().await;
        // Those that were on their way when the first answer came.
        assert!((1..=16).contains(&log.count(code)), "{code} {to:?}: {}", log.count(code));
        assert_eq!(log.entries().len(), TILES + log.count(code));
        asked_at_most(&log, 2);
    }
}

#[tokio::test]
async fn a_move_for_now_is_asked_for_each_tile() {
    for (code, to) in [(302, To::SameHost), (307, To::OtherHost), (303, To::SameHost), (302, To::Hops(5))] {
        let origin = Origin::start(config(redirecting(code, to))).await.unwrap();
        let hops = if let To::Hops(hops) = to { u64::from(hops) } else { 1 };

        let ran = Get::from(&origin).zooms(0..=12).run().await;

        ran.is_complete(|tile| origin.truth(Format::Png, tile));
        let log = origin.stop().await;
        assert!(log.tiles().values().all(|asked| asked.requests == 1 + hops), "{code} {to:?}");
    }
}

#[tokio::test]
async fn a_loop_and_a_chain_that_is_too_long_are_failed_tiles() {
    for (code, to) in [(302, To::Itself), (301, To::Itself), (302, To::Hops(6))] {
        let origin = Origin::start(config(Script::new(4).rule(Rule::new(Fault::Redirect { code, to }).share(0.03))));
        let origin = origin.await.unwrap();

        let ran = Get::from(&origin).run().await;

        let log = origin.log();
        let looped = log.tiles().into_iter().filter(|(_, asked)| asked.served == 0).collect::<Vec<_>>();
        assert!(!looped.is_empty() && looped.iter().all(|(_, asked)| asked.requests == 6), "{looped:?}");
        let failed = looped.iter().map(|(tile, _)| (*tile, (Class::Redirect, Some(302.min(code.max(301)))))).collect();
        assert_eq!(ran.report.code(), 3);
        ran.is_complete_but(&failed, |tile| origin.truth(Format::Png, tile));
    }
}

/// What of it is secret, in the head or in the address.
fn has_secret(entry: &Entry) -> bool {
    entry.path.contains(SECRET) || entry.headers.contains(SECRET)
}

#[tokio::test]
async fn no_secret_goes_to_another_host() {
    for code in [301, 302, 307, 308] {
        let origin = Origin::start(config(redirecting(code, To::OtherHost))).await.unwrap();
        let url = format!("{}?apikey={{apikey}}", origin.template(Format::Png));
        let get = Get::new(&url).header("Authorization: Bearer ${SECRET}").header("Cookie: id=${SECRET}");

        let ran = get.run().await;

        ran.is_complete(|tile| origin.truth(Format::Png, tile));
        let log = origin.stop().await;
        let at = |site| log.entries().iter().filter(move |entry| entry.site == site);
        assert!(at(Site::Main).all(has_secret) && at(Site::Other).all(|entry| !has_secret(entry)));
        assert_eq!(at(Site::Other).count(), TILES);
        if matches!(code, 301 | 308) {
            // The key is not sent there, and the move is remembered all the same.
            assert!(at(Site::Main).count() <= 16, "{}", at(Site::Main).count());
        }
    }
}

#[tokio::test]
async fn secrets_go_on_within_their_own_host() {
    let origin = Origin::start(config(redirecting(301, To::SameHost))).await.unwrap();
    let url = format!("{}?apikey={{apikey}}", origin.template(Format::Png));

    let ran = Get::new(&url).header("Authorization: Bearer ${SECRET}").run().await;

    ran.is_complete(|tile| origin.truth(Format::Png, tile));
    let log = origin.stop().await;
    assert!(log.entries().iter().all(|entry| entry.path.contains(SECRET) && entry.headers.contains(SECRET)));
    asked_at_most(&log, 2);
    assert!(log.entries().len() <= TILES + 16);
}
