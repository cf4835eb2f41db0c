//! Making a finished file of a job's.

use std::{
    fs::{self, File},
    io,
    path::Path,
};

use rusqlite::{Connection, TransactionBehavior};

use super::{MbtilesError, Options, Schema, Writer, verify::agg_tiles_hash};
use crate::store::{
    job,
    whole::{beside, sync_folder},
};

/// Takes the job out of a file: its tables, bodies that no tile has any more, unused pages. Adds `agg_tiles_hash`, by which other programs
/// see that nothing has changed. It takes a time that grows with the file, and as much room on the disk again.
///
/// Whatever stops it, the file is a job's still, or one without.
///
/// # Errors
/// It is not a job's file, another writer has it, or it cannot be written.
pub fn finish(path: &Path) -> Result<(), MbtilesError> {
    if !path.exists() {
        return Err(MbtilesError::io(path, io::ErrorKind::NotFound.into()));
    }
    let mut writer = Writer::open(path, &Options::default())?;
    strip(&mut writer)?;
    compact(&writer, path)
}

/// Takes the job out of a file that nothing was ever removed from, and closes it.
pub(crate) fn seal(mut writer: Writer) -> Result<(), MbtilesError> {
    strip(&mut writer)?;
    writer.close()
}

fn strip(writer: &mut Writer) -> Result<(), MbtilesError> {
    let strip = |file: &mut Connection| {
        let hash = agg_tiles_hash(file)?;
        let transaction = file.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute("DELETE FROM metadata WHERE name = 'agg_tiles_hash'", [])?;
        transaction.execute("INSERT INTO metadata (name, value) VALUES ('agg_tiles_hash', ?1)", [hash])?;
        job::remove(&transaction)?;
        transaction.commit()
    };
    strip(&mut writer.base.file).map_err(|error| writer.base.wrong(error))
}

/// Puts a copy without gaps in the place of the file. SQLite's own way would need the room twice, or in memory.
fn compact(writer: &Writer, path: &Path) -> Result<(), MbtilesError> {
    let part = beside(path, ".part");
    let wrong = |error| MbtilesError::io(path, error);
    match fs::remove_file(&part) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(wrong(error)),
        _ => {}
    }
    let copy = || {
        let file = &writer.base.file;
        if writer.schema() == Schema::Dedup {
            file.execute_batch(
                "DELETE FROM tiles_data WHERE tile_data_id NOT IN (SELECT tile_data_id FROM tiles_shallow)",
            )?;
        }
        file.execute("VACUUM INTO CAST(?1 AS TEXT)", [part.as_os_str().as_encoded_bytes()])?;
        // Beside the copy it would be taken for the copy's.
        file.pragma_update_and_check(None, "journal_mode", "DELETE", |_| Ok(()))
    };
    let placed = copy().map_err(|error| writer.base.wrong(error)).and_then(|()| {
        writer.still_there()?;
        File::open(&part).and_then(|part| part.sync_all()).map_err(wrong)?;
        fs::rename(&part, path).and_then(|()| sync_folder(path)).map_err(wrong)
    });
    if placed.is_err() {
        let _ = fs::remove_file(&part);
    }
    placed
}
