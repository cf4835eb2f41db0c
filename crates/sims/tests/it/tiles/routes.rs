use std::time::Duration;

use serde_json::Value;
use sims::tiles::{Absence, Caching, Config, Delay, Fault, Format, Origin, Rule, Script, Site, Tile, Which, World};

use super::{
    PATH, TILE,
    client::{Client, End, Seen, get, get_with},
    png, truth,
};

async fn start(config: Config) -> Origin {
    Origin::start(config).await.unwrap()
}

fn json(seen: &Seen) -> Value {
    assert_eq!((seen.status, seen.header("content-type")), (200, Some("application/json")));
    serde_json::from_slice(&seen.body).unwrap()
}

#[tokio::test]
async fn every_address_leads_to_the_bytes_of_its_tile() {
    let origin = start(Config::default()).await;
    let kvp = "/wmts?SERVICE=WMTS&REQUEST=GetTile&VERSION=1.0.0&LAYER=tiles&STYLE=default&FORMAT=image/webp\
               &TILEMATRIXSET=EPSG:3857&TILEMATRIX=EPSG%3A3857%3A12&TILEROW=1763&TILECOL=3423";

    for (path, format) in [
        (PATH, Format::Png),
        ("/12/3423/1763.jpg", Format::Jpg),
        ("/12/3423/1763.webp", Format::Webp),
        ("/12/3423/1763.pbf", Format::Pbf),
        ("/12/3423/1763.png?apikey=secret", Format::Png),
        ("/tms/12/3423/2332.png", Format::Png),
        (&format!("/q/{}.jpg", TILE.quadkey()), Format::Jpg),
        (kvp, Format::Webp),
        ("/wmts/tiles/default/GoogleMapsCompatible/12/1763/3423.png", Format::Png),
        ("/moved/12/3423/1763.png", Format::Png),
        ("/truth/12/3423/1763.pbf", Format::Pbf),
    ] {
        let seen = get(origin.address(), path).await;
        let content = truth(&origin, format, TILE);
        assert_eq!((seen.status, seen.end), (200, End::Whole), "{path}");
        assert!(seen.body == content.bytes, "{path}");
        let header = |name| seen.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        assert_eq!(header("content-type"), Some(format.media_type()), "{path}");
        assert_eq!(header("etag"), Some(&*content.etag), "{path}");
        assert_eq!(header("content-encoding"), (format == Format::Pbf).then_some("gzip"), "{path}");
        assert_eq!(header("cache-control"), Some("public, max-age=3600"), "{path}");
        assert!(httpdate::parse_http_date(header("date").unwrap()).is_ok(), "{path}");
    }
    assert!(get(origin.other(), PATH).await.body == png(&origin), "the other host has the same");
}

#[tokio::test]
async fn what_is_not_there_is_said_in_the_way_that_was_configured() {
    let absent = [(Absence::NotFound, 404), (Absence::Gone, 410), (Absence::NoContent, 204), (Absence::Empty, 200)];
    let rules = absent.iter().zip(0..).map(|((absence, _), x)| (Which::tile(Tile::new(5, x, 0)), *absence));
    let world = World { zooms: 2..=14, absent: rules.collect(), ..World::default() };
    let origin = start(Config { world, ..Config::default() }).await;
    let mut client = Client::connect(origin.address()).await;

    for ((_, status), x) in absent.iter().zip(0..) {
        let seen = client.get(&format!("/5/{x}/0.png")).await;
        assert_eq!((seen.status, seen.header("etag")), (*status, None), "{x}");
        assert_eq!(seen.body.is_empty(), matches!(status, 204 | 200), "{x}");
    }
    for path in ["/1/0/0.png", "/15/0/0.png", "/5/32/0.png", "/5/0/99999999999.png", "/", "/5/0/0.tif"] {
        assert_eq!(client.get(path).await.status, 404, "{path}");
    }
    assert_eq!(client.get("/5/9/0.png").await.status, 200);
    let log = origin.stop().await;
    assert_eq!((log.opened(Site::Main), log.entries().iter().filter(|entry| entry.served()).count()), (1, 1));
}

#[tokio::test]
async fn tile_json_describes_tiles_that_are_there() {
    let world = World { zooms: 3..=14, ..World::default() };
    let origin = start(Config { world, ..Config::default() }).await;

    for (query, extension, scheme, y) in
        [("", "png", "xyz", 1763), ("?format=pbf", "pbf", "xyz", 1763), ("?format=jpg&scheme=tms", "jpg", "tms", 2332)]
    {
        let described = json(&get(origin.address(), &format!("/tiles.json{query}")).await);

        assert_eq!((&described["minzoom"], &described["maxzoom"]), (&3.into(), &14.into()));
        assert_eq!((described["scheme"].as_str(), described["bounds"][0].as_f64()), (Some(scheme), Some(-180.0)));
        assert!(described["attribution"].as_str().unwrap().contains("made-up"));
        let layers = described["vector_layers"].as_array();
        assert_eq!(layers.map(|layers| layers[0]["id"].as_str()), (extension == "pbf").then_some(Some("tile")));
        let template = described["tiles"][0].as_str().unwrap().strip_prefix(origin.base(Site::Main)).unwrap();
        let path = template.replace("{z}", "12").replace("{x}", "3423").replace("{y}", &y.to_string());
        let content = truth(&origin, Format::from_extension(extension).unwrap(), TILE);
        assert!(get(origin.address(), &path).await.body == content.bytes, "{path}");
    }
}

