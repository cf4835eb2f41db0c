use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::{
    area::{EARTH, Point},
    grid::ON_EDGE,
};

fn cover(area: &Area, zooms: RangeInclusive<u8>) -> Cover {
    Cover::new(area, zooms).unwrap()
}

fn of_box(text: &str, zooms: RangeInclusive<u8>) -> Cover {
    cover(&text.parse::<Bounds>().unwrap().into(), zooms)
}

fn of_geojson(text: &str, zooms: RangeInclusive<u8>) -> Cover {
    cover(&Area::geojson(text, Some(10_000.0)).unwrap(), zooms)
}

fn of_rings(rings: &[Vec<Point>], zooms: RangeInclusive<u8>) -> Cover {
    of_geojson(&serde_json::json!({ "type": "Polygon", "coordinates": rings }).to_string(), zooms)
}

/// The same box as a polygon.
fn as_polygon(text: &str) -> Vec<Point> {
    let [west, south, east, north] = text.parse::<Bounds>().unwrap().degrees();
    vec![[west, south], [east, south], [east, north], [west, north]]
}

fn tiles(zoom: u8) -> impl Iterator<Item = Tile> {
    let n = 1 << zoom;
    (0..n).flat_map(move |x| (0..n).map(move |y| Tile::new(zoom, x, y).unwrap()))
}

/// Compares everything a cover says of one zoom with the tiles it should have.
fn check(cover: &Cover, zoom: u8, expected: &BTreeSet<u64>) {
    let ranges: Vec<_> = cover.ranges(zoom).collect();
    assert!(ranges.windows(2).all(|two| two[0].end < two[1].start), "ascending, with gaps: {ranges:?}");
    let found: BTreeSet<u64> = ranges.into_iter().flatten().collect();
    let name = |ids: Vec<u64>| ids.into_iter().filter_map(Tile::from_id).map(|t| t.to_string()).collect::<Vec<_>>();
    let wrong =
        (name(found.difference(expected).copied().collect()), name(expected.difference(&found).copied().collect()));
    assert_eq!(wrong, (vec![], vec![]), "too many, missing at zoom {zoom}");
    assert_eq!(cover.count(zoom), expected.len() as u64);
    assert!(cover.at_most(zoom) >= cover.count(zoom));
    for tile in tiles(zoom.min(5)) {
        assert!(tile.z() != zoom || cover.contains(tile) == expected.contains(&tile.id()), "{tile}");
    }
}

#[test]
fn known_areas_have_their_known_number_of_tiles_as_boxes_and_as_polygons() {
    let jakarta = "106.6,-6.4,107.0,-6.0";
    for (area, zooms, expected) in [
        (jakarta, 0..=14, 520),
        (jakarta, 0..=16, 7_402),
        (jakarta, 0..=17, 29_158),
        (jakarta, 0..=18, 115_300),
        ("106.5,-6.5,107.05,-6.0", 0..=17, 49_502),
        ("13.0884,52.3383,13.7611,52.6755", 0..=14, 1_175),
        ("7.4090,43.7247,7.4398,43.7519", 0..=16, 93),
        // 189 if both halves are counted apart: they share the one tile of zoom 0.
        ("177,-19,-179,-16", 0..=10, 188),
        ("-180,-90,180,90", 0..=6, 5_461),
        ("-180,-90,180,90", 0..=14, 357_913_941),
    ] {
        let (as_box, as_polygon) = (of_box(area, zooms.clone()), of_rings(&[as_polygon(area)], zooms.clone()));
        assert_eq!(as_box.total(), expected, "{area}");
        assert_eq!(as_polygon.total(), expected, "{area} as a polygon");
        let walked: u64 = zooms.flat_map(|zoom| as_box.ranges(zoom)).map(|range| range.end - range.start).sum();
        assert_eq!(walked, expected, "{area} along the curve");
    }
    let counts: Vec<u64> = of_box(jakarta, 0..=14).counts().into_iter().map(|(_, count)| count).collect();
    assert_eq!(counts, [1, 1, 1, 1, 1, 1, 2, 2, 2, 4, 4, 9, 30, 100, 361]);
}

