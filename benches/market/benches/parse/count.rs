//! The same work in three ways: parse, check the chain, count by exchange minute and exact price in units of 10⁻⁸.

use std::collections::BTreeMap;

use market::wire::{self, AggTrade, Decimal, Event, Scale};
use serde::Deserialize;

use crate::Result;

#[derive(Default)]
struct Level {
    buy: i64,
    sell: i64,
    trades: i64,
}

/// Where the chain stands, and the minutes so far.
#[derive(Default)]
pub(crate) struct Counted {
    last: Option<i64>,
    missing: i64,
    /// By minute; a minute that is over stays, as the collector keeps it until it is written.
    minutes: BTreeMap<i64, BTreeMap<i64, Level>>,
}

impl Counted {
    fn add(&mut self, trade: AggTrade) -> Result {
        let scale = Scale::default();
        let (price, quantity) = (trade.price.at(scale.price)?, trade.quantity.at(scale.quantity)?);
        if let Some(last) = self.last.filter(|last| trade.first != last + 1) {
            self.missing += trade.first - last - 1;
        }
        self.last = Some(trade.last);
        let level = self.minutes.entry(trade.time_ms / 60_000).or_default().entry(price).or_default();
        let side = if trade.buyer_is_maker { &mut level.sell } else { &mut level.buy };
        *side = side.checked_add(quantity).ok_or("too much")?;
        level.trades += trade.last - trade.first + 1;
        Ok(())
    }

    /// Bought, sold, single trades, levels, missing.
    pub(crate) fn sum(&self) -> [i64; 5] {
        let mut sum = [0, 0, 0, 0, self.missing];
        for level in self.minutes.values().flat_map(BTreeMap::values) {
            for (sum, more) in sum.iter_mut().zip([level.buy, level.sell, level.trades, 1]) {
                *sum += more;
            }
        }
        sum
    }
}

pub(crate) fn by_market(messages: &[String]) -> Result<Counted> {
    let mut counted = Counted::default();
    for text in messages {
        let Event::AggTrade { trade, .. } = wire::read(text)? else { return Err("no trade".into()) };
        counted.add(trade)?;
    }
    Ok(counted)
}

pub(crate) fn by_general_parser(messages: &[String]) -> Result<Counted> {
    let mut counted = Counted::default();
    for text in messages {
        let Event::AggTrade { trade, .. } = wire::read_any(text)? else { return Err("no trade".into()) };
        counted.add(trade)?;
    }
    Ok(counted)
}

#[derive(Deserialize)]
struct Wrapped<'a> {
    #[serde(borrow)]
    data: Typed<'a>,
}

#[derive(Deserialize)]
struct Typed<'a> {
    e: &'a str,
    s: &'a str,
    a: i64,
    p: &'a str,
    q: &'a str,
    f: i64,
    l: i64,
    #[serde(rename = "T")]
    time_ms: i64,
    m: bool,
}

pub(crate) fn by_typed_serde(messages: &[String]) -> Result<Counted> {
    let wrapped = messages.first().is_some_and(|text| text.starts_with("{\"stream\""));
    let mut counted = Counted::default();
    for text in messages {
        let typed: Typed<'_> =
            if wrapped { serde_json::from_str::<Wrapped<'_>>(text)?.data } else { serde_json::from_str(text)? };
        if typed.e != "aggTrade" || typed.s.is_empty() {
            return Err("no trade".into());
        }
        let (price, quantity) = (Decimal::parse(typed.p)?, Decimal::parse(typed.q)?);
        let (id, first, last) = (typed.a, typed.f, typed.l);
        counted.add(AggTrade { id, first, last, time_ms: typed.time_ms, price, quantity, buyer_is_maker: typed.m })?;
    }
    Ok(counted)
}
