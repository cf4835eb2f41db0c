//! All map tiles of an area in one file: nothing is asked for twice and nothing is lost, however it stops.
//!
//! Modules in reading order:
//!
//! - What is wanted: [`hilbert`] numbers the tiles of a zoom, [`grid`] knows where they lie, [`area`] is a part of the world, [`ids`] a set
//!   of tiles that are there, [`cover`] the difference.
//! - Where from: [`template`] writes the addresses of tiles, [`source`] reads how a server describes its own, [`address`] follows
//!   redirects, [`policy`] knows what operators forbid.
//! - What comes: [`headers`] and [`check`] read an answer, [`answer`] decides what to do with it, [`pace`] how many are asked for.
//! - Where to: [`store`] has the words for what became of a tile, [`mbtiles`] is the file that keeps it, [`folder`] a folder that does;
//!   [`pmtiles`] is a file of tiles that are all there; [`convert`] makes one of another, [`takeover`] reads what the script left that this
//!   replaces; [`gzip`] packs.

pub mod address;
pub mod answer;
pub mod area;
pub mod check;
pub mod convert;
pub mod cover;
pub mod fetch;
pub mod folder;
pub mod get;
pub mod grid;
pub mod gzip;
pub mod headers;
pub mod hilbert;
pub mod ids;
pub mod job;
mod keep;
pub mod mbtiles;
pub mod net;
pub mod pace;
pub mod plan;
pub mod pmtiles;
pub mod policy;
pub mod source;
pub mod store;
pub mod takeover;
pub mod template;
pub mod words;
