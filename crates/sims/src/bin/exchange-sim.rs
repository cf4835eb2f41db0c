//! `exchange-sim`: the simulated exchange as a program of its own, until Ctrl+C.

use std::{
    io::Write,
    net::SocketAddr,
    process::ExitCode,
    time::{SystemTime, UNIX_EPOCH},
};

use clap::{Arg, ArgAction, Command, value_parser};
use sims::exchange::{AtEnd, Config, Exchange, Generated, Source, WhenIdle};

fn main() -> ExitCode {
    let config = match arguments().try_get_matches() {
        Ok(matches) => config(&matches),
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 78 } else { 0 });
        }
    };
    softstop::main(|service| {
        service.name("exchange-sim");
        service.component("exchange", (), async move |scope, ()| {
            let exchange = Exchange::start(config).await?;
            // Programs that start this one read these lines; a closed stdout changes nothing.
            let mut out = std::io::stdout();
            let _ = writeln!(out, "ws://{}\nhttp://{}", exchange.ws, exchange.rest).and_then(|()| out.flush());
            scope.on_stop(async move |_| {
                let truth = exchange.stop().await;
                let _ = writeln!(std::io::stdout(), "{} trades sent", truth.count());
                Ok(())
            });
            Ok(())
        });
        Ok(())
    })
}

fn arguments() -> Command {
    let option = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help)
    };
    let flag = |name: &'static str, help: &'static str| Arg::new(name).long(name).action(ArgAction::SetTrue).help(help);
    Command::new("exchange-sim")
        .about("A simulated exchange, Binance spot flavoured: replays half a recorded minute in a loop, or makes trades from a seed")
        .after_help(
            "Prints the two addresses it listens on, one line each. Time stands still while nobody listens, unless --run-on.\n\
             Everything it sent: GET /sim/truth?symbol=S (&by=minute) on the second address.",
        )
        .args([
            option("ws", "ADDR", "Where the WebSocket listens; port 0 picks one").default_value("127.0.0.1:0").value_parser(value_parser!(SocketAddr)),
            option("rest", "ADDR", "Where REST listens").default_value("127.0.0.1:0").value_parser(value_parser!(SocketAddr)),
            option("speed", "X", "Exchange seconds per second; `inf` for as fast as it is read").default_value("1").value_parser(value_parser!(f64)),
            option("start-ms", "MS", "Exchange time at the beginning, in milliseconds since 1970 [default: now]").value_parser(value_parser!(u64)),
            flag("recorded-time", "Begin at the time of the recording instead of now").conflicts_with("start-ms"),
            flag("once", "Play the recording once instead of in a loop"),
            option("generate", "SEED", "Make trades from a seed instead of playing the recording").conflicts_with("once").value_parser(value_parser!(u64)),
            option("symbol", "S", "With --generate: a symbol to trade; may be repeated [default: BTCUSDT]").action(ArgAction::Append).requires("generate"),
            option("rate", "N", "With --generate: trades per exchange second and symbol").default_value("20").value_parser(value_parser!(u32)),
            option("count", "N", "With --generate: how many trades per symbol, then silence").requires("generate").value_parser(value_parser!(u64)),
            flag("close-at-end", "Close the connections after the last message instead of falling silent"),
            flag("run-on", "Let time go on while nobody listens, as a real exchange does"),
            option("garble", "N", "After every N-th message send one that is broken").value_parser(value_parser!(u64)),
        ])
}

fn config(matches: &clap::ArgMatches) -> Config {
    let source = match matches.get_one::<u64>("generate") {
        None => Source::Recording { looped: !matches.get_flag("once") },
        Some(seed) => Source::Generated(Generated {
            seed: *seed,
            symbols: matches
                .get_many::<String>("symbol")
                .map_or_else(|| vec!["BTCUSDT".into()], |names| names.cloned().collect()),
            rate: matches.get_one("rate").copied().unwrap_or(20),
            count: matches.get_one("count").copied(),
        }),
    };
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).ok().and_then(|now| u64::try_from(now.as_millis()).ok());
    let address = |name| *matches.get_one::<SocketAddr>(name).expect("it has a default");
    Config {
        ws: address("ws"),
        rest: address("rest"),
        source,
        speed: matches.get_one("speed").copied().unwrap_or(1.0),
        start_ms: if matches.get_flag("recorded-time") {
            None
        } else {
            matches.get_one("start-ms").copied().or_else(now)
        },
        at_end: if matches.get_flag("close-at-end") { AtEnd::Close } else { AtEnd::Silent },
        when_idle: if matches.get_flag("run-on") { WhenIdle::RunOn } else { WhenIdle::Pause },
        garble_every: matches.get_one("garble").copied(),
    }
}
