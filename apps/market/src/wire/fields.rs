//! Fields of a JSON object or row, read by type; the error names the field, what stands there, and what should.

use std::ops::Range;

use serde_json::Value;

use super::{AggTrade, BookTicker, Decimal, Diff, Kind, Kline, PriceLevel, SingleTrade, Snapshot, Unreadable};

/// The year 10000; what comes later is not a time in milliseconds.
pub(super) const LATEST_MS: i64 = 253_402_300_800_000;

pub(super) type Result<T> = std::result::Result<T, Unreadable>;

/// An object, and what it is in an error.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a> {
    of: &'static str,
    object: &'a Value,
}

/// One field.
#[derive(Clone, Copy)]
pub(super) struct Field<'a> {
    of: &'static str,
    name: &'static str,
    value: &'a Value,
}

impl<'a> Fields<'a> {
    pub(super) fn new(of: &'static str, object: &'a Value) -> Result<Self> {
        if object.is_object() {
            return Ok(Self { of, object });
        }
        Err(Unreadable::field(of, "itself", object, "an object"))
    }

    /// A field that is left out is `null`.
    pub(super) fn get(&self, name: &'static str) -> Field<'a> {
        Field { of: self.of, name, value: &self.object[name] }
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.object.get(name).is_some()
    }
}

impl<'a> Field<'a> {
    fn read<T>(self, expected: &str, read: impl FnOnce(&'a Value) -> Option<T>) -> Result<T> {
        read(self.value).ok_or_else(|| Unreadable::field(self.of, self.name, self.value, expected))
    }

    pub(super) fn id(self) -> Result<i64> {
        self.read("a whole number in range", |value| within(value, 0..i64::MAX))
    }

    pub(super) fn time(self) -> Result<i64> {
        self.read("a time in milliseconds", |value| within(value, 0..LATEST_MS))
    }

    pub(super) fn flag(self) -> Result<bool> {
        self.read("true or false", Value::as_bool)
    }

    pub(super) fn text(self) -> Result<&'a str> {
        self.read("a text that is not empty", |value| value.as_str().filter(|text| !text.is_empty()))
    }

    pub(super) fn list(self) -> Result<&'a [Value]> {
        self.read("a list", |value| value.as_array().map(Vec::as_slice))
    }

    fn last_after(self, first: i64) -> Result<i64> {
        let last = self.id()?;
        if last >= first { Ok(last) } else { Err(self.wrong(format_args!("an id not below the first, {first}"))) }
    }

    fn wrong(self, expected: impl std::fmt::Display) -> Unreadable {
        Unreadable::field(self.of, self.name, self.value, expected)
    }

    /// A decimal in quotes, not below 0.
    pub(super) fn amount(self) -> Result<Decimal> {
        let text = self.read("a decimal in quotes", Value::as_str)?;
        Decimal::parse(text).map_err(|error| self.wrong(format_args!("a decimal in quotes, but {error}")))
    }

    /// A decimal in quotes, above 0.
    pub(super) fn positive(self) -> Result<Decimal> {
        let amount = self.amount()?;
        if amount.is_zero() { Err(self.wrong("a decimal in quotes, above 0")) } else { Ok(amount) }
    }

    fn levels(self) -> Result<Vec<PriceLevel>> {
        let level = |value: &'a Value| match value.as_array().map(Vec::as_slice) {
            // Older answers have a third value, an empty list.
            Some([price, quantity, ..]) => {
                let field = |value| Field { value, ..self };
                Ok(PriceLevel { price: field(price).positive()?, quantity: field(quantity).amount()? })
            }
            _ => Err(Unreadable::field(self.of, self.name, value, "levels such as [\"0.35\",\"672\"]")),
        };
        self.list()?.iter().map(level).collect()
    }
}

fn within(value: &Value, range: Range<i64>) -> Option<i64> {
    value.as_i64().filter(|number| range.contains(number))
}

pub(super) fn json(text: &str) -> Result<Value> {
    serde_json::from_str(text).map_err(|error| Unreadable::new(Kind::NotJson, error))
}

