//! The arguments, and what they mean.

use std::{
    fs,
    ops::RangeInclusive,
    path::{Path, PathBuf},
};

use clap::{Arg, ArgAction, ArgMatches, Command, arg, value_parser};
use tiles::{
    area::Area,
    check::Format,
    get::Which,
    grid::{self, Bounds},
    job::{MOST_CONCURRENT, Request},
    mbtiles::Schema,
};

use super::{Wrong, hinted};

pub(crate) fn command() -> Command {
    let out = |help: &'static str| arg!(out: <OUT>).value_parser(value_parser!(PathBuf)).help(help);
    let optional = |help: &'static str| arg!(out: [OUT]).value_parser(value_parser!(PathBuf)).help(help);
    let get = Command::new("get")
        .about("Fetch all tiles of an area; the same command goes on after whatever stopped it")
        .after_help(AFTER_GET)
        .arg(optional(
            "The file, such as map.mbtiles; alone, it goes on with what it knows. Without anything, you are asked",
        ))
        .args(source())
        .args(area())
        .args(manner())
        .args([
            arg!(--failed "Ask only for the tiles that failed"),
            arg!(--refresh "Ask whether what is there is still good, as far as it is not known to be")
                .conflicts_with("failed"),
            arg!(--prune "With --refresh: take out what the server does not have any more").requires("refresh"),
            arg!(--"replace-source" "The tiles that are missing come from another source than those that are there"),
            arg!(--adopt "Add to an MBTiles file that another program made, or that was finished"),
            schema_of("How a new file keeps bodies: one each, or equal ones once"),
            arg!(--"i-have-permission" "The operator has allowed this download in writing"),
            arg!(--status "Show how far it is, and fetch nothing"),
            arg!(--resume "Go on where it is; it always does"),
        ]);
    let plan = Command::new("plan")
        .about("Count the tiles of an area, and estimate size and time, before anything is fetched")
        .arg(optional("A file, to count what it has already"))
        .args(source())
        .args(area())
        .args(manner());
    let status = Command::new("status")
        .about("Show what a file has and what is missing, also while it is being fetched")
        .args([out("The file"), arg!(--json "For programs")]);
    let finish = Command::new("finish")
        .about("Take what only fetching needs out of a file, and make it as small as it gets")
        .arg(out("The file"))
        .arg(arg!(--incomplete "Even if tiles are missing: nothing will know which"));
    let verify =
        Command::new("verify").about("Read all of a file again: every tile, the counts, the hash").arg(out("The file"));
    let convert = Command::new("convert").about("Make MBTiles, PMTiles or a folder of another of these").args([
        arg!(from: <FROM>).value_parser(value_parser!(PathBuf)).help("What is there"),
        arg!(to: <TO>).value_parser(value_parser!(PathBuf)).help("What is made: x.mbtiles, x.pmtiles, or a folder x/"),
        schema_of("How an MBTiles file keeps bodies: one each, or equal ones once"),
        arg!(--tms "In a folder, rows count from the south"),
        arg!(--replace "What is there of that name goes when the new one is whole"),
    ]);
    let take_over = Command::new("take-over")
        .about("Take over what the batch script left: whole tiles, what failed, and the ranges that were asked for")
        .arg(
            arg!(from: <FOLDER>)
                .value_parser(value_parser!(PathBuf))
                .help("The script's folder, with tiles_batch_001 in it"),
        )
        .arg(out("The file to go on with; made where there is none"))
        .args(source())
        .args(area())
        .args(manner())
        .arg(schema_of("How a new file keeps bodies: one each, or equal ones once"));
    let selftest = Command::new("selftest")
        .about("Start a server of its own, do what goes wrong with real ones, and see whether everything arrives once");
    Command::new("tiles")
        .about("All map tiles of an area in one file: nothing twice, nothing lost, however it stops")
        .version(env!("CARGO_PKG_VERSION"))
        .subcommand_required(true)
        .arg_required_else_help(true)
        // What is said last counts, so that a command can be repeated with something else behind it.
        .args_override_self(true)
        .subcommands([get, plan, status, finish, convert, verify, take_over, selftest])
}

const AFTER_GET: &str = "\
Exit status: 0 all there; 3 tiles are missing, because they failed or because this run asked for a part only; 4 the server wants to be
left alone for more than an hour; 5 the server refuses, or was never reached; 78 wrong arguments or a file that cannot be used; 80 a
source that cannot be read, or does not allow it; 81 the file could not be written; 82 something hung and was given up; 83 given up by
a third Ctrl+C; 130 stopped by Ctrl+C, 143 by SIGTERM. After all of them the same command goes on.

