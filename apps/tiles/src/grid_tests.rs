use proptest::prelude::*;

use super::*;

fn bounds(text: &str) -> Bounds {
    text.parse().unwrap()
}

/// How many tiles of each zoom; the parts of a crossing box are counted apart.
fn counts(text: &str, zooms: RangeInclusive<u8>) -> Vec<u64> {
    zooms.map(|zoom| bounds(text).parts().map(|part| part.tiles(zoom).count()).sum()).collect()
}

#[test]
fn known_boxes_have_their_known_number_of_tiles() {
    let jakarta = "106.6,-6.4,107.0,-6.0";
    assert_eq!(counts(jakarta, 0..=14), [1, 1, 1, 1, 1, 1, 2, 2, 2, 4, 4, 9, 30, 100, 361]);
    for (area, zooms, expected) in [
        (jakarta, 0..=14, 520),
        (jakarta, 0..=16, 7_402),
        (jakarta, 0..=17, 29_158),
        (jakarta, 0..=18, 115_300),
        ("106.5,-6.5,107.05,-6.0", 0..=17, 49_502),
        ("106.5,-6.5,107.05,-6.0", 15..=15, 2_346),
        ("106.5,-6.5,107.05,-6.0", 16..=16, 9_292),
        ("106.5,-6.5,107.05,-6.0", 17..=17, 36_984),
        ("13.0884,52.3383,13.7611,52.6755", 0..=14, 1_175),
        ("13.0884,52.3383,13.7611,52.6755", 13..=13, 238),
        ("13.0884,52.3383,13.7611,52.6755", 14..=14, 832),
        ("7.4090,43.7247,7.4398,43.7519", 0..=16, 93),
        ("177,-19,-179,-16", 0..=10, 189),
        ("-180,-90,180,90", 0..=6, 5_461),
        ("-180,-90,180,90", 0..=14, 357_913_941),
    ] {
        assert_eq!(counts(area, zooms.clone()).iter().sum::<u64>(), expected, "{area} at {zooms:?}");
    }
}

#[test]
fn the_bounds_of_a_tile_hold_that_tile_alone() {
    let printed = "120.849609375,24.206889622,120.9375,24.287026865";

    assert_eq!(bounds(printed).tiles(12), Block { x: 3423..=3423, y: 1763..=1763 });
    assert_eq!(counts(printed, 11..=14), [1, 1, 4, 16]);
}

#[test]
fn the_west_and_the_north_edge_belong_to_a_tile() {
    assert_eq!(Tile::at(0.0, 0.0, 1), Tile::new(1, 1, 1));
    assert_eq!(Tile::at(-1e-8, 1e-8, 1), Tile::new(1, 0, 0));
    assert_eq!(bounds("0,0,0,0").tiles(1), Block { x: 1..=1, y: 1..=1 }, "a point is one tile");
    assert_eq!(
        bounds("-90,-10,0,10").tiles(1),
        Block { x: 0..=0, y: 0..=1 },
        "the east edge touches the next tile only"
    );
    assert_eq!(bounds("-90,0,0,10").tiles(1), Block { x: 0..=0, y: 0..=0 }, "so does the south edge");
}

#[test]
fn the_edges_of_the_map_are_in_its_last_tiles() {
    for (lon, lat, x, y) in [(180.0, 90.0, 7, 0), (180.0, -90.0, 7, 7), (-180.0, 90.0, 0, 0), (-180.0, -90.0, 0, 7)] {
        assert_eq!(Tile::at(lon, lat, 3), Tile::new(3, x, y));
    }
    assert_eq!(Tile::at(180.0, MAX_LATITUDE, 30), Tile::new(30, (1 << 30) - 1, 0));
    assert_eq!(bounds("180,0,180,1").tiles(3).x, 7..=7);
    assert_eq!(bounds("0,85,1,90").tiles(3), Block { x: 4..=4, y: 0..=0 });
}

#[test]
fn a_box_across_the_antimeridian_is_two() {
    let parts: Vec<_> = bounds("177,-19,-179,-16").parts().map(Bounds::degrees).collect();

    assert_eq!(parts, [[177.0, -19.0, 180.0, -16.0], [-180.0, -19.0, -179.0, -16.0]]);
    assert_eq!(bounds("-180,-19,180,-16").parts().count(), 1);
    assert_eq!(bounds("5,5,5,5").parts().count(), 1);
}

