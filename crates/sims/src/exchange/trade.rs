//! One trade, and numbers as the exchange writes them.

use std::fmt::Write;

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

impl Trade {
    /// As in an array of `/api/v3/aggTrades`.
    pub(crate) fn to_rest(self) -> String {
        format!("{{{}}}", self.fields())
    }

    /// As on the stream `…@aggTrade`, sent at `sent_ms`.
    pub(crate) fn to_event(self, symbol: &str, sent_ms: u64) -> String {
        format!(r#"{{"e":"aggTrade","E":{sent_ms},"s":"{symbol}",{}}}"#, self.fields())
    }

    fn fields(self) -> String {
        let mut text = String::with_capacity(120);
        let (price, quantity) = (decimal(self.price), decimal(self.quantity));
        let Self { id, first, last, time_ms, buyer_is_maker, .. } = self;
        write!(
            text,
            r#""a":{id},"p":"{price}","q":"{quantity}","f":{first},"l":{last},"T":{time_ms},"m":{buyer_is_maker},"M":true"#
        )
        .expect("a String takes everything");
        text
    }
}

/// `35280000` as `0.35280000`: units of 10⁻⁸ with all eight places.
pub fn decimal(units: u64) -> String {
    format!("{}.{:08}", units / 100_000_000, units % 100_000_000)
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
        for (text, number) in [("0.35280000", 35_280_000), ("0.00000001", 1), ("12.00000000", 1_200_000_000)] {
            assert_eq!(units(text), Some(number));
            assert_eq!(decimal(number), text);
        }
        for wrong in ["", ".5", "1.123456789", "-1", "1e3", "1.2.3"] {
            assert_eq!(units(wrong), None, "{wrong}");
        }
    }
}