#[tokio::test]
async fn capabilities_offer_three_matrix_sets_of_which_one_is_off_scale() {
    let origin = start(Config::default()).await;

    let by_path = get(origin.address(), "/wmts/1.0.0/WMTSCapabilities.xml").await;
    let by_query = get(origin.address(), "/wmts?service=wmts&request=GetCapabilities").await;

    assert_eq!((by_path.status, &by_path.body), (200, &by_query.body));
    let text = String::from_utf8(by_path.body).unwrap();
    let matrix = |set: &str, id: &str| {
        let set = text.split_once(&format!("<TileMatrixSet><ows:Identifier>{set}<"))?.1;
        let rest = set.split_once(&format!("<TileMatrix><ows:Identifier>{id}</ows:Identifier><ScaleDenominator>"))?.1;
        rest.split_once('<')?.0.parse::<f64>().ok()
    };
    let right = 559_082_264.028_717_8 / 128.0;
    for (set, id) in [("EPSG:3857", "EPSG:3857:7"), ("GoogleMapsCompatible", "7")] {
        let scale = matrix(set, id).unwrap();
        assert!((scale - right).abs() < 1e-3, "{set}: {scale}");
    }
    let off = (0..=22).map(|z| matrix("OffScale", &z.to_string()).unwrap() / right);
    assert!(off.into_iter().all(|times| (times.log2() - times.log2().round()).abs() > 0.1), "it fits no zoom");
    let sets: Vec<&str> =
        text.split("<TileMatrixSet><ows:Identifier>").skip(1).map(|rest| rest.split_once('<').unwrap().0).collect();
    assert_eq!(sets, ["GoogleMapsCompatible", "EPSG:3857", "OffScale"]);
    let template = format!("{}/wmts/tiles/default/", origin.base(Site::Main));
    assert_eq!(text.matches(&template).count(), 3, "one for each format");

    let refused = get(origin.address(), "/wmts/tiles/default/OffScale/3/1/1.png").await;
    assert_eq!(refused.status, 400);
    assert!(String::from_utf8(refused.body).unwrap().contains("TILEMATRIXSET"));
}

#[tokio::test]
async fn an_unchanged_tile_is_304_until_a_revision_changes_it() {
    let world = World { changing: 0.5, ..World::default() };
    let origin = start(Config { world, ..Config::default() }).await;
    let path = |x| format!("/14/{x}/7.png");
    let ask = async |x, etag: &str| get_with(origin.address(), &path(x), &[("If-None-Match", etag)]).await;
    let before: Vec<_> = (0..40).map(|x| truth(&origin, Format::Png, Tile::new(14, x, 7))).collect();
    for (x, content) in (0..).zip(&before) {
        let seen = ask(x, &content.etag).await;
        assert_eq!((seen.status, seen.body.len(), seen.header("etag")), (304, 0, Some(&*content.etag)));
        assert_eq!((seen.header("content-type"), seen.header("cache-control").is_some()), (None, true));
    }

    assert_eq!(origin.revise(), 1);

    let mut changed = 0;
    for (x, content) in (0..).zip(&before) {
        let now = truth(&origin, Format::Png, Tile::new(14, x, 7));
        let seen = ask(x, &content.etag).await;
        if now.etag == content.etag {
            assert_eq!(seen.status, 304);
        } else {
            changed += 1;
            assert!(seen.status == 200 && seen.body == now.bytes && now.bytes != content.bytes);
            let since = httpdate::fmt_http_date(content.modified);
            let by_date = get_with(origin.address(), &path(x), &[("If-Modified-Since", &since)]).await;
            assert_eq!(by_date.status, 200);
            let since = httpdate::fmt_http_date(now.modified);
            let by_date = get_with(origin.address(), &path(x), &[("If-Modified-Since", &since)]).await;
            assert_eq!((by_date.status, by_date.body.len()), (304, 0));
        }
    }
    assert!((8..32).contains(&changed), "{changed} of 40");
}

#[tokio::test]
async fn a_server_may_give_no_validators_and_have_a_wrong_clock() {
    let caching = Caching { etag: false, last_modified: false, max_age: None, expires: Some(60), age: Some(9) };
    let origin = start(Config { caching, clock_skew: -86_400, ..Config::default() }).await;

    let seen = get_with(origin.address(), PATH, &[("If-None-Match", "*")]).await;

    assert_eq!((seen.status, seen.header("age")), (200, Some("9")));
    assert_eq!((seen.header("etag"), seen.header("last-modified"), seen.header("cache-control")), (None, None, None));
    let date = |name| httpdate::parse_http_date(seen.header(name).unwrap()).unwrap();
    assert_eq!(date("expires").duration_since(date("date")).unwrap().as_secs(), 60);
    let behind = std::time::SystemTime::now().duration_since(date("date")).unwrap().as_secs();
    assert!((86_400..86_460).contains(&behind), "{behind}");
}

