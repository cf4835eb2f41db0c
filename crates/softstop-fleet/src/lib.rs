//! Programs as processes, contained whole: how they are started and ended, and whether they stop well.
//!
//! - `process`: the only file that starts, contains and kills.
//! - [`prove`]: starts a program many times, signals it at chosen moments, and judges what it does.

pub mod prove;
