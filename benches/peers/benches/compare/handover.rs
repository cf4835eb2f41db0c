//! From the last task of a dependent to the next component being asked.

use crate::{
    Result,
    figures::{Series, table},
    process::sample,
};

const PEERS: [(&str, &str); 3] = [
    ("softstop", "**softstop**, from the edge between two components"),
    ("tracker", "`CancellationToken` + `TaskTracker`, by hand"),
    ("graceful-shutdown", "tokio-graceful-shutdown, by hand: detached, stopped one after the other"),
];

/// What was measured, a series for each peer.
pub(crate) struct Handover {
    rounds: usize,
    times: usize,
    series: [Series; PEERS.len()],
}

/// Stops a pair of components `times` times in each of `rounds` processes of every peer.
pub(crate) fn measure(rounds: usize, times: usize) -> Result<Handover> {
    let mut handover = Handover { rounds, times, series: Default::default() };
    for _ in 0..rounds {
        for ((id, _), series) in PEERS.iter().zip(&mut handover.series) {
            series.push(sample(&["handover", id, &times.to_string()])?);
        }
    }
    Ok(handover)
}

impl Handover {
    /// The median of softstop, in microseconds.
    pub(crate) fn median_us(&self) -> f64 {
        self.series[0].median("median_ns") / 1e3
    }

    pub(crate) fn table(&self) -> String {
        let us = |series: &Series, name| format!("{:.1}", series.median(name) / 1e3);
        let rows = PEERS
            .iter()
            .zip(&self.series)
            .map(|((_, title), series)| [(*title).to_owned(), us(series, "median_ns"), us(series, "p99_ns")]);
        let (rounds, times) = (self.rounds, self.times);
        let intro = format!("{times} handovers in each of {rounds} processes: the median process's median and p99.");
        format!("### Handover\n\n{intro}\n\n{}", table(["", "median, us", "p99, us"], rows.collect()))
    }
}
