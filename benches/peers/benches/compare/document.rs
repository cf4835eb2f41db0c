//! Puts the figures into `docs/benchmarks.md`; what is written around them stays.

use std::{fs, path::Path};

use crate::Result;

const BEGIN: &str = "<!-- figures: written by `cargo bench -- --write` -->\n";
const END: &str = "\n<!-- end of the figures -->";

/// Replaces what stands between the two marks.
///
/// # Errors
///
/// If the document or one of its marks is missing, or it cannot be written.
pub(crate) fn replace_figures(figures: &str) -> Result {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/benchmarks.md");
    let text = fs::read_to_string(&path)?;
    let missing = |mark: &str| format!("docs/benchmarks.md has no line {}", mark.trim());
    let (before, rest) = text.split_once(BEGIN).ok_or_else(|| missing(BEGIN))?;
    let (_, after) = rest.split_once(END).ok_or_else(|| missing(END))?;
    Ok(fs::write(&path, format!("{before}{BEGIN}\n{figures}\n{END}{after}"))?)
}
