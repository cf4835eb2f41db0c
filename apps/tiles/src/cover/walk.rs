//! The walk through the quadtree, along the curve, to the ranges of ids of one zoom. Pure.

use std::{ops::Range, sync::Arc};

use crate::{
    area::{Rect, Shape, Touch},
    grid::{self, Block},
    hilbert::{self, Curve},
};

/// The ids of one zoom that some shapes cover, as ranges, ascending, with a gap between two. It holds one branch of the tree.
#[derive(Debug)]
pub struct Ranges {
    wanted: Wanted,
    /// The way from the top; each tile on it is covered in part.
    branch: Vec<Node>,
    /// A range that may go on.
    pending: Option<Range<u64>>,
}

#[derive(Debug)]
struct Wanted {
    shapes: Arc<[Shape]>,
    /// The tiles of each shape at the zoom, where they are a rectangle.
    blocks: Vec<Option<Block>>,
    zoom: u8,
}

/// A tile, and which of its quarters is next.
#[derive(Debug)]
struct Node {
    zoom: u8,
    x: u32,
    y: u32,
    /// Its place on the curve of its zoom.
    place: u64,
    curve: Curve,
    next: u8,
    rect: Rect,
    /// What covers it in part.
    near: Vec<Near>,
}

/// A shape that covers a tile in part; of a polygon, the edges that meet the tile.
#[derive(Debug)]
struct Near {
    shape: u32,
    edges: Vec<u32>,
}

impl Ranges {
    pub(super) fn new(shapes: Arc<[Shape]>, zoom: u8) -> Self {
        let blocks = shapes.iter().map(|shape| shape.block(zoom)).collect();
        let edges = |shape: &Shape| if let Shape::Polygon(polygon) = shape { polygon.all() } else { Vec::new() };
        let near: Vec<Near> = (0..).zip(shapes.iter()).map(|(shape, is)| Near { shape, edges: edges(is) }).collect();
        let rect = Rect { west: -180.0, south: grid::north(0, 1), east: 180.0, north: grid::north(0, 0) };
        let mut top = Node { zoom: 0, x: 0, y: 0, place: 0, curve: Curve::default(), next: 0, rect, near: Vec::new() };

        let mut ranges = Self { wanted: Wanted { shapes, blocks, zoom }, branch: Vec::new(), pending: None };
        if ranges.wanted.covers(&mut top, &near) {
            ranges.pending = Some(hilbert::below(0, 0, zoom));
        } else if !top.near.is_empty() {
            ranges.branch.push(top);
        }
        ranges
    }

    /// How many tiles of each zoom down to this one the shapes cover, in one walk.
    pub(super) fn counts(mut self) -> Vec<u64> {
        let mut counts = vec![0; usize::from(self.wanted.zoom) + 1];
        let whole = |counts: &mut [u64], from: u8| {
            (0..).zip(&mut counts[usize::from(from)..]).for_each(|(deeper, count)| *count += 1_u64 << (2 * deeper));
        };
        if self.pending.is_some() {
            whole(&mut counts, 0);
        } else if !self.branch.is_empty() {
            counts[0] = 1;
        }
        while let Some(step) = self.step() {
            match step {
                Step::Whole { zoom, .. } => whole(&mut counts, zoom),
                Step::Part { zoom } => counts[usize::from(zoom)] += 1,
            }
        }
        counts
    }

    /// Goes on to the next tile that is covered and does not lie in one that was whole.
    fn step(&mut self) -> Option<Step> {
        loop {
            let above = self.branch.last_mut()?;
            let Some(mut node) = above.quarter() else {
                self.branch.pop();
                continue;
            };
            let zoom = node.zoom;
            if self.wanted.covers(&mut node, &above.near) {
                return Some(Step::Whole { zoom, place: node.place });
            }
            if !node.near.is_empty() {
                self.branch.push(node);
                return Some(Step::Part { zoom });
            }
        }
    }
}

/// A tile that is covered.
enum Step {
    /// With all that lies below it.
    Whole { zoom: u8, place: u64 },
    /// Not with all of it; what lies below it comes next.
    Part { zoom: u8 },
}

impl Iterator for Ranges {
    type Item = Range<u64>;

    fn next(&mut self) -> Option<Range<u64>> {
        loop {
            let next = match self.step() {
                Some(Step::Whole { zoom, place }) => hilbert::below(zoom, place, self.wanted.zoom),
                Some(Step::Part { .. }) => continue,
                None => return self.pending.take(),
            };
            match &mut self.pending {
                Some(pending) if pending.end == next.start => pending.end = next.end,
                pending => {
                    if let Some(whole) = pending.replace(next) {
                        return Some(whole);
                    }
                }
            }
        }
    }
}

impl Wanted {
    /// Whether all that lies below the tile is covered. If not, it is told which of the shapes near the tile above cover it in part.
    fn covers(&self, node: &mut Node, above: &[Near]) -> bool {
        for near in above {
            let mut edges = Vec::new();
            match self.touch(node, near, &mut edges) {
                Touch::Outside => {}
                Touch::Inside => return true,
                Touch::Partly if node.zoom == self.zoom => return true,
                Touch::Partly => node.near.push(Near { shape: near.shape, edges }),
            }
        }
        false
    }

    fn touch(&self, node: &Node, near: &Near, edges: &mut Vec<u32>) -> Touch {
        let at = near.shape as usize;
        match (&self.shapes[at], &self.blocks[at]) {
            (_, Some(block)) => lie(block, node, self.zoom - node.zoom),
            (Shape::Circle(circle), _) => circle.touch(&node.rect),
            (Shape::Polygon(polygon), _) => polygon.touch(&node.rect, &near.edges, edges),
            (Shape::Bounds(_) | Shape::Tiles { .. }, None) => Touch::Outside,
        }
    }
}

impl Node {
    /// The next quarter along the curve, until there were four.
    fn quarter(&mut self) -> Option<Self> {
        if self.next == 4 {
            return None;
        }
        let (column, row, curve) = self.curve.quarter(self.next);
        let place = self.place << 2 | u64::from(self.next);
        self.next += 1;

        let (zoom, x, y) = (self.zoom + 1, self.x << 1, self.y << 1);
        let (meridian, parallel) = (grid::west(zoom, x | 1), grid::north(zoom, y | 1));
        let Rect { west, south, east, north } = self.rect;
        let (west, east) = if column == 0 { (west, meridian) } else { (meridian, east) };
        let (south, north) = if row == 0 { (parallel, north) } else { (south, parallel) };
        let rect = Rect { west, south, east, north };
        Some(Self { zoom, x: x | column, y: y | row, place, curve, next: 0, rect, near: Vec::new() })
    }
}

/// How a tile lies to a rectangle of tiles `deeper` zooms below it.
fn lie(block: &Block, node: &Node, deeper: u8) -> Touch {
    let (first_x, last_x) = ends(node.x, deeper);
    let (first_y, last_y) = ends(node.y, deeper);
    if last_x < *block.x.start() || first_x > *block.x.end() || last_y < *block.y.start() || first_y > *block.y.end() {
        Touch::Outside
    } else if first_x >= *block.x.start()
        && last_x <= *block.x.end()
        && first_y >= *block.y.start()
        && last_y <= *block.y.end()
    {
        Touch::Inside
    } else {
        Touch::Partly
    }
}

/// The first and the last column (or row) of what lies so many zooms below one.
fn ends(at: u32, deeper: u8) -> (u32, u32) {
    (at << deeper, (at << deeper) + ((1 << deeper) - 1))
}
