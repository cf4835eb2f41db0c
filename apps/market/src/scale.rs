//! Numbers as integers: in how many decimal places a symbol's prices and quantities are counted. Pure.

use crate::wire::{Decimal, DecimalError, MOST_PLACES, Scale};

/// The finer one of each kind.
pub(crate) fn finer(one: Scale, other: Scale) -> Scale {
    Scale { price: one.price.max(other.price), quantity: one.quantity.max(other.quantity) }
}

/// A price and a quantity in this scale; where they have more places than the symbol's tick and step say, in as many as they need.
#[inline]
pub(crate) fn fit(scale: Scale, price: Decimal, quantity: Decimal) -> Result<(i64, i64, Scale), DecimalError> {
    let scale = finer(scale, Scale { price: price.places(), quantity: quantity.places() });
    Ok((price.at(scale.price)?, quantity.at(scale.quantity)?, scale))
}

/// 10ᵖˡᵃᶜᵉˢ; `None` where it does not fit.
pub(crate) fn power(places: u8) -> Option<i64> {
    (places <= MOST_PLACES).then(|| 10_i64.pow(u32::from(places)))
}

/// Counts in finer units, exactly; `None` where the number does not fit.
pub(crate) fn refine(number: i64, from: u8, to: u8) -> Option<i64> {
    number.checked_mul(power(to.checked_sub(from)?)?)
}

/// Writes a number as people do: `3528` with four places as `0.3528`.
pub fn decimal(number: i64, places: u8) -> String {
    let (sign, number) = (if number < 0 { "-" } else { "" }, number.unsigned_abs());
    let one = power(places).unwrap_or(i64::MAX).unsigned_abs();
    let (whole, rest, width) = (number / one, number % one, usize::from(places));
    if rest == 0 {
        return format!("{sign}{whole}");
    }
    format!("{sign}{whole}.{rest:0width$}").trim_end_matches('0').to_owned()
}

#[cfg(test)]
#[path = "scale_tests.rs"]
mod tests;
