use proptest::prelude::*;

use super::*;

/// The curve as the PMTiles specification's reference code computes it: by turning coordinates, not states.
fn by_the_specification(zoom: u8, mut x: u32, mut y: u32) -> u64 {
    let (mut place, n) = (0_u64, 1_u32 << zoom);
    let mut half = n / 2;
    while half > 0 {
        let (rx, ry) = (u64::from(x & half > 0), u64::from(y & half > 0));
        place += u64::from(half) * u64::from(half) * ((3 * rx) ^ ry);
        if ry == 0 {
            if rx == 1 {
                (x, y) = (n - 1 - x, n - 1 - y);
            }
            (x, y) = (y, x);
        }
        half /= 2;
    }
    (0..zoom).map(|above| 4_u64.pow(u32::from(above))).sum::<u64>() + place
}

#[test]
fn ids_are_those_of_the_specification() {
    for ((zoom, x, y), expected) in [
        ((0, 0, 0), 0),
        ((1, 0, 0), 1),
        ((1, 0, 1), 2),
        ((1, 1, 1), 3),
        ((1, 1, 0), 4),
        ((2, 0, 0), 5),
        ((2, 3, 3), 15),
        ((12, 3423, 1763), 19_078_479),
        ((17, 104_300, 67_900), 18_267_467_871),
    ] {
        assert_eq!(id(zoom, x, y), expected, "{zoom}/{x}/{y}");
        assert_eq!(position(expected), Some((zoom, x, y)), "{expected}");
    }
}

#[test]
fn every_id_of_the_first_zooms_is_one_step_from_the_one_before() {
    let (mut zoom, mut before) = (0, (0, 0));
    for at in 0..first_id(8) {
        let (z, x, y) = position(at).unwrap();
        if z == zoom {
            assert!(at == 0 || x.abs_diff(before.0) + y.abs_diff(before.1) == 1, "{at}: {z}/{x}/{y} after {before:?}");
        } else {
            assert_eq!(at, first_id(z), "{z} begins at its first id");
        }
        (zoom, before) = (z, (x, y));
    }
}

#[test]
fn the_deepest_zoom_has_an_end() {
    let last = first_id(MAX_ZOOM + 1) - 1;

    assert_eq!(zoom_of(last), Some(MAX_ZOOM));
    assert_eq!(position(last), Some((MAX_ZOOM, (1 << MAX_ZOOM) - 1, 0)));
    assert_eq!(zoom_of(last + 1), None);
    assert_eq!(zoom_of(u64::MAX), None);
    assert_eq!(position(last + 1), None);
}

proptest! {
    #[test]
    fn ids_and_positions_are_each_others_inverse(zoom in 0..=MAX_ZOOM, x: u32, y: u32) {
        let n = 1_u32 << zoom;
        let (x, y) = (x % n, y % n);
        prop_assert_eq!(id(zoom, x, y), by_the_specification(zoom, x, y));
        prop_assert_eq!(position(id(zoom, x, y)), Some((zoom, x, y)));
    }

    #[test]
    fn the_tiles_below_a_tile_are_one_range(above in 0..=8_u8, deeper in 0..=4_u8, x: u32, y: u32) {
        let n = 1_u32 << above;
        let (x, y) = (x % n, y % n);
        let range = below(above, id(above, x, y) - first_id(above), above + deeper);
        prop_assert_eq!(range.end - range.start, 4_u64.pow(u32::from(deeper)));
        for at in range {
            let (_, column, row) = position(at).unwrap();
            prop_assert_eq!((column >> deeper, row >> deeper), (x, y));
        }
    }
}