Secrets: `${NAME}` in the template or a header is taken from the environment, `{apikey}` from TILES_APIKEY or --apikey-file, and
`--header 'Name: @FILE'` from a file. They are written nowhere.";

fn source() -> Vec<Arg> {
    vec![
        arg!(--url <URL> "A template such as https://host/{z}/{x}/{y}.png, a TileJSON, or WMTS capabilities"),
        arg!(--layer <ID> "The layer of a WMTS"),
        arg!(--"matrix-set" <ID> "The tile matrix set of a WMTS"),
        arg!(--subdomains <LIST> "What {s} becomes: abc, 1-4, or one,two"),
        arg!(--tms "Rows count from the south"),
        arg!(--retina "Tiles of double size: {r} becomes @2x"),
        arg!(--"apikey-file" <FILE> "Where {apikey} is read from; otherwise the variable TILES_APIKEY"),
    ]
}

fn area() -> Vec<Arg> {
    let degrees = |arg: Arg| arg.allow_hyphen_values(true);
    vec![
        degrees(arg!(--bbox <"W,S,E,N"> "A box in degrees; west above east crosses the antimeridian")),
        arg!(--polygon <FILE> "The polygons of a GeoJSON file; lines and points with --buffer")
            .value_parser(value_parser!(PathBuf)),
        arg!(--buffer <METRES> "How far around the lines and points of --polygon")
            .value_parser(value_parser!(f64))
            .requires("polygon"),
        degrees(arg!(--center <"LON,LAT"> "A circle, with --radius")).requires("radius"),
        arg!(--radius <KM> "Of the circle around --center").value_parser(value_parser!(f64)).requires("center"),
        arg!(--x <"A-B"> "Columns of tiles, at the deepest zoom; both ends included").requires("y"),
        arg!(--y <"A-B"> "Rows of tiles from the north, at the deepest zoom; both ends included").requires("x"),
        arg!(-z --zoom <"A-B"> "Zooms, both ends included").value_parser(zooms),
    ]
}

fn manner() -> Vec<Arg> {
    let concurrent = value_parser!(u32).range(1..=i64::from(MOST_CONCURRENT));
    vec![
        arg!(--concurrent <N> "Requests at once, at most; fewer where that is as fast [default: 16]").value_parser(concurrent),
        arg!(--rate <N> "Requests a second, at most").value_parser(rate),
        arg!(--batch <N> "Print a line after so many tiles").value_parser(value_parser!(u64).range(1..)),
        arg!(--header <HEADER> "Send this as well, `Name: value`; may be repeated").action(ArgAction::Append),
        arg!(--"user-agent" <TEXT> "How to call ourselves; name a way to reach you"),
        arg!(--format <FORMAT> "What the tiles have to be: png, jpg, webp, gif, avif or pbf [default: what the first one is]").value_parser(format),
        arg!(--ca <FILE> "Trust the certificates in this PEM file as well"),
        arg!(--timeout <SECONDS> "How long one tile may take in all").value_parser(value_parser!(u64).range(1..=3600)).default_value("30"),
    ]
}

fn schema_of(help: &'static str) -> Arg {
    arg!(--schema <SCHEMA>).help(help).value_parser(["flat", "dedup"]).default_value("flat")
}

/// `0-14`, or one zoom.
fn zooms(text: &str) -> Result<RangeInclusive<u8>, String> {
    let range = Area::range(text).map_err(|_| "expected zooms such as 0-14, or one such as 14".to_owned())?;
    let zoom = |zoom| grid::zoom(zoom).map_err(|error| format!("{error}; {}", error.hint()));
    let zooms = zoom(*range.start())?..=zoom(*range.end())?;
    if zooms.is_empty() { Err("write the lower zoom first, such as 0-14".to_owned()) } else { Ok(zooms) }
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate: &f64| rate.is_finite() && *rate > 0.0);
    rate.ok_or_else(|| "expected a number above 0, such as 50 or 0.5".to_owned())
}

fn format(text: &str) -> Result<Format, String> {
    Format::named(text).ok_or_else(|| "expected png, jpg, webp, gif, avif or pbf".to_owned())
}

/// A path that is required.
pub(crate) fn path(matches: &ArgMatches, name: &str) -> PathBuf {
    matches.get_one::<PathBuf>(name).cloned().unwrap_or_default()
}

fn text(matches: &ArgMatches, name: &str) -> Option<String> {
    matches.get_one::<String>(name).cloned()
}

