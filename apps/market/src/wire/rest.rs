//! Answers of REST.

use std::time::Duration;

use serde_json::Value;

use super::{
    AggTrade, Decimal, Kind, Kline, LONGEST_ANSWER, SingleTrade, Snapshot, Unreadable,
    fields::{self, Fields, Result, json},
    shape,
};

/// One page of `/api/v3/aggTrades`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AggTrades {
    /// As the exchange sends them: by id.
    pub trades: Vec<AggTrade>,
    /// Ids that the exchange has no trade for: it lists them with no quantity and -1 as first and last trade.
    pub void: Vec<i64>,
}

/// `/api/v3/exchangeInfo`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExchangeInfo {
    /// The exchange's clock, in milliseconds since 1970.
    pub server_ms: i64,
    /// The limit of `REQUEST_WEIGHT` in a minute; `None` where it is not said.
    pub weight_per_minute: Option<u32>,
    /// Those that can be read.
    pub symbols: Vec<SymbolInfo>,
    /// Those that cannot; each spoils only itself.
    pub unreadable: Vec<Unreadable>,
}

/// What the exchange says of a symbol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SymbolInfo {
    /// Upper case.
    pub symbol: String,
    /// Whether it is traded.
    pub status: Status,
    /// What is traded.
    pub base: String,
    /// What is paid with.
    pub quote: String,
    /// Prices are multiples of it; `None` where the exchange has no such rule.
    pub tick: Option<Decimal>,
    /// Quantities are multiples of it; `None` where the exchange has no such rule.
    pub step: Option<Decimal>,
}

/// Whether a symbol is traded.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Status {
    /// It is.
    Trading,
    /// Not any more today.
    EndOfDay,
    /// Halted.
    Halt,
    /// Not for the moment.
    Break,
    /// Orders may only be taken back.
    CancelOnly,
    /// A word that is not known here.
    Other(String),
}

/// How many places a symbol's prices and quantities are counted in: 10⁻ᵖˡᵃᶜᵉˢ is one unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Scale {
    /// Of prices.
    pub price: u8,
    /// Of quantities.
    pub quantity: u8,
}

impl Default for Scale {
    /// As finely as the exchange writes: eight places each.
    fn default() -> Self {
        Self { price: 8, quantity: 8 }
    }
}

impl SymbolInfo {
    /// The places of its tick and step, in which all its prices and quantities are whole numbers.
    pub fn scale(&self) -> Scale {
        let default = Scale::default();
        Scale {
            price: self.tick.map_or(default.price, Decimal::places),
            quantity: self.step.map_or(default.quantity, Decimal::places),
        }
    }
}

/// An answer other than 200, and what it asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// 429 or 418: nothing may be asked before the time is over.
    Wait {
        /// By the header; without one, by the body's `banned until`; `None` where neither says.
        wait: Option<Waiting>,
        /// 418: the exchange has shut this address out, as it does with who goes on after 429.
        banned: bool,
        /// What the exchange says about it.
        error: Option<ApiError>,
    },
    /// 403: a firewall before the exchange.
    Firewall,
    /// Other 4xx: asking again the same way will not help.
    Rejected {
        /// The status.
        status: u16,
        /// What the exchange says about it.
        error: Option<ApiError>,
    },
    /// 5xx, and what should not come at all: the exchange may be better soon.
    Failed {
        /// The status.
        status: u16,
        /// What the exchange says about it.
        error: Option<ApiError>,
    },
}

/// How long nothing may be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waiting {
    /// From now.
    For(Duration),
    /// Until a time in milliseconds since 1970, by the exchange's clock.
    UntilMs(i64),
}

/// The body of an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    /// Such as -1003.
    pub code: i64,
    /// In the exchange's words.
    pub message: String,
}

/// What the headers say about limits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// `X-MBX-USED-WEIGHT-1M`: how much of the minute's weight this address has used.
    pub used_weight: Option<u32>,
    /// `Retry-After`, in seconds.
    pub retry_after: Option<Duration>,
}

/// The longest ban is three days; what a header says beyond a week is a mistake.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Reads the headers of an answer; names in any case. What cannot be read is as if it were not there.
pub fn limits<'a>(headers: impl IntoIterator<Item = (&'a str, &'a str)>) -> Limits {
    let mut limits = Limits::default();
    for (name, value) in headers {
        if name.eq_ignore_ascii_case("x-mbx-used-weight-1m") {
            limits.used_weight = value.trim().parse().ok().or(limits.used_weight);
        } else if name.eq_ignore_ascii_case("retry-after") {
            let wait = value.trim().parse().ok().map(|seconds| Duration::from_secs(seconds).min(LONGEST_WAIT));
            limits.retry_after = wait.or(limits.retry_after);
        }
    }
    limits
}

/// What an answer with this status asks for; `None` for one that holds what was asked.
pub fn refusal(status: u16, limits: Limits, body: &str) -> Option<Refusal> {
    let error = || api_error(body);
    Some(match status {
        200..=299 => return None,
        418 | 429 => {
            let error = error();
            let wait = limits.retry_after.map(Waiting::For).or_else(|| error.as_ref().and_then(banned_until));
            Refusal::Wait { wait, banned: status == 418, error }
        }
        403 => Refusal::Firewall,
        400..=499 => Refusal::Rejected { status, error: error() },
        _ => Refusal::Failed { status, error: error() },
    })
}

