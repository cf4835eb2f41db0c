//! Stops a job at every await point, on a paused clock, with a server in memory and a file of its own in each run.

use std::{collections::BTreeSet, path::Path, sync::Arc, time::Duration};

use softstop::{
    Level, Report, Result, Service, Status,
    testing::{Fault, Sweep, sweep},
};
use tempfile::TempDir;
use tiles::{
    fetch::{Manners, Patience, Progress},
    get::{Config, Which, service},
    grid::{Bounds, Tile},
    job::{Job, Request},
    net::Connect,
    store::{Options, Reader, Store},
    template::{Settings, Template},
};

use crate::memory::{self, Shared};

/// The world at zooms 0 to 2: 21 tiles, one of them empty.
const TILES: usize = 21;

/// What one run leaves behind.
struct Ends {
    folder: TempDir,
    seen: Shared,
}

fn job() -> Job {
    let area = Bounds::new(-180.0, -90.0, 180.0, 90.0).unwrap().into();
    let url = "http://memory/{z}/{x}/{y}.png".to_owned();
    let request = Request { area: Some(area), zooms: Some(0..=2), concurrent: Some(3), ..Request::default() };
    Job::new(None, request, Some(url)).unwrap()
}

/// Adds a job to a service.
pub(crate) fn fetching(to: &mut Service, folder: &Path, connect: Connect) -> Result {
    let job = job();
    let path = folder.join("map.mbtiles");
    let config = Config {
        file: Store::open(&path, &Options::default())?,
        path,
        description: None,
        template: Some(Template::parse(&job.url, &Settings::default())?),
        parse: Arc::new(|_| Ok(None)),
        job,
        which: Which::Missing,
        connect,
        manners: Manners::new("test", &[], &|_| None)?,
        patience: Patience::default(),
        permitted: false,
        log_every: Some(Duration::from_secs(1)),
        seed: 3,
        progress: Arc::new(Progress::default()),
        deliver: None,
        renew: false,
        prune: false,
    };
    service(to, config);
    Ok(())
}

fn stops() -> Sweep<impl Fn(&mut Service) -> Result<Ends> + Send + Sync + 'static> {
    let build = |service: &mut Service| {
        let folder = memory::folder()?;
        let seen = Shared::default();
        fetching(service, folder.path(), memory::connect(&seen))?;
        Ok(Ends { folder, seen })
    };
    // When a commit is done, only its thread knows.
    sweep(build).lasting(Duration::from_secs(60)).not_repeatable()
}

/// The tiles that are stored or known to be empty; each stored one is right.
fn known(folder: &Path) -> Result<BTreeSet<Tile>> {
    let path = folder.join("map.mbtiles");
    let reader = Reader::open(&path)?;
    let mut known = BTreeSet::new();
    for tile in reader.tiles()?.0 {
        let (tile, body) = tile?;
        if body != memory::body(tile) {
            return Err(format!("{tile:?} is stored with other bytes").into());
        }
        known.insert(tile);
    }
    known.extend(reader.known()?.empty.ranges().flatten().filter_map(Tile::from_id));
    Ok(known)
}

/// What was served is known: all of it after a graceful stop; a hurry may have come while it was looked at.
fn kept(report: &Report, ends: &Ends) -> Result<BTreeSet<Tile>> {
    let seen = ends.seen.lock().unwrap();
    let served: BTreeSet<Tile> = seen.served.iter().copied().collect();
    let known = known(ends.folder.path())?;
    if !known.is_subset(&served) || (report.level == Level::Graceful && known != served) {
        return Err(format!("{} served, {} known", served.len(), known.len()).into());
    }
    if served.len() != seen.served.len() {
        return Err("something was served twice".into());
    }
    if !report.losses.is_empty() {
        return Err(report.line().into());
    }
    Ok(known)
}

/// Goes on with the file of a run: only what is not known is asked for, and then all is there.
fn goes_on(folder: &Path, before: &BTreeSet<Tile>) -> Result {
    let mut again = Service::new("again");
    let seen = Shared::default();
    fetching(&mut again, folder, memory::connect(&seen))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build()?;
    let report = runtime.block_on(again.run(std::future::pending()));
    if report.code() != 0 {
        return Err(format!("the second start: {}", report.line()).into());
    }
    let twice: Vec<Tile> = seen.lock().unwrap().asked.keys().filter(|tile| before.contains(tile)).copied().collect();
    let after = known(folder)?;
    if twice.is_empty() && after.len() == TILES {
        Ok(())
    } else {
        Err(format!("asked again: {twice:?}, {} known", after.len()).into())
    }
}

#[test]
fn a_stop_or_a_hurry_anywhere_keeps_what_was_served_and_goes_on() {
    let swept = stops().pairs(50).run(|report, ends| {
        let known = kept(report, &ends)?;
        goes_on(ends.folder.path(), &known)
    });

    // Where a commit took another time than in the run before, a task may have ended before its last point.
    let few = swept.points.len() / 50;
    assert!(swept.points.len() > 100 && swept.left_out == 0 && swept.missed <= few, "{swept:?}");
}

/// Under each of these faults nothing is lost silently, and a second start without it completes the file.
#[test]
fn whatever_fails_the_file_is_whole_and_goes_on() {
    let (slow, too_slow) = (Duration::from_millis(700), Duration::from_secs(60));
    for (fault, status) in [
        (Fault::open_fails("file"), Status::StartFailed),
        (Fault::close_takes("file", slow), Status::Clean),
        (Fault::close_takes("file", too_slow), Status::Overrun),
        (Fault::close_fails("file"), Status::Failed),
        (Fault::open_fails("connection"), Status::Clean),
        (Fault::nth_open_fails("connection", 2), Status::Clean),
        (Fault::task_fails("store/commit", 1), Status::Failed),
        (Fault::task_panics("store/commit", 1), Status::Failed),
        (Fault::task_fails("store/write", 3), Status::Failed),
        (Fault::task_panics("fetch/slot", 9), Status::Failed),
        (Fault::task_fails("fetch/slot", 20), Status::Failed),
        (Fault::task_fails("fetch/start", 1), Status::StartFailed),
        (Fault::task_panics("show/log", 2), Status::Failed),
    ] {
        let what = fault.to_string();
        println!("{what}");
        stops().at_most(15).pairs(5).fault(fault).allow(status).allow(Status::Lost).run(move |_, ends| {
            let folder = ends.folder.path();
            if !folder.join("map.mbtiles").exists() {
                return Ok(());
            }
            known(folder).and_then(|known| goes_on(folder, &known)).map_err(|error| format!("{what}: {error}").into())
        });
    }
}
