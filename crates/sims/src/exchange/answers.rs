//! What REST says: the market's data as Binance words it, and the truth.

use hyper::HeaderMap;
use serde_json::{Value, json};

use super::{
    RequestFault, Trade, Truth,
    candle::{Candle, MINUTE_MS},
    decimal,
    desk::Desk,
    market::World,
    replay::micros,
    truth::Record,
    walk::{STEP_SIZE, TICK_SIZE},
};

/// The number and text of an error, as the exchange has them.
pub(crate) struct Refusal {
    code: i32,
    msg: String,
}

impl Refusal {
    pub(crate) fn new(code: i32, msg: impl Into<String>) -> Self {
        Self { code, msg: msg.into() }
    }

    pub(crate) fn to_json(&self) -> String {
        json!({ "code": self.code, "msg": self.msg }).to_string()
    }

    fn illegal(name: &str, legal: &str) -> Self {
        Self::new(-1100, format!("Illegal characters found in parameter '{name}'; legal range is '{legal}'."))
    }
}

type Body = Result<String, Refusal>;

/// The parameters of a request.
pub(crate) struct Query<'a> {
    text: &'a str,
    /// Whether times are microseconds.
    micros: bool,
}

impl<'a> Query<'a> {
    pub(crate) fn new(text: &'a str, headers: &HeaderMap) -> Self {
        let unit = headers.get("x-mbx-time-unit").and_then(|unit| unit.to_str().ok());
        Self { text, micros: unit.is_some_and(|unit| unit.eq_ignore_ascii_case("MICROSECOND")) }
    }

    pub(crate) fn text(&self, name: &str) -> Option<&'a str> {
        let mut pairs = self.text.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    fn number(&self, name: &str) -> Result<Option<u64>, Refusal> {
        match self.text(name) {
            None => Ok(None),
            Some("") => Err(Refusal::new(-1105, format!("Parameter '{name}' was empty."))),
            Some(text) => text.parse().map(Some).map_err(|_| Refusal::illegal(name, "^[0-9]{1,20}$")),
        }
    }

    fn limit(&self, default: u64, most: u64) -> Result<usize, Refusal> {
        let limit = self.number("limit")?.unwrap_or(default);
        if limit == 0 {
            return Err(Refusal::new(-1130, "Data sent for parameter 'limit' is not valid."));
        }
        Ok(usize::try_from(limit.min(most)).unwrap_or(usize::MAX))
    }

    fn symbol(&self) -> Result<&'a str, Refusal> {
        let missing = "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed.";
        let symbol =
            self.text("symbol").filter(|symbol| !symbol.is_empty()).ok_or_else(|| Refusal::new(-1102, missing))?;
        let legal = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
        if symbol.len() > 20 || !symbol.bytes().all(legal) {
            return Err(Refusal::illegal("symbol", "^[A-Z0-9-_.]{1,20}$"));
        }
        Ok(symbol)
    }

    fn unit(&self, body: String) -> String {
        if self.micros { micros(&body) } else { body }
    }
}

/// Weights as of July 2026.
pub(crate) fn weight(path: &str, query: &Query<'_>) -> u64 {
    match path.strip_prefix("/api/v3/") {
        Some("depth") => match query.number("limit").ok().flatten().unwrap_or(100) {
            0..=100 => 5,
            101..=500 => 25,
            501..=1000 => 50,
            _ => 250,
        },
        Some("aggTrades") => 4,
        Some("historicalTrades" | "trades") => 25,
        Some("exchangeInfo") => 20,
        Some("klines") => 2,
        _ => 1,
    }
}

impl Desk {
    /// `None` for a path that there is not.
    pub(crate) fn content(&self, path: &str, query: &Query<'_>, fault: Option<RequestFault>) -> Option<Body> {
        Some(match path.strip_prefix("/api/v3/")? {
            "ping" => Ok("{}".to_owned()),
            "time" => {
                let skew = if let Some(RequestFault::Skew(ms)) = fault { ms } else { 0 };
                let time = self.tape.now_ms().saturating_add_signed(skew);
                Ok(json!({ "serverTime": if query.micros { time * 1000 } else { time } }).to_string())
            }
            "exchangeInfo" => self.info(query),
            "depth" => self.depth(query, fault == Some(RequestFault::Stale)),
            "aggTrades" => self.aggregates(query),
            "historicalTrades" => self.singles(query, query.number("fromId")),
            "trades" => self.singles(query, Ok(None)),
            "klines" => self.klines(query),
            _ => return None,
        })
    }

    fn of_symbol<T>(&self, query: &Query<'_>, read: impl FnOnce(&Record, &World, usize) -> T) -> Result<T, Refusal> {
        let symbol = query.symbol()?;
        self.tape.read(|world| {
            let at = world.truth.records.iter().position(|record| record.symbol == symbol);
            let at = at.ok_or_else(|| Refusal::new(-1121, "Invalid symbol."))?;
            Ok(read(&world.truth.records[at], world, at))
        })
    }

