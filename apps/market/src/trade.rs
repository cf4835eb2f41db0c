//! One trade as it is counted and kept.

use crate::{
    chain::Ids,
    scale::fit,
    wire::{AggTrade, DecimalError, Scale},
};

/// One aggregated trade of a symbol that its holder knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Trade {
    pub(crate) ids: Ids,
    /// Since 1970, by the exchange's clock.
    pub(crate) time_ms: i64,
    /// In units of `scale`, like `quantity`; both above 0.
    pub(crate) price: i64,
    pub(crate) quantity: i64,
    pub(crate) scale: Scale,
    /// The buyer's order was waiting in the book: the seller was the aggressive side.
    pub(crate) buyer_is_maker: bool,
    /// Fetched later, because the stream had not brought it.
    pub(crate) refilled: bool,
}

impl Trade {
    /// In `scale` where that is fine enough.
    #[inline]
    pub(crate) fn read(trade: AggTrade, scale: Scale, refilled: bool) -> Result<Self, DecimalError> {
        let AggTrade { id, first, last, time_ms, buyer_is_maker, .. } = trade;
        let (price, quantity, scale) = fit(scale, trade.price, trade.quantity)?;
        let ids = Ids { aggregate: id, first, last };
        Ok(Self { ids, time_ms, price, quantity, scale, buyer_is_maker, refilled })
    }
}
