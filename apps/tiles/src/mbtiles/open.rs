//! Making a file, going on with one, and leaving alone what is not ours.

use std::{fs, path::Path};

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::{MbtilesError, Schema, schema};
use crate::store::{
    Metadata, job,
    sqlite::{self, connect, settle},
};

/// `MPBX`, in the header of every MBTiles file that says so.
pub(super) const APPLICATION_ID: i32 = 0x4D50_4258;
/// How a file is opened.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// How the tables of a new file are laid out; one that is there keeps its own. [`Schema::Flat`] or [`Schema::Dedup`].
    pub schema: Schema,
    /// Takes over a file that this program did not begin or has finished.
    pub adopt: bool,
}

/// A connection to a file that is to be written, and how its tables are laid out.
pub(super) fn writable(path: &Path, options: &Options) -> Result<(Connection, Schema), MbtilesError> {
    if !options.schema.is_written() {
        return Err(MbtilesError::ReadOnlySchema { path: path.to_owned(), schema: options.schema });
    }
    let new = fs::metadata(path).map_or(true, |metadata| metadata.len() == 0);
    let create = if new { OpenFlags::SQLITE_OPEN_CREATE } else { OpenFlags::empty() };
    let wrong = |error| MbtilesError::of(path, error);
    let mut file = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE | create)?;
    let schema = match Schema::find(&file).map_err(wrong)? {
        None if new => {
            make(&mut file, options.schema).map_err(wrong)?;
            return Ok((file, options.schema));
        }
        None => return Err(no_tiles(path)),
        Some(schema) => schema,
    };
    let ours = job::exists(&file).map_err(wrong)?;
    if !ours && !options.adopt {
        return Err(MbtilesError::Foreign { path: path.to_owned() });
    }
    if !schema.is_written() {
        return Err(MbtilesError::ReadOnlySchema { path: path.to_owned(), schema });
    }
    settle(&file).map_err(wrong)?;
    if !ours {
        adopt(&mut file, schema).map_err(wrong)?;
    }
    // It says what the tiles were before.
    file.execute("DELETE FROM metadata WHERE name = 'agg_tiles_hash'", []).map_err(wrong)?;
    Ok((file, schema))
}

/// A connection that only reads, and how the tables are laid out.
pub(super) fn readable(path: &Path) -> Result<(Connection, Schema), MbtilesError> {
    sqlite::readable(path, |file| {
        let schema = Schema::find(file).map_err(|error| MbtilesError::of(path, error))?;
        let is_empty = || fs::metadata(path).is_ok_and(|metadata| metadata.len() == 0);
        schema.ok_or_else(|| if is_empty() { MbtilesError::Empty { path: path.to_owned() } } else { no_tiles(path) })
    })
}

fn no_tiles(path: &Path) -> MbtilesError {
    MbtilesError::NotMbtiles { path: path.to_owned(), what: "it has no table or view `tiles`".to_owned() }
}

/// All tables at once, so that there is never a file with some of them.
fn make(file: &mut Connection, schema: Schema) -> rusqlite::Result<()> {
    file.pragma_update(None, "page_size", 4096)?;
    settle(file)?;
    let transaction = file.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.execute_batch(schema::METADATA)?;
    transaction.execute_batch(schema.create())?;
    job::create(&transaction)?;
    transaction.commit()
}

/// Adds what a foreign file lacks.
fn adopt(file: &mut Connection, schema: Schema) -> rusqlite::Result<()> {
    let transaction = file.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.execute_batch("CREATE TABLE IF NOT EXISTS metadata (name text, value text)")?;
    let table = schema.keys();
    if !has_unique_key(&transaction, table)? {
        transaction.execute_batch(&format!(
            "CREATE UNIQUE INDEX ss_tile_index ON {table} (zoom_level, tile_column, tile_row)"
        ))?;
    }
    job::create(&transaction)?;
    transaction.commit()
}

/// Whether zoom, column and row are unique in a table by an index that SQLite knows.
fn has_unique_key(file: &Connection, table: &str) -> rusqlite::Result<bool> {
    let sql = "SELECT EXISTS (
        SELECT 1 FROM pragma_index_list(?1) AS list JOIN pragma_index_info(list.name) AS info
        WHERE list.\"unique\" AND NOT list.partial
        GROUP BY list.name
        HAVING COUNT(*) = 3 AND SUM(info.name IN ('zoom_level', 'tile_column', 'tile_row')) = 3)";
    file.query_row(sql, [table], |row| row.get(0))
}

/// Names and values of a file.
pub(super) fn metadata(file: &Connection) -> rusqlite::Result<Metadata> {
    let has = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'metadata')";
    if !file.query_row(has, [], |row| row.get::<_, bool>(0))? {
        return Ok(Metadata::new());
    }
    let mut query = file.prepare(
        "SELECT CAST(name AS TEXT), CAST(value AS TEXT) FROM metadata WHERE name NOT NULL AND value NOT NULL",
    )?;
    query.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?.collect()
}
