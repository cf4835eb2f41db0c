//! A job that blocks its thread, with a flag to look at between two pieces of work.
//!
//! Run it: `cargo run --example 05_blocking`. Press Ctrl+C: the job returns after its piece.
//! Run it with `stubborn` after the name: the job never looks. It has its second of grace, is
//! reported as stuck, and the process leaves without it, status 82.

use std::{process::ExitCode, time::Duration};

use softstop::{Result, Service};

fn main() -> ExitCode {
    let stubborn = std::env::args().any(|argument| argument == "stubborn");
    softstop::main(|s| service(s, stubborn))
}

pub(crate) fn service(s: &mut Service, stubborn: bool) -> Result {
    let job = s.component("job", (), async move |scope, ()| {
        scope.spawn_blocking("count", move |flag| {
            let mut primes = 0_u64;
            for n in 2_u64.. {
                if !stubborn {
                    flag.check()?;
                }
                primes += u64::from((2..n).take_while(|d| d * d <= n).all(|d| n % d != 0));
            }
            Ok(primes)
        });
        Ok(())
    });
    s.options(job).cancel(Duration::from_secs(1));
    Ok(())
}
