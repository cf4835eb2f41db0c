//! `tile-sim`: the simulated tile server as a program of its own, until Ctrl+C.

use std::{fs, io::Write, net::SocketAddr, ops::RangeInclusive, path::PathBuf, process::ExitCode};

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use sims::tiles::{CERTIFICATE, Caching, Config, Origin, Script, Site, World};

fn main() -> ExitCode {
    let matches = match arguments().try_get_matches() {
        Ok(matches) => matches,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 78 } else { 0 });
        }
    };
    softstop::main(|service| {
        service.name("tile-sim");
        // A script that is not understood is a wrong configuration: nothing is started.
        let config = config(&matches)?;
        let certificate = matches.get_one::<PathBuf>("certificate").cloned();
        service.component("origin", (), async move |scope, ()| {
            if let Some(file) = certificate {
                fs::write(&file, CERTIFICATE).map_err(|error| format!("cannot write {}: {error}", file.display()))?;
            }
            let origin = Origin::start(config).await?;
            // Programs that start this one read these lines; a closed stdout changes nothing.
            let mut out = std::io::stdout();
            let (main, other) = (origin.base(Site::Main), origin.base(Site::Other));
            let _ = writeln!(out, "tile-sim: listening on {main}\ntile-sim: other host on {other}")
                .and_then(|()| out.flush());
            scope.on_stop(async move |_| {
                let log = origin.stop().await;
                let tiles = log.tiles();
                let served = tiles.values().filter(|asked| asked.served > 0).count();
                let (requests, again) = (log.entries().len(), log.asked_again().len());
                let _ = writeln!(
                    std::io::stdout(),
                    "tile-sim: {requests} requests, {served} tiles served, {again} of them asked for again"
                );
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
    Command::new("tile-sim")
        .about("A simulated tile server: valid PNG, JPEG, WebP and vector tiles made from their coordinates")
        .after_help(
            "Tiles: /{z}/{x}/{y}.png (.jpg, .webp, .pbf), /tms/…, /q/{quadkey}.png, /wmts, /tiles.json.\n\
             What was asked: GET /log or /log?summary; from the beginning: /reset, /reset?revise; whatever the script says: /truth/{z}/{x}/{y}.png.",
        )
        .args([
            option("listen", "ADDR", "Where it listens; port 0 picks one").default_value("127.0.0.1:0").value_parser(value_parser!(SocketAddr)),
            option("other", "ADDR", "Where the other host listens, to which a script may redirect").default_value("127.0.0.1:0").value_parser(value_parser!(SocketAddr)),
            flag("tls", "Speak TLS, with a certificate that only its own clients know"),
            option("certificate", "FILE", "Write that certificate to FILE, as PEM").requires("tls").value_parser(value_parser!(PathBuf)),
            flag("http1", "Do not understand HTTP/2"),
            option("script", "FILE", "What goes wrong, as JSON").value_parser(value_parser!(PathBuf)),
            option("seed", "N", "Another seed for the tiles, and for the script instead of its own").value_parser(value_parser!(u64)),
            option("size", "BYTES", "The mean size of a tile, from half of it to one and a half").default_value("10000").value_parser(value_parser!(u32)),
            option("ocean", "SHARE", "The share of tiles that are water and all the same").default_value("0").value_parser(share),
            option("zoom", "A-B", "The zooms that there are").default_value("0-22").value_parser(zooms),
            option("max-age", "SECONDS", "How long a tile keeps").default_value("3600").value_parser(value_parser!(u32)),
        ])
}

fn config(matches: &ArgMatches) -> Result<Config, String> {
    let mut script = Script::default();
    if let Some(file) = matches.get_one::<PathBuf>("script") {
        let text = fs::read_to_string(file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
        script = Script::from_json(&text).map_err(|error| format!("{}: {error}", file.display()))?;
    }
    let mut world = World::default();
    if let Some(seed) = matches.get_one::<u64>("seed") {
        (world.seed, script.seed) = (*seed, *seed);
    }
    world.mean_size = matches.get_one::<u32>("size").map_or(world.mean_size, |size| *size as usize);
    world.ocean = matches.get_one("ocean").copied().unwrap_or(world.ocean);
    world.zooms = matches.get_one("zoom").cloned().unwrap_or(world.zooms);
    let address = |name| *matches.get_one::<SocketAddr>(name).expect("it has a default");
    Ok(Config {
        listen: address("listen"),
        other: address("other"),
        tls: matches.get_flag("tls"),
        http2: !matches.get_flag("http1"),
        world,
        caching: Caching { max_age: matches.get_one("max-age").copied(), ..Caching::default() },
        script,
        ..Config::default()
    })
}

fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "it has to be 0.0 to 1.0".into())
}

fn zooms(text: &str) -> Result<RangeInclusive<u8>, String> {
    let zooms = text.split_once('-').and_then(|(first, last)| Some(first.parse().ok()?..=last.parse().ok()?));
    zooms.filter(|zooms| *zooms.end() <= 30 && !zooms.is_empty()).ok_or_else(|| "it has to be A-B, such as 0-14".into())
}
