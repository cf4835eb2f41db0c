//! `softstop_fleet::process`, at every level that works here.

mod contain;
mod namespaces;
mod squeeze;
mod start;
mod terminal;
mod trace;
mod watch;
