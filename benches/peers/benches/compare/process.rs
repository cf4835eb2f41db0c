//! Starts the measured processes, one after the other.

use std::process::{Command, Stdio};

use crate::{Result, figures::Figures};

/// Runs the worker once and takes what it printed.
///
/// # Errors
///
/// If it fails, or prints something else than figures.
pub(crate) fn sample(arguments: &[&str]) -> Result<Figures> {
    let output = Command::new(env!("CARGO_BIN_EXE_worker")).args(arguments).stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err(format!("worker {}: {}", arguments.join(" "), output.status).into());
    }
    let line = serde_json::from_slice(&output.stdout)?;
    Figures::from_json(&line).ok_or_else(|| format!("worker {} printed no figures", arguments.join(" ")).into())
}
