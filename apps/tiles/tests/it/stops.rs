//! Stops the program at many moments and lets it go on: everything is there at the end, and nothing was asked for twice.
//! 200 stops, and 100 times `kill -9`.

use std::{path::Path, time::Duration};

use rustix::process::Signal;
use sims::tiles::{Config, Delay, Fault, Format, Origin, Rule, Script};

use super::{
    Random,
    program::{AREA, Ended, Run, assert_complete, assert_equal},
};

/// Requests at once.
const SLOTS: u64 = 8;
/// A group that was not committed, and what may wait for it.
const ON_ITS_WAY: u64 = 250 + 256 + SLOTS;

/// A server whose answers take some milliseconds.
async fn origin(seed: u64) -> Origin {
    let script = Script::new(seed).rule(Rule::new(Fault::Delay(Delay::Exponential(Duration::from_millis(5)))));
    Origin::start(Config { script, ..Config::default() }).await.unwrap()
}

fn get(origin: &Origin, path: &Path) -> Run {
    let (bbox, zooms, _) = AREA;
    let url = origin.template(Format::Png);
    let (out, slots) = (path.to_str().unwrap(), SLOTS.to_string());
    Run::start(&["get", out, "--url", &url, "--bbox", bbox, "--zoom", zooms, "--concurrent", &slots, "--batch", "100"])
}

/// Lets it run for a moment: until so many requests more, or a time from its start.
async fn moment(origin: &Origin, random: &mut Random) -> String {
    let asked = origin.log().entries().len() as u64;
    if random.below(4) == 0 {
        let time = Duration::from_micros(random.below(30_000));
        tokio::time::sleep(time).await;
        return format!("{time:?} after its start");
    }
    let more = random.below(60);
    let enough = origin.until(|log| log.entries().len() as u64 >= asked + more);
    // It may end before that.
    let _ = tokio::time::timeout(Duration::from_millis(500), enough).await;
    format!("{more} requests")
}

/// A new file each time one is complete.
struct Files {
    folder: tempfile::TempDir,
    number: usize,
}

impl Files {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), number: 0 }
    }

    fn path(&self) -> std::path::PathBuf {
        self.folder.path().join(format!("{}.mbtiles", self.number))
    }

    /// Lets the last one go on to its end.
    async fn finish(&mut self, origin: &Origin) {
        if self.path().exists() {
            let ended = get(origin, &self.path()).end().await.left_with(0);
            assert!(ended.err.contains("all there") || ended.err.contains("nothing to do"), "{ended:#?}");
            assert_complete(&self.path(), origin, AREA.2);
        }
        self.number += 1;
    }
}

/// Interrupts it and expects that it dies by the signal, or was done before.
async fn stop(origin: &Origin, files: &Files, random: &mut Random, signals: &[Signal]) -> (Ended, bool) {
    let run = get(origin, &files.path());
    let when = moment(origin, random).await;
    println!("{signals:?} at {when}");
    for signal in signals {
        run.signal(*signal);
        if signals.len() > 1 {
            // Signals within 250 ms are one.
            tokio::time::sleep(Duration::from_millis(260)).await;
        }
    }
    let ended = run.end().await;
    let done = ended.status.code() == Some(0);
    assert!(done || ended.died_by(signals[0]), "{ended:#?}");
    (ended, done)
}

async fn graceful(seed: u64, signal: Signal, rounds: usize) {
    println!("seed {seed}");
    let (mut random, mut files) = (Random(seed), Files::new());
    let origin = origin(seed).await;
    for _ in 0..rounds {
        let (ended, done) = stop(&origin, &files, &mut random, &[signal]).await;
        // Before the first line of the program nothing can be said.
        if !ended.err.is_empty() && !done {
            assert!(
                ended.err.contains(" to go, continue with: tiles get ")
                    || ended.err.contains("; all there")
                    || !ended.err.contains(" stored in "),
                "{ended:#?}"
            );
        }
        if done || random.below(12) == 0 {
            files.finish(&origin).await;
            let asked = origin.log();
            assert_eq!(asked.asked_again().len(), 0, "{:#?}", asked.asked_again());
            assert!(asked.tiles().values().all(|asked| asked.requests == 1), "{:#?}", asked.tiles());
            origin.reset(None);
        }
    }
    files.finish(&origin).await;
    assert!(origin.stop().await.asked_again().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigint_at_random_moments_asks_for_nothing_again() {
    graceful(11, Signal::INT, 80).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_at_random_moments_asks_for_nothing_again() {
    graceful(12, Signal::TERM, 80).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hurry_drops_what_is_on_the_wire_and_nothing_else() {
    let seed = 13;
    println!("seed {seed}");
    let (mut random, mut files) = (Random(seed), Files::new());
    // One answer in ten never comes: the first signal waits for it.
    let script = Script::new(seed)
        .rule(Rule::new(Fault::Delay(Delay::Exponential(Duration::from_millis(5)))))
        .rule(Rule::new(Fault::Delay(Delay::Never)).share(0.1).first_tries(1));
    let origin = Origin::start(Config { script, ..Config::default() }).await.unwrap();
    for _ in 0..40 {
        let (ended, done) = stop(&origin, &files, &mut random, &[Signal::INT, Signal::INT]).await;
        assert!(!done || ended.err.contains("all there"), "{ended:#?}");
        // The signal may have come before there was a file.
        if files.path().exists() {
            assert_equal(&files.path(), &origin);
        }
        if done {
            assert!(origin.log().asked_again().is_empty(), "{:#?}", origin.log().asked_again());
            files.number += 1;
            origin.reset(None);
        }
    }
    // What never came the first time comes the second.
    let log = origin.log();
    assert!(log.asked_again().is_empty(), "{:#?}", log.asked_again());
    origin.set_script(Script::new(seed));
    files.finish(&origin).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_loses_no_more_than_what_was_on_its_way() {
    let seed = 14;
    println!("seed {seed}");
    let (mut random, mut files) = (Random(seed), Files::new());
    let origin = origin(seed).await;
    let mut kills = 0;
    for _ in 0..100 {
        let run = get(&origin, &files.path());
        let when = moment(&origin, &mut random).await;
        println!("kill -9 at {when}");
        run.signal(Signal::KILL);
        let ended = run.end().await;
        kills += u64::from(ended.died_by(Signal::KILL));
        if files.path().exists() && std::fs::metadata(files.path()).unwrap().len() > 0 {
            assert_equal(&files.path(), &origin);
        }
        if ended.status.code() == Some(0) || random.below(12) == 0 {
            files.finish(&origin).await;
            let again: u64 = origin.log().asked_again().values().sum();
            println!("{again} asked again after {kills} kills");
            assert!(again <= kills * ON_ITS_WAY, "{again} after {kills} kills");
            origin.reset(None);
            kills = 0;
        }
    }
    files.finish(&origin).await;
}
