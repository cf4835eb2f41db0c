//! The tables of a job, in whatever SQLite file: what is known of tiles besides their bodies.
//!
//! `ss_job` has names and values, `ss_empty` the tiles that the server does not have, `ss_fail` those that failed and why, `ss_http` how
//! fresh a tile is. Their rows are small, so they live in their index. Rows count from the south, as in `tiles`.

use rusqlite::{Connection, OptionalExtension, Params, Statement, params};

use super::{Http, Known, What};
use crate::{
    answer::Class,
    grid::{self, Tile},
    ids::IdSet,
};

const CREATE: &str = "
CREATE TABLE IF NOT EXISTS ss_job (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS ss_empty (z INTEGER, x INTEGER, row INTEGER, status INTEGER, PRIMARY KEY (z, x, row)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS ss_fail (z INTEGER, x INTEGER, row INTEGER, class TEXT, status INTEGER, tries INTEGER, error TEXT,
    PRIMARY KEY (z, x, row)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS ss_http (z INTEGER, x INTEGER, row INTEGER, etag TEXT, last_modified TEXT, fetched INTEGER, expires INTEGER,
    PRIMARY KEY (z, x, row)) WITHOUT ROWID;";

const DROP: &str = "
DROP TABLE IF EXISTS ss_job;
DROP TABLE IF EXISTS ss_empty;
DROP TABLE IF EXISTS ss_fail;
DROP TABLE IF EXISTS ss_http;";

pub(crate) fn create(file: &Connection) -> rusqlite::Result<()> {
    file.execute_batch(CREATE)
}

pub(crate) fn remove(file: &Connection) -> rusqlite::Result<()> {
    file.execute_batch(DROP)
}

/// Whether a file has the tables.
pub(crate) fn exists(file: &Connection) -> rusqlite::Result<bool> {
    file.query_row(
        "SELECT COUNT(*) = 4 FROM sqlite_schema WHERE name IN ('ss_job', 'ss_empty', 'ss_fail', 'ss_http')",
        [],
        |row| row.get(0),
    )
}

/// One value of the job.
pub(crate) fn value(file: &Connection, name: &str) -> rusqlite::Result<Option<String>> {
    file.query_row("SELECT value FROM ss_job WHERE name = ?1", [name], |row| row.get(0)).optional()
}

/// Sets values of the job, or takes them out.
pub(crate) fn set_values(file: &Connection, values: &[(&str, Option<&str>)]) -> rusqlite::Result<()> {
    let mut set =
        file.prepare("INSERT INTO ss_job VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = excluded.value")?;
    let mut remove = file.prepare("DELETE FROM ss_job WHERE name = ?1")?;
    for (name, value) in values {
        match value {
            Some(value) => set.execute([name, value])?,
            None => remove.execute([name])?,
        };
    }
    Ok(())
}

/// How fresh a tile is, and how to ask.
pub(crate) fn freshness(file: &Connection, tile: Tile) -> rusqlite::Result<Option<Http>> {
    let sql = "SELECT etag, last_modified, fetched, expires FROM ss_http WHERE z = ?1 AND x = ?2 AND row = ?3";
    let read = |row: &rusqlite::Row<'_>| {
        Ok(Http {
            etag: row.get(0)?,
            last_modified: row.get(1)?,
            fetched: moment(row.get(2)?),
            expires: row.get::<_, Option<i64>>(3)?.map(moment),
        })
    };
    file.query_row(sql, (tile.z(), tile.x(), tile.tms_row()), read).optional()
}

/// The tiles that are fresh at this moment.
pub(crate) fn fresh(file: &Connection, now: u64) -> rusqlite::Result<IdSet> {
    let mut query = file.prepare("SELECT z, x, row FROM ss_http WHERE expires > ?1")?;
    ids(&mut query, [seconds(now)])
}

/// Fills in what the tables know.
pub(crate) fn known(file: &Connection, known: &mut Known) -> rusqlite::Result<()> {
    known.empty = ids(&mut file.prepare("SELECT z, x, row FROM ss_empty")?, [])?;
    known.failed = ids(&mut file.prepare("SELECT z, x, row FROM ss_fail")?, [])?;
    for class in Class::ALL.into_iter().filter(|class| !class.is_passing()) {
        let of_class = ids(&mut file.prepare("SELECT z, x, row FROM ss_fail WHERE class = ?1")?, [class.name()])?;
        of_class.ranges().for_each(|run| known.for_good.insert_range(run));
    }
    Ok(())
}

/// The tiles of a query for zoom, column and row. Keys that no tile has are left out.
pub(crate) fn ids(query: &mut Statement<'_>, params: impl Params) -> rusqlite::Result<IdSet> {
    let mut wrong = Ok(());
    let mut rows = query.query(params)?;
    let next = || match rows.next() {
        Ok(row) => row.map(key),
        Err(error) => {
            wrong = Err(error);
            None
        }
    };
    let ids = std::iter::from_fn(next).flatten().map(Tile::id).collect();
    wrong.map(|()| ids)
}

/// The tile of the first three columns, if they are one's.
pub(crate) fn key(row: &rusqlite::Row<'_>) -> Option<Tile> {
    let z = row.get(0).ok()?;
    let (x, row) = (row.get(1).ok()?, row.get::<_, u32>(2).ok()?);
    // Checked as it stands: flipped, a row that does not exist may look like one that does.
    Tile::new(z, x, row).ok()?;
    Tile::new(z, x, grid::flip(z, row)).ok()
}

/// A tile that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailRow {
    /// The tile.
    pub tile: Tile,
    /// The kind of failure; none where this version does not know it.
    pub class: Option<Class>,
    /// The status, if there was an answer.
    pub status: Option<u16>,
    /// How often it was tried, over all runs.
    pub tries: u32,
    /// More; may be empty.
    pub text: String,
}

/// The tiles that failed, by zoom, column and row from the south.
pub(crate) fn failures(file: &Connection) -> rusqlite::Result<Vec<FailRow>> {
    let mut query = file.prepare("SELECT z, x, row, class, status, tries, error FROM ss_fail ORDER BY z, x, row")?;
    let mut rows = query.query([])?;
    let mut failures = Vec::new();
    while let Some(row) = rows.next()? {
        let Some(tile) = key(row) else { continue };
        failures.push(FailRow {
            tile,
            class: Class::named(row.get_ref(3)?.as_str()?),
            status: row.get(4)?,
            tries: row.get(5)?,
            text: row.get(6)?,
        });
    }
    Ok(failures)
}

/// How many tiles failed, by the name of the class.
pub(crate) fn failed_by_class(file: &Connection) -> rusqlite::Result<Vec<(String, u64)>> {
    let mut query = file.prepare("SELECT class, COUNT(*) FROM ss_fail GROUP BY class ORDER BY 2 DESC, 1")?;
    let counts = query.query_map([], |row| Ok((row.get(0)?, moment(row.get(1)?))))?;
    counts.collect()
}

/// Which tables may have rows: where there are none, none need to be taken out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Filled {
    empty: bool,
    failed: bool,
    http: bool,
}

