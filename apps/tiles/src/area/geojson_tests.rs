use super::*;

fn parts(text: &str, buffer: Option<f64>) -> Vec<Part> {
    read(text, buffer).unwrap()
}

const SQUARE: &str = "[[[0,0],[1,0],[1,1],[0,1],[0,0]]]";

#[test]
fn polygons_are_found_wherever_they_stand() {
    let polygon = format!(r#"{{"type":"Polygon","coordinates":{SQUARE}}}"#);
    let several = format!(r#"{{"type":"MultiPolygon","coordinates":[{SQUARE},[]]}}"#);
    let feature = format!(r#"{{"type":"Feature","properties":{{"name":"a"}},"geometry":{polygon}}}"#);
    let expected = [Part::Polygon(vec![vec![[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]])];

    for text in [
        &polygon,
        &several,
        &feature,
        &format!(r#"{{"type":"FeatureCollection","features":[{{"type":"Feature","geometry":null}},{feature}]}}"#),
        &format!(r#"{{"type":"GeometryCollection","geometries":[{polygon}]}}"#),
        &polygon.replacen('{', r#"{"crs":{"properties":{"name":"urn:ogc:def:crs:OGC:1.3:CRS84"}},"#, 1),
    ] {
        assert_eq!(parts(text, None), expected, "{text}");
    }
}

#[test]
fn lines_and_points_get_their_buffer() {
    let line = Part::Line { points: vec![[0.0, 0.0], [1.0, 2.0]], metres: 50.0 };
    let point = Part::Line { points: vec![[3.0, 4.0]], metres: 50.0 };

    assert_eq!(
        parts(r#"{"type":"LineString","coordinates":[[0,0],[1,2,99.5]]}"#, Some(50.0)),
        std::slice::from_ref(&line)
    );
    assert_eq!(parts(r#"{"type":"MultiLineString","coordinates":[[[0,0],[1,2]]]}"#, Some(50.0)), [line]);
    assert_eq!(parts(r#"{"type":"Point","coordinates":[3,4]}"#, Some(50.0)), std::slice::from_ref(&point));
    assert_eq!(parts(r#"{"type":"MultiPoint","coordinates":[[3,4]]}"#, Some(50.0)), [point]);
}

#[test]
fn what_is_wrong_is_named_with_its_place_and_what_to_do() {
    let ring = |ring: &str| format!(r#"{{"type":"Polygon","coordinates":[{ring}]}}"#);
    for (text, says) in [
        ("{".to_owned(), "the text is not JSON (EOF"),
        ("[]".to_owned(), "type is null: expected a type of GeoJSON"),
        (r#"{"type":"Topology"}"#.to_owned(), r#"type is "Topology": expected a type"#),
        (r#"{"type":"FeatureCollection"}"#.to_owned(), "features is null: expected a list"),
        (r#"{"type":"FeatureCollection","features":[]}"#.to_owned(), "there is no area in the text"),
        (r#"{"type":"Polygon","coordinates":[]}"#.to_owned(), "there is no area in the text"),
        (ring("[[0,0],[1,0],[0,0]]"), "coordinates[0] has 2 different corners: expected a ring around something"),
        (ring("[[0,0],[1,0],[2,0],[0,0]]"), "coordinates[0] has 3 different corners"),
        (ring(r#"[[0,0],[1,"0"],[2,1]]"#), r#"coordinates[0][1] is [1,"0"]: expected a position"#),
        (ring("[[0,0],[1],[2,1]]"), "coordinates[0][1] is [1]: expected a position"),
        (ring("[[0,0],[361,0],[2,1]]"), "coordinates[0][1]: longitude 361 is not between -360 and 360"),
        (ring("[[0,0],[1,91],[2,1]]"), "coordinates[0][1]: latitude 91 is not between -90 and 90"),
        (ring("[[11870000,-712000],[1,1],[2,1]]"), "coordinates[0][0]: longitude 11870000 is not"),
        (
            ring("[[0,0],[1,0],[0,1]]").replacen(
                '{',
                r#"{"crs":{"properties":{"name":"urn:ogc:def:crs:EPSG::3857"}},"#,
                1,
            ),
            "crs is \"urn:ogc:def:crs:EPSG::3857\": expected longitude and latitude",
        ),
        (
            r#"{"type":"Feature","geometry":{"type":"Point","coordinates":[0,0]}}"#.to_owned(),
            "geometry.coordinates is no polygon, and no buffer is given",
        ),
    ] {
        let error = read(&text, None).unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
        assert!(!error.hint().is_empty());
    }
    for metres in [0.0, -1.0, f64::NAN, 100_001.0] {
        assert!(matches!(read("{}", Some(metres)), Err(AreaError::Radius { .. })), "{metres}");
    }
}
