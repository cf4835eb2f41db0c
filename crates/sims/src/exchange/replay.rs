//! A recording of real traffic, once or in a loop. Messages keep their text; only the digits of times and ids change.
//!
//! Between two loops stands one message more for each symbol: a change that makes the book again what it was at the beginning, so that
//! a book that was built from a snapshot and all changes since stays right for ever.

use std::{borrow::Cow, collections::BTreeMap, ops::Range, sync::Arc};

use serde_json::Value;

use super::{
    book::{Book, Change, Side, Touched},
    market::{Kind, Tick, World},
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

#[derive(Debug)]
struct Line {
    at_ms: u64,
    stream: Arc<str>,
    symbol: Arc<str>,
    data: Cow<'static, str>,
    /// What it says about the book.
    changes: Vec<Change>,
}

#[derive(Debug)]
pub(crate) struct Replay {
    lines: Vec<Line>,
    spans: BTreeMap<Arc<str>, Spans>,
    /// The books at the beginning of the recording.
    books: BTreeMap<Arc<str>, Book>,
    period_ms: u64,
    looped: bool,
    /// Counted from the loop of the recording itself.
    turn: u64,
    at: usize,
}

impl Replay {
    /// Begins with the loop that is running at `start_ms`, as if the recording had been looped ever since it was made.
    pub(crate) fn new(looped: bool, start_ms: Option<u64>) -> Self {
        let mut lines: Vec<Line> = WS.lines().skip(1).filter_map(Line::read).collect();
        let (first_ms, last_ms) = (lines[0].at_ms, lines[lines.len() - 1].at_ms);
        // Whole minutes, so that candles stay aligned.
        let period_ms = ((last_ms - first_ms) / 60_000 + 1) * 60_000;
        let turn = start_ms.map_or(0, |start| start.saturating_sub(first_ms) / period_ms);
        let mut spans = spans(&lines);
        let books = books(&lines);
        if looped {
            let bridges: Vec<Line> = books
                .iter()
                .map(|(symbol, book)| {
                    // One id for the message that leads back to the first book.
                    spans.entry(Arc::clone(symbol)).or_default().book += 1;
                    let last = book.last_update_id + spans[symbol].book;
                    Line::back_to(book, symbol, &lines, first_ms + period_ms - 1, last)
                })
                .collect();
            lines.extend(bridges);
        }
        Self { lines, spans, books, period_ms, looped, turn, at: 0 }
    }

    pub(crate) fn symbols(&self) -> Vec<(String, Book)> {
        let book = |symbol: &Arc<str>| {
            let mut book = self.books.get(symbol).cloned().unwrap_or_default();
            book.last_update_id += self.turn * self.spans[symbol].book;
            book
        };
        self.spans.keys().map(|symbol| (symbol.to_string(), book(symbol))).collect()
    }

    pub(crate) fn due_ms(&self) -> Option<u64> {
        let (at, turn) = match self.lines.get(self.at) {
            Some(line) => (line, self.turn),
            None if self.looped => (&self.lines[0], self.turn + 1),
            None => return None,
        };
        Some(at.at_ms + turn * self.period_ms)
    }

    pub(crate) fn next(&mut self, world: &mut World) -> Option<Tick> {
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
        let spans = self.spans[&line.symbol];
        let symbol = self.spans.keys().position(|symbol| *symbol == line.symbol)?;
        for change in &line.changes {
            world.books[symbol].apply(Change { id: change.id + self.turn * spans.book, ..*change });
        }
        let data = shift(&line.data, shift_ms, self.turn, spans);
        let kind = if line.stream.ends_with("@aggTrade") {
            Kind::Trade(read_trade(&data), None)
        } else if line.stream.ends_with("@depth@100ms") {
            Kind::Diff
        } else {
            Kind::Other
        };
        Some(Tick { at_ms: line.at_ms + shift_ms, symbol, stream: Arc::clone(&line.stream), data, kind })
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
        let data = data.strip_suffix('}')?;
        let changes = if stream.ends_with("@depth@100ms") { read_changes(data)? } else { Vec::new() };
        Some(Self { at_ms, stream: stream.into(), symbol: symbol.into(), data: data.into(), changes })
    }

    /// The message after which the book is again what it was at the beginning; `last` is its id.
    fn back_to(book: &Book, symbol: &Arc<str>, lines: &[Self], at_ms: u64, last: u64) -> Self {
        let mut now = book.clone();
        let mut touched = Touched::default();
        let mut changes = Vec::new();
        for change in lines.iter().filter(|line| line.symbol == *symbol).flat_map(|line| &line.changes) {
            now.apply(*change);
            touched.touch(change.side, change.price);
            let quantity = book.side(change.side).get(&change.price).copied().unwrap_or(0);
            changes.push(Change { id: last, quantity, ..*change });
        }
        let first = now.last_update_id + 1;
        let book = Book { last_update_id: last, ..book.clone() };
        let data = book.to_diff(symbol, at_ms, first, &mut touched).into();
        let stream = format!("{}@depth@100ms", symbol.to_ascii_lowercase()).into();
        Self { at_ms, stream, symbol: Arc::clone(symbol), data, changes }
    }
}

/// `["0.35130000","6195.00000000"]` and so on.
fn read_levels(levels: &Value) -> Option<Vec<(u64, u64)>> {
    let level = |level: &Value| Some((units(level[0].as_str()?)?, units(level[1].as_str()?)?));
    levels.as_array()?.iter().map(level).collect()
}

fn read_changes(data: &str) -> Option<Vec<Change>> {
    let diff: Value = serde_json::from_str(data).ok()?;
    let id = diff["u"].as_u64()?;
    let side = |side, levels| {
        let change = move |(price, quantity)| Change { id, side, price, quantity };
        Some(read_levels(levels)?.into_iter().map(change))
    };
    Some(side(Side::Bid, &diff["b"])?.chain(side(Side::Ask, &diff["a"])?).collect())
}

/// The recorded snapshots, each under the id before the first recorded change. What was changed before the snapshot was taken is in it
/// already; changed again it becomes the same, for quantities are absolute.
fn books(lines: &[Line]) -> BTreeMap<Arc<str>, Book> {
    let book = |line: &str| {
        let (head, body) = line.split_once(": ")?;
        let symbol = head.split_once("symbol=")?.1.split(['&', ' ']).next()?;
        let body: Value = serde_json::from_str(body).ok()?;
        let of_symbol = lines.iter().filter(|line| &*line.symbol == symbol && !line.changes.is_empty());
        let first =
            of_symbol.filter_map(|line| Some(numbers(&line.data).find(|number| number.0 == Chain::Book)?.1)).min();
        let last_update_id = first.map_or(body["lastUpdateId"].as_u64(), |first| Some(first - 1))?;
        let side = |levels| Some(read_levels(levels)?.into_iter().collect());
        Some((symbol.into(), Book { last_update_id, bids: side(&body["bids"])?, asks: side(&body["asks"])? }))
    };
    REST.lines().filter_map(book).collect()
}

/// From the lowest to the highest id of each kind.
fn spans(lines: &[Line]) -> BTreeMap<Arc<str>, Spans> {
    let mut ranges = BTreeMap::<(Arc<str>, Chain), (u64, u64)>::new();
    for line in lines {
        for (chain, number, _) in numbers(&line.data).filter(|_| !line.stream.contains("@kline")) {
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
fn numbers(data: &str) -> impl Iterator<Item = (Chain, u64, Range<usize>)> + '_ {
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

/// The same message with its times in microseconds.
pub(crate) fn micros(data: &str) -> String {
    let mut changed = String::with_capacity(data.len() + 12);
    let mut done = 0;
    // On the stream of single trades `t` is an id.
    let single = data.starts_with(r#"{"e":"trade","#);
    let is_time = |place: &Range<usize>| !(single && data[..place.start].ends_with("\"t\":"));
    for (_, _, place) in numbers(data).filter(|(chain, _, place)| *chain == Chain::Time && is_time(place)) {
        changed.push_str(&data[done..place.end]);
        changed.push_str("000");
        done = place.end;
    }
    changed.push_str(&data[done..]);
    changed
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
#[path = "replay_tests.rs"]
mod tests;