#[test]
fn the_bounds_of_a_tile_cover_that_tile_alone() {
    let printed = "120.849609375,24.206889622,120.9375,24.287026865";

    for cover in [of_box(printed, 12..=12), of_rings(&[as_polygon(printed)], 12..=12)] {
        assert_eq!(cover.todo(IdSet::new()).collect::<Vec<_>>(), [Tile::new(12, 3423, 1763).unwrap()]);
    }
}

#[test]
fn what_lies_inside_is_one_range_however_deep() {
    let world = of_box("-180,-90,180,90", 0..=30);

    assert_eq!(world.ranges(30).count(), 1);
    assert_eq!(world.count(30), 1 << 60);
    assert_eq!(world.total(), (4_u64.pow(31) - 1) / 3);
    assert_eq!(of_rings(&[as_polygon("-180,-90,180,90")], 30..=30).ranges(30).count(), 1);
}

#[test]
fn ranges_of_tiles_are_covered_as_they_are_asked_for() {
    let area = Area::tiles(17, 104_300..=104_310, 67_900..=67_905).unwrap();

    assert_eq!(cover(&area, 17..=17).total(), 66);
    assert_eq!(cover(&area, 16..=19).counts(), [(16, 6 * 3), (17, 66), (18, 264), (19, 1056)]);
    assert_eq!(cover(&area, 0..=0).total(), 1);
    let deepest = Area::tiles(30, 0..=(1 << 30) - 1, 0..=0).unwrap();
    assert_eq!(cover(&deepest, 1..=1).total(), 2);
    let all = Area::tiles(0, 0..=0, 0..=0).unwrap();
    assert_eq!(cover(&all, 30..=30).total(), 1 << 60);
}

#[test]
fn a_union_has_every_tile_once() {
    let two = |one: &str, other: &str| {
        Area::from(one.parse::<Bounds>().unwrap()).and(other.parse::<Bounds>().unwrap().into())
    };
    let overlapping = cover(&two("0,0,20,20", "10,10,30,30"), 0..=8);

    for zoom in 0..=8 {
        let has = |text: &str| of_box(text, 0..=8).ranges(zoom).flatten().collect::<BTreeSet<_>>();
        check(&overlapping, zoom, &has("0,0,20,20").union(&has("10,10,30,30")).copied().collect());
    }
    assert_eq!(cover(&two("0,0,20,20", "0,0,20,20"), 5..=5).total(), of_box("0,0,20,20", 5..=5).total());
}