#[tokio::test]
async fn head_has_no_body_and_other_methods_are_refused() {
    let origin = start(Config::default()).await;
    let mut client = Client::connect(origin.address()).await;

    client.send("HEAD", PATH, &[]).await;
    let length = client.begins(0).await.header("content-length").unwrap().parse::<usize>().unwrap();
    assert_eq!(length, png(&origin).len());
    client.send("POST", PATH, &[("Content-Length", "0")]).await;
    assert_eq!(client.answer().await.status, 405);
    assert!(client.get(PATH).await.body == png(&origin), "the connection is in order");
    let log = origin.stop().await;
    assert_eq!(log.tiles()[&TILE].served, 1, "a head is no tile");
}

#[tokio::test]
async fn the_log_names_every_request_once_and_a_reset_empties_it() {
    let origin = start(Config::default()).await;
    let agent = [("User-Agent", "mapper/1.0"), ("Authorization", "Bearer x")];
    get_with(origin.address(), "/12/3423/1763.png?key=k", &agent).await;
    get(origin.other(), "/1/0/0.png").await;
    get(origin.address(), "/nowhere").await;
    get(origin.address(), "/truth/1/0/0.png").await;
    origin.until(|log| log.in_flight() == 0).await;

    let mut client = Client::connect(origin.address()).await;
    let log = json(&client.get("/log").await);

    let requests = log["requests"].as_array().unwrap();
    assert_eq!(requests.len(), 3, "{log}");
    let first = &requests[0];
    assert_eq!((&first["tile"], &first["status"]), (&"12/3423/1763".into(), &200.into()));
    assert_eq!(first["path"], "/12/3423/1763.png?key=k");
    assert_eq!(
        (&first["headers"]["user-agent"], &first["headers"]["authorization"]),
        (&"mapper/1.0".into(), &"Bearer x".into())
    );
    assert_eq!(
        (&first["complete"], &first["genuine"], &first["bytes"]),
        (&true.into(), &true.into(), &png(&origin).len().into())
    );
    assert_eq!((&requests[1]["host"], &requests[1]["protocol"]), (&"other".into(), &"http/1.1".into()));
    assert_eq!((&requests[2]["status"], &requests[2]["tile"]), (&404.into(), &Value::Null));
    assert_eq!(log["summary"]["statuses"], serde_json::json!({ "200": 2, "404": 1 }));
    assert_eq!(json(&client.get("/log?summary").await), log["summary"]);
    let known = origin.log();
    assert_eq!(log["summary"]["most_connections"], known.most_connections(Site::Main));
    assert_eq!(log["summary"]["connections_opened"], known.opened(Site::Main));
    assert_eq!(log["summary"]["bytes"], known.entries().iter().map(|entry| entry.bytes).sum::<u64>());

    assert_eq!(json(&get(origin.address(), "/reset?revise").await)["revision"], 1);
    assert_eq!(json(&get(origin.address(), "/log").await)["requests"], serde_json::json!([]));
    assert!(origin.log().entries().is_empty());
}

#[tokio::test]
async fn an_answer_that_began_before_a_reset_is_not_in_the_log_after_it() {
    let late = Script::new(1).rule(Rule::new(Fault::Delay(Delay::Fixed(Duration::from_millis(50)))));
    let origin = start(Config { script: late, ..Config::default() }).await;
    let mut before = Client::connect(origin.address()).await;
    before.send("GET", PATH, &[]).await;
    origin.until(|log| log.in_flight() == 1).await;

    origin.reset(Some(Script::new(1).rule(Rule::new(Fault::status(500)))));
    assert_eq!(get(origin.address(), "/1/0/0.png").await.status, 500);
    assert_eq!(before.answer().await.status, 200);

    let log = origin.stop().await;
    let entries: Vec<_> = log.entries().iter().map(|entry| (entry.path.as_str(), entry.status)).collect();
    assert_eq!(entries, [("/1/0/0.png", Some(500))]);
    assert_eq!((log.in_flight(), log.most_in_flight(Site::Main)), (0, 1));
}

#[tokio::test]
async fn what_was_asked_again_is_told_from_what_had_to_be() {
    let world = World { absent: vec![(Which::tile(Tile::new(1, 0, 0)), Absence::NotFound)], ..World::default() };
    let origin = start(Config { world, ..Config::default() }).await;
    let mut client = Client::connect(origin.address()).await;

    for path in ["/1/0/0.png", "/1/0/0.png", "/1/1/0.png", "/1/0/1.png", "/1/1/0.png", "/1/1/0.png"] {
        client.get(path).await;
    }

    let log = origin.stop().await;
    assert_eq!(log.asked_again().into_iter().collect::<Vec<_>>(), [(Tile::new(1, 1, 0), 3)]);
    assert_eq!((log.tiles()[&Tile::new(1, 0, 0)].requests, log.tiles()[&Tile::new(1, 0, 0)].served), (2, 0));
    assert_eq!(log.count(404), 2);
}
