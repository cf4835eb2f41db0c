//! The sequence of everything that happens, in order of time, and the pace at which it does.

use std::{io, sync::Arc, time::Duration};

use tokio::time::{Instant, sleep_until};

use super::{
    Config, Source, Trade, Truth,
    book::{Best, Book, History},
    config::invalid,
    generator::Generator,
    replay::Replay,
    script::Event,
    tape::Tape,
    truth::Record,
};

/// One message of the market.
#[derive(Debug, Clone)]
pub(crate) struct Tick {
    pub(crate) at_ms: u64,
    /// The symbol's place in the truth.
    pub(crate) symbol: usize,
    /// As in an address: `nknusdt@aggTrade`.
    pub(crate) stream: Arc<str>,
    /// The JSON that follows `"data":` in a combined stream.
    pub(crate) data: String,
    pub(crate) kind: Kind,
}

/// What other streams can be made from a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Single trades, and the best prices after it.
    Trade(Trade, Option<Best>),
    /// Partial books, each 100 ms and each second.
    Diff,
    SlowDiff,
    Other,
}

/// Everything there is to know about the market so far.
#[derive(Debug, Default)]
pub(crate) struct World {
    pub(crate) truth: Truth,
    /// By the symbol's place in the truth.
    pub(crate) books: Vec<History>,
    /// When symbols are not traded: place, from, to.
    pub(crate) halts: Vec<(usize, u64, u64)>,
    /// What the script does to the market itself.
    pub(crate) events: Vec<Event>,
}

impl World {
    fn new(symbols: Vec<(String, Book)>, events: Vec<Event>) -> Self {
        let (names, books): (Vec<_>, Vec<_>) = symbols.into_iter().unzip();
        let records = names.into_iter().map(|symbol| Record { symbol, ..Record::default() });
        let books = books.into_iter().map(History::new).collect();
        Self { truth: Truth { records: records.collect() }, books, halts: Vec::new(), events }
    }

    pub(crate) fn is_halted(&self, symbol: usize, at_ms: u64) -> bool {
        self.halts.iter().any(|(halted, from, to)| *halted == symbol && (*from..*to).contains(&at_ms))
    }
}

/// It knows nothing of the wall clock.
#[derive(Debug)]
pub(crate) enum Market {
    Replay(Replay),
    Generator(Generator),
}

impl Market {
    pub(crate) fn new(config: &Config) -> io::Result<(Self, World)> {
        let events = config.script.market.clone();
        let traded = |symbol: &String| match &config.source {
            Source::Recording { .. } => false,
            Source::Generated(generated) => generated.symbols.contains(symbol),
        };
        if let Some(event) = events.iter().find(|event| !traded(&event.symbol)) {
            return Err(invalid(format!("script: market {}: no such symbol is generated here", event.symbol)));
        }
        Ok(match &config.source {
            Source::Recording { looped } => {
                let replay = Replay::new(*looped, config.start_ms);
                let world = World::new(replay.symbols(), events);
                (Self::Replay(replay), world)
            }
            Source::Generated(generated) => {
                let generator = Generator::new(generated, config.book_levels, config.start_ms).map_err(invalid)?;
                let world = World::new(generator.symbols(), events);
                (Self::Generator(generator), world)
            }
        })
    }

    /// When the next message is due; `None` after the last.
    pub(crate) fn due_ms(&self) -> Option<u64> {
        match self {
            Self::Replay(replay) => replay.due_ms(),
            Self::Generator(generator) => generator.due_ms(),
        }
    }

    /// Lets the next message happen; `None` if what happened makes none.
    pub(crate) fn next(&mut self, world: &mut World) -> Option<Tick> {
        match self {
            Self::Replay(replay) => replay.next(world),
            Self::Generator(generator) => generator.next(world),
        }
    }
}

/// Puts the market on the tape at the pace of exchange time. After every pause the time counts anew from the next message.
pub(crate) async fn play(mut market: Market, tape: Arc<Tape>, speed: f64) {
    let mut anchor = None;
    while let Some(due_ms) = market.due_ms() {
        loop {
            if tape.room().await {
                anchor = None;
            }
            let now = Instant::now();
            let (began, began_ms) = *anchor.get_or_insert((now, due_ms));
            let passed_ms = due_ms.saturating_sub(began_ms);
            let wait = Duration::try_from_secs_f64(Duration::from_millis(passed_ms).as_secs_f64() / speed);
            let due = began + wait.unwrap_or(Duration::MAX / 4);
            if due <= now {
                break;
            }
            tape.wait_until(due_ms, speed);
            sleep_until(due).await;
        }
        tape.print(&mut market, due_ms);
        // A market at full speed must let its listeners run on a runtime of one thread.
        tokio::task::coop::consume_budget().await;
    }
    tape.end();
}