impl Filled {
    pub(crate) fn find(file: &Connection) -> rusqlite::Result<Self> {
        let any = |table: &str| file.query_row(&format!("SELECT EXISTS (SELECT 1 FROM {table})"), [], |row| row.get(0));
        Ok(Self { empty: any("ss_empty")?, failed: any("ss_fail")?, http: any("ss_http")? })
    }
}

/// Writes what is known of tiles, within a transaction.
pub(crate) struct Notes<'a> {
    filled: &'a mut Filled,
    no_fail: Lazy<'a>,
    no_empty: Lazy<'a>,
    no_http: Lazy<'a>,
    fail: Lazy<'a>,
    empty: Lazy<'a>,
    http: Lazy<'a>,
    unchanged: Lazy<'a>,
}

impl<'a> Notes<'a> {
    pub(crate) fn new(file: &'a Connection, filled: &'a mut Filled) -> Self {
        let lazy = |sql| Lazy::new(file, sql);
        Self {
            filled,
            no_fail: lazy("DELETE FROM ss_fail WHERE z = ?1 AND x = ?2 AND row = ?3"),
            no_empty: lazy("DELETE FROM ss_empty WHERE z = ?1 AND x = ?2 AND row = ?3"),
            no_http: lazy("DELETE FROM ss_http WHERE z = ?1 AND x = ?2 AND row = ?3"),
            fail: lazy(
                "INSERT INTO ss_fail (z, x, row, class, status, tries, error) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
                 ON CONFLICT (z, x, row) DO UPDATE SET class = excluded.class, status = excluded.status,
                     tries = tries + excluded.tries, error = excluded.error",
            ),
            empty: lazy("INSERT OR REPLACE INTO ss_empty VALUES (?1, ?2, ?3, ?4)"),
            http: lazy("INSERT OR REPLACE INTO ss_http VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)"),
            unchanged: lazy(
                "INSERT INTO ss_http VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
                 ON CONFLICT (z, x, row) DO UPDATE SET etag = COALESCE(excluded.etag, etag),
                     last_modified = COALESCE(excluded.last_modified, last_modified),
                     fetched = excluded.fetched, expires = excluded.expires",
            ),
        }
    }

