//! The simulators as their clients see them.
#![expect(
    clippy::unwrap_used,
    reason = "a test may stop at the first surprise; clippy.toml does not reach the helpers of tests/"
)]

mod exchange;
mod process;
mod tiles;
