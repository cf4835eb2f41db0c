//! The failures that a collector meets in real life.

use std::time::Duration;

use market::{Config, Times, config::Depth};
use sims::exchange::{Happening, Limits, RequestFault, Rule, Script, SocketFault};

use super::{
    group::{Also, Group},
    rig::{MS, SYMBOLS, quick},
};

const SECOND: Duration = Duration::from_secs(1);

/// Of these kinds, each at its seeded moment.
fn sockets(seed: u64, count: u64, kinds: &[SocketFault]) -> Script {
    Script::seeded(seed, count, kinds, 20..=120)
}

/// Each on a connection of its own, after so many messages.
fn one_each(seed: u64, after: u64, faults: &[SocketFault]) -> Script {
    let add = |script: Script, (fault, number): (&SocketFault, u64)| {
        script.socket(Rule::new(*fault).number(number).after(after))
    };
    faults.iter().zip(1..).fold(Script::new(seed), add)
}

/// Trades are skipped all the time, so that REST is asked, and this is what becomes of the first requests for them.
fn requests(seed: u64, faults: &[RequestFault]) -> Script {
    let script = Script::new(seed).socket(Rule::new(SocketFault::Skip(5)).after(50).every(100));
    let add = |script: Script, (fault, number): (&RequestFault, u64)| {
        script.request(Rule::new(*fault).of("aggTrades").number(number))
    };
    faults.iter().zip(2..).fold(script, add)
}

fn group(name: &'static str, script: Script, kinds: &'static [&'static str]) -> Group {
    let faults = (script.sockets.len() + script.requests.len() + script.market.len()) as u64;
    let (settings, exchange) = (|config| config, |config| config);
    let (also, books) = (Also::Nothing, 0);
    Group { name, seed: script.seed, script, kinds, faults, stops: 0, settings, exchange, also, books }
}

/// Order books whose changes get lost, come twice or late, whose snapshots are stale, and a clock that is wrong.
fn of_books() -> Group {
    let changes = |fault| Rule::new(fault).of("@depth@100ms");
    let script = Script::new(14)
        .socket(changes(SocketFault::Skip(2)).after(150).every(211))
        .socket(changes(SocketFault::Repeat(2)).after(100).every(23))
        .socket(changes(SocketFault::Late(5)).after(100).every(37))
        .request(Rule::new(RequestFault::Stale).of("depth").numbers(1..=2))
        .request(Rule::new(RequestFault::Status(503, None)).of("depth").number(4))
        .request(Rule::new(RequestFault::Truncate).of("depth").number(6))
        .request(Rule::new(RequestFault::Skew(7000)).of("time"));
    Group {
        settings: |config| Config { depth: Depth::new(100, 50 * MS).ok(), ..config },
        // Slow enough for the exchange to remember its books until they are compared.
        exchange: |config| sims::exchange::Config { speed: 100.0, book_levels: 300, ..config },
        books: 20,
        ..group(
            "order books, and a clock that is wrong",
            script,
            &["skip", "repeat", "late", "stale", "status", "skew"],
        )
    }
}

/// In the order in which they are tried. A stop takes the faults with it that were meant for its connection, and so does a connection that
/// fails by itself: the script has more than have to strike.
pub(crate) fn all() -> Vec<Group> {
    use RequestFault::{Ban, Break, Delay, Hang, Slow, Status, Truncate};
    use SocketFault::{
        Close, Deaf, Drop, Fragment, Freeze, Garble, HalfOpen, Late, Ping, Refuse, Repeat, Shutdown, Silence, Skip,
        Split,
    };
    let ends = [Drop, Close(1001), Close(1008), Close(1011), Refuse(503)];
    let everything = Script::seeded(9, 90, &SocketFault::QUICK, 20..=60)
        .request(Rule::new(Break).of("aggTrades").chance(0.1))
        .request(Rule::new(Status(503, None)).of("aggTrades").chance(0.1))
        .request(Rule::new(Truncate).of("aggTrades").chance(0.1))
        .event(SYMBOLS[0], 2000, Happening::Hole(20));
    let market = Script::new(8)
        .event(SYMBOLS[0], 1500, Happening::Hole(20))
        .event(SYMBOLS[1], 1700, Happening::Hole(1))
        .event(SYMBOLS[0], 3000, Happening::Hole(300))
        .event(SYMBOLS[1], 3200, Happening::Halt(120_000))
        .event(SYMBOLS[0], 4500, Happening::Halt(30_000));
    let refusals = [Status(429, Some(1)), Status(503, None), Status(500, None), Ban(SECOND), Status(429, Some(1))];
    let broken = [Truncate, Break, RequestFault::Drop, Slow(20_000), Delay(200 * MS), Hang];
    vec![
        Group {
            stops: 2,
            faults: 24,
            ..group("connections break", sockets(1, 32, &ends), &["drop", "close", "refuse"])
        },
        Group {
            faults: 24,
            ..group(
                "trades are skipped, repeated, late",
                sockets(2, 28, &[Skip(3), Skip(200), Repeat(2), Late(5)]),
                &["skip", "repeat", "late"],
            )
        },
        Group {
            exchange: |config| {
                // Each ping is answered, which counts as a message.
                let limits =
                    Limits { ping_every: 100 * MS, pong_within: SECOND, messages_per_second: 100, ..config.limits };
                sims::exchange::Config { limits, ..config }
            },
            faults: 24,
            ..group(
                "garbage, split and fragmented messages, pings",
                sockets(3, 28, &[Garble, Split(7), Fragment(3), Ping]),
                &["garble", "split", "fragment", "ping"],
            )
        },
        Group {
            settings: |config| Config { times: Times { stall: (100 * MS, 500 * MS), ..quick() }, ..config },
            faults: 4,
            ..group(
                "streams die silently",
                one_each(4, 300, &[HalfOpen, Freeze, Silence, Deaf, HalfOpen, Freeze, Silence, Deaf]),
                &["half-open", "freeze", "silence", "deaf"],
            )
        },
        Group {
            settings: |config| Config { times: Times { lifetime: 300 * MS, ..quick() }, ..config },
            faults: 4,
            ..group("shutdowns are announced", one_each(5, 150, &[Shutdown(SECOND); 6]), &["shutdown"])
        },
        group("REST refuses: 429, 418, 500, 503", requests(6, &refusals), &["status", "ban"]),
        group(
            "REST breaks: cut, truncated, slow, late, hanging",
            requests(7, &broken),
            &["truncate", "break", "drop", "slow", "delay", "hang"],
        ),
        group("the exchange has holes and halts", market, &[]),
        of_books(),
        Group { also: Also::Gone, ..group("the exchange is gone for a while", Script::new(10), &[]) },
        Group { also: Also::Full, ..group("the disk is full, the file is held", Script::new(11), &[]) },
        Group { also: Also::Kills(4), ..group("killed in the middle", Script::new(12), &[]) },
        Group {
            exchange: |config| sims::exchange::Config { tls: true, ..config },
            stops: 1,
            faults: 12,
            ..group("connections break, with TLS", sockets(13, 20, &[Drop, Close(1001), Skip(30)]), &["drop", "skip"])
        },
        Group {
            stops: 4,
            faults: 60,
            ..group("everything at once, and four stops", everything, &["break", "status", "truncate"])
        },
    ]
}
