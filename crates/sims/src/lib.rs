//! Simulators of the services that the programs of this workspace talk to, so that everything runs offline.
//!
//! - [`exchange`]: a market that speaks Binance spot's WebSocket and REST, from a recording or from a seed.
//! - [`tiles`]: a tile server whose every tile is made from its coordinates, and whose every fault is in a script.
//! - [`terminal`]: a person at a terminal.
//!
//! A simulator is a real server on a real port of the loopback interface, started in-process by a test or as a program of its own. It
//! keeps the truth about everything it sent, so that a test can compare every value the program under test has stored. It shares no code
//! with the programs it serves: the wire format is written twice on purpose, so that one mistake cannot cancel out another.

pub mod exchange;
pub mod terminal;
pub mod tiles;
mod tls;
