use proptest::prelude::*;

use super::*;

#[test]
fn equal_numbers_are_equal_values_and_shown_as_short_as_it_gets() {
    for (text, shown, places) in [
        ("0.35280000", "0.3528", 4),
        ("117345.67000000", "117345.67", 2),
        ("58.00000000", "58", 0),
        ("10", "10", 0),
        ("0.00000001", "0.00000001", 8),
        ("0.00000000", "0", 0),
        ("9223372036854775807", "9223372036854775807", 0),
        ("9.223372036854775807000", "9.223372036854775807", 18),
    ] {
        let decimal = Decimal::parse(text).unwrap();
        assert_eq!((decimal.to_string().as_str(), decimal.places()), (shown, places));
        assert_eq!(Decimal::parse(shown), Ok(decimal));
    }
}

#[test]
fn what_cannot_be_kept_exactly_says_why() {
    for (text, error) in [
        ("", DecimalError::NoDigits),
        (".5", DecimalError::NoDigits),
        ("5.", DecimalError::NoDigits),
        ("-1", DecimalError::Sign),
        ("+1", DecimalError::Sign),
        ("1e5", DecimalError::Exponent),
        ("1.5E-5", DecimalError::Exponent),
        ("1,5", DecimalError::NotADigit),
        ("1.2.3", DecimalError::NotADigit),
        (" 1", DecimalError::NotADigit),
        ("１", DecimalError::NotADigit),
        ("NaN", DecimalError::NotADigit),
        ("9223372036854775808", DecimalError::TooLarge),
        ("92233720368547758.08", DecimalError::TooLarge),
        ("0.0000000000000000001", DecimalError::TooFine),
    ] {
        assert_eq!(Decimal::parse(text), Err(error), "{text}");
    }
    let million_digits = "9".repeat(1_000_000);
    assert_eq!(Decimal::parse(&million_digits), Err(DecimalError::TooLarge));
}

#[test]
fn it_is_counted_in_the_units_that_are_asked_for() {
    let decimal = Decimal::parse("117345.67").unwrap();

    assert_eq!(decimal.at(2), Ok(11_734_567));
    assert_eq!(decimal.at(8), Ok(11_734_567_000_000));
    assert_eq!(decimal.at(1), Err(DecimalError::TooFine));
    assert_eq!(decimal.at(18), Err(DecimalError::TooLarge));
    assert_eq!(decimal.at(255), Err(DecimalError::TooLarge));
    // A whole number too large for eight places fits where the step size is 1.
    assert_eq!(Decimal::parse("500000000000.00000000").unwrap().at(0), Ok(500_000_000_000));
}

proptest! {
    #[test]
    fn nothing_is_lost_on_the_way(units in 0..i64::MAX, places in 0..=MOST_PLACES, zeros in 0_usize..30) {
        let one = POWERS[usize::from(places)];
        let text = match usize::from(places) {
            0 => units.to_string(),
            width => format!("{}.{:0width$}{}", units / one, units % one, "0".repeat(zeros)),
        };

        let decimal = Decimal::parse(&text).unwrap();

        prop_assert_eq!(decimal.at(places), Ok(units));
        prop_assert_eq!(Decimal::parse(&decimal.to_string()), Ok(decimal));
    }

    #[test]
    fn no_text_makes_it_panic(text in "[0-9.eE+\\-]{0,40}|\\PC{0,20}") {
        let _ = Decimal::parse(&text);
    }
}
