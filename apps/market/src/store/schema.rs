//! The layout of the file, and the way from an older one.

use std::{error::Error, path::Path, time::Duration};

use rusqlite::{Connection, OpenFlags};
use softstop::Result;

/// A file with a later one is refused, one with an earlier one is taken over.
pub(crate) const VERSION: i64 = 3;

/// STRICT, so that a sum too large for an integer is an error and not a floating-point number.
///
/// - `symbols`: where the chain of each begins and ends, and the last aggregate that `minutes` and `levels` have counted; what stands in
///   `trades` behind it is counted by the next start.
/// - `file` (in [`IDENTITY`]): a name that tells this file from every other, and the last revision that was given to a minute.
/// - `trades`: the journal.
/// - `gaps`: single trades that are missing; `from_id` to `to_id` are the aggregates the exchange was not asked for yet.
/// - `minutes` and `levels`: prices and volumes are whole numbers of 10⁻ᵖˡᵃᶜᵉˢ, as the minute says. `revision` rises with every change of
///   any minute and is of one minute alone: what has changed since a revision are the minutes above it.
///   `begun` is 0 where the beginning of the minute is missing in a file of version 1, 2 where collecting began in it and what came before
///   was asked for.
/// - `depth`: order books at moments of the exchange's clock; `bids` and `asks` are JSON, `[[price, quantity], …]`, best first, in the same
///   units.
pub(crate) const SCHEMA: &str = "
CREATE TABLE symbols (
    symbol INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, first_id INTEGER, last_id INTEGER, counted INTEGER,
    newest_ms INTEGER, price_places INTEGER NOT NULL DEFAULT 0, quantity_places INTEGER NOT NULL DEFAULT 0) STRICT;
CREATE TABLE trades (
    symbol INTEGER NOT NULL, id INTEGER NOT NULL, first_id INTEGER NOT NULL, last_id INTEGER NOT NULL, time_ms INTEGER NOT NULL,
    price INTEGER NOT NULL, quantity INTEGER NOT NULL, price_places INTEGER NOT NULL, quantity_places INTEGER NOT NULL,
    buyer_is_maker INTEGER NOT NULL, refilled INTEGER NOT NULL, PRIMARY KEY (symbol, id)) STRICT, WITHOUT ROWID;
CREATE TABLE gaps (
    symbol INTEGER NOT NULL, first_id INTEGER NOT NULL, last_id INTEGER NOT NULL, from_id INTEGER NOT NULL, to_id INTEGER NOT NULL,
    hole INTEGER NOT NULL, PRIMARY KEY (symbol, first_id)) STRICT, WITHOUT ROWID;
CREATE TABLE minutes (
    symbol TEXT NOT NULL, begin_ms INTEGER NOT NULL, first_id INTEGER NOT NULL, last_id INTEGER NOT NULL,
    expected INTEGER NOT NULL, stored INTEGER NOT NULL, refilled INTEGER NOT NULL, state TEXT NOT NULL,
    price_places INTEGER NOT NULL, quantity_places INTEGER NOT NULL, begun INTEGER NOT NULL, misplaced INTEGER NOT NULL,
    revision INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (symbol, begin_ms)) STRICT, WITHOUT ROWID;
CREATE INDEX minutes_by_id ON minutes (symbol, last_id);
CREATE INDEX minutes_by_revision ON minutes (revision);
CREATE TABLE depth (
    symbol TEXT NOT NULL, time_ms INTEGER NOT NULL, last_id INTEGER NOT NULL, price_places INTEGER NOT NULL,
    quantity_places INTEGER NOT NULL, bids TEXT NOT NULL, asks TEXT NOT NULL, PRIMARY KEY (symbol, time_ms)) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS levels (
    symbol TEXT NOT NULL, begin_ms INTEGER NOT NULL, price INTEGER NOT NULL,
    buy INTEGER NOT NULL, sell INTEGER NOT NULL, trades INTEGER NOT NULL,
    PRIMARY KEY (symbol, begin_ms, price)) STRICT, WITHOUT ROWID;
PRAGMA user_version = 3;";

/// Version 1 knew no journal, no gaps and no scale: of what it says is missing only the number is known, not the place.
const FROM_1: &str = "
INSERT INTO symbols (name, first_id, last_id, newest_ms)
    SELECT symbol, min(first_id), max(last_id), max(begin_ms) FROM minutes_1 GROUP BY symbol;
