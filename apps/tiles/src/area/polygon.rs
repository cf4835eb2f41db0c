//! Polygons with holes, in the plane of longitude and latitude. Pure.

use super::{Point, Rect, Touch};
use crate::grid::ON_EDGE;

/// The rings of one polygon as edges; a point is inside where a ray from it crosses an odd number of them.
#[derive(Debug)]
pub(crate) struct Polygon {
    /// From where to where: longitude, latitude, longitude, latitude.
    edges: Vec<[f64; 4]>,
    rect: Rect,
    bands: Bands,
}

impl Polygon {
    /// The polygon of an outer ring and its holes, once for every turn around the earth on which it lies on the map.
    pub(crate) fn on_the_map(rings: &[Vec<Point>]) -> impl Iterator<Item = Self> {
        let mut edges = Vec::new();
        let mut outer = None;
        for ring in rings {
            let mut ring = unwrap(ring);
            let middle = middle(&ring);
            let shift = ((*outer.get_or_insert(middle) - middle) / 360.0).round() * 360.0;
            ring.iter_mut().for_each(|point| point[0] += shift);
            edges.extend(ring.windows(2).map(|two| [two[0][0], two[0][1], two[1][0], two[1][1]]));
        }
        [-360.0, 0.0, 360.0].into_iter().filter_map(move |turn| {
            let turned = Self::new(edges.iter().map(|[x0, y0, x1, y1]| [x0 + turn, *y0, x1 + turn, *y1]).collect());
            (turned.rect.east > -180.0 + ON_EDGE && turned.rect.west < 180.0 - ON_EDGE).then_some(turned)
        })
    }

    fn new(edges: Vec<[f64; 4]>) -> Self {
        let least = |at: [usize; 2]| edges.iter().flat_map(|edge| at.map(|i| edge[i])).fold(f64::INFINITY, f64::min);
        let most = |at: [usize; 2]| edges.iter().flat_map(|edge| at.map(|i| edge[i])).fold(-f64::INFINITY, f64::max);
        let rect = Rect { west: least([0, 2]), south: least([1, 3]), east: most([0, 2]), north: most([1, 3]) };
        let bands = Bands::new(&edges, &rect);
        Self { edges, rect, bands }
    }

    /// A box around it.
    pub(crate) fn rect(&self) -> Rect {
        self.rect
    }

    /// All edges, as [`Self::touch`] takes them.
    pub(crate) fn all(&self) -> Vec<u32> {
        (0..self.edges.len() as u32).collect()
    }

    /// How a tile lies to it. `near` are the edges that may meet the tile, at least all that do; those that do are put into `meet`.
    ///
    /// A tile that is only touched within [`ON_EDGE`] is outside.
    pub(crate) fn touch(&self, tile: &Rect, near: &[u32], meet: &mut Vec<u32>) -> Touch {
        let tile = Rect {
            west: tile.west + ON_EDGE,
            south: tile.south + ON_EDGE,
            east: tile.east - ON_EDGE,
            north: tile.north - ON_EDGE,
        };
        meet.extend(near.iter().copied().filter(|at| crosses(&self.edges[*at as usize], &tile)));
        if !meet.is_empty() {
            Touch::Partly
        } else if self.rect.meets(&tile) && self.holds((tile.west + tile.east) / 2.0, (tile.south + tile.north) / 2.0) {
            Touch::Inside
        } else {
            Touch::Outside
        }
    }

    /// Whether a point that lies on no edge is inside.
    fn holds(&self, lon: f64, lat: f64) -> bool {
        let east_of_it = |at: &&u32| {
            let [x0, y0, x1, y1] = self.edges[**at as usize];
            (y0 > lat) != (y1 > lat) && lon < x0 + (lat - y0) / (y1 - y0) * (x1 - x0)
        };
        self.bands.at(lat).iter().filter(east_of_it).count() % 2 == 1
    }
}

