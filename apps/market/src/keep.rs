//! How long what was collected is kept. Pure.

use std::time::Duration;

const MINUTE_MS: i64 = 60_000;
/// Less makes no sense: trades come late, and the latest minutes are still open.
const LEAST: Duration = Duration::from_secs(300);

/// Reads how long something is to be kept, such as `30d`, `12h` or `90m`.
///
/// # Errors
/// It is none of these, or less than five minutes; the message says what to write instead.
pub fn parse(text: &str) -> Result<Duration, String> {
    let wrong = || format!("time {text:?}: write it as days, hours or minutes, such as 30d, 12h or 90m");
    let unit = text.char_indices().next_back().ok_or_else(wrong)?;
    let seconds = match unit.1 {
        'd' => 86_400,
        'h' => 3600,
        'm' => 60,
        _ => return Err(wrong()),
    };
    let number = &text[..unit.0];
    let plain = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let number: u32 = number.parse().ok().filter(|_| plain).ok_or_else(wrong)?;
    let keep = Duration::from_secs(u64::from(number) * seconds);
    if keep < LEAST { Err(format!("time {text:?}: less than 5m cannot be kept")) } else { Ok(keep) }
}

/// The beginning of the first minute that is kept, where `newest` is that of the newest one: by the exchange's clock, so that a clock that
/// is wrong here, or a collector that stood still for long, drops nothing.
pub(crate) fn floor(newest: i64, keep: Duration) -> i64 {
    let floor = newest.saturating_sub(i64::try_from(keep.as_millis()).unwrap_or(i64::MAX));
    floor - floor.rem_euclid(MINUTE_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_hours_and_minutes_are_read_and_everything_else_is_refused() {
        let minutes = |minutes: u64| Ok(Duration::from_secs(minutes * 60));
        assert_eq!([parse("30d"), parse("12h"), parse("90m"), parse("5m")], [43_200, 720, 90, 5].map(minutes));
        for wrong in ["", "d", "30", "30 d", "-1d", "+1d", "1.5h", "1w", "99999999999d", "30ö"] {
            let said = parse(wrong).unwrap_err();
            assert_eq!(said, format!("time {wrong:?}: write it as days, hours or minutes, such as 30d, 12h or 90m"));
        }
        assert_eq!(parse("4m"), Err("time \"4m\": less than 5m cannot be kept".to_owned()));
    }

    #[test]
    fn whole_minutes_are_kept() {
        assert_eq!(floor(600_000, Duration::from_secs(300)), 300_000);
        assert_eq!(floor(600_000, Duration::from_secs(301)), 240_000);
    }
}