INSERT INTO minutes
    SELECT symbol, begin_ms, first_id, last_id, last_id - first_id + 1, stored, 0,
        iif(begun AND ended AND stored = last_id - first_id + 1, 'complete', 'partial'), 8, 8, begun, last_id - first_id + 1 - stored,
        row_number() OVER (ORDER BY begin_ms, symbol)
    FROM (SELECT m.*, (SELECT sum(trades) FROM levels l WHERE l.symbol = m.symbol AND l.begin_ms = m.begin_ms) AS stored
        FROM minutes_1 m);
DROP TABLE minutes_1;";

/// Version 2 knew no revisions and no depth.
const FROM_2: &str = "
ALTER TABLE minutes ADD COLUMN revision INTEGER NOT NULL DEFAULT 0;
UPDATE minutes SET revision = r.number FROM (SELECT symbol, begin_ms, row_number() OVER (ORDER BY begin_ms, symbol) AS number FROM minutes) r
    WHERE minutes.symbol = r.symbol AND minutes.begin_ms = r.begin_ms;
CREATE INDEX minutes_by_revision ON minutes (revision);
CREATE TABLE depth (
    symbol TEXT NOT NULL, time_ms INTEGER NOT NULL, last_id INTEGER NOT NULL, price_places INTEGER NOT NULL,
    quantity_places INTEGER NOT NULL, bids TEXT NOT NULL, asks TEXT NOT NULL, PRIMARY KEY (symbol, time_ms)) STRICT, WITHOUT ROWID;
PRAGMA user_version = 3;";

/// What a file says of itself; the last revision is kept apart from the minutes, which may be dropped.
const IDENTITY: &str = "
CREATE TABLE IF NOT EXISTS file (id TEXT NOT NULL, revision INTEGER NOT NULL) STRICT;
INSERT INTO file SELECT lower(hex(randomblob(16))), 0 WHERE NOT EXISTS (SELECT 1 FROM file);
UPDATE file SET revision = (SELECT max(revision) FROM minutes) WHERE revision < (SELECT max(revision) FROM minutes);";

/// What a reader finds where a `market collect` was killed in its first moment, or is in it.
const EMPTY: i64 = -1;

/// Makes the tables where there are none and `flags` allow to make the file; takes over a file of an earlier version.
pub(crate) fn connect(path: &Path, flags: OpenFlags) -> Result<Connection> {
    let connect = || {
        let file = Connection::open_with_flags(path, flags)?;
        file.busy_timeout(Duration::from_secs(5))?;
        let tables: i64 = file.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        let writes = flags.contains(OpenFlags::SQLITE_OPEN_CREATE);
        if tables == 0 && writes {
            // Only a file that is empty can be made so that it gives back what is free in it.
            file.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
            // Before anything else, so that there is never a file with something in it but the tables.
            file.execute_batch(&format!("BEGIN; {SCHEMA} COMMIT;"))?;
        }
        let mut version: i64 = file.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        if (1..VERSION).contains(&version) {
            take_over(&file)?;
            version = VERSION;
        }
        if version == VERSION && writes {
            file.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
            // What is committed survives the death of the process; a power cut may cost the last moment, never the file.
            file.pragma_update(None, "synchronous", "NORMAL")?;
            file.execute_batch(&format!("BEGIN IMMEDIATE; {IDENTITY} COMMIT;"))?;
        }
        Ok((file, if tables == 0 && !writes { EMPTY } else { version }))
    };
    let found = match connect().map_err(|error: rusqlite::Error| cannot_open(path, &error))? {
        (file, VERSION) => return Ok(file),
        (_, EMPTY) => return Err(format!("{} is empty: nothing was saved in it yet", path.display()).into()),
        (_, 0) => "is not a database of `market`".to_owned(),
        (_, version) => format!("has schema version {version}, this program knows {VERSION}"),
    };
    Err(format!("{} {found}; name another file", path.display()).into())
}

/// In one transaction, so that a file is of one version or of the other.
fn take_over(file: &Connection) -> rusqlite::Result<()> {
    let transaction = rusqlite::Transaction::new_unchecked(file, rusqlite::TransactionBehavior::Immediate)?;
    // Somebody else may have been faster.
    match transaction.query_row("PRAGMA user_version", [], |row| row.get(0))? {
        1 => transaction.execute_batch(&format!("ALTER TABLE minutes RENAME TO minutes_1; {SCHEMA} {FROM_1}"))?,
        2 => transaction.execute_batch(FROM_2)?,
        _ => {}
    }
    transaction.commit()
}

pub(crate) fn cannot_open(path: &Path, error: &dyn Error) -> String {
    format!("cannot open the database {}: {error}", path.display())
}
