//! Circles on the sphere. Pure.

use std::f64::consts::PI;

use super::{EARTH, Point, Rect, Touch};
use crate::grid::ON_EDGE;

/// All points within a distance of a point, in radians.
#[derive(Debug)]
pub(crate) struct Circle {
    center: Angle,
    antipode: Angle,
    /// A box around it: from -180 to 180 where a pole or the antimeridian lies in it.
    rect: Rect,
    /// sin²(radius / 2), to compare with [`Angle::haversine`].
    limit: f64,
}

impl Circle {
    pub(crate) fn new([lon, lat]: Point, metres: f64) -> Self {
        let center = Angle { lon: lon.to_radians(), lat: lat.to_radians() };
        let antipode = Angle { lon: turn(center.lon + PI), lat: -center.lat };
        let radius = metres / EARTH;
        Self { center, antipode, rect: around(center, radius), limit: (radius / 2.0).sin().powi(2) }
    }

    /// A box around it.
    pub(crate) fn rect(&self) -> Rect {
        self.rect
    }

    /// How a tile lies to it: by the nearest and by the farthest of the tile's points.
    pub(crate) fn touch(&self, tile: &Rect) -> Touch {
        let apart = |angle: Angle| self.center.haversine(angle) > self.limit;
        if !self.rect.meets(tile) || apart(self.center.nearest(tile)) {
            Touch::Outside
        } else if apart(self.antipode.nearest(tile)) {
            Touch::Partly
        } else {
            Touch::Inside
        }
    }
}

fn around(center: Angle, radius: f64) -> Rect {
    let (south, north) = (center.lat - radius, center.lat + radius);
    let over_a_pole = south <= -PI / 2.0 || north >= PI / 2.0;
    let reach = if over_a_pole { PI } else { (radius.sin() / center.lat.cos()).clamp(-1.0, 1.0).asin() };
    let (west, east) = (center.lon - reach, center.lon + reach);
    let (west, east) = if west < -PI || east > PI { (-PI, PI) } else { (west, east) };
    let lat = |lat: f64| lat.clamp(-90.0, 90.0);
    Rect {
        west: west.to_degrees() - ON_EDGE,
        south: lat(south.to_degrees() - ON_EDGE),
        east: east.to_degrees() + ON_EDGE,
        north: lat(north.to_degrees() + ON_EDGE),
    }
}

/// A point, in radians.
#[derive(Debug, Clone, Copy)]
struct Angle {
    lon: f64,
    lat: f64,
}

impl Angle {
    /// sin² of half the angle between the two: grows with the distance, and is exact for short ones.
    fn haversine(self, other: Self) -> f64 {
        let (lat, lon) = ((other.lat - self.lat) / 2.0, (other.lon - self.lon) / 2.0);
        lat.sin().powi(2) + self.lat.cos() * other.lat.cos() * lon.sin().powi(2)
    }

    /// The point of a rectangle that is nearest to this one.
    ///
    /// Beside it on a meridian, if one goes through the rectangle; otherwise it lies on its western or eastern edge, since going along a
    /// parallel towards this point always comes nearer.
    fn nearest(self, rect: &Rect) -> Self {
        let (south, north) = (rect.south.to_radians(), rect.north.to_radians());
        let (west, east) = (rect.west.to_radians(), rect.east.to_radians());
        if west <= self.lon && self.lon <= east {
            return Self { lon: self.lon, lat: self.lat.clamp(south, north) };
        }
        let on_edge = |lon: f64| {
            let foot = self.lat.sin().atan2(self.lat.cos() * (lon - self.lon).cos());
            if south <= foot && foot <= north {
                return Self { lon, lat: foot };
            }
            self.nearer(Self { lon, lat: south }, Self { lon, lat: north })
        };
        self.nearer(on_edge(west), on_edge(east))
    }

    fn nearer(self, one: Self, other: Self) -> Self {
        if self.haversine(one) <= self.haversine(other) { one } else { other }
    }
}

/// The same angle between -π and π.
pub(super) fn turn(angle: f64) -> f64 {
    (angle + PI).rem_euclid(2.0 * PI) - PI
}
