//! Prices as the list in Redis has them: rounded half up to the multiples of a precision. Pure.

use crate::{
    minutes::Level,
    scale::power,
    wire::{Decimal, Scale},
};

/// What was traded at prices that round to the same one. Sums of sums: wider than what they are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Merged {
    /// In units of [`Rounding::places`].
    pub(super) price: i128,
    /// In units of the minute's quantities.
    pub(super) buy: i128,
    pub(super) sell: i128,
    /// Single trades.
    pub(super) trades: i128,
}

/// To which prices others are rounded.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rounding {
    unit: i128,
    pub(super) places: u8,
}

impl Rounding {
    /// To multiples of `precision`; one of 0 counts as 1.
    pub(super) fn to(precision: Decimal) -> Self {
        let precision = if precision.is_zero() { Decimal::ONE } else { precision };
        let places = precision.places();
        Self { unit: precision.at(places).map_or(1, i128::from), places }
    }

    /// The levels of a minute, which stand in the order of their prices.
    pub(super) fn merge(self, levels: &[(i64, Level)], scale: Scale) -> Vec<Merged> {
        let mut merged: Vec<Merged> = Vec::with_capacity(levels.len());
        for (price, level) in levels {
            let price = self.round(*price, scale.price);
            let [buy, sell, trades] = [level.buy, level.sell, level.trades].map(i128::from);
            match merged.last_mut() {
                Some(last) if last.price == price => {
                    (last.buy, last.sell, last.trades) = (last.buy + buy, last.sell + sell, last.trades + trades);
                }
                _ => merged.push(Merged { price, buy, sell, trades }),
            }
        }
        merged
    }

    fn round(self, price: i64, places: u8) -> i128 {
        let finest = places.max(self.places);
        // Neither is above 10¹⁸, and their product with a price is far below what fits.
        let in_finest = |number: i128, places: u8| number * i128::from(power(finest - places).unwrap_or(1));
        let (price, unit) = (in_finest(i128::from(price), places), in_finest(self.unit, self.places));
        (2 * price + unit).div_euclid(2 * unit) * self.unit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rounded(precision: &str, prices: &[&str]) -> Vec<i128> {
        let rounding = Rounding::to(Decimal::parse(precision).unwrap());
        let round = |price: &&str| {
            let price = Decimal::parse(price).unwrap();
            rounding.round(price.at(price.places()).unwrap(), price.places())
        };
        prices.iter().map(round).collect()
    }

    #[test]
    fn prices_are_rounded_half_up_to_multiples_of_the_precision() {
        assert_eq!(rounded("1", &["117345.49999999", "117345.5", "0.35", "7"]), [117_345, 117_346, 0, 7]);
        assert_eq!(rounded("0.01", &["0.3", "0.305", "0.3049"]), [30, 31, 30]);
        assert_eq!(rounded("0.5", &["10.24", "10.25", "10.75"]), [100, 105, 110]);
        assert_eq!(rounded("10", &["14.999", "15", "94"]), [10, 20, 90]);
        assert_eq!(rounded("0.00000001", &["0.00000073"]), [73]);
        let (largest, finest) = ("9223372036854775807", "0.000000000000000001");
        assert_eq!(rounded(finest, &[largest]), [i128::from(i64::MAX) * 10_i128.pow(18)]);
    }

    #[test]
    fn levels_that_round_to_one_price_are_added_up() {
        let level = |buy, sell, trades| Level { buy, sell, trades };
        let levels = [(1049, level(i64::MAX, 0, 1)), (1050, level(5, 6, 2)), (1149, level(i64::MAX, 7, 3))];

        let merged = Rounding::to(Decimal::ONE).merge(&levels, Scale { price: 2, quantity: 3 });

        let most = i128::from(i64::MAX);
        assert_eq!(
            merged,
            [
                Merged { price: 10, buy: most, sell: 0, trades: 1 },
                Merged { price: 11, buy: most + 5, sell: 13, trades: 5 }
            ]
        );
    }
}
