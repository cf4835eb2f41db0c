//! Real processes and real signals.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test may stop at the first surprise, and says what it cannot try; clippy.toml does not reach the helpers"
)]

mod architecture;
mod process;
mod prove;
mod selftest;
mod support;
