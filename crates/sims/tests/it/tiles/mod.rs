//! The tile server as its clients see it.

mod client;
mod connections;
mod faults;
mod load;
mod pictures;
mod protocols;
mod routes;

use sims::tiles::{Config, Content, Fault, Format, Origin, Rule, Script, Tile, Truth};

/// The tile that most tests ask for.
const TILE: Tile = Tile { z: 12, x: 3423, y: 1763 };
const PATH: &str = "/12/3423/1763.png";

async fn origin(script: Script) -> Origin {
    Origin::start(Config { script, ..Config::default() }).await.unwrap()
}

/// An origin whose every tile is struck.
async fn struck(fault: Fault) -> Origin {
    origin(Script::new(1).rule(Rule::new(fault))).await
}

fn truth(origin: &Origin, format: Format, tile: Tile) -> Content {
    match origin.truth(format, tile) {
        Truth::There(content) => content,
        Truth::Absent(absence) => panic!("{tile} is absent: {absence:?}"),
    }
}

/// The bytes of [`PATH`].
fn png(origin: &Origin) -> Vec<u8> {
    truth(origin, Format::Png, TILE).bytes
}