#[test]
fn what_cannot_be_a_place_is_named_with_its_value_and_what_to_do() {
    for (text, says, hint) in [
        ("NaN,0,1,1", "west NaN is not between -180 and 180", "longitudes go from -180 to 180"),
        ("-180.1,0,1,1", "west -180.1 is not", "longitudes"),
        ("170,0,190,1", "east 190 is not", "a box across the antimeridian has its west above its east"),
        ("0,inf,1,1", "south inf is not between -90 and 90", "latitudes go from -90 to 90"),
        ("0,0,1,90.5", "north 90.5 is not", "longitude first"),
        ("0,2,1,1", "south 2 is above north 1", "west,south,east,north"),
        ("0,86,1,90", "latitudes 86 to 90 lie beyond the map", "85.0511"),
        ("0,-90,1,-85.06", "latitudes -90 to -85.06 lie", "85.0511"),
        ("0,0,1", "\"0,0,1\" has fewer than 4 numbers", "commas between"),
        ("0,0,1,one", "\"0,0,1,one\" is not 4 numbers: \"one\" is wrong or too many", "commas"),
        ("0,0,1,1,2", "\"2\" is wrong or too many", "commas"),
    ] {
        let error = text.parse::<Bounds>().unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
        assert!(error.hint().contains(hint), "{}", error.hint());
    }
    assert_eq!(Tile::new(31, 0, 0).unwrap_err().to_string(), "zoom 31 is deeper than 30");
    assert_eq!(Tile::new(2, 4, 0).unwrap_err().to_string(), "there is no tile 2/4/0");
    assert_eq!(zoom(300).unwrap_err().to_string(), "zoom 300 is deeper than 30");
    assert!(Tile::at(f64::NAN, 0.0, 1).is_err() && Tile::at(0.0, 91.0, 1).is_err() && Tile::at(0.0, 0.0, 31).is_err());
}

#[test]
fn quadkeys_rows_and_metres_are_those_of_the_tables() {
    let quadkey = |tile: Tile| {
        let mut key = String::new();
        tile.quadkey(&mut key);
        key
    };

    assert_eq!(quadkey(Tile::new(3, 3, 5).unwrap()), "213");
    assert_eq!(quadkey(Tile::new(0, 0, 0).unwrap()), "");
    assert_eq!(Tile::new(11, 327, 791).unwrap().tms_row(), 1256);
    assert_eq!(Tile::new(30, 0, 0).unwrap().tms_row(), (1 << 30) - 1);
    assert_eq!(Tile::from_quadkey("2134"), None);
    assert_eq!(Tile::from_quadkey(&"0".repeat(31)), None);
    let half = 20_037_508.342_789_244;
    assert_eq!(Tile::new(1, 1, 0).unwrap().metres(), [0.0, 0.0, half, half]);
}

proptest! {
    #[test]
    fn a_tile_has_one_name_in_every_notation(z in 0..=MAX_ZOOM, x: u32, y: u32) {
        let n = 1_u32 << z;
        let tile = Tile::new(z, x % n, y % n).unwrap();
        let mut key = String::new();
        tile.quadkey(&mut key);
        prop_assert_eq!(Tile::from_quadkey(&key), Some(tile));
        prop_assert_eq!(Tile::from_id(tile.id()), Some(tile));
        prop_assert_eq!(flip(z, tile.tms_row()), tile.y());
    }

    #[test]
    fn a_tile_is_found_by_its_middle_and_by_its_bounds(z in 0..=22_u8, x: u32, y: u32) {
        let n = 1_u32 << z;
        let tile = Tile::new(z, x % n, y % n).unwrap();
        let [west, south, east, north] = tile.bounds().degrees();
        prop_assert_eq!(Tile::at((west + east) / 2.0, (south + north) / 2.0, z).unwrap(), tile);
        let one = Block { x: tile.x()..=tile.x(), y: tile.y()..=tile.y() };
        prop_assert_eq!(tile.bounds().tiles(z), one.clone());
        let short = |degrees: f64| (degrees * 1e9).round() / 1e9;
        let printed = Bounds::new(short(west), short(south), short(east), short(north)).unwrap();
        prop_assert_eq!(printed.tiles(z), one);
    }

    #[test]
    fn boxes_nest_from_zoom_to_zoom(w in -180.0..180.0, e in -180.0..180.0, s in -85.0..85.0, n in -85.0..85.0, z in 0..20_u8) {
        let (west, east): (f64, f64) = if w <= e { (w, e) } else { (e, w) };
        let (south, north): (f64, f64) = if s <= n { (s, n) } else { (n, s) };
        let bounds = Bounds::new(west, south, east, north).unwrap();
        let (above, below) = (bounds.tiles(z), bounds.tiles(z + 1));
        let halved = Block { x: below.x.start() / 2..=below.x.end() / 2, y: below.y.start() / 2..=below.y.end() / 2 };
        prop_assert_eq!(halved, above);
    }
}
