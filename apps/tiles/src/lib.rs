//! All map tiles of an area in one file: nothing is asked for twice and nothing is lost, however it stops.
//!
//! Modules in reading order: [`hilbert`] numbers the tiles of a zoom level, [`grid`] knows where they lie; [`area`] is what is wanted,
//! [`ids`] a set of tiles that are there, [`cover`] the difference.

pub mod area;
pub mod cover;
pub mod grid;
pub mod hilbert;
pub mod ids;
