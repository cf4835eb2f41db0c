//! Real processes and real signals.

mod process;
mod support;
