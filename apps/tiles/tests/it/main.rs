//! `tiles` against the simulated tile server: what is in the file equals the truth of the server, byte by byte.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may stop at the first surprise, and prints its seed; clippy.toml does not reach the helpers of tests/"
)]

mod faults;
mod files;
mod memory;
mod mutated;
mod program;
mod stops;
mod sweep;
mod terminal;

use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);

/// splitmix64, for moments that a failing test can repeat.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}
