//! One UTC minute of one symbol by price. Pure: no clock, no file.

use std::collections::BTreeMap;

use crate::{
    scale::{finer, refine},
    trade::Trade,
    wire::Scale,
};

const MINUTE_MS: i64 = 60_000;

/// The beginning of the minute that a time belongs to.
pub(crate) fn begin_of(time_ms: i64) -> i64 {
    time_ms - time_ms.rem_euclid(MINUTE_MS)
}

/// What was traded at one price; volumes in units of the minute's [`Scale`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Level {
    /// Bought by the aggressive side.
    pub buy: i64,
    /// Sold by the aggressive side.
    pub sell: i64,
    /// Single trades; an aggregate counts as many as it holds.
    pub trades: i64,
}

impl Level {
    /// Bought less sold.
    pub fn delta(&self) -> i64 {
        self.buy - self.sell
    }
}

/// A sum that an `i64` cannot hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooLarge;

/// All that is known of one minute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Minute {
    pub(crate) begin_ms: i64,
    /// The lowest and the highest id of a single trade.
    pub(crate) ids: (i64, i64),
    /// Single trades that were fetched later.
    pub(crate) refilled: i64,
    pub(crate) scale: Scale,
    /// By price.
    levels: BTreeMap<i64, Counted>,
    /// Something was counted since [`Minute::changes`].
    changed: bool,
    /// The scale has changed: no level stands in the file as it is here.
    rescaled: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Counted {
    level: Level,
    changed: bool,
}

impl Minute {
    /// Empty, and begun by a trade.
    pub(crate) fn new(trade: &Trade) -> Self {
        Self {
            begin_ms: begin_of(trade.time_ms),
            ids: (trade.ids.first, trade.ids.last),
            refilled: 0,
            scale: trade.scale,
            levels: BTreeMap::new(),
            changed: false,
            rescaled: false,
        }
    }

    /// As it stands in the file.
    pub(crate) fn stored(
        begin_ms: i64,
        ids: (i64, i64),
        refilled: i64,
        scale: Scale,
        levels: Vec<(i64, Level)>,
    ) -> Self {
        let levels = levels.into_iter().map(|(price, level)| (price, Counted { level, changed: false })).collect();
        Self { begin_ms, ids, refilled, scale, levels, changed: false, rescaled: false }
    }

    /// Counts a trade of this minute. One that makes a sum too large is not counted.
    #[inline]
    pub(crate) fn add(&mut self, trade: &Trade) -> Result<(), TooLarge> {
        let (price, quantity) = if trade.scale == self.scale {
            (trade.price, trade.quantity)
        } else {
            self.refine(finer(self.scale, trade.scale))?;
            let price = refine(trade.price, trade.scale.price, self.scale.price);
            price.zip(refine(trade.quantity, trade.scale.quantity, self.scale.quantity)).ok_or(TooLarge)?
        };
        let counted = self.levels.entry(price).or_default();
        let trades = trade.ids.last - trade.ids.first + 1;
        let mut level = counted.level;
        let side = if trade.buyer_is_maker { &mut level.sell } else { &mut level.buy };
        *side = side.checked_add(quantity).ok_or(TooLarge)?;
        level.trades = level.trades.checked_add(trades).ok_or(TooLarge)?;
        *counted = Counted { level, changed: true };
        self.ids = (self.ids.0.min(trade.ids.first), self.ids.1.max(trade.ids.last));
        self.refilled += if trade.refilled { trades } else { 0 };
        self.changed = true;
        Ok(())
    }

    /// All that was counted, in a finer scale.
    fn refine(&mut self, scale: Scale) -> Result<(), TooLarge> {
        if scale == self.scale {
            return Ok(());
        }
        let volume = |volume| refine(volume, self.scale.quantity, scale.quantity);
        let refined = self.levels.iter().map(|(price, Counted { level, .. })| {
            let level = Level { buy: volume(level.buy)?, sell: volume(level.sell)?, trades: level.trades };
            Some((refine(*price, self.scale.price, scale.price)?, Counted { level, changed: true }))
        });
        let levels = refined.collect::<Option<_>>().ok_or(TooLarge)?;
        (self.levels, self.scale, self.changed, self.rescaled) = (levels, scale, true, true);
        Ok(())
    }

    /// What has to be written, from the lowest price to the highest; nothing where nothing has changed since the last call.
    pub(crate) fn changes(&mut self) -> Option<Changes> {
        if !std::mem::take(&mut self.changed) {
            return None;
        }
        let Self { begin_ms, ids, refilled, scale, .. } = *self;
        let changed = |(price, counted): (&i64, &mut Counted)| {
            std::mem::take(&mut counted.changed).then_some((*price, counted.level))
        };
        let levels = self.levels.iter_mut().filter_map(changed).collect();
        Some(Changes { begin_ms, ids, refilled, scale, anew: std::mem::take(&mut self.rescaled), levels })
    }

    /// Single trades over all prices.
    pub(crate) fn trades(&self) -> i64 {
        self.levels.values().fold(0, |trades, counted| trades.saturating_add(counted.level.trades))
    }

    #[cfg(test)]
    pub(crate) fn levels(&self) -> impl Iterator<Item = (i64, Level)> {
        self.levels.iter().map(|(price, counted)| (*price, counted.level))
    }
}

/// A minute as it is to be written: its levels are absolute, so that writing them twice does no harm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Changes {
    pub(crate) begin_ms: i64,
    pub(crate) ids: (i64, i64),
    pub(crate) refilled: i64,
    pub(crate) scale: Scale,
    /// What stands in the file of it goes first.
    pub(crate) anew: bool,
    pub(crate) levels: Vec<(i64, Level)>,
}

#[cfg(test)]
#[path = "minutes_tests.rs"]
mod tests;
