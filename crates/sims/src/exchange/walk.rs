//! One symbol from a seed: orders rest in a book, trades take them away, others come.

use std::sync::Arc;

use super::{
    Trade,
    book::{Book, Change, Side, Touched},
    candle::{Candle, MINUTE_MS},
    market::{Kind, Tick, World},
    random::Random,
    script::{Event, Happening},
    truth::Hole,
};

/// The step of a price, in units of 10⁻⁸.
pub(crate) const TICK_SIZE: u64 = 1_000_000;
/// The step of a quantity.
pub(crate) const STEP_SIZE: u64 = 1000;
/// How far from the best price other orders come and go, in steps.
const LIVELY: u64 = 50;

#[derive(Debug)]
pub(crate) struct Walk {
    at: usize,
    symbol: Arc<str>,
    /// The streams of trades, of diffs each 100 ms and each second, of candles.
    streams: [Arc<str>; 4],
    random: Random,
    /// The mean time between two trades that do not belong to a burst.
    mean_gap_ns: u64,
    levels: usize,
    /// The book before the first trade.
    first: Book,
    /// The next trade: ids, side and time.
    trade: Trade,
    time_ns: u64,
    /// Trades that still come in the same millisecond, in the same direction.
    burst: u64,
    /// How many have happened, and how many there will be.
    done: u64,
    count: Option<u64>,
    fast: Pending,
    slow: Pending,
    candle: Option<Candle>,
    candle_due_ms: Option<u64>,
}

/// Changes of the book that have not been sent yet.
#[derive(Debug, Default)]
struct Pending {
    touched: Touched,
    first: u64,
    due_ms: Option<u64>,
}

