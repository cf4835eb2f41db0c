//! Recorded traffic, for tests.

/// One recording: the messages of a connection, and the REST answers of the same minute.
pub(crate) struct Recording {
    pub(crate) name: &'static str,
    ws: &'static str,
    rest: &'static str,
}

pub(crate) const SPOT: Recording = Recording {
    name: "Binance",
    ws: include_str!("../../../../crates/sims/fixtures/binance-ws.txt"),
    rest: include_str!("../../../../crates/sims/fixtures/binance-rest.txt"),
};
pub(crate) const US: Recording = Recording {
    name: "Binance US",
    ws: include_str!("../../fixtures/binance-us-ws.txt"),
    rest: include_str!("../../fixtures/binance-us-rest.txt"),
};
pub(crate) const FUTURES: Recording = Recording {
    name: "Binance futures",
    ws: include_str!("../../fixtures/binance-futures-ws.txt"),
    rest: include_str!("../../fixtures/binance-futures-rest.txt"),
};
pub(crate) const ALL: [Recording; 3] = [SPOT, US, FUTURES];

impl Recording {
    /// Every message as received, with the second it came at.
    pub(crate) fn messages(&self) -> impl Iterator<Item = (f64, &'static str)> {
        let lines = self.ws.lines().skip(1).filter(|line| !line.is_empty());
        lines.map(|line| {
            let (at, message) = line.split_once(": ").expect("`seconds: message`");
            (at.parse().expect("seconds"), message)
        })
    }

    /// Every answer, with its address and the second it came at.
    pub(crate) fn answers(&self) -> impl Iterator<Item = (&'static str, f64, &'static str)> {
        self.rest.lines().filter(|line| !line.is_empty()).map(|line| {
            let (url, answer) = line.split_once(" -> ").expect("`URL -> seconds: body`");
            let (at, body) = answer.split_once(": ").expect("`seconds: body`");
            (url, at.parse().expect("seconds"), body)
        })
    }
}