/// Whether an edge and a rectangle have a point in common: no axis and not the edge itself parts them.
fn crosses([x0, y0, x1, y1]: &[f64; 4], rect: &Rect) -> bool {
    if x0.max(*x1) < rect.west || x0.min(*x1) > rect.east || y0.max(*y1) < rect.south || y0.min(*y1) > rect.north {
        return false;
    }
    let side = |x: f64, y: f64| (x1 - x0) * (y - y0) - (y1 - y0) * (x - x0);
    let sides = [
        side(rect.west, rect.south),
        side(rect.west, rect.north),
        side(rect.east, rect.south),
        side(rect.east, rect.north),
    ];
    !(sides.iter().all(|side| *side > 0.0) || sides.iter().all(|side| *side < 0.0))
}

/// A closed ring without jumps: each longitude is moved by whole turns to the side of the one before where a jump was longer than 180°.
///
/// A jump of 360° stays: it goes along the edge of the map. A ring that ends a turn from where it began goes around a pole, and is
/// closed through the nearer one.
pub(super) fn unwrap(ring: &[Point]) -> Vec<Point> {
    let mut unwrapped: Vec<Point> = Vec::with_capacity(ring.len() + 4);
    let (mut turns, mut before) = (0.0, None::<f64>);
    for [lon, lat] in ring.iter().chain(ring.first()) {
        let jump = before.map_or(0.0, |before| lon - before);
        if jump.abs() > 180.0 && jump.abs() < 360.0 - ON_EDGE {
            turns -= 360.0 * jump.signum();
        }
        before = Some(*lon);
        unwrapped.push([lon + turns, *lat]);
    }
    if let (Some(first), Some(last)) = (unwrapped.first().copied(), unwrapped.last().copied())
        && (last[0] - first[0]).abs() > 180.0
    {
        let north = ring.iter().map(|point| point[1]).sum::<f64>() > 0.0;
        let pole = if north { 90.0 } else { -90.0 };
        unwrapped.extend([[last[0], pole], [first[0], pole], first]);
    }
    unwrapped
}

/// The longitude half way between the ends of a ring.
fn middle(ring: &[Point]) -> f64 {
    let lons = || ring.iter().map(|point| point[0]);
    (lons().fold(f64::INFINITY, f64::min) + lons().fold(-f64::INFINITY, f64::max)) / 2.0
}

/// Which edges meet which band of latitude, so that not all of them are looked at for one point.
#[derive(Debug)]
struct Bands {
    south: f64,
    height: f64,
    /// Where the edges of each band begin in `edges`; one more than there are bands.
    begin: Vec<usize>,
    edges: Vec<u32>,
}

impl Bands {
    fn new(edges: &[[f64; 4]], rect: &Rect) -> Self {
        let mut count = edges.len().clamp(1, 4096);
        loop {
            let bands = Self::cut(edges, rect, count);
            // Long edges lie in many bands: fewer of them then, so that the memory stays in proportion.
            match bands {
                Some(bands) => return bands,
                None => count /= 2,
            }
        }
    }

    /// None if that needs much more memory than the edges themselves.
    fn cut(edges: &[[f64; 4]], rect: &Rect, count: usize) -> Option<Self> {
        let height = ((rect.north - rect.south) / count as f64).max(f64::MIN_POSITIVE);
        let band = |lat: f64| (((lat - rect.south) / height) as usize).min(count - 1);
        let spans = || edges.iter().map(|[_, y0, _, y1]| band(y0.min(*y1))..=band(y0.max(*y1)));
        let total: usize = spans().map(|span| span.end() - span.start() + 1).sum();
        if count > 1 && total > 8 * edges.len() {
            return None;
        }
        let mut begin = vec![0; count + 1];
        spans().flatten().for_each(|band| begin[band + 1] += 1);
        for band in 0..count {
            begin[band + 1] += begin[band];
        }
        let (mut next, mut of) = (begin.clone(), vec![0; total]);
        for (at, span) in (0..).zip(spans()) {
            for band in span {
                of[next[band]] = at;
                next[band] += 1;
            }
        }
        Some(Self { south: rect.south, height, begin, edges: of })
    }

    fn at(&self, lat: f64) -> &[u32] {
        let band = (((lat - self.south) / self.height) as usize).min(self.begin.len() - 2);
        &self.edges[self.begin[band]..self.begin[band + 1]]
    }
}

#[cfg(test)]
#[path = "polygon_tests.rs"]
mod tests;