impl Walk {
    pub(crate) fn new(
        (at, symbol): (usize, &str),
        seed: u64,
        (rate, count): (u32, Option<u64>),
        levels: usize,
        start_ms: u64,
    ) -> Self {
        let mut random = Random(seed);
        // No more than `rate` trades of three fills fit a second, so a market that starts later starts above all ids of this one.
        let id = (start_ms / 1000).saturating_mul(u64::from(rate) * 8) + 1;
        let first = first_book(&mut random, levels, id);
        let trade = Trade { id, first: id, last: id, time_ms: start_ms, price: 0, quantity: 0, buyer_is_maker: false };
        let lower = symbol.to_ascii_lowercase();
        let pending = || Pending { first: first.last_update_id + 1, ..Pending::default() };
        Self {
            at,
            symbol: symbol.into(),
            streams: ["aggTrade", "depth@100ms", "depth", "kline_1m"].map(|name| format!("{lower}@{name}").into()),
            random,
            // One trade in eight begins a burst of 2 to 12: (7 × 1 + 1 × 7) / 8 trades for every gap.
            mean_gap_ns: 1_000_000_000 * 14 / 8 / u64::from(rate),
            levels,
            trade,
            time_ns: start_ms * 1_000_000,
            burst: 0,
            done: 0,
            count,
            fast: pending(),
            slow: pending(),
            first,
            candle: None,
            candle_due_ms: None,
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.symbol
    }

    pub(crate) fn first_book(&self) -> Book {
        self.first.clone()
    }

    fn is_over(&self) -> bool {
        self.count.is_some_and(|count| self.done >= count)
    }

    /// When the next of all that this symbol does is due.
    pub(crate) fn due_ms(&self) -> Option<u64> {
        let trade = (!self.is_over()).then_some(self.trade.time_ms);
        [self.fast.due_ms, self.slow.due_ms, self.candle_due_ms, trade].into_iter().flatten().min()
    }

    pub(crate) fn next(&mut self, world: &mut World) -> Option<Tick> {
        let due = self.due_ms();
        let book = &world.books[self.at].now;
        let name = Arc::clone(&self.symbol);
        let tick = |stream: &Arc<str>, kind, data| {
            let at_ms = due.unwrap_or_default();
            Some(Tick { at_ms, symbol: self.at, stream: Arc::clone(stream), data, kind })
        };
        if self.fast.due_ms == due {
            return tick(&self.streams[1], Kind::Diff, self.fast.write(&name, book));
        }
        if self.slow.due_ms == due {
            return tick(&self.streams[2], Kind::SlowDiff, self.slow.write(&name, book));
        }
        if self.candle_due_ms == due {
            let (candle, at_ms) = (self.candle?, self.candle_due_ms.take()?);
            // A minute is over even if nothing more happens.
            let end_ms = candle.begin_ms + MINUTE_MS;
            self.candle_due_ms = (at_ms < end_ms && !self.is_over()).then_some(end_ms);
            return tick(&self.streams[3], Kind::Other, candle.to_event(&name, at_ms));
        }
        self.happen(world)
    }

    /// Lets the next trade happen, unless the script is against it.
    fn happen(&mut self, world: &mut World) -> Option<Tick> {
        let due = world.events.iter().position(|event| event.symbol == *self.symbol && event.at <= self.done);
        if let Some(Event { happening, .. }) = due.map(|due| world.events.remove(due)) {
            match happening {
                Happening::Hole(trades) => self.lose(world, trades),
                Happening::Halt(ms) => {
                    let from = self.trade.time_ms;
                    world.halts.push((self.at, from, from + ms));
                    self.time_ns += ms * 1_000_000;
                    self.trade.time_ms = self.time_ns / 1_000_000;
                }
            }
            return None;
        }
        self.match_orders(world);
        let trade = self.trade;
        let best = world.books[self.at].now.best();
        self.settle(trade);
        let data = trade.to_event(&self.symbol, trade.time_ms + 1);
        let stream = Arc::clone(&self.streams[0]);
        Some(Tick { at_ms: trade.time_ms, symbol: self.at, stream, data, kind: Kind::Trade(trade, best) })
    }

    /// The exchange itself loses these: their ids are used up, nobody ever sees them.
    fn lose(&mut self, world: &mut World, trades: u64) {
        let begin = (self.trade.id, self.trade.first);
        for _ in 0..trades.max(1) {
            self.trade.last = self.trade.first + self.random.between(0, 3);
            (self.trade.id, self.trade.first) = (self.trade.id + 1, self.trade.last + 1);
        }
        let hole = Hole { aggregates: begin.0..=self.trade.id - 1, trades: begin.1..=self.trade.first - 1 };
        world.truth.records[self.at].holes.push(hole);
    }

    /// Fills in price and quantity of the next trade from the book, and lets other orders come and go.
    fn match_orders(&mut self, world: &mut World) {
        let book = &world.books[self.at].now;
        let lowest = TICK_SIZE * (self.levels as u64 + LIVELY + 2);
        if book.bids.last_key_value().is_none_or(|(price, _)| *price < lowest) {
            self.trade.buyer_is_maker = false;
        }
        let taken = if self.trade.buyer_is_maker { Side::Bid } else { Side::Ask };
        let (price, resting) = edge(book, taken, true);
        let wanted = STEP_SIZE * self.random.between(1, 1_000_000);
        (self.trade.price, self.trade.quantity) = (price, wanted.min(resting));
        self.trade.last = self.trade.first + self.random.between(0, 3);
        self.change(world, taken, price, resting - self.trade.quantity);
        if wanted >= resting {
            self.move_on(world, taken, price);
        }
        if self.random.between(0, 2) == 0 {
            self.reorder(world);
        }
    }

    /// The best order of a side is gone: the other side takes its place, and both stay as deep as they were.
    fn move_on(&mut self, world: &mut World, taken: Side, price: u64) {
        let other = if taken == Side::Bid { Side::Ask } else { Side::Bid };
        let quantity = resting(&mut self.random);
        self.change(world, other, price, quantity);
        let book = &world.books[self.at].now;
        if book.side(other).len() > self.levels {
            let (far, _) = edge(book, other, false);
            self.change(world, other, far, 0);
        }
        let book = &world.books[self.at].now;
        if book.side(taken).len() < self.levels {
            let (far, _) = edge(book, taken, false);
            let further = if taken == Side::Bid { far - TICK_SIZE } else { far + TICK_SIZE };
            let quantity = resting(&mut self.random);
            self.change(world, taken, further, quantity);
        }
    }

    /// Somebody changes an order somewhere near the best price.
    fn reorder(&mut self, world: &mut World) {
        let side = if self.random.between(0, 2) == 0 { Side::Bid } else { Side::Ask };
        let book = &world.books[self.at].now;
        let (best, _) = edge(book, side, true);
        let away = self.random.between(0, LIVELY);
        let price = if side == Side::Bid { best - away * TICK_SIZE } else { best + away * TICK_SIZE };
        let leaves = away > 0 && book.side(side).contains_key(&price) && book.side(side).len() > self.levels / 2;
        let quantity = if leaves && self.random.between(0, 4) == 0 { 0 } else { resting(&mut self.random) };
        self.change(world, side, price, quantity);
    }

    fn change(&mut self, world: &mut World, side: Side, price: u64, quantity: u64) {
        let book = &mut world.books[self.at];
        let id = book.now.last_update_id + 1;
        book.apply(Change { id, side, price, quantity });
        self.fast.touched.touch(side, price);
        self.slow.touched.touch(side, price);
    }

    /// A trade has happened: what is due because of it, and when the next one comes.
    fn settle(&mut self, trade: Trade) {
        let next = |every: u64| (trade.time_ms / every + 1) * every;
        self.fast.due_ms.get_or_insert(next(100));
        self.slow.due_ms.get_or_insert(next(1000));
        match &mut self.candle {
            Some(candle) if candle.holds(&trade) => candle.add(&trade),
            candle => *candle = Some(Candle::new(&trade)),
        }
        self.candle_due_ms = Some(self.candle_due_ms.map_or(next(2000), |due| due.min(next(2000))));

        self.done += 1;
        (self.trade.id, self.trade.first) = (trade.id + 1, trade.last + 1);
        if self.burst > 0 {
            self.burst -= 1;
            return;
        }
        self.burst = if self.random.between(0, 8) == 0 { self.random.between(1, 12) } else { 0 };
        self.time_ns += self.random.between(0, 2 * self.mean_gap_ns + 1);
        self.trade.time_ms = self.time_ns / 1_000_000;
        self.trade.buyer_is_maker = self.random.between(0, 2) == 0;
    }
}

impl Pending {
    fn write(&mut self, symbol: &str, book: &Book) -> String {
        let at_ms = self.due_ms.take().unwrap_or_default();
        let data = book.to_diff(symbol, at_ms, self.first, &mut self.touched);
        self.first = book.last_update_id + 1;
        data
    }
}

/// The price that is nearest to the other side or furthest from it, and what rests there; a generated book is never empty.
fn edge(book: &Book, side: Side, best: bool) -> (u64, u64) {
    let level = match (side, best) {
        (Side::Bid, true) => book.bids.last_key_value(),
        (Side::Bid, false) => book.bids.first_key_value(),
        (Side::Ask, true) => book.asks.first_key_value(),
        (Side::Ask, false) => book.asks.last_key_value(),
    };
    level.map_or((TICK_SIZE, STEP_SIZE), |(price, quantity)| (*price, *quantity))
}

fn resting(random: &mut Random) -> u64 {
    TICK_SIZE * random.between(1, 1000)
}

fn first_book(random: &mut Random, levels: usize, id: u64) -> Book {
    // Between 100 and 50,000: far enough from nothing for the deepest book.
    let middle = 100_000_000 * random.between(100, 50_000);
    let mut book = Book { last_update_id: id, ..Book::default() };
    for step in 1..=levels as u64 {
        book.bids.insert(middle - step * TICK_SIZE, resting(random));
        book.asks.insert(middle + step * TICK_SIZE, resting(random));
    }
    book
}
