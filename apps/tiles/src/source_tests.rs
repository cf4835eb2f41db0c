use super::*;
use crate::{
    grid::Tile,
    template::{Settings, Template},
};

const TILEJSON: &str = r#"{"tilejson":"3.0.0","name":"Base","description":"All of it","attribution":"<a>us</a>",
    "tiles":["https://a.h/{z}/{x}/{y}.pbf","https://b.h/{z}/{x}/{y}.pbf"],"minzoom":2,"maxzoom":14.0,
    "bounds":[-180,-85.0511,180,85.0511],"vector_layers":[{"id":"water","fields":{"class":"String"}}]}"#;

#[test]
fn a_tilejson_is_read_whole() {
    let source = Source::tilejson(TILEJSON).unwrap();

    let layers = r#"[{"fields":{"class":"String"},"id":"water"}]"#;
    assert_eq!(source.template, "https://a.h/{z}/{x}/{y}.pbf");
    assert_eq!((source.zooms.clone(), source.bounds), (Some(2..=14), Some([-180.0, -85.0511, 180.0, 85.0511])));
    assert_eq!(source.vector_layers.as_deref(), Some(layers));
    assert_eq!((source.name.as_deref(), source.description.as_deref()), (Some("Base"), Some("All of it")));
    assert_eq!((source.attribution.as_deref(), source.tms), (Some("<a>us</a>"), false));
    let least = Source::tilejson(r#"{"tiles":["http://h/{z}/{x}/{y}"],"scheme":"tms"}"#).unwrap();
    assert_eq!((least.tms, least.zooms), (true, None));
}

#[test]
fn zooms_that_a_source_does_not_have_are_refused() {
    let source = Source::tilejson(TILEJSON).unwrap();

    assert_eq!(source.check_zooms(&(2..=14)), Ok(()));
    assert_eq!(Source::default().check_zooms(&(0..=30)), Ok(()));
    for wanted in [1..=14, 2..=15] {
        let error = source.check_zooms(&wanted).unwrap_err();
        assert!(error.to_string().ends_with("are wanted, the source has 2 to 14"), "{error}");
    }
}

#[test]
fn what_is_wrong_with_a_tilejson_is_named() {
    for (text, says) in [
        ("<html>", "not TileJSON: it is not JSON (expected value"),
        ("{}", "tiles is null"),
        (r#"{"tiles":[]}"#, "tiles is []"),
        (r#"{"tiles":["x"],"scheme":"zxy"}"#, r#"scheme is "zxy""#),
        (r#"{"tiles":["x"],"maxzoom":31}"#, "maxzoom is 31"),
        (r#"{"tiles":["x"],"minzoom":-1}"#, "minzoom is -1"),
        (r#"{"tiles":["x"],"minzoom":5,"maxzoom":4}"#, "minzoom 5 is above maxzoom 4"),
        (r#"{"tiles":["x"],"bounds":[1,2,3]}"#, "bounds is [1,2,3]"),
    ] {
        let error = Source::tilejson(text).unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
    }
}

/// A matrix of a set, as it stands in capabilities.
fn matrix(name: &str, zoom: u8, stretch: f64, corner: &str) -> String {
    let (scale, width) = (559_082_264.028_717_8 / f64::from(1_u32 << zoom) * stretch, 1_u32 << zoom);
    format!(
        "<TileMatrix><ows:Identifier>{name}</ows:Identifier><ScaleDenominator>{scale}</ScaleDenominator>
         <TopLeftCorner>{corner}</TopLeftCorner><TileWidth>256</TileWidth><TileHeight>256</TileHeight>
         <MatrixWidth>{width}</MatrixWidth><MatrixHeight>{width}</MatrixHeight></TileMatrix>"
    )
}

fn capabilities(address: &str, layers: &[&str]) -> String {
    let corner = "-20037508.3427892 20037508.3427892";
    let set = |id: &str, system: &str, matrices: &[String]| {
        format!(
            "<TileMatrixSet><ows:Identifier>{id}</ows:Identifier><ows:SupportedCRS>urn:ogc:def:crs:EPSG::{system}</ows:SupportedCRS>{}</TileMatrixSet>",
            matrices.concat()
        )
    };
    let named: Vec<String> =
        (2..=5).map(|zoom| matrix(&format!("EPSG:3857:{zoom}"), zoom, 1.000_000_1, corner)).collect();
    let plain: Vec<String> = (0..=2).map(|zoom| matrix(&zoom.to_string(), zoom, 1.0, corner)).collect();
    let other = [matrix("0", 0, 0.9, corner), matrix("1", 1, 1.0, "-20037508 19000000"), matrix("2", 3, 0.5, corner)];
    let layer = |id: &&str| {
        format!(
            "<Layer><ows:Title>The {id}</ows:Title><ows:Identifier>{id}</ows:Identifier>
             <ows:WGS84BoundingBox><ows:LowerCorner>9 46.5</ows:LowerCorner><ows:UpperCorner> 17.2  49 </ows:UpperCorner></ows:WGS84BoundingBox>
             <Style><ows:Identifier>grey</ows:Identifier></Style><Style isDefault=\"true\"><ows:Identifier>so so</ows:Identifier></Style>
             <Format>image/gif</Format><Format>image/jpeg</Format>
             <Dimension><ows:Identifier>Time</ows:Identifier><Default>2025-01-01</Default></Dimension>
             <TileMatrixSetLink><TileMatrixSet>named</TileMatrixSet></TileMatrixSetLink>
             <TileMatrixSetLink><TileMatrixSet>plain</TileMatrixSet></TileMatrixSetLink>
             <TileMatrixSetLink><TileMatrixSet>degrees</TileMatrixSet></TileMatrixSetLink>
             <TileMatrixSetLink><TileMatrixSet>other</TileMatrixSet></TileMatrixSetLink>{address}</Layer>"
        )
    };
    format!(
        "<?xml version=\"1.0\"?><Capabilities xmlns=\"http://www.opengis.net/wmts/1.0\" xmlns:ows=\"http://www.opengis.net/ows/1.1\" xmlns:xlink=\"http://www.w3.org/1999/xlink\">
         <ows:OperationsMetadata><ows:Operation name=\"GetTile\"><ows:DCP><ows:HTTP><ows:Get xlink:href=\"https://h/wmts?map=a\"/></ows:HTTP></ows:DCP></ows:Operation></ows:OperationsMetadata>
         <Contents>{}{}{}{}{}</Contents></Capabilities>",
        layers.iter().map(layer).collect::<String>(),
        set("named", "3857", &named),
        set("plain", "900913", &plain),
        set("degrees", "4326", &plain),
        set("other", "3857", &other),
    )
}

fn fill(source: &Source, tile: Tile) -> String {
    Template::parse(&source.template, &Settings::default()).unwrap().masked(tile)
}

#[test]
fn a_wmts_is_asked_by_path_where_it_says_how() {
    let address = r#"<ResourceURL format="image/png" resourceType="tile" template="https://h/wrong"/>
        <ResourceURL format="image/jpeg" resourceType="FeatureInfo" template="https://h/wrong"/>
        <ResourceURL format="image/jpeg" resourceType="tile" template="https://h/{style}/{Time}/{TileMatrixSet}/{TileMatrix}/{TileRow}/{TileCol}.jpg"/>"#;
    let source = Capabilities::read(&capabilities(address, &["map"])).unwrap().source(None, None, None).unwrap();

    assert_eq!(fill(&source, Tile::new(3, 5, 6).unwrap()), "https://h/so%20so/2025-01-01/named/EPSG:3857:3/6/5.jpg");
    assert_eq!((source.zooms, source.bounds), (Some(2..=5), Some([9.0, 46.5, 17.2, 49.0])));
    assert_eq!(source.name.as_deref(), Some("The map"));
}

#[test]
fn a_wmts_is_asked_by_keys_where_it_has_no_path() {
    let found = Capabilities::read(&capabilities("", &["map", "other"])).unwrap();

    let source = found.source(Some("map"), Some("plain"), Some("gif")).unwrap();

    assert_eq!(found.layers(), ["map", "other"]);
    assert_eq!(
        fill(&source, Tile::new(2, 1, 3).unwrap()),
        "https://h/wmts?map=a&SERVICE=WMTS&REQUEST=GetTile&VERSION=1.0.0&LAYER=map&STYLE=so%20so&FORMAT=image/gif\
         &TILEMATRIXSET=plain&TILEMATRIX=2&TILEROW=3&TILECOL=1&Time=2025-01-01"
    );
    assert_eq!(source.zooms, Some(0..=2));
}

#[test]
fn only_what_is_on_the_grid_of_web_maps_can_be_chosen() {
    let found = Capabilities::read(&capabilities("", &["map", "sea"])).unwrap();
    let says = |layer, set, format| found.source(layer, set, format).unwrap_err().to_string();

    assert_eq!(says(None, None, None), "which layer? there are map, sea");
    assert_eq!(says(Some("land"), None, None), "which layer? there are map, sea");
    assert_eq!(says(Some("map"), Some("degrees"), None), "which tile matrix set? there are named, plain");
    assert_eq!(says(Some("map"), Some("other"), None), "which tile matrix set? there are named, plain");
    assert_eq!(says(Some("map"), None, Some("webp")), "which format? there are image/gif, image/jpeg");
    let far = capabilities("", &["map"]).replace("::3857", "::25832").replace("::900913", "::4326");
    let error = Capabilities::read(&far).unwrap().source(None, None, None).unwrap_err();
    assert_eq!(error.to_string(), "layer \"map\" has no tiles on the grid of web maps");
    for (xml, says) in [
        ("<html/>", "not WMTS capabilities: it begins with <html>"),
        ("<Capabilities/>", "it has no <Contents>"),
        ("{}", "not WMTS capabilities: "),
    ] {
        let error = Capabilities::read(xml).unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
    }
}
