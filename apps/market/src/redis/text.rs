//! The texts that Redis and the files beside it hold, byte for byte as Python's `json.dumps` of the collector that `market` replaces
//! writes them. Pure.

use std::fmt::Write as _;

use super::levels::Merged;
use crate::store::Snapshot;

/// Below this many, every number of so many digits is the shortest text of the float nearest to it: no float has to be made.
const EXACT: u128 = 1_000_000_000_000_000;

/// The list's entry for a minute that begins `at`; its levels from the lowest price to the highest.
pub(super) fn minute(at: &str, levels: &[Merged], price_places: u8, quantity_places: u8) -> String {
    let mut text = String::with_capacity(48 + levels.len() * 176);
    let _ = write!(text, r#"{{"timestamp": "{at}", "price_levels": {{"#);
    for (nth, level) in levels.iter().enumerate() {
        text.push_str(if nth == 0 { "\"" } else { ", \"" });
        decimal(&mut text, level.price, price_places);
        let volumes = [
            ("\": {\"price_level\": ", level.price, price_places),
            (", \"buy_volume\": ", level.buy, quantity_places),
            (", \"sell_volume\": ", level.sell, quantity_places),
            (", \"total_volume\": ", level.buy + level.sell, quantity_places),
            (", \"delta\": ", level.buy - level.sell, quantity_places),
        ];
        for (key, number, places) in volumes {
            text.push_str(key);
            float(&mut text, number, places);
        }
        let _ = write!(text, ", \"trade_count\": {}}}", level.trades);
    }
    text.push_str("}}");
    text
}

/// A snapshot of the book as it stands in the file, at most so many levels of each side.
///
/// # Errors
/// Its sides are not what the table's description says.
pub(super) fn snapshot(symbol: &str, of: &Snapshot, limit: usize) -> serde_json::Result<String> {
    let side = |json: &str| -> serde_json::Result<Vec<(i64, i64)>> {
        let mut side: Vec<(i64, i64)> = serde_json::from_str(json)?;
        side.truncate(limit);
        Ok(side)
    };
    let (bids, asks) = (side(&of.bids)?, side(&of.asks)?);
    // Python leaves out microseconds that are 0.
    let at = match of.time_ms.rem_euclid(1000) {
        0 => of.second.clone(),
        ms => format!("{}.{ms:03}000", of.second),
    };
    Ok(depth(symbol, &at, [&bids, &asks], [of.scale.price, of.scale.quantity]))
}

/// Prices and quantities in units of 10⁻ᵖˡᵃᶜᵉˢ, best first.
fn depth(symbol: &str, at: &str, sides: [&[(i64, i64)]; 2], places: [u8; 2]) -> String {
    let mut text = String::with_capacity(64 + (sides[0].len() + sides[1].len()) * 28);
    let _ = write!(text, r#"{{"symbol": "{symbol}", "timestamp": "{at}""#);
    for (name, side) in ["bids", "asks"].into_iter().zip(sides) {
        let _ = write!(text, r#", "{name}": ["#);
        for (nth, (price, quantity)) in side.iter().enumerate() {
            text.push_str(if nth == 0 { "[" } else { ", [" });
            float(&mut text, i128::from(*price), places[0]);
            text.push_str(", ");
            float(&mut text, i128::from(*quantity), places[1]);
            text.push(']');
        }
        text.push(']');
    }
    text.push('}');
    text
}

/// `number` × 10⁻ᵖˡᵃᶜᵉˢ as Python writes `float` of it: the shortest text that is read as the same float.
pub(super) fn float(text: &mut String, number: i128, places: u8) {
    let (digits, point) = shortest(number.unsigned_abs(), places);
    if number < 0 {
        text.push('-');
    }
    let length = digits.len() as i32;
    match point {
        // 0.001
        -3..=0 => {
            text.push_str("0.");
            zeros(text, -point);
            text.push_str(&digits);
        }
        // 12.5
        1..=16 if point < length => {
            let (whole, rest) = digits.split_at(point as usize);
            let _ = write!(text, "{whole}.{rest}");
        }
        // 1200.0
        1..=16 => {
            text.push_str(&digits);
            zeros(text, point - length);
            text.push_str(".0");
        }
        // 1.25e-05
        _ => {
            let (first, rest) = digits.split_at(1);
            let dot = if rest.is_empty() { "" } else { "." };
            let exponent = point - 1;
            let sign = if exponent < 0 { '-' } else { '+' };
            let _ = write!(text, "{first}{dot}{rest}e{sign}{:02}", exponent.unsigned_abs());
        }
    }
}

/// Digits without zeros at their end, and where the point is: the number is 0.digits × 10ᵖᵒⁱⁿᵗ.
fn shortest(number: u128, places: u8) -> (String, i32) {
    if number == 0 {
        return ("0".to_owned(), 1);
    }
    if number < EXACT {
        let mut digits = (number as u64).to_string();
        let point = digits.len() as i32 - i32::from(places);
        digits.truncate(digits.trim_end_matches('0').len());
        return (digits, point);
    }
    // Correctly rounded by the standard library, as by Python.
    let nearest: f64 = format!("{number}e-{places}").parse().unwrap_or(f64::INFINITY);
    let mut written = format!("{nearest:e}");
    // Of two texts as short and as near Python takes the even one.
    let even = format!("{nearest:.*e}", digits_in(&written).saturating_sub(1));
    if even.parse() == Ok(nearest) {
        written = even;
    }
    let (digits, exponent) = written.split_once('e').unwrap_or((&written, "0"));
    (digits.replace('.', ""), exponent.parse::<i32>().unwrap_or(0) + 1)
}

/// Before the exponent.
fn digits_in(written: &str) -> usize {
    written.bytes().take_while(|byte| *byte != b'e').filter(u8::is_ascii_digit).count()
}

fn zeros(text: &mut String, count: i32) {
    (0..count).for_each(|_| text.push('0'));
}

/// `number` × 10⁻ᵖˡᵃᶜᵉˢ, not negative, as Python writes a `Decimal` of so many places.
pub(super) fn decimal(text: &mut String, number: i128, places: u8) {
    let digits = number.to_string();
    let places = usize::from(places);
    // The power of ten of the first digit; below 10⁻⁶ it is written with an exponent.
    let first = digits.len() as i32 - 1 - places as i32;
    if places == 0 {
        text.push_str(&digits);
    } else if first >= -6 {
        let _ = match digits.len().checked_sub(places) {
            Some(whole) if whole > 0 => write!(text, "{}.{}", &digits[..whole], &digits[whole..]),
            _ => write!(text, "0.{digits:0>places$}"),
        };
    } else {
        let (lead, rest) = digits.split_at(1);
        let dot = if rest.is_empty() { "" } else { "." };
        let _ = write!(text, "{lead}{dot}{rest}E{first}");
    }
}

/// The same JSON over many lines, as `json.dumps(…, indent=2)` writes it.
pub(super) fn indented(json: &str) -> String {
    let mut text = String::with_capacity(json.len() * 2);
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    let mut left = json.chars().peekable();
    let line = |text: &mut String, depth: usize| {
        text.push('\n');
        (0..depth).for_each(|_| text.push_str("  "));
    };
    while let Some(c) = left.next() {
        if quoted {
            (quoted, escaped) = (escaped || c != '"', !escaped && c == '\\');
            text.push(c);
            continue;
        }
        match c {
            c if c.is_ascii_whitespace() => {}
            '{' | '[' => {
                while left.next_if(|next| next.is_ascii_whitespace()).is_some() {}
                text.push(c);
                if let Some(end) = left.next_if(|next| "}]".contains(*next)) {
                    text.push(end);
                } else {
                    depth += 1;
                    line(&mut text, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(&mut text, depth);
                text.push(c);
            }
            ',' => {
                text.push(c);
                line(&mut text, depth);
            }
            ':' => text.push_str(": "),
            c => {
                quoted = c == '"';
                text.push(c);
            }
        }
    }
    text
}

#[cfg(test)]
#[path = "text_tests.rs"]
mod tests;