#[test]
fn lines_are_covered_as_wide_as_their_buffer() {
    // 10 km are 0.0899 degrees; a tile of zoom 12 is 0.0879 wide.
    let line = of_geojson(r#"{"type":"LineString","coordinates":[[179,0.01],[-179,0.01]]}"#, 12..=12);
    let point = of_geojson(r#"{"type":"Point","coordinates":[0.01,0.01]}"#, 12..=12);

    let rows: BTreeSet<u32> = line.todo(IdSet::new()).map(Tile::y).collect();
    let columns: BTreeSet<u32> = line.todo(IdSet::new()).map(Tile::x).collect();
    assert_eq!(rows.into_iter().collect::<Vec<_>>(), [2046, 2047, 2048]);
    assert_eq!(columns.len(), 26, "{columns:?}");
    assert!(line.contains(Tile::at(179.99, 0.09, 12).unwrap()) && line.contains(Tile::at(-179.99, -0.07, 12).unwrap()));
    assert!(line.contains(Tile::at(178.93, 0.01, 12).unwrap()), "beyond its end");
    assert!(!line.contains(Tile::at(178.8, 0.01, 12).unwrap()));
    assert_eq!(point.total(), 8, "a circle: not the four corners, of which one touches");
}

#[test]
fn nothing_is_left_to_do_where_everything_is_done() {
    let world = of_box("-180,-90,180,90", 0..=14);
    let mut done = IdSet::new();
    done.insert_range(0..357_913_941);

    assert_eq!(world.todo(done.clone()).count(), 0);
    assert_eq!(world.count_in(&done, 14), 268_435_456);
    assert_eq!(world.todo(IdSet::new()).next_range(), Some(0..1));
}

#[test]
fn what_is_left_comes_by_zoom_and_along_the_curve() {
    let world = of_box("-180,-90,180,90", 1..=12);
    let mut done = IdSet::new();
    for range in [0..3, 4..70, 72..1000, 1001..22_369_620] {
        done.insert_range(range);
    }
    let mut todo = world.todo(done.clone());

    let first = todo.next().unwrap();
    let ranges: Vec<_> = std::iter::from_fn(|| todo.next_range()).collect();

    assert_eq!(first.id(), 3);
    assert_eq!(ranges, [70..72, 1000..1001, 22_369_620..22_369_621]);
    assert_eq!(world.todo(done).map(Tile::id).collect::<Vec<_>>(), [3, 70, 71, 1000, 22_369_620]);
}

#[test]
fn zooms_are_checked() {
    let area = Area::tiles(0, 0..=0, 0..=0).unwrap();

    assert_eq!(Cover::new(&area, 5..=31).unwrap_err().to_string(), "zoom 31 is deeper than 30");
    let (from, to) = (5, 4);
    assert_eq!(Cover::new(&area, from..=to).unwrap_err().to_string(), "zooms 5 to 4 go backwards");
    assert_eq!(cover(&area, 2..=3).count(4), 0);
    assert_eq!(cover(&area, 2..=3).ranges(4).count(), 0);
    assert!(!cover(&area, 2..=3).contains(Tile::new(4, 0, 0).unwrap()));
}

/// The area of what a ring and a rectangle have in common: the ring is cut at one side after the other.
fn common(ring: &[Point], [west, south, east, north]: [f64; 4]) -> f64 {
    let mut ring = ring.to_vec();
    for (axis, limit, sign) in [(0, west, 1.0), (0, east, -1.0), (1, south, 1.0), (1, north, -1.0)] {
        let depth = |point: &Point| (point[axis] - limit) * sign;
        let mut cut = Vec::new();
        for (i, to) in ring.iter().enumerate() {
            let from = &ring[(i + ring.len() - 1) % ring.len()];
            if (depth(from) > 0.0) != (depth(to) > 0.0) {
                let share = depth(from) / (depth(from) - depth(to));
                cut.push([from[0] + share * (to[0] - from[0]), from[1] + share * (to[1] - from[1])]);
            }
            if depth(to) > 0.0 {
                cut.push(*to);
            }
        }
        ring = cut;
    }
    let cross = |i: usize| {
        let (a, b) = (ring[i], ring[(i + 1) % ring.len()]);
        a[0] * b[1] - b[0] * a[1]
    };
    (0..ring.len()).map(cross).sum::<f64>().abs() / 2.0
}

/// A ring around a point, at these distances in turn; and a hole in it, half as far.
fn star(center: Point, distances: &[f64]) -> Vec<Vec<Point>> {
    let ring = |scale: f64| {
        let point = |(i, distance): (usize, &f64)| {
            let angle = i as f64 / distances.len() as f64 * std::f64::consts::TAU;
            [
                center[0] + distance * scale * angle.cos(),
                (center[1] + distance * scale * angle.sin()).clamp(-90.0, 90.0),
            ]
        };
        distances.iter().enumerate().map(point).collect()
    };
    vec![ring(1.0), ring(0.5)]
}

fn distance(from: Point, to: Point) -> f64 {
    let [lon, lat] = [from, to].map(|p| p.map(f64::to_radians)).into_iter().fold([0.0; 2], |_, p| p);
    let [from_lon, from_lat] = from.map(f64::to_radians);
    let cos = from_lat.sin() * lat.sin() + from_lat.cos() * lat.cos() * (lon - from_lon).cos();
    EARTH * cos.clamp(-1.0, 1.0).acos()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn boxes_have_the_tiles_that_overlap_them(
        lon in -180.0..180.0_f64, lat in -85.0..85.0_f64, width in 0.001..180.0_f64, height in 0.001..80.0_f64, zoom in 0..=7_u8, whole: bool,
    ) {
        let round = |degree: f64| if whole { degree.round() } else { degree };
        let (west, south) = (round(lon), round(lat));
        let (east, north) = ((west + round(width).max(1.0)).min(180.0), (south + round(height).max(1.0)).min(90.0));
        prop_assume!(west < east && south < north && south < 85.0);
        let overlaps = |tile: &Tile| {
            let [w, s, e, n] = tile.bounds().degrees();
            w + ON_EDGE < east && west < e - ON_EDGE && s + ON_EDGE < north && south < n - ON_EDGE
        };
        let expected = tiles(zoom).filter(overlaps).map(Tile::id).collect();
        check(&of_box(&format!("{west},{south},{east},{north}"), zoom..=zoom), zoom, &expected);
        check(&of_rings(&[as_polygon(&format!("{west},{south},{east},{north}"))], zoom..=zoom), zoom, &expected);
    }

    #[test]
    fn polygons_have_the_tiles_that_share_an_area_with_them(
        lon in -180.0..180.0_f64, lat in -20.0..20.0_f64, zoom in 0..=6_u8,
        distances in prop::collection::vec(1.0..68.0_f64, 3..12),
    ) {
        let rings = star([lon, lat], &distances);
        // Rings that go on beyond the antimeridian lie on the map once for every turn.
        let area = |tile: &Tile| {
            let [west, south, east, north] = tile.bounds().degrees();
            let at = |turn: f64| [west + turn, south, east + turn, north];
            [-360.0, 0.0, 360.0].map(|turn| common(&rings[0], at(turn)) - common(&rings[1], at(turn))).into_iter().fold(0.0, f64::max)
        };
        let cover = of_rings(&rings, zoom..=zoom);
        let expected: BTreeSet<u64> = tiles(zoom).filter(|tile| match area(tile) {
            // Too little to be sure of: whatever the cover says.
            area if (1e-12..1e-6).contains(&area) => cover.contains(*tile),
            area => area >= 1e-6,
        }).map(Tile::id).collect();
        check(&cover, zoom, &expected);
    }

    #[test]
    fn circles_have_the_tiles_with_a_point_within_their_radius(
        lon in -180.0..=180.0_f64, lat in -90.0..=90.0_f64, metres in 100_000.0..15_000_000.0_f64, zoom in 0..=4_u8,
    ) {
        let Ok(area) = Area::circle(lon, lat, metres) else { return Ok(()) };
        let cover = cover(&area, zoom..=zoom);
        let steps = 16;
        for tile in tiles(zoom) {
            let [west, south, east, north] = tile.bounds().degrees();
            let at = |i: usize, j: usize| [west + (east - west) * i as f64 / steps as f64, south + (north - south) * j as f64 / steps as f64];
            let nearest = (0..=steps).flat_map(|i| (0..=steps).map(move |j| (i, j))).map(|(i, j)| distance([lon, lat], at(i, j))).fold(f64::INFINITY, f64::min);
            let between = distance(at(0, 0), at(1, 1)).max(distance(at(0, steps), at(1, steps - 1)));
            prop_assert!(nearest > metres || cover.contains(tile), "{} is {} m away", tile, nearest);
            prop_assert!(nearest < metres + between || !cover.contains(tile), "{} is {} m away", tile, nearest);
        }
        let expected = tiles(zoom).filter(|tile| cover.contains(*tile)).map(Tile::id).collect();
        check(&cover, zoom, &expected);
    }

    #[test]
    fn what_is_left_is_the_cover_without_what_is_done(
        lon in -180.0..180.0_f64, lat in -80.0..80.0_f64, metres in 100_000.0..5_000_000.0_f64,
        done in prop::collection::vec((0..5461_u64, 1..200_u64), 0..30),
    ) {
        let Ok(area) = Area::circle(lon, lat, metres) else { return Ok(()) };
        let cover = cover(&area, 1..=6);
        let mut set = IdSet::new();
        done.into_iter().for_each(|(from, length)| set.insert_range(from..from + length));
        let all: Vec<u64> = (1..=6).flat_map(|zoom| cover.ranges(zoom)).flatten().collect();
        let expected: Vec<u64> = all.iter().copied().filter(|id| !set.contains(*id)).collect();
        let there: u64 = (1..=6).map(|zoom| cover.count_in(&set, zoom)).sum();
        prop_assert_eq!(there as usize, all.len() - expected.len());
        prop_assert_eq!(cover.todo(set).map(Tile::id).collect::<Vec<_>>(), expected);
    }
}
