//! Where tiles come from, and what they are.

use std::{
    io::Write,
    sync::{Arc, Mutex},
};

use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use sims::tiles::{Format, Origin, Script, Site, Truth};
use tiles::{check, net::Target, store::Reader};

use super::{
    memory::{Answer, Memory, truth},
    support::{Get, SECRET, TILES, asked_at_most, config},
};

async fn plain() -> Origin {
    Origin::start(config(Script::default())).await.unwrap()
}

#[track_caller]
fn says(path: &std::path::Path, name: &str, value: &str) {
    let metadata = Reader::open(path).unwrap().metadata().unwrap();
    assert_eq!(metadata.value(name), Some(value), "{metadata:?}");
}

#[tokio::test]
async fn a_tilejson_is_asked_for_once_and_says_what_the_tiles_are() {
    for (query, format) in
        [("", Format::Png), ("?format=jpg", Format::Jpg), ("?format=pbf", Format::Pbf), ("?scheme=tms", Format::Png)]
    {
        let origin = plain().await;
        let mut get = Get::new(&format!("{}/tiles.json{query}", origin.base(Site::Main)));
        get.request.zooms = Some(0..=11);

        get.run().await.is_complete(|tile| origin.truth(format, tile));

        says(&get.path(), "name", "Simulated tiles");
        says(&get.path(), "attribution", "<a href=\"https://tiles.invalid/\">made-up tiles</a>");
        says(&get.path(), "format", format.extension());
        let json = Reader::open(&get.path()).unwrap().metadata().unwrap().value("json").map(str::to_owned);
        assert_eq!(json.is_some_and(|json| json.contains("\"vector_layers\":[{")), format == Format::Pbf);
        let tiles = get.run().await.wanted().len();

        // It goes on without asking what it knows.
        get.request.zooms = Some(0..=13);
        get.run().await.is_complete(|tile| origin.truth(format, tile));
        says(&get.path(), "name", "Simulated tiles");
        let log = origin.stop().await;
        assert_eq!(log.entries().iter().filter(|entry| entry.path.starts_with("/tiles.json")).count(), 1);
        assert!(tiles < TILES && log.entries().len() == 1 + TILES);
        asked_at_most(&log, 1);
        assert_eq!(log.entries().iter().any(|entry| entry.path.starts_with("/tms/")), query.contains("tms"));
    }
}

#[tokio::test]
async fn a_wmts_is_understood_with_either_name_for_its_zooms() {
    for (set, matrix) in [(None, None), (Some("EPSG:3857"), Some("EPSG")), (Some("GoogleMapsCompatible"), None)] {
        let origin = plain().await;
        let mut get = Get::new(&format!("{}/wmts/1.0.0/WMTSCapabilities.xml", origin.base(Site::Main)));
        get.request.matrix_set = set.map(str::to_owned);

        get.run().await.is_complete(|tile| origin.truth(Format::Png, tile));

        let log = origin.stop().await;
        assert_eq!(log.entries().len(), 1 + TILES);
        let tiles = log.entries().iter().filter(|entry| entry.tile.is_some());
        assert!(matrix.is_none_or(|matrix| tiles.clone().all(|entry| entry.path.contains(matrix))), "{set:?}");
    }
}

#[tokio::test]
async fn other_ways_to_name_a_tile_lead_to_it() {
    let kvp = "/wmts?SERVICE=WMTS&REQUEST=GetTile&VERSION=1.0.0&LAYER=tiles&STYLE=default&FORMAT=image/png\
               &TILEMATRIXSET=GoogleMapsCompatible&TILEMATRIX={z}&TILEROW={y}&TILECOL={x}";
    for (path, tms) in
        [("/tms/{z}/{x}/{-y}.png", false), ("/tms/{z}/{x}/{y}.png", true), ("/q/{q}.png", false), (kvp, false)]
    {
        let origin = plain().await;
        let mut get = Get::new(&format!("{}{path}", origin.base(Site::Main)));
        get.request.tms = tms;
        // A quadkey has no digits at zoom 0.
        get.request.zooms = Some(1..=13);

        get.run().await.is_complete(|tile| origin.truth(Format::Png, tile));

        asked_at_most(&origin.log(), 1);
    }
}

