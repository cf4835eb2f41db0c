//! Map tiles, every one made from its coordinates, so that every byte stored can be compared.

mod chance;
mod make;
mod tile;
mod which;
mod world;

pub use self::{
    make::{make, ocean},
    tile::{DEEPEST, Format, NoTile, Tile},
    which::Which,
    world::{Absence, Content, Truth, World},
};
