//! One minute as a candle.

use serde_json::{Value, json};

use super::{
    Trade,
    trade::{decimal, quote, quote_decimal},
};

/// What the trades of one minute add up to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Candle {
    /// A multiple of a minute, in milliseconds since 1970.
    pub(crate) begin_ms: u64,
    first: u64,
    last: u64,
    /// Open, high, low, close.
    prices: [u64; 4],
    volume: u64,
    quote: u128,
    bought: u64,
    bought_quote: u128,
    trades: u64,
}

pub(crate) const MINUTE_MS: u64 = 60_000;

impl Candle {
    pub(crate) fn new(trade: &Trade) -> Self {
        let begin_ms = trade.time_ms - trade.time_ms % MINUTE_MS;
        let mut candle = Self {
            begin_ms,
            first: trade.first,
            last: trade.last,
            prices: [trade.price; 4],
            volume: 0,
            quote: 0,
            bought: 0,
            bought_quote: 0,
            trades: 0,
        };
        candle.add(trade);
        candle
    }

    pub(crate) fn holds(&self, trade: &Trade) -> bool {
        (self.begin_ms..self.begin_ms + MINUTE_MS).contains(&trade.time_ms)
    }

    pub(crate) fn add(&mut self, trade: &Trade) {
        let [_, high, low, close] = &mut self.prices;
        (*high, *low, *close) = ((*high).max(trade.price), (*low).min(trade.price), trade.price);
        self.last = trade.last;
        self.trades += trade.singles_count();
        self.volume += trade.quantity;
        self.quote += quote(trade.price, trade.quantity);
        if !trade.buyer_is_maker {
            self.bought += trade.quantity;
            self.bought_quote += quote(trade.price, trade.quantity);
        }
    }

    /// As on the stream `…@kline_1m`.
    pub(crate) fn to_event(self, symbol: &str, at_ms: u64) -> String {
        let Self { begin_ms, first, last, trades, .. } = self;
        let [open, high, low, close] = self.prices.map(decimal);
        let (volume, bought) = (decimal(self.volume), decimal(self.bought));
        let (quote, bought_quote) = (quote_decimal(self.quote), quote_decimal(self.bought_quote));
        let (end_ms, closed) = (begin_ms + MINUTE_MS - 1, at_ms >= begin_ms + MINUTE_MS);
        format!(
            r#"{{"e":"kline","E":{at_ms},"s":"{symbol}","k":{{"t":{begin_ms},"T":{end_ms},"s":"{symbol}","i":"1m","f":{first},"L":{last},"o":"{open}","c":"{close}","h":"{high}","l":"{low}","v":"{volume}","n":{trades},"x":{closed},"q":"{quote}","V":"{bought}","Q":"{bought_quote}","B":"0"}}}}"#
        )
    }

    /// As in an array of `/api/v3/klines`.
    pub(crate) fn to_rest(self) -> Value {
        let [open, high, low, close] = self.prices.map(decimal);
        json!([
            self.begin_ms,
            open,
            high,
            low,
            close,
            decimal(self.volume),
            self.begin_ms + MINUTE_MS - 1,
            quote_decimal(self.quote),
            self.trades,
            decimal(self.bought),
            quote_decimal(self.bought_quote),
            "0",
        ])
    }

    /// The minutes of trades in order of time.
    pub(crate) fn all<'a>(trades: impl Iterator<Item = &'a Trade>) -> Vec<Self> {
        let mut candles: Vec<Self> = Vec::new();
        for trade in trades {
            match candles.last_mut() {
                Some(candle) if candle.holds(trade) => candle.add(trade),
                _ => candles.push(Self::new(trade)),
            }
        }
        candles
    }
}
