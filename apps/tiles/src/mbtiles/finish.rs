//! Making a finished file of a job's.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::{MbtilesError, Options, Schema, Writer, verify::agg_tiles_hash};
use crate::store::job;

/// Takes the job out of a file: its tables, bodies that no tile has any more, unused pages. Adds `agg_tiles_hash`, by which other programs
/// see that nothing has changed. It takes a time that grows with the file, and as much room on the disk again.
///
/// Whatever stops it, the file is a job's still or finished.
///
/// # Errors
/// It is not a job's file, another writer has it, or it cannot be written.
pub fn finish(path: &Path) -> Result<(), MbtilesError> {
    if !path.exists() {
        return Err(MbtilesError::io(path, std::io::ErrorKind::NotFound.into()));
    }
    seal(Writer::open(path, &Options::default())?, true)
}

/// Takes the job out of a file that is open. Where nothing was ever removed from it, there are no unused pages.
pub(crate) fn seal(mut writer: Writer, compact: bool) -> Result<(), MbtilesError> {
    let schema = writer.schema();
    strip(&mut writer.base.file, schema, compact).map_err(|error| writer.base.wrong(error))?;
    writer.close()
}

fn strip(file: &mut Connection, schema: Schema, compact: bool) -> rusqlite::Result<()> {
    let hash = agg_tiles_hash(file)?;
    let transaction = file.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if schema == Schema::Dedup {
        transaction.execute_batch(
            "DELETE FROM tiles_data WHERE tile_data_id NOT IN (SELECT tile_data_id FROM tiles_shallow)",
        )?;
    }
    transaction.execute("DELETE FROM metadata WHERE name = 'agg_tiles_hash'", [])?;
    transaction.execute("INSERT INTO metadata (name, value) VALUES ('agg_tiles_hash', ?1)", [hash])?;
    job::remove(&transaction)?;
    transaction.commit()?;
    if compact { file.execute_batch("VACUUM") } else { Ok(()) }
}