    /// Notes all but the body.
    pub(crate) fn note(&mut self, tile: Tile, what: &What) -> rusqlite::Result<()> {
        let (z, x, row) = (tile.z(), tile.x(), tile.tms_row());
        match what {
            What::Failed { class, status, text, tries } => {
                self.filled.failed = true;
                return self.fail.execute(params![z, x, row, class.name(), status, tries, text]);
            }
            What::Stored { http, .. } | What::Empty { http, .. } => self.replace_http(tile, http)?,
            What::Unchanged { http } => {
                self.filled.http = true;
                let (fetched, expires) = (seconds(http.fetched), http.expires.map(seconds));
                self.unchanged.execute(params![z, x, row, http.etag, http.last_modified, fetched, expires])?;
            }
        }
        if self.filled.failed {
            self.no_fail.execute((z, x, row))?;
        }
        match what {
            What::Empty { status, .. } => {
                self.filled.empty = true;
                self.empty.execute((z, x, row, status))
            }
            What::Stored { .. } if self.filled.empty => self.no_empty.execute((z, x, row)),
            _ => Ok(()),
        }
    }

    fn replace_http(&mut self, tile: Tile, http: &Http) -> rusqlite::Result<()> {
        let (z, x, row) = (tile.z(), tile.x(), tile.tms_row());
        if http.says_something() {
            self.filled.http = true;
            let (fetched, expires) = (seconds(http.fetched), http.expires.map(seconds));
            return self.http.execute(params![z, x, row, http.etag, http.last_modified, fetched, expires]);
        }
        if self.filled.http { self.no_http.execute((z, x, row)) } else { Ok(()) }
    }
}

/// A statement that is prepared when it is needed.
pub(crate) struct Lazy<'a> {
    file: &'a Connection,
    sql: &'static str,
    statement: Option<Statement<'a>>,
}

impl<'a> Lazy<'a> {
    pub(crate) fn new(file: &'a Connection, sql: &'static str) -> Self {
        Self { file, sql, statement: None }
    }

    pub(crate) fn execute(&mut self, params: impl Params) -> rusqlite::Result<()> {
        let statement = match &mut self.statement {
            Some(statement) => statement,
            none => none.insert(self.file.prepare(self.sql)?),
        };
        statement.execute(params).map(|_| ())
    }
}

/// As SQLite keeps it.
fn seconds(moment: u64) -> i64 {
    i64::try_from(moment).unwrap_or(i64::MAX)
}

/// As it was before.
pub(crate) fn moment(seconds: i64) -> u64 {
    u64::try_from(seconds).unwrap_or(0)
}
