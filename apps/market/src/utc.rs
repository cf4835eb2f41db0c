//! Times as people write them, in UTC. Pure.

const DAY_S: i64 = 86_400;

/// Milliseconds since 1970 as `2021-10-12T00:28:00Z`; with milliseconds where there are any. The form is that of ISO 8601.
pub fn iso(time_ms: i64) -> String {
    let (seconds, ms) = (time_ms.div_euclid(1000), time_ms.rem_euclid(1000));
    let (day, second) = (seconds.div_euclid(DAY_S), seconds.rem_euclid(DAY_S));
    let (year, month, of_month) = date(day);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let part = if ms == 0 { String::new() } else { format!(".{ms:03}") };
    format!("{year:04}-{month:02}-{of_month:02}T{hour:02}:{minute:02}:{second:02}{part}Z")
}

/// Reads `2021-10-12`, `2021-10-12T00:28` or `2021-10-12T00:28:30`, with a space for the `T` and with or without a `Z`; in UTC. In
/// milliseconds since 1970.
///
/// # Errors
/// It is none of these, or a day that does not exist; the message says what to write instead.
pub fn parse(text: &str) -> Result<i64, String> {
    let wrong = || format!("time {text:?}: write it as 2021-10-12, 2021-10-12T00:28 or 2021-10-12T00:28:30, in UTC");
    let plain = text.strip_suffix(['Z', 'z']).unwrap_or(text);
    let (date_part, time_part) = plain.split_once(['T', 't', ' ']).unwrap_or((plain, "00:00"));
    let numbers = |part: &str, separator: char, lengths: &[usize]| -> Option<Vec<i64>> {
        let parts: Vec<&str> = part.split(separator).collect();
        let fits = parts.len() <= lengths.len()
            && parts.iter().zip(lengths).all(|(part, length)| part.len() == *length)
            && parts.iter().all(|part| part.bytes().all(|byte| byte.is_ascii_digit()));
        fits.then(|| parts.iter().filter_map(|part| part.parse().ok()).collect())
    };
    let date_numbers = numbers(date_part, '-', &[4, 2, 2]).ok_or_else(wrong)?;
    let time_numbers = numbers(time_part, ':', &[2, 2, 2]).ok_or_else(wrong)?;
    let &[year, month, of_month] = date_numbers.as_slice() else { return Err(wrong()) };
    let (hour, minute, second) = match *time_numbers.as_slice() {
        [hour, minute] => (hour, minute, 0),
        [hour, minute, second] => (hour, minute, second),
        _ => return Err(wrong()),
    };
    let day = day(year, month, of_month);
    if date(day) != (year, month, of_month) || hour > 23 || minute > 59 || second > 59 {
        return Err(wrong());
    }
    Ok((day * DAY_S + hour * 3600 + minute * 60 + second) * 1000)
}

/// Days since 1970 as year, month and day. Years begin in March here, so that the odd day is the last one; after Howard Hinnant's
/// `civil_from_days`.
fn date(day: i64) -> (i64, i64, i64) {
    let shifted = day + 719_468;
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let march = (5 * of_year + 2) / 153;
    let month = if march < 10 { march + 3 } else { march - 9 };
    (year + era * 400 + i64::from(month <= 2), month, of_year - (153 * march + 2) / 5 + 1)
}

/// The way back.
fn day(year: i64, month: i64, of_month: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let march = if month > 2 { month - 3 } else { month + 9 };
    let of_year = (153 * march + 2) / 5 + of_month - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_and_read_as_sqlite_does() {
        let sqlite = rusqlite::Connection::open_in_memory().unwrap();
        let says = "SELECT strftime('%Y-%m-%dT%H:%M:%SZ', ?1, 'unixepoch')";
        for n in 0..40_000_i64 {
            let seconds = n * 7_777_777 % (4 * 365 * DAY_S * 30) - 10 * 365 * DAY_S;
            let theirs: String = sqlite.query_row(says, [seconds], |row| row.get(0)).unwrap();
            assert_eq!(iso(seconds * 1000), theirs);
            assert_eq!(parse(&theirs), Ok(seconds * 1000));
        }
        assert_eq!(iso(1_633_998_480_007), "2021-10-12T00:28:00.007Z");
    }

    #[test]
    fn a_time_may_be_short_and_a_wrong_one_is_named() {
        assert_eq!(parse("2021-10-12"), Ok(1_633_996_800_000));
        assert_eq!(parse("2021-10-12 00:28"), Ok(1_633_998_480_000));
        assert_eq!(parse("2024-02-29T23:59:59"), Ok(1_709_251_199_000));
        for wrong in [
            "",
            "2021",
            "2021-10",
            "2021-02-29",
            "2021-13-01",
            "2021-10-12T",
            "2021-10-12T7",
            "2021-10-12T24:00",
            "12.10.2021",
            "2021-10-12T00:28:00+02:00",
            "+021-10-12",
        ] {
            let said = parse(wrong).unwrap_err();
            assert!(said.starts_with(&format!("time {wrong:?}: write it as 2021-10-12")), "{said}");
        }
    }
}
