//! How a collector stands: told once a second.

use std::fmt;

use crate::table::count;

/// How a collector stands; as text, one line of words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Second {
    /// Single trades counted since the last one of these, those that were fetched later among them.
    pub trades: i64,
    /// The exchange's time of the trade that the stream brought last in this run, in milliseconds since 1970; `None` before the first.
    pub last_ms: Option<i64>,
    /// How much later that trade was counted, by the exchange's clock as far as it is [known](crate::Progress::Clock), otherwise by this
    /// machine's; below 0 where that is behind.
    pub lag_ms: Option<i64>,
    /// One for each symbol, in order.
    pub symbols: Vec<Standing>,
}

/// How one symbol stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// Upper case.
    pub symbol: String,
    /// The beginning of its open minute, in milliseconds since 1970; `None` before its first trade.
    pub minute_ms: Option<i64>,
    /// Single trades counted in it so far.
    pub minute_trades: i64,
    /// Gaps that the exchange can still be asked about.
    pub gaps: usize,
    /// Single trades that are missing in them.
    pub missing: i64,
    /// Single trades that were fetched later in this run.
    pub filled: i64,
    /// Single trades that the exchange does not have either, of all times.
    pub holes: i64,
}

impl Second {
    /// The beginning of the newest open minute, in milliseconds since 1970.
    pub fn minute_ms(&self) -> Option<i64> {
        self.symbols.iter().filter_map(|symbol| symbol.minute_ms).max()
    }

    /// Single trades in the open minutes that begin with the newest.
    pub fn minute_trades(&self) -> i64 {
        let newest = self.minute_ms();
        self.symbols.iter().filter(|symbol| symbol.minute_ms == newest).map(|symbol| symbol.minute_trades).sum()
    }

    /// Gaps of all symbols, and the trades that are missing in them.
    pub fn missing(&self) -> (usize, i64) {
        self.symbols.iter().fold((0, 0), |(gaps, missing), symbol| (gaps + symbol.gaps, missing + symbol.missing))
    }

    /// Single trades that were fetched later in this run.
    pub fn filled(&self) -> i64 {
        self.symbols.iter().map(|symbol| symbol.filled).sum()
    }
}

impl fmt::Display for Second {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in this second", count(self.trades, "trade"))?;
        if let Some(lag) = self.lag_ms {
            write!(f, ", lag {lag} ms")?;
        }
        if let (gaps @ 1.., missing) = self.missing() {
            write!(f, ", {} missing in {}", count(missing, "trade"), count(gaps as i128, "gap"))?;
        }
        match self.filled() {
            0 => Ok(()),
            filled => write!(f, ", {filled} fetched later"),
        }
    }
}
