//! `softstop_fleet::process`, at every level that works here.

mod contain;
mod namespaces;
mod start;
mod trace;
mod watch;
