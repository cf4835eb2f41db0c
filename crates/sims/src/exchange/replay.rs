//! A recording of real traffic, once or in a loop. Messages keep their text; only the digits of times and ids change.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::Value;

use super::{
    tape::Tick,
    trade::{Trade, units},
};

const WS: &str = include_str!("../../fixtures/binance-ws.txt");
const REST: &str = include_str!("../../fixtures/binance-rest.txt");

/// How much one loop moves the ids of one symbol on.
#[derive(Debug, Clone, Copy, Default)]
struct Spans {
    aggregates: u64,
    trades: u64,
    book: u64,
}

struct Line {
    at_ms: u64,
    stream: Arc<str>,
    symbol: Arc<str>,
    data: &'static str,
}

/// An order book as recorded, for REST.
pub(crate) struct Snapshot {
    pub(crate) symbol: String,
    body: &'static str,
    book: u64,
    recorded_ms: u64,
    period_ms: u64,
}

pub(crate) struct Replay {
    lines: Vec<Line>,
    spans: BTreeMap<Arc<str>, Spans>,
    period_ms: u64,
    looped: bool,
    /// Counted from the loop of the recording itself.
    turn: u64,
    at: usize,
}

impl Replay {
    /// Begins with the loop that is running at `start_ms`, as if the recording had been looped ever since it was made.
    pub(crate) fn new(looped: bool, start_ms: Option<u64>) -> Self {
        let lines: Vec<Line> = WS.lines().skip(1).filter_map(Line::read).collect();
        let (first_ms, last_ms) = (lines[0].at_ms, lines[lines.len() - 1].at_ms);
        // Whole minutes, so that candles stay aligned.
        let period_ms = ((last_ms - first_ms) / 60_000 + 1) * 60_000;
        let turn = start_ms.map_or(0, |start| start.saturating_sub(first_ms) / period_ms);
        let spans = spans(&lines);
        Self { lines, spans, period_ms, looped, turn, at: 0 }
    }

    pub(crate) fn symbols(&self) -> Vec<String> {
        self.spans.keys().map(ToString::to_string).collect()
    }

    pub(crate) fn next(&mut self) -> Option<Tick> {
        if self.at == self.lines.len() {
            if !self.looped {
                return None;
            }
            self.at = 0;
            self.turn += 1;
        }
        let line = &self.lines[self.at];
        self.at += 1;
        let shift_ms = self.turn * self.period_ms;
        let data = shift(line.data, shift_ms, self.turn, self.spans[&line.symbol]);
        let trade = line.stream.ends_with("@aggTrade").then(|| (Arc::clone(&line.symbol), read_trade(&data)));
        Some(Tick { at_ms: line.at_ms + shift_ms, stream: Arc::clone(&line.stream), data, trade })
    }

    pub(crate) fn snapshots(&self) -> Vec<Snapshot> {
        let read = |line: &'static str| {
            let (head, body) = line.split_once(": ")?;
            let symbol = head.split_once("symbol=")?.1.split(['&', ' ']).next()?;
            let book = self.spans.get(symbol).map_or(0, |spans| spans.book);
            let recorded_ms = self.lines[0].at_ms;
            Some(Snapshot { symbol: symbol.to_owned(), body, book, recorded_ms, period_ms: self.period_ms })
        };
        REST.lines().filter_map(read).collect()
    }
}

impl Snapshot {
    /// As it was recorded, with the ids of the loop that is running at `now_ms`.
    pub(crate) fn body(&self, now_ms: u64) -> String {
        let turn = now_ms.saturating_sub(self.recorded_ms) / self.period_ms;
        shift(self.body, 0, turn, Spans { book: self.book, ..Spans::default() })
    }
}

impl Line {
    /// `1633998512.0633569: {"stream":"…","data":…}`
    fn read(line: &'static str) -> Option<Self> {
        let (time, message) = line.split_once(": ")?;
        let (seconds, fraction) = time.split_once('.').unwrap_or((time, ""));
        let at_ms = format!("{seconds}{:0<3.3}", fraction).parse().ok()?;
        let (stream, data) = message.strip_prefix(r#"{"stream":""#)?.split_once(r#"","data":"#)?;
        let symbol = stream.split('@').next()?.to_ascii_uppercase();
        Some(Self { at_ms, stream: stream.into(), symbol: symbol.into(), data: data.strip_suffix('}')? })
    }
}

/// From the lowest to the highest id of each kind.
fn spans(lines: &[Line]) -> BTreeMap<Arc<str>, Spans> {
    let mut ranges = BTreeMap::<(Arc<str>, Chain), (u64, u64)>::new();
    for line in lines {
        for (chain, number, _) in numbers(line.data).filter(|_| !line.stream.contains("@kline")) {
            let range = ranges.entry((Arc::clone(&line.symbol), chain)).or_insert((number, number));
            *range = (range.0.min(number), range.1.max(number));
        }
    }
    let span =
        |symbol: &Arc<str>, chain| ranges.get(&(Arc::clone(symbol), chain)).map_or(0, |(low, high)| high - low + 1);
    let all = |symbol: &Arc<str>| Spans {
        aggregates: span(symbol, Chain::Aggregates),
        trades: span(symbol, Chain::Trades),
        book: span(symbol, Chain::Book),
    };
    lines.iter().map(|line| (Arc::clone(&line.symbol), all(&line.symbol))).collect()
}

/// What a number in a message counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Chain {
    Time,
    Aggregates,
    Trades,
    Book,
}

