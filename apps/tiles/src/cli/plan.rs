//! `tiles plan`.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::ArgMatches;
use tiles::{
    job::CONCURRENT,
    policy,
    store::{Known, Reader, StoreError},
    words::{bytes, count, number, span},
};

use super::{Wrong, args, get, hinted, print};

/// Where nothing is known of a source: the mean of pictures of 256 by 256 pixels, and how long an answer takes.
const BYTES: u64 = 10_000;
const ANSWER_MS: u64 = 100;

pub(crate) fn run(matches: &ArgMatches) -> Result<ExitCode, Wrong> {
    let path = matches.get_one::<PathBuf>("out").cloned();
    let mut request = args::request(matches)?;
    let before = path.as_deref().map(get::read).transpose()?.flatten();
    if before.is_none() && request.url.is_none() {
        // Counting needs no source.
        request.url = Some("http://nowhere/{z}/{x}/{y}".to_owned());
    }
    let named = request.url.as_deref().is_some_and(|url| !url.starts_with("http://nowhere/"));
    let job = get::job(before, request)?;
    let plan = hinted!(job.wanted.plan())?;
    let (known, mean) = match path.filter(|path| path.exists()) {
        Some(path) => {
            let reader = hinted!(Reader::open(&path))?;
            let known = hinted!(reader.known())?;
            let mean = hinted!(mean(&reader))?;
            (known, mean)
        }
        None => (Known::default(), None),
    };
    let there = known.there();
    let (counts, have) = (plan.counts(), plan.counts_in(&there));
    print(&format!("{:>4}  {:>15}  {:>15}", "zoom", "tiles", "there"));
    for ((zoom, tiles), (_, have)) in counts.iter().zip(&have) {
        print(&format!("{zoom:>4}  {:>15}  {:>15}", number(*tiles), number(*have)));
    }
    let (total, had) = (counts.iter().map(|(_, n)| n).sum::<u64>(), have.iter().map(|(_, n)| n).sum::<u64>());
    print(&format!("{:>4}  {:>15}  {:>15}", "all", number(total), number(had)));
    let left = total - had;
    let size = left.saturating_mul(mean.unwrap_or(BYTES));
    print(&format!(
        "to fetch: {}, about {} ({})",
        count(left, "tile"),
        bytes(size),
        match mean {
            Some(mean) => format!("by {} a tile, as in the file", bytes(mean)),
            None => format!("if a tile has {}", bytes(BYTES)),
        }
    ));
    if left > 0 {
        let slots = u64::from(job.concurrent.min(CONCURRENT));
        let rate = job.rate.unwrap_or(f64::INFINITY).min((slots * 1000 / ANSWER_MS) as f64);
        let time = Duration::try_from_secs_f64(left as f64 / rate).unwrap_or(Duration::MAX);
        let how = format!("{}/s: {slots} at once, {ANSWER_MS} ms each", number(rate.max(1.0) as u64));
        print(&format!("time: about {} ({how})", span(time)));
    }
    if let (true, Ok(Some(template))) = (named, job.template(&job.url, Some("-"), &|_| Some("-".to_owned())))
        && let Err(forbidden) = policy::check(&template.hosts(), total, false)
    {
        print(&format!("note: {forbidden}; {}", forbidden.hint()));
    }
    Ok(ExitCode::SUCCESS)
}

/// The mean size of the tiles that are there, of a thousand of them.
fn mean(reader: &Reader) -> Result<Option<u64>, StoreError> {
    let (mut all, mut sum) = (0, 0);
    for tile in reader.tiles()?.0.take(1000) {
        let (_, body) = tile?;
        (all, sum) = (all + 1, sum + body.len() as u64);
    }
    Ok((all > 0).then(|| sum / all))
}