/// "… IP banned until 1659146400000. …"
fn banned_until(error: &ApiError) -> Option<Waiting> {
    let (_, after) = error.message.split_once("banned until ")?;
    let digits = after.split(|c: char| !c.is_ascii_digit()).next()?;
    let ms = digits.parse().ok().filter(|ms| (0..fields::LATEST_MS).contains(ms))?;
    Some(Waiting::UntilMs(ms))
}

/// Reads the body of an error, if it is one.
pub fn api_error(body: &str) -> Option<ApiError> {
    let error = body_of(body).ok()?;
    Some(ApiError { code: error["code"].as_i64()?, message: format!("{:.300}", error["msg"].as_str()?) })
}

/// Reads `/api/v3/depth`.
///
/// # Errors
/// It is no JSON, or a field is missing or wrong; so with all of these.
pub fn depth(body: &str) -> Result<Snapshot> {
    checked(body)?;
    shape::snapshot(body).map_or_else(|| fields::snapshot(Fields::new("depth", &json(body)?)?), Ok)
}

/// Reads `/api/v3/aggTrades`.
///
/// # Errors
/// As with [`depth`].
pub fn agg_trades(body: &str) -> Result<AggTrades> {
    let mut page = AggTrades::default();
    for row in rows("aggTrades", &body_of(body)?)? {
        let fields = Fields::new("aggTrades", row)?;
        let minus_one = |name: &str| row[name].as_i64() == Some(-1);
        if minus_one("f") && minus_one("l") && fields.get("q").amount()?.is_zero() {
            page.void.push(fields.get("a").id()?);
        } else {
            page.trades.push(fields::agg_trade(fields)?);
        }
    }
    Ok(page)
}

/// Reads `/api/v3/historicalTrades` and `/api/v3/trades`.
///
/// # Errors
/// As with [`depth`].
pub fn trades(body: &str) -> Result<Vec<SingleTrade>> {
    let trade = |row| fields::single_trade(Fields::new("trades", row)?, ["id", "price", "qty", "time", "isBuyerMaker"]);
    rows("trades", &body_of(body)?)?.iter().map(trade).collect()
}

/// Reads `/api/v3/klines`.
///
/// # Errors
/// As with [`depth`].
pub fn klines(body: &str) -> Result<Vec<Kline>> {
    rows("klines", &body_of(body)?)?.iter().map(fields::kline_row).collect()
}

/// Reads `/api/v3/time`: milliseconds since 1970.
///
/// # Errors
/// As with [`depth`].
pub fn server_time(body: &str) -> Result<i64> {
    Fields::new("time", &body_of(body)?)?.get("serverTime").time()
}

/// Reads `/api/v3/exchangeInfo`.
///
/// # Errors
/// As with [`depth`]; a symbol that cannot be read is none.
pub fn exchange_info(body: &str) -> Result<ExchangeInfo> {
    let body = body_of(body)?;
    let fields = Fields::new("exchangeInfo", &body)?;
    let server_ms = fields.get("serverTime").time()?;
    let mut info = ExchangeInfo { server_ms, weight_per_minute: weight_per_minute(&body), ..ExchangeInfo::default() };
    for row in fields.get("symbols").list()? {
        match symbol_info(row) {
            Ok(symbol) => info.symbols.push(symbol),
            Err(error) => info.unreadable.push(error),
        }
    }
    Ok(info)
}

fn weight_per_minute(info: &Value) -> Option<u32> {
    let of_a_minute = |limit: &&Value| {
        limit["rateLimitType"] == "REQUEST_WEIGHT" && limit["interval"] == "MINUTE" && limit["intervalNum"] == 1
    };
    let limit = info["rateLimits"].as_array()?.iter().find(of_a_minute)?;
    u32::try_from(limit["limit"].as_u64()?).ok()
}

fn symbol_info(row: &Value) -> Result<SymbolInfo> {
    let fields = Fields::new("exchangeInfo", row)?;
    let filters = fields.get("filters").list()?;
    let size = |filter: &str, name| {
        let Some(found) = filters.iter().find(|row| row["filterType"] == filter) else { return Ok(None) };
        // The exchange switches a rule off by a size of 0.
        let size = Fields::new("exchangeInfo", found)?.get(name).amount()?;
        Ok((!size.is_zero()).then_some(size))
    };
    Ok(SymbolInfo {
        symbol: fields.get("symbol").text()?.to_owned(),
        status: match fields.get("status").text()? {
            "TRADING" => Status::Trading,
            "END_OF_DAY" => Status::EndOfDay,
            "HALT" => Status::Halt,
            "BREAK" => Status::Break,
            "CANCEL_ONLY" => Status::CancelOnly,
            other => Status::Other(format!("{other:.40}")),
        },
        base: fields.get("baseAsset").text()?.to_owned(),
        quote: fields.get("quoteAsset").text()?.to_owned(),
        tick: size("PRICE_FILTER", "tickSize")?,
        step: size("LOT_SIZE", "stepSize")?,
    })
}

fn checked(body: &str) -> Result<()> {
    if body.len() <= LONGEST_ANSWER {
        return Ok(());
    }
    let detail = format_args!("{} bytes, at most {LONGEST_ANSWER} are read", body.len());
    Err(Unreadable::new(Kind::TooLong, detail))
}

fn body_of(body: &str) -> Result<Value> {
    checked(body)?;
    json(body)
}

fn rows<'a>(of: &'static str, body: &'a Value) -> Result<&'a [Value]> {
    body.as_array().map(Vec::as_slice).ok_or_else(|| Unreadable::field(of, "itself", body, "a list"))
}

#[cfg(test)]
#[path = "rest_tests.rs"]
mod tests;
