//! One trade, and numbers as the exchange writes them.

use std::fmt::Write;

/// Units in one.
const ONE: u64 = 100_000_000;

/// One aggregated trade. Prices and quantities are in units of 10⁻⁸.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trade {
    /// The aggregate's id, `a`: one more than that of the trade before.
    pub id: u64,
    /// The first of the trades in it, `f`.
    pub first: u64,
    /// The last of them, `l`; the next aggregate starts with the id after it.
    pub last: u64,
    /// When it happened, in milliseconds since 1970.
    pub time_ms: u64,
    /// The price.
    pub price: u64,
    /// How much was traded.
    pub quantity: u64,
    /// `m`: the buyer's order was waiting in the book, so the seller was the aggressive one.
    pub buyer_is_maker: bool,
}

/// One of the trades that an aggregate is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Single {
    pub(crate) id: u64,
    quantity: u64,
    of: Trade,
}

impl Trade {
    /// As in an array of `/api/v3/aggTrades`.
    pub(crate) fn to_rest(self) -> String {
        let mut text = String::with_capacity(140);
        text.push('{');
        self.push_fields(&mut text);
        text.push('}');
        text
    }

    /// As on the stream `…@aggTrade`, sent at `sent_ms`.
    pub(crate) fn to_event(self, symbol: &str, sent_ms: u64) -> String {
        let mut text = String::with_capacity(200);
        write!(text, r#"{{"e":"aggTrade","E":{sent_ms},"s":"{symbol}","#).expect("a String takes everything");
        self.push_fields(&mut text);
        text.push('}');
        text
    }

    fn push_fields(self, text: &mut String) {
        let Self { id, first, last, time_ms, buyer_is_maker, .. } = self;
        let mut write = |part: std::fmt::Arguments<'_>| text.write_fmt(part).expect("a String takes everything");
        write(format_args!(r#""a":{id},"p":""#));
        push_decimal(text, self.price);
        text.push_str(r#"","q":""#);
        push_decimal(text, self.quantity);
        let mut write = |part: std::fmt::Arguments<'_>| text.write_fmt(part).expect("a String takes everything");
        write(format_args!(r#"","f":{first},"l":{last},"T":{time_ms},"m":{buyer_is_maker},"M":true"#));
    }

    /// How many trades it is made of.
    pub(crate) fn singles_count(self) -> u64 {
        self.last - self.first + 1
    }

    /// What it is made of: equal parts of the quantity, what is left over in the last.
    pub(crate) fn singles(self) -> impl Iterator<Item = Single> {
        let count = self.singles_count();
        let part = self.quantity / count / 1000 * 1000;
        (self.first..=self.last).map(move |id| {
            let quantity = if id == self.last { self.quantity - part * (count - 1) } else { part };
            Single { id, quantity, of: self }
        })
    }
}

impl Single {
    /// As in an array of `/api/v3/historicalTrades`.
    pub(crate) fn to_rest(self) -> String {
        let Self { id, quantity, of } = self;
        let (price, qty, quote) = (decimal(of.price), decimal(quantity), quote_decimal(quote(of.price, quantity)));
        let (time, maker) = (of.time_ms, of.buyer_is_maker);
        format!(
            r#"{{"id":{id},"price":"{price}","qty":"{qty}","quoteQty":"{quote}","time":{time},"isBuyerMaker":{maker},"isBestMatch":true}}"#
        )
    }

    /// As on the stream `…@trade`, sent at `sent_ms`.
    pub(crate) fn to_event(self, symbol: &str, sent_ms: u64) -> String {
        let Self { id, quantity, of } = self;
        let (price, qty, time, maker) = (decimal(of.price), decimal(quantity), of.time_ms, of.buyer_is_maker);
        format!(
            r#"{{"e":"trade","E":{sent_ms},"s":"{symbol}","t":{id},"p":"{price}","q":"{qty}","T":{time},"m":{maker},"M":true}}"#
        )
    }
}

/// Price times quantity, in units of 10⁻¹⁶.
pub(crate) fn quote(price: u64, quantity: u64) -> u128 {
    u128::from(price) * u128::from(quantity)
}

/// Units of 10⁻¹⁶ with eight places.
pub(crate) fn quote_decimal(quote: u128) -> String {
    let units = quote / u128::from(ONE);
    format!("{}.{:08}", units / u128::from(ONE), units % u128::from(ONE))
}

/// `35280000` as `0.35280000`: units of 10⁻⁸ with all eight places.
pub fn decimal(units: u64) -> String {
    let mut text = String::with_capacity(20);
    push_decimal(&mut text, units);
    text
}

/// Without the machinery of `format!`: this is most of what the generator does.
pub(crate) fn push_decimal(text: &mut String, units: u64) {
    let mut digits = [b'0'; 21];
    let mut left = units;
    let mut at = digits.len();
    while left > 0 || at > digits.len() - 10 {
        at -= 1;
        if at == digits.len() - 9 {
            digits[at] = b'.';
            continue;
        }
        digits[at] = b'0' + u8::try_from(left % 10).unwrap_or_default();
        left /= 10;
    }
    text.push_str(str::from_utf8(&digits[at..]).unwrap_or_default());
}

/// The other way round; `None` for anything but digits with at most one point and eight places after it.
pub(crate) fn units(text: &str) -> Option<u64> {
    let (whole, places) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || places.len() > 8 || !digits(whole) || !digits(places) {
        return None;
    }
    format!("{whole}{places:0<8}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_have_eight_places_both_ways() {
        let numbers = [
            ("0.35280000", 35_280_000),
            ("0.00000001", 1),
            ("12.00000000", 1_200_000_000),
            ("0.00000000", 0),
            ("184467440737.09551615", u64::MAX),
        ];
        for (text, number) in numbers {
            assert_eq!(units(text), Some(number));
            assert_eq!(decimal(number), text);
        }
        for wrong in ["", ".5", "1.123456789", "-1", "1e3", "1.2.3"] {
            assert_eq!(units(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_single_trades_of_an_aggregate_add_up_to_it() {
        let trade = Trade { id: 1, first: 5, last: 7, time_ms: 0, price: ONE, quantity: 10_000, buyer_is_maker: false };

        let singles: Vec<(u64, u64)> = trade.singles().map(|single| (single.id, single.quantity)).collect();

        assert_eq!(singles, [(5, 3000), (6, 3000), (7, 4000)]);
        assert_eq!(quote_decimal(quote(150_000_000, 300_000_000)), "4.50000000");
    }
}