#[tokio::test]
async fn a_description_that_is_none_ends_it_before_anything_is_asked() {
    let origin = plain().await;
    for (path, why) in [
        ("/nothing.json", "the server answers 404"),
        ("/log", "not TileJSON: tiles is null"),
        ("/wmts?SERVICE=WMTS&REQUEST=GetNothing", "the server answers 400"),
    ] {
        let get = Get::new(&format!("{}{path}", origin.base(Site::Main)));

        let ran = get.run().await;

        assert_eq!(ran.report.code(), 80, "{path}");
        assert!(ran.report.why.contains(why), "{}", ran.report.why);
        assert_eq!(ran.stored(), 0);
    }
    let get = Get::new(&format!("{}/tiles.json", origin.base(Site::Main))).zooms(0..=23);
    let ran = get.run().await;
    assert!(ran.report.why.contains("zooms 0 to 23 are wanted, the source has 0 to 22"), "{}", ran.report.why);
    assert!(origin.log().entries().iter().all(|entry| entry.tile.is_none()));
}

/// The vector tile of the simulator, not compressed.
fn bare(tile: sims::tiles::Tile) -> Vec<u8> {
    let Truth::There(content) = super::support::world().truth(Format::Pbf, tile, 0) else { unreachable!() };
    let mut bytes = Vec::new();
    std::io::copy(&mut GzDecoder::new(&content.bytes[..]), &mut bytes).unwrap();
    bytes
}

#[tokio::test(start_paused = true)]
async fn bare_vector_tiles_are_stored_compressed() {
    let memory = Memory::new(|asked| {
        let body = bare(asked.tile);
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        Answer::Raw([head.as_bytes(), &body].concat())
    });
    let get = Get::of(&memory).zooms(0..=10);

    let ran = get.run().await;

    let packed = |tile| {
        let mut packer = GzEncoder::new(Vec::new(), Compression::default());
        packer.write_all(&bare(tile)).unwrap();
        let Truth::There(content) = truth(tile) else { unreachable!() };
        Truth::There(sims::tiles::Content { bytes: packer.finish().unwrap(), ..content })
    };
    ran.is_complete(packed);
    says(&get.path(), "format", "pbf");
    assert_eq!(check::Format::named("pbf"), Some(check::Format::Mvt));
}

#[tokio::test(start_paused = true)]
async fn openstreetmap_is_not_even_called_without_its_permission() {
    let called: Arc<Mutex<Vec<Target>>> = Arc::default();
    let memory = Memory::new(|_| Answer::Tile);
    for (zooms, permitted, calls) in [(0..=13, false, true), (0..=14, false, false), (0..=14, true, true)] {
        let mut get = Get::new("https://tile.openstreetmap.org/{z}/{x}/{y}.png").zooms(zooms);
        let (heard, connect) = (Arc::clone(&called), memory.connect());
        get.connect = Arc::new(move |target| {
            heard.lock().unwrap().push(target.clone());
            connect(target)
        });
        get.permitted = permitted;
        called.lock().unwrap().clear();

        let ran = get.run().await;

        assert_eq!(!called.lock().unwrap().is_empty(), calls);
        if calls {
            ran.is_complete(truth);
        } else {
            assert_eq!(ran.report.code(), 80);
            assert!(ran.report.why.contains("520 tiles from tile.openstreetmap.org: its operators forbid bulk"));
            assert!(ran.report.why.contains("--i-have-permission"), "{}", ran.report.why);
        }
    }
}

const TILEJSON: &str = r#"{"tilejson": "3.0.0", "tiles": ["TEMPLATE"]}"#;

fn described(template: &str) -> Memory {
    Memory::new(|_| Answer::Tile).document("/tiles.json", &TILEJSON.replace("TEMPLATE", template))
}