    fn info(&self, query: &Query<'_>) -> Body {
        let now_ms = self.tape.now_ms();
        let only = query.text("symbol").map(|_| query.symbol()).transpose()?;
        let symbol = |world: &World, at: usize, symbol: &str| {
            let (base, quote) = split_symbol(symbol);
            json!({
                "symbol": symbol,
                "status": if world.is_halted(at, now_ms) { "HALT" } else { "TRADING" },
                "baseAsset": base,
                "baseAssetPrecision": 8,
                "quoteAsset": quote,
                "quotePrecision": 8,
                "quoteAssetPrecision": 8,
                "orderTypes": ["LIMIT", "MARKET"],
                "isSpotTradingAllowed": true,
                "filters": filters(world, at),
                "permissions": [],
            })
        };
        let symbols: Vec<Value> = self.tape.read(|world| {
            let wanted = self.symbols.iter().enumerate().filter(|(_, name)| only.is_none_or(|only| *name == only));
            wanted.map(|(at, name)| symbol(world, at, name)).collect()
        });
        if only.is_some() && symbols.is_empty() {
            return Err(Refusal::new(-1121, "Invalid symbol."));
        }
        let body = json!({
            "timezone": "UTC",
            "serverTime": if query.micros { now_ms * 1000 } else { now_ms },
            "rateLimits": [
                { "rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": self.limits.weight },
                { "rateLimitType": "RAW_REQUESTS", "interval": "MINUTE", "intervalNum": 5, "limit": 300_000 },
            ],
            "exchangeFilters": [],
            "symbols": symbols,
        });
        Ok(body.to_string())
    }

    fn depth(&self, query: &Query<'_>, stale: bool) -> Body {
        let limit = query.limit(100, 5000)?;
        self.of_symbol(query, |_, world, at| {
            let book = &world.books[at];
            if stale { book.stale().to_rest(limit) } else { book.now.to_rest(limit) }
        })
    }

    /// What happened, sent or not: an exchange knows all of it. Without `fromId` and times the newest.
    fn aggregates(&self, query: &Query<'_>) -> Body {
        let limit = query.limit(500, 1000)?;
        let (from, start, end) = (query.number("fromId")?, query.number("startTime")?, query.number("endTime")?);
        if from.is_some() && (start.is_some() || end.is_some()) {
            return Err(Refusal::new(-1128, "Combination of optional parameters invalid."));
        }
        let body = self.of_symbol(query, |record, _, _| {
            let trades = &record.trades;
            let last = end.map_or(trades.len(), |end| trades.partition_point(|(trade, _)| trade.time_ms <= end));
            let first = match (from, start) {
                (Some(id), _) => trades.partition_point(|(trade, _)| trade.id < id),
                (_, Some(start)) => trades.partition_point(|(trade, _)| trade.time_ms < start),
                _ => last.saturating_sub(limit),
            };
            list(trades[first.min(last)..last].iter().take(limit).map(|(trade, _)| trade.to_rest()))
        })?;
        Ok(query.unit(body))
    }

    fn singles(&self, query: &Query<'_>, from: Result<Option<u64>, Refusal>) -> Body {
        let (limit, from) = (query.limit(500, 1000)?, from?);
        let body = self.of_symbol(query, |record, _, _| {
            let trades = &record.trades;
            // Every aggregate holds one or more, so these are enough.
            let first = match from {
                Some(id) => trades.partition_point(|(trade, _)| trade.last < id),
                None => trades.len().saturating_sub(limit),
            };
            let singles = trades[first..].iter().take(limit).flat_map(|(trade, _)| trade.singles());
            let singles: Vec<_> = singles.filter(|single| from.is_none_or(|id| single.id >= id)).collect();
            let skip = if from.is_none() { singles.len().saturating_sub(limit) } else { 0 };
            list(singles.into_iter().skip(skip).take(limit).map(|single| single.to_rest()))
        })?;
        Ok(query.unit(body))
    }

    fn klines(&self, query: &Query<'_>) -> Body {
        let limit = query.limit(500, 1000)?;
        if query.text("interval").is_none() {
            let missing = "Mandatory parameter 'interval' was not sent, was empty/null, or malformed.";
            return Err(Refusal::new(-1102, missing));
        }
        if query.text("interval") != Some("1m") {
            return Err(Refusal::new(-1120, "Invalid interval."));
        }
        let (start, end) = (query.number("startTime")?, query.number("endTime")?);
        self.of_symbol(query, |record, _, _| {
            let trades = &record.trades;
            let newest = trades.last().map_or(0, |(trade, _)| trade.time_ms);
            let begin = start.unwrap_or_else(|| {
                end.unwrap_or(newest).min(newest).saturating_sub((limit as u64).saturating_mul(MINUTE_MS))
            });
            // A candle counts by its beginning.
            let begin = begin.div_ceil(MINUTE_MS).saturating_mul(MINUTE_MS);
            let first = trades.partition_point(|(trade, _)| trade.time_ms < begin);
            let candles = Candle::all(trades[first..].iter().map(|(trade, _)| trade));
            let candles = candles.into_iter().filter(|candle| end.is_none_or(|end| candle.begin_ms <= end));
            list(candles.take(limit).map(|candle| candle.to_rest().to_string()))
        })
    }