/// The times and ids in a message, in order, with their places. Decimals stand in quotes and are not among them.
fn numbers(data: &str) -> impl Iterator<Item = (Chain, u64, std::ops::Range<usize>)> + '_ {
    data.match_indices("\":").filter_map(move |(quote, _)| {
        let name = &data[data[..quote].rfind('"')? + 1..quote];
        let chain = match name {
            "E" | "T" | "t" => Chain::Time,
            "a" => Chain::Aggregates,
            "f" | "l" | "L" => Chain::Trades,
            "U" | "u" | "lastUpdateId" => Chain::Book,
            _ => return None,
        };
        let from = quote + 2;
        let digits = data[from..].bytes().take_while(u8::is_ascii_digit).count();
        let number = data[from..from + digits].parse().ok()?;
        Some((chain, number, from..from + digits))
    })
}

fn shift(data: &str, shift_ms: u64, turn: u64, spans: Spans) -> String {
    let mut shifted = String::with_capacity(data.len() + 8);
    let mut done = 0;
    for (chain, number, place) in numbers(data) {
        let by = match chain {
            Chain::Time => shift_ms,
            Chain::Aggregates => turn * spans.aggregates,
            Chain::Trades => turn * spans.trades,
            Chain::Book => turn * spans.book,
        };
        shifted.push_str(&data[done..place.start]);
        shifted.push_str(&(number + by).to_string());
        done = place.end;
    }
    shifted.push_str(&data[done..]);
    shifted
}

fn read_trade(data: &str) -> Trade {
    let trade: Value = serde_json::from_str(data).expect("the recording is JSON");
    let number = |key: &str| trade[key].as_u64().expect("the recording has this number");
    let decimal = |key: &str| trade[key].as_str().and_then(units).expect("the recording has this decimal");
    Trade {
        id: number("a"),
        first: number("f"),
        last: number("l"),
        time_ms: number("T"),
        price: decimal("p"),
        quantity: decimal("q"),
        buyer_is_maker: trade["m"].as_bool().expect("the recording says who made the trade"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_loop_is_the_recording_to_the_letter() {
        let mut replay = Replay::new(false, None);

        let played: Vec<String> = std::iter::from_fn(|| replay.next()).map(|tick| tick.data).collect();

        let recorded: Vec<&str> = WS.lines().skip(1).filter_map(Line::read).map(|line| line.data).collect();
        assert_eq!(played, recorded);
        assert_eq!(played.len(), WS.lines().skip(1).filter(|line| line.contains("\"stream\"")).count());
    }

    #[test]
    fn ids_and_times_continue_from_loop_to_loop_without_gap_or_repeat() {
        let mut replay = Replay::new(true, None);
        let ticks: Vec<Tick> = std::iter::from_fn(|| replay.next()).take(1000).collect();

        let mut last = BTreeMap::new();
        let mut at_ms = 0;
        for tick in &ticks {
            assert!(tick.at_ms >= at_ms);
            at_ms = tick.at_ms;
            if let Some((symbol, trade)) = &tick.trade
                && let Some(before) = last.insert(symbol.clone(), *trade)
            {
                assert_eq!((trade.id, trade.first), (before.id + 1, before.last + 1), "{symbol}");
                assert!(trade.time_ms > before.time_ms);
            }
        }
        let depth: Vec<Value> = ticks
            .iter()
            .filter(|tick| &*tick.stream == "nknusdt@depth@100ms")
            .map(|tick| serde_json::from_str(&tick.data).unwrap())
            .collect();
        for pair in depth.windows(2) {
            assert_eq!(pair[1]["U"].as_u64(), pair[0]["u"].as_u64().map(|u| u + 1));
        }
        assert_eq!(last.len(), 2);
    }

    #[test]
    fn a_later_start_begins_with_later_ids() {
        let trades = |start_ms| {
            let mut replay = Replay::new(false, start_ms);
            std::iter::from_fn(|| replay.next()).filter_map(|tick| Some(tick.trade?.1)).collect::<Vec<_>>()
        };

        let (recorded, today) = (trades(None), trades(Some(1_760_000_000_000)));

        assert!(today[0].id > recorded[0].id);
        assert!(today[0].time_ms.abs_diff(1_760_000_000_000) <= 60_000);
    }
}
