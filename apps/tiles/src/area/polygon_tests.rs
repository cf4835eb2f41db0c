use super::*;

fn polygons(rings: &[&[Point]]) -> Vec<Polygon> {
    let rings: Vec<Vec<Point>> = rings.iter().map(|ring| ring.to_vec()).collect();
    Polygon::on_the_map(&rings).collect()
}

fn holds(polygons: &[Polygon], lon: f64, lat: f64) -> bool {
    polygons.iter().any(|polygon| {
        polygon.rect.meets(&Rect { west: lon, south: lat, east: lon, north: lat }) && polygon.holds(lon, lat)
    })
}

const SQUARE: [Point; 4] = [[0.0, 0.0], [10.0, 0.0], [10.0, 10.0], [0.0, 10.0]];

#[test]
fn a_hole_is_outside_and_an_island_in_it_inside() {
    let hole = SQUARE.map(|[lon, lat]| [2.0 + lon * 0.6, 2.0 + lat * 0.6]);
    let island = SQUARE.map(|[lon, lat]| [4.0 + lon * 0.2, 4.0 + lat * 0.2]);
    let found = polygons(&[&SQUARE, &hole, &island]);

    assert!(holds(&found, 1.0, 1.0) && !holds(&found, 3.0, 3.0) && holds(&found, 5.0, 5.0));
    assert!(!holds(&found, 11.0, 1.0) && !holds(&found, -1.0, 1.0) && !holds(&found, 1.0, -1.0));
}

#[test]
fn a_ring_that_jumps_crosses_the_antimeridian() {
    let fiji: &[Point] = &[[177.0, -19.0], [-179.0, -19.0], [-179.0, -16.0], [177.0, -16.0]];
    let hole: &[Point] = &[[-179.8, -18.0], [-179.2, -18.0], [-179.5, -17.0]];
    let beyond: &[Point] = &[[177.0, -19.0], [181.0, -19.0], [181.0, -16.0], [177.0, -16.0]];

    for found in [polygons(&[fiji, hole]), polygons(&[beyond, hole])] {
        assert_eq!(found.len(), 2, "one for each side");
        assert!(holds(&found, 178.0, -17.5) && holds(&found, -179.9, -17.5));
        assert!(!holds(&found, -179.5, -17.5), "the hole lies on the same side as the ring");
        assert!(!holds(&found, 176.0, -17.5) && !holds(&found, -178.0, -17.5) && !holds(&found, 0.0, -17.5));
    }
}

#[test]
fn a_ring_along_the_edge_of_the_map_is_the_whole_world() {
    let found = polygons(&[&[[-180.0, -90.0], [180.0, -90.0], [180.0, 90.0], [-180.0, 90.0]]]);

    assert_eq!(found.len(), 1);
    assert!(holds(&found, -179.0, 80.0) && holds(&found, 179.0, -80.0) && holds(&found, 0.5, 0.5));
}

#[test]
fn a_ring_around_a_pole_includes_it() {
    for sign in [1.0, -1.0] {
        let ring: Vec<Point> = [0.0, 90.0, 180.0, -90.0].map(|lon| [lon, 80.0 * sign]).to_vec();
        let found = polygons(&[&ring]);

        for lon in [-170.0, -45.0, 1.0, 100.0, 179.0] {
            assert!(holds(&found, lon, 85.0 * sign), "{lon}");
            assert!(!holds(&found, lon, 75.0 * sign) && !holds(&found, lon, -85.0 * sign), "{lon}");
        }
    }
}

#[test]
fn an_edge_that_only_touches_a_rectangle_does_not_meet_it() {
    let square = &polygons(&[&SQUARE])[0];
    let touch = |west, south, east, north| {
        let mut meet = Vec::new();
        let touch = square.touch(&Rect { west, south, east, north }, &square.all(), &mut meet);
        (touch, meet.len())
    };

    assert_eq!(touch(10.0, 0.0, 20.0, 10.0), (Touch::Outside, 0));
    assert_eq!(touch(0.0, 0.0, 10.0, 10.0), (Touch::Inside, 0));
    assert_eq!(touch(2.0, 2.0, 3.0, 3.0), (Touch::Inside, 0));
    assert_eq!(touch(9.0, 1.0, 11.0, 2.0), (Touch::Partly, 1));
    assert_eq!(touch(-1.0, -1.0, 11.0, 11.0), (Touch::Partly, 4));
}

#[test]
fn a_slanted_edge_passes_by_a_corner() {
    let triangle = &polygons(&[&[[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]]])[0];
    let touch = |rect| triangle.touch(&rect, &triangle.all(), &mut Vec::new());

    assert_eq!(touch(Rect { west: 6.0, south: 6.0, east: 9.0, north: 9.0 }), Touch::Outside);
    assert_eq!(touch(Rect { west: 4.0, south: 4.0, east: 9.0, north: 9.0 }), Touch::Partly);
}

#[test]
fn tall_edges_take_no_more_memory_than_their_number() {
    let teeth = 2000;
    let mut comb: Vec<Point> =
        (0..teeth).map(|i| [f64::from(i) * 0.01, if i % 2 == 0 { -80.0 } else { 80.0 }]).collect();
    comb.push([f64::from(teeth) * 0.01, -85.0]);
    let polygon = &polygons(&[&comb])[0];

    assert!(polygon.bands.edges.len() <= 8 * polygon.edges.len(), "{}", polygon.bands.edges.len());
    assert!(polygon.holds(0.01, 0.0) && !polygon.holds(0.02, 79.0));
}
