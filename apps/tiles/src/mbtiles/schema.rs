//! How the tables of a file are laid out.

use std::fmt;

use rusqlite::Connection;

/// The layouts that are in use. All of them have `metadata`, and `tiles` as a table or a view.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Schema {
    /// `tiles` is a table.
    #[default]
    Flat,
    /// `tiles_shallow` has a number for each tile, `tiles_data` the bodies, each once (Planetiler's). Written as well.
    Dedup,
    /// `tiles_with_hash` has a hash besides each body. Read only.
    FlatWithHash,
    /// `map` has a text for each tile, `images` the bodies, each once. Read only.
    Normalized,
    /// `tiles` is a view of something else. Read only.
    Other,
}

impl fmt::Display for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Flat => "flat",
            Self::Dedup => "dedup",
            Self::FlatWithHash => "flat-with-hash",
            Self::Normalized => "normalized",
            Self::Other => "of another kind",
        })
    }
}

impl Schema {
    /// The layout of a file; none where there is no `tiles`.
    pub(super) fn find(file: &Connection) -> rusqlite::Result<Option<Self>> {
        let kind = |name: &str| {
            let mut query =
                file.prepare("SELECT type FROM sqlite_schema WHERE name = ?1 AND type IN ('table', 'view')")?;
            let mut rows = query.query([name])?;
            rows.next()?.map(|row| row.get::<_, String>(0)).transpose()
        };
        let has = |name| kind(name).map(|kind| kind.is_some());
        Ok(match kind("tiles")?.as_deref() {
            None => None,
            Some("table") => Some(Self::Flat),
            Some(_) if has("tiles_shallow")? && has("tiles_data")? => Some(Self::Dedup),
            Some(_) if has("tiles_with_hash")? => Some(Self::FlatWithHash),
            Some(_) if has("map")? && has("images")? => Some(Self::Normalized),
            Some(_) => Some(Self::Other),
        })
    }

    /// The statements that make the tables of a new file.
    pub(super) fn create(self) -> &'static str {
        match self {
            Self::Dedup => DEDUP,
            _ => FLAT,
        }
    }

    /// Whether this program writes it.
    pub fn is_written(self) -> bool {
        matches!(self, Self::Flat | Self::Dedup)
    }

    /// The table or view with zoom, column and row of each tile and as little else as possible.
    pub(super) fn keys(self) -> &'static str {
        match self {
            Self::Dedup => "tiles_shallow",
            Self::FlatWithHash => "tiles_with_hash",
            Self::Normalized => "map",
            Self::Flat | Self::Other => "tiles",
        }
    }
}

pub(super) const METADATA: &str = "
CREATE TABLE metadata (name text, value text);
CREATE UNIQUE INDEX name ON metadata (name);";

const FLAT: &str = "
CREATE TABLE tiles (zoom_level integer, tile_column integer, tile_row integer, tile_data blob);
CREATE UNIQUE INDEX tile_index ON tiles (zoom_level, tile_column, tile_row);";

const DEDUP: &str = "
CREATE TABLE tiles_shallow (zoom_level integer, tile_column integer, tile_row integer, tile_data_id integer,
    PRIMARY KEY (zoom_level, tile_column, tile_row)) WITHOUT ROWID;
CREATE TABLE tiles_data (tile_data_id integer PRIMARY KEY, tile_data blob);
CREATE VIEW tiles AS
    SELECT zoom_level, tile_column, tile_row, tile_data FROM tiles_shallow JOIN tiles_data USING (tile_data_id);";