    /// `/truth/trades` (with `from` and `to`, ids of single trades), `/truth/minutes` (each with `sent=true` for what was sent only),
    /// `/truth/holes`, `/truth/book` (with `id`), `/truth/log`.
    pub(crate) fn tell(&self, kind: &str, query: &Query<'_>) -> Option<String> {
        let sent = query.text("sent") == Some("true");
        if kind == "log" {
            return Some(self.told_log());
        }
        let number = |name| query.number(name).ok().flatten();
        let (id, from, to) = (number("id"), number("from").unwrap_or(0), number("to").unwrap_or(u64::MAX));
        let told = self.of_symbol(query, |record, world, at| {
            let trades = || record.trades.iter().filter(|(_, was)| *was || !sent).map(|(trade, _)| *trade);
            Some(match kind {
                "trades" => list(trades().filter(|trade| from <= trade.first && trade.last <= to).map(Trade::to_rest)),
                "minutes" => minutes(&world.truth, &record.symbol, sent),
                "holes" => Value::Array(
                    record
                        .holes
                        .iter()
                        .map(|hole| {
                            json!({
                                "a": [hole.aggregates.start(), hole.aggregates.end()],
                                "t": [hole.trades.start(), hole.trades.end()],
                            })
                        })
                        .collect(),
                )
                .to_string(),
                "book" => {
                    let book = &world.books[at];
                    id.map_or_else(|| Some(book.now.clone()), |id| book.at(id))?.to_rest(usize::MAX)
                }
                _ => return None,
            })
        });
        told.unwrap_or_else(|refusal| Some(refusal.to_json()))
    }

    fn told_log(&self) -> String {
        let log = self.log();
        let offences: Vec<String> = log.offences.iter().map(|offence| format!("{offence:?}")).collect();
        let requests = log.requests.iter();
        let requests: Vec<Value> = requests
            .map(|asked| json!({ "what": asked.what, "status": asked.status, "weight": asked.weight }))
            .collect();
        json!({
            "connects": log.connects,
            "struck": log.struck,
            "pongs": log.pongs,
            "offences": offences,
            "requests": requests,
        })
        .to_string()
    }
}

fn list(items: impl Iterator<Item = String>) -> String {
    let mut text = String::from("[");
    for (at, item) in items.enumerate() {
        if at > 0 {
            text.push(',');
        }
        text.push_str(&item);
    }
    text.push(']');
    text
}

fn minutes(truth: &Truth, symbol: &str, sent: bool) -> String {
    let minutes = if sent { truth.minutes(symbol) } else { truth.minutes_of(symbol, 0..=u64::MAX) };
    let minutes = minutes.into_iter().map(|(begin_ms, minute)| {
        let levels = minute.levels.iter().map(|(price, level)| {
            json!({ "price": decimal(*price), "buy": decimal(level.buy), "sell": decimal(level.sell), "trades": level.trades })
        });
        json!({ "minute": begin_ms, "first": minute.first, "last": minute.last, "levels": levels.collect::<Vec<_>>() })
    });
    Value::Array(minutes.collect()).to_string()
}

/// `BTCUSDT` as `BTC` and `USDT`.
fn split_symbol(symbol: &str) -> (&str, &str) {
    let quotes = ["FDUSD", "USDT", "USDC", "BUSD", "BTC", "ETH", "BNB", "EUR", "USD"];
    let quote = quotes.iter().find(|quote| symbol.ends_with(*quote) && symbol.len() > quote.len());
    symbol.split_at(symbol.len() - quote.map_or(0, |quote| quote.len()))
}

/// The steps of price and quantity: of a recorded market the finest that its prices show.
fn filters(world: &World, at: usize) -> Value {
    let book = &world.books[at].now;
    let (mut tick, mut lot) = (TICK_SIZE, STEP_SIZE);
    for (price, quantity) in book.bids.iter().chain(&book.asks) {
        while price % tick != 0 {
            tick /= 10;
        }
        while quantity % lot != 0 {
            lot /= 10;
        }
    }
    json!([
        { "filterType": "PRICE_FILTER", "minPrice": decimal(tick), "maxPrice": "1000000.00000000", "tickSize": decimal(tick) },
        { "filterType": "LOT_SIZE", "minQty": decimal(lot), "maxQty": "9000000.00000000", "stepSize": decimal(lot) },
    ])
}
