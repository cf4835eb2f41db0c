//! Durations as text: exactly for what is read again, rounded for what people read.

use std::time::Duration;

/// The longest duration that may be written: more than any trial lasts, and far from where sums of durations overflow.
const LONGEST: f64 = 366.0 * 24.0 * 3600.0;

/// What may be written for a duration.
pub(crate) const ALLOWED: &str = "a duration such as `250ms`, `1.5s`, `2m` or `40us`";

/// Reads `40us`, `12.5ms`, `1.5s`, `2m`, `1h`; a space may stand before the unit. `None` for anything else, and for more than a year.
pub(crate) fn parse(text: &str) -> Option<Duration> {
    let text = text.trim();
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.'))?;
    let (number, unit) = text.split_at(end);
    let factor = match unit.trim_start() {
        "us" | "µs" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        _ => return None,
    };
    let seconds = number.parse::<f64>().ok()? * factor;
    // Whole microseconds, as they are written.
    (seconds <= LONGEST).then(|| Duration::from_micros((seconds * 1e6).round() as u64))
}

/// Writes it so that [`parse`] gives the same microsecond, in the largest unit without a long fraction.
pub(crate) fn exact(time: Duration) -> String {
    let us = time.as_micros();
    match us {
        0 => "0ms".to_owned(),
        _ if us < 1000 => format!("{us}us"),
        _ if us < 1_000_000 => format!("{}ms", decimal(us)),
        _ if us.is_multiple_of(1000) => format!("{}s", decimal(us / 1000)),
        _ => format!("{}ms", decimal(us)),
    }
}

/// Thousandths without trailing zeros.
fn decimal(thousandths: u128) -> String {
    let text = format!("{}.{:03}", thousandths / 1000, thousandths % 1000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// For people: three figures and a unit, `12.5 ms`.
pub(crate) fn human(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    let (value, unit) = match seconds {
        s if s >= 99.95 => return format!("{s:.0} s"),
        s if s >= 0.9995 => (s, "s"),
        s if s >= 0.000_999_5 => (s * 1e3, "ms"),
        s => return format!("{:.0} µs", s * 1e6),
    };
    let places = if value < 9.995 {
        2
    } else if value < 99.95 {
        1
    } else {
        0
    };
    let text = format!("{value:.places$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text} {unit}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_are_read_in_every_unit() {
        let read = [("40us", 40), ("12.5ms", 12_500), ("1.5 s", 1_500_000), ("2m", 120_000_000), ("0ms", 0)];
        for (text, us) in read {
            assert_eq!(parse(text), Some(Duration::from_micros(us)), "{text}");
        }
        for text in ["", "5", "ms", "1.2.3s", "-1s", "9999999h", "5 parsecs"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn people_read_three_figures() {
        let shown = [(0, "0 µs"), (999, "999 µs"), (12_540, "12.5 ms"), (100_000, "100 ms"), (999_900, "1 s")];
        for (us, text) in shown {
            assert_eq!(human(Duration::from_micros(us)), text);
        }
        assert_eq!(human(Duration::from_secs(1000)), "1000 s");
        assert_eq!(human(Duration::from_millis(1234)), "1.23 s");
    }

    proptest! {
        #[test]
        fn what_is_written_exactly_is_read_the_same(us in 0_u64..100_000_000_000) {
            let time = Duration::from_micros(us);
            prop_assert_eq!(parse(&exact(time)), Some(time));
        }
    }
}