pub(super) fn agg_trade(fields: Fields<'_>) -> Result<AggTrade> {
    let first = fields.get("f").id()?;
    Ok(AggTrade {
        id: fields.get("a").id()?,
        first,
        last: fields.get("l").last_after(first)?,
        time_ms: fields.get("T").time()?,
        price: fields.get("p").positive()?,
        quantity: fields.get("q").positive()?,
        buyer_is_maker: fields.get("m").flag()?,
    })
}

/// The names of `[id, price, quantity, time, buyer is maker]` differ between the stream and REST.
pub(super) fn single_trade(fields: Fields<'_>, names: [&'static str; 5]) -> Result<SingleTrade> {
    let [id, price, quantity, time, buyer_is_maker] = names.map(|name| fields.get(name));
    Ok(SingleTrade {
        id: id.id()?,
        time_ms: time.time()?,
        price: price.positive()?,
        quantity: quantity.positive()?,
        buyer_is_maker: buyer_is_maker.flag()?,
    })
}

pub(super) fn diff(fields: Fields<'_>) -> Result<Diff> {
    let first = fields.get("U").id()?;
    Ok(Diff {
        first,
        last: fields.get("u").last_after(first)?,
        previous: if fields.has("pu") { Some(fields.get("pu").id()?) } else { None },
        bids: fields.get("b").levels()?,
        asks: fields.get("a").levels()?,
    })
}

pub(super) fn snapshot(fields: Fields<'_>) -> Result<Snapshot> {
    let (bids, asks) = (fields.get("bids").levels()?, fields.get("asks").levels()?);
    Ok(Snapshot { last_id: fields.get("lastUpdateId").id()?, bids, asks })
}

pub(super) fn kline(fields: Fields<'_>) -> Result<Kline> {
    // Without trades the exchange writes -1 for both.
    let none = ["f", "L"].iter().all(|name| fields.object[*name].as_i64() == Some(-1));
    let ids = || {
        let first = fields.get("f").id()?;
        Ok((first, fields.get("L").last_after(first)?))
    };
    Ok(Kline {
        open_ms: fields.get("t").time()?,
        close_ms: fields.get("T").time()?,
        interval: fields.get("i").text()?.to_owned(),
        ids: if none { None } else { Some(ids()?) },
        open: fields.get("o").amount()?,
        high: fields.get("h").amount()?,
        low: fields.get("l").amount()?,
        close: fields.get("c").amount()?,
        volume: fields.get("v").amount()?,
        quote_volume: fields.get("q").amount()?,
        trades: fields.get("n").id()?,
        bought: fields.get("V").amount()?,
        closed: Some(fields.get("x").flag()?),
    })
}

/// A row of REST: what `NAMES` says, by position; more may follow.
pub(super) fn kline_row(row: &Value) -> Result<Kline> {
    const NAMES: [&str; 11] = [
        "open time",
        "open",
        "high",
        "low",
        "close",
        "volume",
        "close time",
        "quote volume",
        "trades",
        "bought",
        "bought, in quote",
    ];
    let row = row.as_array().filter(|row| row.len() >= NAMES.len()).ok_or_else(|| {
        Unreadable::field("klines", "row", row, format_args!("a list of at least {} values", NAMES.len()))
    })?;
    let at = |at: usize| Field { of: "klines", name: NAMES[at], value: &row[at] };
    Ok(Kline {
        open_ms: at(0).time()?,
        close_ms: at(6).time()?,
        interval: String::new(),
        ids: None,
        open: at(1).amount()?,
        high: at(2).amount()?,
        low: at(3).amount()?,
        close: at(4).amount()?,
        volume: at(5).amount()?,
        quote_volume: at(7).amount()?,
        trades: at(8).id()?,
        bought: at(9).amount()?,
        closed: None,
    })
}

/// A side may be empty in a book without orders: the exchange then writes 0.
pub(super) fn book_ticker(fields: Fields<'_>) -> Result<BookTicker> {
    let level = |price, quantity| {
        Ok(PriceLevel { price: fields.get(price).amount()?, quantity: fields.get(quantity).amount()? })
    };
    Ok(BookTicker { update: fields.get("u").id()?, bid: level("b", "B")?, ask: level("a", "A")? })
}
