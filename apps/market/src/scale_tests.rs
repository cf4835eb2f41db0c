use proptest::prelude::*;

use super::*;

#[test]
fn numbers_are_written_as_short_as_it_gets() {
    for (number, places, text) in
        [(3528, 4, "0.3528"), (35_280_000, 8, "0.3528"), (-120, 2, "-1.2"), (5, 0, "5"), (500, 2, "5"), (0, 8, "0")]
    {
        assert_eq!(decimal(number, places), text);
    }
}

#[test]
fn a_number_finer_than_the_tick_is_counted_in_as_many_places_as_it_needs() {
    let cents = Scale { price: 2, quantity: 0 };
    let read = |price, quantity| fit(cents, Decimal::parse(price).unwrap(), Decimal::parse(quantity).unwrap());

    assert_eq!(read("1.50000000", "500000000000.0"), Ok((150, 500_000_000_000, cents)));
    assert_eq!(read("1.501", "7.5"), Ok((1501, 75, Scale { price: 3, quantity: 1 })));
    assert_eq!(read("92233720368547759", "1"), Err(DecimalError::TooLarge));
}

proptest! {
    #[test]
    fn no_scale_changes_a_number(price in 1..i64::MAX, quantity in 1..i64::MAX, at in 0..12_u8, step in 0..12_u8) {
        let text = decimal(price, 8);
        let read = fit(Scale { price: at, quantity: step }, Decimal::parse(&text).unwrap(), Decimal::parse(&decimal(quantity, 8)).unwrap());

        let Ok((small, many, scale)) = read else { return Ok(()) };
        prop_assert_eq!(decimal(small, scale.price), text);
        prop_assert_eq!(decimal(many, scale.quantity), decimal(quantity, 8));
        prop_assert!(scale.price >= at && scale.quantity >= step);
    }
}
