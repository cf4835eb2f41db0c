//! Numbers for people. Pure.

use std::{path::Path, time::Duration};

/// `1,234,567`.
pub fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 tile`, `2,000 tiles`.
pub fn count(many: u64, noun: &str) -> String {
    format!("{} {noun}{}", number(many), if many == 1 { "" } else { "s" })
}

/// A path as it can be typed into a shell.
pub fn shown(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:,@%=".contains(c);
    if !text.is_empty() && text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

/// `999 B`, `1.2 MB`, in powers of 1,000.
pub fn bytes(bytes: u64) -> String {
    let units = ["kB", "MB", "GB", "TB"];
    let mut value = bytes as f64;
    let mut unit = "B";
    for next in units {
        if value < 999.5 {
            break;
        }
        (value, unit) = (value / 1000.0, next);
    }
    if unit == "B" || value >= 99.5 { format!("{value:.0} {unit}") } else { format!("{value:.1} {unit}") }
}

/// `0.3 s`, `0:12`, `12:34`, `3:02:01`, `12 days`.
pub fn span(span: Duration) -> String {
    // What would be rounded up to 10.0 is no longer that short.
    if span < Duration::from_millis(9_950) {
        return format!("{:.1} s", span.as_secs_f64());
    }
    let seconds = span.as_secs() + u64::from(span.subsec_millis() >= 500);
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match hours {
        0 => format!("{minutes}:{seconds:02}"),
        1..72 => format!("{hours}:{minutes:02}:{seconds:02}"),
        _ => format!("{} days", number(hours / 24)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_and_short() {
        assert_eq!([0, 999, 1_000, 357_913_941].map(number), ["0", "999", "1,000", "357,913,941"]);
        assert_eq!([0, 1, 2_000].map(|n| count(n, "tile")), ["0 tiles", "1 tile", "2,000 tiles"]);
        let sizes = [0, 999, 1_000, 12_345, 999_499, 999_999, 497_000_000, 3_579_139_410_000];
        assert_eq!(sizes.map(bytes), ["0 B", "999 B", "1.0 kB", "12.3 kB", "999 kB", "1.0 MB", "497 MB", "3.6 TB"]);
        let spans = [0, 7, 10, 754, 10_921, 1_036_800].map(|seconds| span(Duration::from_secs(seconds)));
        assert_eq!(spans, ["0.0 s", "7.0 s", "0:10", "12:34", "3:02:01", "12 days"]);
        let spans = [49, 340, 4_249, 9_949, 9_950, 59_499, 59_500].map(|ms| span(Duration::from_millis(ms)));
        assert_eq!(spans, ["0.0 s", "0.3 s", "4.2 s", "9.9 s", "0:10", "0:59", "1:00"]);
    }
}
