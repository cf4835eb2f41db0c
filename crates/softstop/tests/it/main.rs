//! The library from outside: the async shell on a paused clock, and real processes in `process`.

#![expect(clippy::disallowed_methods, reason = "a test stands outside of every scope")]
#![expect(clippy::unwrap_used, reason = "in a test a panic is the failure")]

mod architecture;
mod budgets;
#[cfg(feature = "serde")]
mod config;
mod drain;
#[cfg(feature = "testing")]
mod examples;
mod found;
mod health;
mod hooks;
#[cfg(feature = "testing")]
mod kitchen;
mod ledger;
#[cfg(feature = "metrics")]
mod metrics;
mod nested;
mod observe;
mod order;
mod process;
mod races;
mod report;
mod starts;
mod support;
#[cfg(feature = "testing")]
mod sweep;
mod tasks;
#[cfg(feature = "tracing")]
mod trace;
