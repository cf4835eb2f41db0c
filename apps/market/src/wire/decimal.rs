//! Decimals as the exchange writes them, kept exactly as integers.

use std::fmt;

/// The most places a decimal can have: 10¹⁸ is the largest power of ten in an `i64`.
pub const MOST_PLACES: u8 = 18;

const POWERS: [i64; MOST_PLACES as usize + 1] = {
    let mut powers = [1; MOST_PLACES as usize + 1];
    let mut at = 1;
    while at < powers.len() {
        powers[at] = powers[at - 1] * 10;
        at += 1;
    }
    powers
};

/// A decimal that is not negative: `mantissa` × 10⁻ᵖˡᵃᶜᵉˢ, without zeros at its end, so that equal numbers are equal values.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Decimal {
    mantissa: i64,
    places: u8,
}

/// Why a text is no decimal that can be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecimalError {
    /// Nothing, or nothing on one side of the point.
    NoDigits,
    /// `+` or `-`.
    Sign,
    /// `1e-5`.
    Exponent,
    /// Something else that is no digit.
    NotADigit,
    /// More than `i64` holds.
    TooLarge,
    /// More places than are kept.
    TooFine,
}

impl fmt::Display for DecimalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoDigits => "it has no digits, or none on one side of the point",
            Self::Sign => "it has a sign",
            Self::Exponent => "it has an exponent",
            Self::NotADigit => "it is not made of digits and one point",
            Self::TooLarge => "it is too large to be kept exactly",
            Self::TooFine => "it has more places than are kept",
        })
    }
}

impl std::error::Error for DecimalError {}

impl Decimal {
    /// 1.
    pub const ONE: Self = Self { mantissa: 1, places: 0 };

    /// Reads a text such as `0.35280000`.
    ///
    /// # Errors
    /// It is something else, or has too many digits.
    pub fn parse(text: &str) -> Result<Self, DecimalError> {
        let bytes = text.as_bytes();
        match Self::prefix(bytes)? {
            (decimal, length) if length == bytes.len() => Ok(decimal),
            (_, length) => Err(no_digit(bytes[length])),
        }
    }

    /// Reads the decimal at the beginning of `bytes`, and how many of them it takes.
    #[inline]
    pub(super) fn prefix(bytes: &[u8]) -> Result<(Self, usize), DecimalError> {
        let mut decimal = Self::default();
        let whole = digits(bytes, |digit| decimal.push(digit, 1))?;
        if bytes.get(whole) != Some(&b'.') {
            return Ok((decimal, whole));
        }
        // Zeros count only when another digit follows them.
        let mut places = 0;
        let fraction = digits(&bytes[whole + 1..], |digit| {
            places += 1;
            if digit == 0 {
                return Ok(());
            }
            if places > usize::from(MOST_PLACES) {
                return Err(DecimalError::TooFine);
            }
            let more = places - usize::from(decimal.places);
            decimal.places = places as u8;
            decimal.push(digit, more)
        })?;
        Ok((decimal, whole + 1 + fraction))
    }

    /// Appends a digit after `places - 1` zeros; the places that have been counted are not changed.
    #[inline]
    fn push(&mut self, digit: u8, places: usize) -> Result<(), DecimalError> {
        let larger = self.mantissa.checked_mul(POWERS[places]).and_then(|more| more.checked_add(i64::from(digit)));
        self.mantissa = larger.ok_or(DecimalError::TooLarge)?;
        Ok(())
    }

    /// The number in units of 10⁻ᵖˡᵃᶜᵉˢ, exactly.
    ///
    /// # Errors
    /// It has more places, or is too large for them.
    #[inline]
    pub fn at(self, places: u8) -> Result<i64, DecimalError> {
        let more = places.checked_sub(self.places).ok_or(DecimalError::TooFine)?;
        let power = POWERS.get(usize::from(more)).ok_or(DecimalError::TooLarge)?;
        self.mantissa.checked_mul(*power).ok_or(DecimalError::TooLarge)
    }

    /// How many places it needs; those of a tick or a step are the places in which its multiples are counted.
    pub fn places(self) -> u8 {
        self.places
    }

    /// Whether it is 0.
    pub fn is_zero(self) -> bool {
        self.mantissa == 0
    }
}

impl fmt::Display for Decimal {
    /// As short as it gets: `0.3528`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let one = POWERS[usize::from(self.places)];
        match usize::from(self.places) {
            0 => write!(f, "{}", self.mantissa),
            places => write!(f, "{}.{:0places$}", self.mantissa / one, self.mantissa % one),
        }
    }
}

/// Hands over the digits at the beginning, at least one; how many there were.
#[inline]
fn digits(bytes: &[u8], mut take: impl FnMut(u8) -> Result<(), DecimalError>) -> Result<usize, DecimalError> {
    let mut length = 0;
    while let Some(digit) = bytes.get(length).map(|byte| byte.wrapping_sub(b'0')).filter(|digit| *digit < 10) {
        take(digit)?;
        length += 1;
    }
    match (length, bytes.first()) {
        (0, Some(byte)) if *byte != b'.' => Err(no_digit(*byte)),
        (0, _) => Err(DecimalError::NoDigits),
        _ => Ok(length),
    }
}

fn no_digit(byte: u8) -> DecimalError {
    match byte {
        b'+' | b'-' => DecimalError::Sign,
        b'e' | b'E' => DecimalError::Exponent,
        _ => DecimalError::NotADigit,
    }
}

#[cfg(test)]
#[path = "decimal_tests.rs"]
mod tests;
