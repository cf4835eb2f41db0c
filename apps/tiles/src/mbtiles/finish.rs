//! Making a finished file of a job's.

use std::{
    fs::{self, File},
    io,
    path::Path,
};

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::{MbtilesError, Options, Schema, Writer, verify::agg_tiles_hash};
use crate::store::{
    job,
    sqlite::connect,
    whole::{beside, ours, sync_folder},
};

/// Takes the job out of a file: its tables, bodies that no tile has any more, unused pages. Adds `agg_tiles_hash`, by which other programs
/// see that nothing has changed. It takes a time that grows with the file, and as much room on the disk again; in rare cases twice as much.
///
/// Whatever stops it, the file is as it was or finished.
///
/// # Errors
/// It is not a job's file, another writer has it, or it cannot be written.
pub fn finish(path: &Path) -> Result<(), MbtilesError> {
    if !path.exists() {
        return Err(MbtilesError::io(path, io::ErrorKind::NotFound.into()));
    }
    let writer = Writer::open(path, &Options::default())?;
    let (part, more) = (ours(path, "part"), ours(path, "more"));
    let placed = finished_copy(&writer, &part, &more).and_then(|()| place(&writer, &part, path));
    for left in [&part, &more, &beside(&part, "-journal")] {
        let _ = fs::remove_file(left);
    }
    placed
}

/// Takes the job out of a file that nothing was ever removed from, and closes it.
pub(crate) fn seal(mut writer: Writer) -> Result<(), MbtilesError> {
    let schema = writer.schema();
    strip(&mut writer.base.file, schema).map_err(|error| writer.base.wrong(error))?;
    writer.close()
}

fn strip(file: &mut Connection, schema: Schema) -> rusqlite::Result<()> {
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
    transaction.commit()
}

/// Makes a copy without gaps and takes the job out of it. SQLite's own way, in place, needs the room as well, or takes it from the memory.
fn finished_copy(writer: &Writer, part: &Path, more: &Path) -> Result<(), MbtilesError> {
    let wrong = |error| writer.base.wrong(error);
    copy(&writer.base.file, part).map_err(wrong)?;
    let mut file = connect(part, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let mut take_out = || {
        // The copy is worth nothing before it is whole. What is taken out of it shall not be found in it.
        file.pragma_update(None, "synchronous", "OFF")?;
        file.pragma_update_and_check(None, "secure_delete", "ON", |_| Ok(()))?;
        strip(&mut file, writer.schema())?;
        let count = |name: &str| file.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0));
        // A few pages where the job's tables were do no harm.
        let gaps = count("freelist_count")? > count("page_count")? / 20;
        if gaps { copy(&file, more).map(|()| true) } else { Ok(false) }
    };
    let gaps = take_out().map_err(wrong)?;
    drop(file);
    if gaps { fs::rename(more, part).map_err(|error| MbtilesError::io(part, error)) } else { Ok(()) }
}

fn copy(file: &Connection, to: &Path) -> rusqlite::Result<()> {
    // An earlier attempt may have left it; if it cannot be removed, SQLite says why.
    let _ = fs::remove_file(to);
    file.execute("VACUUM INTO CAST(?1 AS TEXT)", [to.as_os_str().as_encoded_bytes()]).map(drop)
}

fn place(writer: &Writer, part: &Path, path: &Path) -> Result<(), MbtilesError> {
    writer.still_there()?;
    // Beside the copy it would be taken for the copy's.
    let journal = writer.base.file.pragma_update_and_check(None, "journal_mode", "DELETE", |_| Ok(()));
    journal.map_err(|error| writer.base.wrong(error))?;
    let place = || {
        File::open(part)?.sync_all()?;
        fs::rename(part, path)?;
        sync_folder(path)
    };
    place().map_err(|error| MbtilesError::io(path, error))
}
