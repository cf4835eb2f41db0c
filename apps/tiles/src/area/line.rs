//! Lines with a buffer: a strip along every segment and a circle around every corner. Pure.

use super::{Circle, EARTH, Point, Polygon, Shape, circle::turn, polygon::unwrap};

/// How far apart, in degrees, the points are at which the side of a strip is worked out.
const STEP: f64 = 0.25;

/// Adds what lies within so many metres of a line. A line that jumps by more than 180° of longitude crosses the antimeridian.
pub(super) fn shapes(points: &[Point], metres: f64, to: &mut Vec<Shape>) {
    let line = unwrap(points);
    let line = &line[..points.len().min(line.len())];
    to.extend(line.iter().map(|[lon, lat]| {
        let lon = turn(lon.to_radians()).to_degrees();
        Shape::Circle(Circle::new([lon, *lat], metres))
    }));
    for two in line.windows(2).filter(|two| two[0] != two[1]) {
        to.extend(Polygon::on_the_map(&[strip(two[0], two[1], metres)]).map(Shape::Polygon));
    }
}

/// The ring at a distance left and right of a line that is straight in degrees.
fn strip(from: Point, to: Point, metres: f64) -> Vec<Point> {
    let (east, north) = (to[0] - from[0], to[1] - from[1]);
    let steps = (east.abs().max(north.abs()) / STEP).ceil().max(1.0);
    let side = |at: f64, across: f64| {
        let point = [from[0] + east * at / steps, from[1] + north * at / steps];
        let heading = (east * point[1].to_radians().cos()).atan2(north);
        destination(point, heading + across, metres / EARTH)
    };
    let right_angle = std::f64::consts::FRAC_PI_2;
    let places: Vec<f64> = (0..=steps as u32).map(f64::from).collect();
    let left = places.iter().map(|at| side(*at, -right_angle));
    let right = places.iter().rev().map(|at| side(*at, right_angle));
    left.chain(right).collect()
}

/// Where one gets from a point on this heading (radians, clockwise from north) after this angle. The longitude is not brought back
/// between -180 and 180.
fn destination([lon, lat]: Point, heading: f64, angle: f64) -> Point {
    let lat = lat.to_radians();
    let there = (lat.sin() * angle.cos() + lat.cos() * angle.sin() * heading.cos()).clamp(-1.0, 1.0).asin();
    let (y, x) = (heading.sin() * angle.sin() * lat.cos(), angle.cos() - lat.sin() * there.sin());
    [lon + y.atan2(x).to_degrees(), there.to_degrees()]
}