#[tokio::test(start_paused = true)]
async fn a_key_for_the_description_and_one_in_what_it_says_are_kept_nowhere() {
    let memory = described(&format!("http://memory/{{z}}/{{x}}/{{y}}.png?key={SECRET}"));
    let mut get = Get::of(&memory).at("http://memory/tiles.json?key=${SECRET}").zooms(0..=10);

    get.run().await.is_complete(truth);
    // What it said had a secret in it, so it is asked again.
    get.request.zooms = Some(0..=11);
    let ran = get.run().await;

    ran.is_complete(truth);
    let heads = memory.heads();
    assert!(heads.iter().all(|head| head.contains(&format!("?key={SECRET} "))), "{heads:?}");
    assert_eq!(heads.iter().filter(|head| head.contains("/tiles.json")).count(), 2);
    ran.has_no_secret();
}

#[tokio::test(start_paused = true)]
async fn what_a_server_writes_gets_nothing_of_the_environment() {
    for placeholder in ["${SECRET}", "{apikey}"] {
        let memory = described(&format!("http://memory/{{z}}/{{x}}/{{y}}.png?v={placeholder}"));

        let ran = Get::of(&memory).at("http://memory/tiles.json").run().await;

        assert_eq!(ran.report.code(), 80, "{}", ran.report.why);
        assert!(ran.report.why.contains("has no value"), "{}", ran.report.why);
        assert!(memory.asked().is_empty() && !memory.heads().concat().contains(SECRET));
    }
}

#[tokio::test(start_paused = true)]
async fn headers_are_for_the_server_that_a_person_named() {
    for (template, same) in [("http://memory/{z}/{x}/{y}.png", true), ("http://other/{z}/{x}/{y}.png", false)] {
        let memory = described(template);
        let mut get = Get::of(&memory).at("http://memory/tiles.json").header("X-Token: ${SECRET}");

        get.run().await.is_complete(truth);
        get.request.area = Some(super::support::jakarta());
        get.request.zooms = Some(0..=14);
        get.run().await.is_complete(truth);

        let has = |head: &String| head.contains(SECRET);
        let heads = memory.heads();
        assert!(heads.iter().filter(|head| head.contains("/tiles.json")).all(has));
        assert!(heads.iter().filter(|head| !head.contains("/tiles.json")).all(|head| has(head) == same));
    }
}

#[tokio::test(start_paused = true)]
async fn a_description_that_is_not_to_be_had_for_a_moment_is_waited_for() {
    let text = TILEJSON.replace("TEMPLATE", "http://memory/{z}/{x}/{y}.png");
    let memory = Memory::new(|_| Answer::Tile)
        .bytes("/tiles.json", "HTTP/1.1 503 X\r\nRetry-After: 30\r\nContent-Length: 0\r\n\r\n")
        .bytes("/tiles.json", "HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n")
        .bytes("/tiles.json", "HTTP/1.1 302 X\r\nLocation: /other.json\r\nContent-Length: 0\r\n\r\n")
        .document("/other.json", &text);
    let began = tokio::time::Instant::now();

    let ran = Get::of(&memory).at("http://memory/tiles.json").run().await;

    ran.is_complete(truth);
    ran.says("the server answers 503: the source is asked again in 0:30");
    ran.says("the server answers 500: the source is asked again in 2.0 s");
    assert!((32..35).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());

    for (answer, why, asked) in [
        ("HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n", "the server answers 500", 5),
        ("HTTP/1.1 403 X\r\nContent-Length: 0\r\n\r\n", "the server answers 403", 1),
        ("HTTP/1.1 429 X\r\nRetry-After: 600\r\nContent-Length: 0\r\n\r\n", "answers 429: come back in 10:00", 1),
        ("HTTP/1.1 302 X\r\nLocation: /tiles.json\r\nContent-Length: 0\r\n\r\n", "it redirects without end", 6),
    ] {
        let memory = Memory::new(|_| Answer::Tile).bytes("/tiles.json", answer);

        let ran = Get::of(&memory).at("http://memory/tiles.json").run().await;

        assert_eq!(ran.report.code(), 80);
        assert!(ran.report.why.ends_with(why), "{}", ran.report.why);
        assert_eq!(memory.heads().len(), asked, "{why}");
    }
}
