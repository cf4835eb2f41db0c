use super::*;

#[test]
fn radii_and_ranges_are_checked_with_what_to_write_instead() {
    for (area, says) in [
        (Area::circle(181.0, 0.0, 1.0), "longitude 181 is not between"),
        (Area::circle(0.0, f64::NAN, 1.0), "latitude NaN is not between"),
        (Area::circle(0.0, 0.0, 0.0), "a distance of 0 m is out of range"),
        (Area::circle(0.0, 0.0, f64::INFINITY), "a distance of inf m is out of range"),
        (Area::circle(0.0, 0.0, 20_100_000.0), "a distance of 20100000 m is out of range"),
        (Area::circle(0.0, 89.0, 100_000.0), "lie beyond the map"),
        (Area::range("5-4").and_then(|x| Area::tiles(3, x, 0..=0)), "columns 5 to 4 go backwards"),
        (Area::range("2-0").and_then(|y| Area::tiles(3, 0..=0, y)), "rows 2 to 0 go backwards"),
        (Area::tiles(3, 0..=8, 0..=0), "there is no tile 3/8/0"),
        (Area::tiles(31, 0..=0, 0..=0), "zoom 31 is deeper than 30"),
        (Area::range("5").and_then(|x| Area::tiles(2, x.clone(), x)), "there is no tile 2/5/5"),
        (Area::range("5-x").and_then(|x| Area::tiles(9, x.clone(), x)), "\"5-x\" is not a range of whole numbers"),
        (Area::range("").and_then(|x| Area::tiles(9, x.clone(), x)), "\"\" is not a range"),
    ] {
        let error = area.unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
        assert!(!error.hint().is_empty());
    }
    assert_eq!(Area::range("104300-104310"), Ok(104_300..=104_310));
    assert_eq!(Area::range(" 7 - 9 "), Ok(7..=9));
    assert!(Area::circle(0.0, 89.0, 1_000_000.0).is_ok(), "the map begins within the circle");
}

#[test]
fn an_area_is_read_back_as_it_was_written() {
    let polygon = r#"{"type":"Polygon","coordinates":[[[0.1,0.2],[10,0],[10,10.123456789]],[[1,1],[2,1],[2,2]]]}"#;
    let line = r#"{"type":"MultiLineString","coordinates":[[[0,0],[1,2]],[[3,4]]]}"#;
    let bounds: Bounds = "177,-19,-179,-16".parse().unwrap();
    let area = Area::from(bounds)
        .and(Area::circle(106.8, -6.2, 12_345.6).unwrap())
        .and(Area::tiles(17, 104_300..=104_310, 67_900..=67_905).unwrap())
        .and(Area::geojson(polygon, None).unwrap())
        .and(Area::geojson(line, Some(250.0)).unwrap());

    let text = area.text();

    assert_eq!(Area::read(&text), Ok(area.clone()));
    assert!(!text.contains('\n'));
    assert!(area.has(&Area::from(bounds)) && !Area::from(bounds).has(&area));
    assert_eq!(area.clone().and(Area::from(bounds)), area, "what is there already is not added");
    for wrong in ["", "[]", "{}", r#"[{"bounds":[1,2,3]}]"#, r#"[{"square":[1]}]"#, r#"[{"bounds":[0,1,0,-1]}]"#, "[1]"]
    {
        assert!(Area::read(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn the_box_around_an_area_lies_on_the_map() {
    let bounds = |area: Area| area.bounds();

    assert_eq!(bounds("1,2,3,4".parse::<Bounds>().unwrap().into()), [1.0, 2.0, 3.0, 4.0]);
    assert_eq!(bounds("177,-90,-179,-16".parse::<Bounds>().unwrap().into()), [-180.0, -MAX_LATITUDE, 180.0, -16.0]);
    assert_eq!(bounds(Area::tiles(1, 1..=1, 0..=0).unwrap()), [0.0, 0.0, 180.0, MAX_LATITUDE]);
    let [west, south, east, north] = bounds(Area::circle(0.0, 60.0, 111_195.08).unwrap());
    assert!((south - 59.0).abs() < 1e-5 && (north - 61.0).abs() < 1e-5, "{south} {north}");
    assert!(
        (east - 2.000_3).abs() < 1e-3 && (west + east).abs() < 1e-9,
        "the span is wider than at the middle: {east}"
    );
    assert_eq!(bounds(Area::circle(0.0, 85.0, 1_000_000.0).unwrap())[0], -180.0, "a pole lies in it");
}
