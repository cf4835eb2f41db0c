//! `exchange-sim`: the simulated exchange as a program of its own, until Ctrl+C.

use std::{
    fs,
    io::Write,
    net::SocketAddr,
    path::PathBuf,
    process::ExitCode,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use sims::exchange::{AtEnd, CERTIFICATE, Config, Exchange, Generated, Limits, Script, Source, WhenIdle};

fn main() -> ExitCode {
    let matches = match arguments().try_get_matches() {
        Ok(matches) => matches,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 78 } else { 0 });
        }
    };
    softstop::main(|service| {
        service.name("exchange-sim");
        // A script that is not understood is a wrong configuration: nothing is started.
        let config = config(&matches)?;
        let certificate = matches.get_one::<PathBuf>("certificate").cloned();
        service.component("exchange", (), async move |scope, ()| {
            if let Some(file) = certificate {
                fs::write(&file, CERTIFICATE).map_err(|error| format!("cannot write {}: {error}", file.display()))?;
            }
            let exchange = Exchange::start(config).await?;
            // Programs that start this one read these lines; a closed stdout changes nothing.
            let mut out = std::io::stdout();
            let _ = writeln!(out, "{}\n{}", exchange.ws_url(), exchange.rest_url()).and_then(|()| out.flush());
            scope.on_stop(async move |_| {
                let log = exchange.log();
                let truth = exchange.stop().await;
                let mut out = std::io::stdout();
                let _ = writeln!(out, "{} trades sent", truth.count());
                if log.faults() > 0 || !log.offences.is_empty() {
                    let _ = writeln!(
                        out,
                        "{} connections, {} requests, {} faults struck, {} offences by clients",
                        log.connects,
                        log.requests.len(),
                        log.faults(),
                        log.offences.len()
                    );
                }
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
        .about("A simulated exchange that speaks as Binance spot does: replays half a recorded minute in a loop, or makes trades from a seed")
        .after_help(
            "Prints the two addresses it listens on, one line each. Time stands still while nobody listens, unless --run-on.\n\
             \n\
             What happened: GET /truth/trades?symbol=S (&from=ID&to=ID), /truth/minutes?symbol=S (each with &sent=true for what was sent\n\
             only), /truth/holes?symbol=S, /truth/book?symbol=S&id=N and /truth/log on the second address.\n\
             \n\
             A script (--script, --fault) says what goes wrong; sentences end with a line or a `;`, times are milliseconds:\n\
             \x20 seed 7\n\
             \x20 socket NUMBERS [of STREAM] [after N] [every N] [chance P] FAULT\n\
             \x20   half-open | refuse STATUS | drop | close CODE | freeze | silence | deaf | shutdown MS | ping |\n\
             \x20   skip N | repeat N | late N | garble | split BYTES | fragment FRAMES\n\
             \x20 request PATH NUMBERS [every N] [chance P] FAULT\n\
             \x20   delay MS | status CODE [retry SECONDS] | ban MS | stale | slow BYTES_PER_SECOND | truncate | break | drop |\n\
             \x20   hang | skew MS\n\
             \x20 market SYMBOL after TRADES hole TRADES\n\
             \x20 market SYMBOL after TRADES halt MS\n\
             NUMBERS of connections or requests: *, 3, 3..5 or 3..; PATH: * or how it ends, such as depth; STREAM: how it ends.",
        )
        .args([
            option("ws", "ADDR", "Where the WebSocket listens; port 0 picks one").default_value("127.0.0.1:0").value_parser(value_parser!(SocketAddr)),
            option("rest", "ADDR", "Where REST listens").default_value("127.0.0.1:0").value_parser(value_parser!(SocketAddr)),
            flag("tls", "Speak TLS on both, with a certificate that only its own clients know"),
            option("certificate", "FILE", "Write that certificate to FILE, as PEM").requires("tls").value_parser(value_parser!(PathBuf)),
            option("speed", "X", "Exchange seconds per second; `inf` for as fast as it is read").default_value("1").value_parser(value_parser!(f64)),
            option("start-ms", "MS", "Exchange time at the beginning, in milliseconds since 1970 [default: now]").value_parser(value_parser!(u64)),
            flag("recorded-time", "Begin at the time of the recording instead of now").conflicts_with("start-ms"),
            option("skew", "MS", "The clock of the exchange is so many milliseconds ahead, or behind if negative").default_value("0").allow_hyphen_values(true).value_parser(value_parser!(i64)),
            flag("once", "Play the recording once instead of in a loop"),
            option("generate", "SEED", "Make trades from a seed instead of playing the recording").conflicts_with("once").value_parser(value_parser!(u64)),
            option("symbol", "S", "With --generate: a symbol to trade; may be repeated [default: BTCUSDT]").action(ArgAction::Append).requires("generate"),
            option("rate", "N", "With --generate: trades per exchange second and symbol, up to 1000000").default_value("20").value_parser(value_parser!(u32)),
            option("count", "N", "With --generate: how many trades per symbol, then silence").requires("generate").value_parser(value_parser!(u64)),
            option("book-levels", "N", "With --generate: prices on each side of the book, 20 to 5000").default_value("1000").value_parser(value_parser!(usize)),
            flag("close-at-end", "Close the connections after the last message instead of falling silent"),
            flag("run-on", "Let time go on while nobody listens, as a real exchange does"),
            option("garble", "N", "After every N-th message send one that is broken").value_parser(value_parser!(u64)),
            option("script", "FILE", "What goes wrong, as text").value_parser(value_parser!(PathBuf)),
            option("fault", "SENTENCES", "The same on the command line; may be repeated").action(ArgAction::Append),
            flag("limits", "Enforce Binance's limits on messages, connections and request weights; pings are always enforced"),
            option("ping", "MS", "How often to ping; clients have three times as long to answer").default_value("20000").value_parser(value_parser!(u64)),
            option("lifetime", "MS", "How long a connection lives").default_value("86400000").value_parser(value_parser!(u64)),
        ])
}

fn config(matches: &ArgMatches) -> Result<Config, String> {
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
    let start_ms =
        if matches.get_flag("recorded-time") { None } else { matches.get_one("start-ms").copied().or_else(now) };
    let skew = matches.get_one::<i64>("skew").copied().unwrap_or(0);
    let address = |name| *matches.get_one::<SocketAddr>(name).expect("it has a default");
    let time = |name| matches.get_one::<u64>(name).map_or(Duration::ZERO, |ms| Duration::from_millis(*ms));
    let default = Config::default();
    Ok(Config {
        ws: address("ws"),
        rest: address("rest"),
        tls: matches.get_flag("tls"),
        source,
        book_levels: matches.get_one("book-levels").copied().unwrap_or(default.book_levels),
        speed: matches.get_one("speed").copied().unwrap_or(1.0),
        start_ms: start_ms.map(|start| start.saturating_add_signed(skew)),
        at_end: if matches.get_flag("close-at-end") { AtEnd::Close } else { AtEnd::Silent },
        when_idle: if matches.get_flag("run-on") { WhenIdle::RunOn } else { WhenIdle::Pause },
        garble_every: matches.get_one("garble").copied(),
        limits: Limits {
            ping_every: time("ping"),
            pong_within: time("ping") * 3,
            lifetime: time("lifetime"),
            ..if matches.get_flag("limits") { Limits::default() } else { Limits::none() }
        },
        script: script(matches)?,
        ..default
    })
}

fn script(matches: &ArgMatches) -> Result<Script, String> {
    let mut text = String::new();
    if let Some(file) = matches.get_one::<PathBuf>("script") {
        text = fs::read_to_string(file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
    }
    for sentence in matches.get_many::<String>("fault").into_iter().flatten() {
        text.push('\n');
        text.push_str(sentence);
    }
    text.parse().map_err(|error: sims::exchange::ScriptError| error.to_string())
}