/// What is wanted, as far as it was said.
pub(crate) fn request(matches: &ArgMatches) -> Result<Request, Wrong> {
    let zooms = matches.get_one::<RangeInclusive<u8>>("zoom").cloned();
    let flag = |name| matches.try_get_one::<bool>(name).ok().flatten().copied().unwrap_or_default();
    Ok(Request {
        url: text(matches, "url"),
        layer: text(matches, "layer"),
        matrix_set: text(matches, "matrix-set"),
        subdomains: text(matches, "subdomains"),
        tms: matches.get_flag("tms"),
        double: matches.get_flag("retina"),
        area: wanted(matches, zooms.as_ref())?,
        zooms,
        headers: matches.get_many::<String>("header").map(|all| all.cloned().collect()).unwrap_or_default(),
        agent: text(matches, "user-agent"),
        apikey_file: text(matches, "apikey-file"),
        ca: text(matches, "ca"),
        concurrent: matches.get_one("concurrent").copied(),
        rate: matches.get_one("rate").copied(),
        batch: matches.get_one("batch").copied(),
        format: matches.get_one("format").copied(),
        replace_source: flag("replace-source"),
    })
}

/// All areas that were named: their union.
fn wanted(matches: &ArgMatches, zooms: Option<&RangeInclusive<u8>>) -> Result<Option<Area>, Wrong> {
    let mut areas = Vec::new();
    if let Some(text) = matches.get_one::<String>("bbox") {
        areas.push(bbox(text)?);
    }
    if let Some(path) = matches.get_one::<PathBuf>("polygon") {
        areas.push(polygon(path, matches.get_one("buffer").copied())?);
    }
    if let (Some(center), Some(radius)) = (matches.get_one::<String>("center"), matches.get_one::<f64>("radius")) {
        let [lon, lat] = numbers("--center", center, "106.8,-6.2")?;
        areas.push(hinted!(Area::circle(lon, lat, radius * 1000.0))?);
    }
    if let (Some(x), Some(y)) = (matches.get_one::<String>("x"), matches.get_one::<String>("y")) {
        let Some(zooms) = zooms else {
            let what = format!("--x {x} --y {y}: without --zoom nobody knows which tiles these are");
            return Err(Wrong { what, hint: "say the zoom of these tiles, such as --zoom 17".to_owned() });
        };
        areas.push(block(*zooms.end(), x, y)?);
    }
    Ok(areas.into_iter().reduce(Area::and))
}

pub(crate) fn bbox(text: &str) -> Result<Area, Wrong> {
    let [west, south, east, north] = numbers("--bbox", text, "106.6,-6.4,107.0,-6.0")?;
    Ok(hinted!(Bounds::new(west, south, east, north))?.into())
}

pub(crate) fn block(zoom: u8, x: &str, y: &str) -> Result<Area, Wrong> {
    let range = |text| hinted!(Area::range(text));
    hinted!(Area::tiles(zoom, range(x)?, range(y)?))
}

fn polygon(path: &Path, buffer: Option<f64>) -> Result<Area, Wrong> {
    // A pipe would be waited for.
    let is_file = fs::metadata(path).and_then(|found| match found.is_file() {
        true => Ok(()),
        false => Err(std::io::Error::other("it is no file")),
    });
    let text = is_file.and_then(|()| fs::read_to_string(path)).map_err(|error| Wrong {
        what: format!("--polygon {}: {error}", path.display()),
        hint: "name a GeoJSON file that can be read".to_owned(),
    })?;
    Area::geojson(&text, buffer).map_err(|error| Wrong {
        what: format!("--polygon {}: {error}", path.display()),
        hint: error.hint().to_owned(),
    })
}

/// Numbers with commas between them.
fn numbers<const N: usize>(name: &str, text: &str, example: &str) -> Result<[f64; N], Wrong> {
    let numbers: Option<Vec<f64>> = text.split(',').map(|number| number.trim().parse().ok()).collect();
    numbers.and_then(|numbers| numbers.try_into().ok()).ok_or_else(|| Wrong {
        what: format!("{name} {text:?} is not {N} numbers with commas between them"),
        hint: format!("such as {name} {example}"),
    })
}

pub(crate) fn which(matches: &ArgMatches) -> Which {
    match (matches.get_flag("failed"), matches.get_flag("refresh")) {
        (true, _) => Which::Failed,
        (_, true) => Which::Stale,
        _ => Which::Missing,
    }
}

pub(crate) fn schema(matches: &ArgMatches) -> Schema {
    if matches.get_one::<String>("schema").is_some_and(|schema| schema == "dedup") {
        Schema::Dedup
    } else {
        Schema::Flat
    }
}
