//! Programs as processes, contained whole: how they are started and ended, and whether they stop well.
//!
//! - [`process`]: the only module that starts, contains and kills.
//! - [`selftest`]: shows what that is worth on this machine.
//! - [`prove`]: starts a program many times, signals it at chosen moments, and judges what it does.

pub mod process;
pub mod prove;
pub mod selftest;

/// Makes a binary able to start programs with [`process`]: the first thing in its main function.
///
/// The library starts the running binary again to look after each program, with a first argument that nobody else uses.
/// In such a process this plays that role and never returns; in every other it returns at once, having done nothing.
///
/// ```no_run
/// use softstop_fleet::process::{Spec, start};
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     softstop_fleet::trampoline();
///
///     let running = start(&Spec::new("sleep").args(["60"]))?;
///     println!("contained by {}", running.level());
///     Ok(())
/// }
/// ```
pub fn trampoline() {
    process::trampoline::run();
    if selftest::play() || prove::play() {
        process::trampoline::leave();
    }
}
