//! A book that is there: its two sides, as far as they are known.

use std::collections::BTreeMap;

use super::Loss;
use crate::{
    scale::{finer, refine},
    wire::{Diff, PriceLevel, Scale, Snapshot},
};

#[derive(Debug, Clone)]
pub(super) struct Live {
    pub(super) last_id: i64,
    /// Whether `last_id` is a snapshot's, which with futures need not be that of a change.
    pub(super) fresh: bool,
    pub(super) scale: Scale,
    pub(super) bids: Side,
    pub(super) asks: Side,
}

#[derive(Debug, Clone)]
pub(super) struct Side {
    /// Price to quantity, in units of the scale; no quantity is 0.
    pub(super) levels: BTreeMap<i64, i64>,
    /// The price beyond which levels are unknown; `None` where all are known.
    edge: Option<i64>,
}

impl Live {
    pub(super) fn new(snapshot: &Snapshot, scale: Scale, limit: usize) -> Result<Self, Loss> {
        let scale = finest(scale, snapshot.bids.iter().chain(&snapshot.asks));
        let side = |levels: &[PriceLevel]| {
            let mut side = Side { levels: BTreeMap::new(), edge: None };
            for level in levels {
                side.put(level, scale, |_, _| true)?;
            }
            let worst = levels.last().filter(|_| levels.len() >= limit);
            side.edge = worst.map(|level| units(level, scale)).transpose()?.map(|(price, _)| price);
            Ok::<_, Loss>(side)
        };
        let (bids, asks) = (side(&snapshot.bids)?, side(&snapshot.asks)?);
        let live = Self { last_id: snapshot.last_id, fresh: true, scale, bids, asks };
        live.check().map(|()| live)
    }

    pub(super) fn apply(&mut self, diff: &Diff) -> Result<(), Loss> {
        let scale = finest(self.scale, diff.bids.iter().chain(&diff.asks));
        if scale != self.scale {
            self.bids.refine(self.scale, scale)?;
            self.asks.refine(self.scale, scale)?;
            self.scale = scale;
        }
        for level in &diff.bids {
            self.bids.put(level, scale, |price, edge| price >= edge)?;
        }
        for level in &diff.asks {
            self.asks.put(level, scale, |price, edge| price <= edge)?;
        }
        (self.last_id, self.fresh) = (diff.last, false);
        self.check()
    }

    fn check(&self) -> Result<(), Loss> {
        match (self.bids.levels.last_key_value(), self.asks.levels.first_key_value()) {
            (Some((bid, _)), Some((ask, _))) if bid >= ask => Err(Loss::Crossed { bid: *bid, ask: *ask }),
            _ => Ok(()),
        }
    }
}

impl Side {
    /// Whether less than nine tenths of `limit` levels are known, and there may be more.
    pub(super) fn is_shallow(&self, limit: usize) -> bool {
        self.edge.is_some() && self.levels.len() < limit - limit / 10
    }

    /// Sets a level, if it is within the edge.
    fn put(&mut self, level: &PriceLevel, scale: Scale, within: impl Fn(i64, i64) -> bool) -> Result<(), Loss> {
        let (price, quantity) = units(level, scale)?;
        if quantity == 0 {
            self.levels.remove(&price);
        } else if self.edge.is_none_or(|edge| within(price, edge)) {
            self.levels.insert(price, quantity);
        }
        Ok(())
    }

    /// The same numbers in units of a finer scale.
    fn refine(&mut self, from: Scale, to: Scale) -> Result<(), Loss> {
        let price = |price| refine(price, from.price, to.price);
        let level = |(at, quantity): (&i64, &i64)| Some((price(*at)?, refine(*quantity, from.quantity, to.quantity)?));
        let levels = self.levels.iter().map(level).collect::<Option<_>>();
        let edge = self.edge.map(|edge| price(edge).ok_or(Loss::TooFine { scale: to })).transpose()?;
        (self.levels, self.edge) = (levels.ok_or(Loss::TooFine { scale: to })?, edge);
        Ok(())
    }
}

/// The scale in which all of these are whole numbers.
fn finest<'a>(scale: Scale, levels: impl Iterator<Item = &'a PriceLevel>) -> Scale {
    levels.fold(scale, |scale, level| {
        finer(scale, Scale { price: level.price.places(), quantity: level.quantity.places() })
    })
}

fn units(level: &PriceLevel, scale: Scale) -> Result<(i64, i64), Loss> {
    let units = || Ok((level.price.at(scale.price)?, level.quantity.at(scale.quantity)?));
    units().map_err(|error| Loss::Number { level: *level, error })
}
