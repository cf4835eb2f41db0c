//! `tiles status`, `finish` and `verify`.

use std::{path::Path, process::ExitCode};

use serde_json::json;
use tiles::{
    folder,
    job::{Job, ReadError},
    mbtiles,
    store::{self, Agg, Kind, Reader, StoreError},
    words::{bytes, count, number, shown},
};

use super::{Wrong, get, hinted, print, wrong};

/// What a file has and what is missing.
pub(crate) fn status(path: &Path, as_json: bool) -> Result<ExitCode, Wrong> {
    // PMTiles that are not made yet lie in their part.
    let part = get::part(path);
    let under_way = Kind::of(path) == Kind::Pmtiles && part.exists();
    let (asked, path) = (path, if under_way { part.as_path() } else { path });
    let reader = open(path)?;
    let (status, known) = (hinted!(reader.status())?, hinted!(reader.known())?);
    let job = job_of(&reader)?;
    let stored: u64 = status.stored.values().sum();
    let failed: u64 = status.failed.iter().map(|(_, many)| many).sum();
    let there = known.there();
    let plan = job.as_ref().map(|job| hinted!(job.wanted.plan())).transpose()?;
    let wanted = plan.as_ref().map(|plan| {
        let counts = plan.counts();
        let have = plan.counts_in(&there);
        counts.into_iter().zip(have).map(|((zoom, all), (_, have))| (zoom, all, have)).collect::<Vec<_>>()
    });
    let size = std::fs::metadata(path).map_or(0, |found| found.len());
    if as_json {
        let zooms =
            wanted.iter().flatten().map(|(zoom, all, have)| json!({ "zoom": zoom, "tiles": all, "there": have }));
        let sum = |what: fn(&(u8, u64, u64)) -> u64| wanted.as_ref().map(|rows| rows.iter().map(what).sum::<u64>());
        let (all, have) = (sum(|row| row.1), sum(|row| row.2));
        let value = json!({
            "file": path.display().to_string(),
            "bytes": size,
            "source": job.as_ref().map(|job| &job.url),
            "schema": layout(&reader),
            "stored": stored,
            "empty": status.empty,
            "failed": failed,
            "failed_by_class": status.failed.iter().map(|(class, many)| (class.clone(), json!(many))).collect::<serde_json::Map<_, _>>(),
            "wanted": all,
            "there": have,
            "left": all.zip(have).map(|(all, have)| all - have),
            "zooms": zooms.collect::<Vec<_>>(),
        });
        print(&format!("{value:#}"));
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(job) = &job {
        print(&format!("source  {}", job.url));
    }
    print(&format!("file    {} ({}, {})", path.display(), bytes(size), layout(&reader)));
    print(&format!("{:>6}  {:>15}  {:>15}  {:>15}", "zoom", "tiles", "there", "left"));
    let rows: Vec<(u8, u64, u64)> = match wanted {
        Some(rows) => rows,
        None => status.stored.iter().map(|(zoom, many)| (*zoom, *many, *many)).collect(),
    };
    let mut sum = (0, 0);
    for (zoom, all, have) in rows {
        print(&format!("{zoom:>6}  {:>15}  {:>15}  {:>15}", number(all), number(have), number(all - have)));
        sum = (sum.0 + all, sum.1 + have);
    }
    print(&format!("{:>6}  {:>15}  {:>15}  {:>15}", "all", number(sum.0), number(sum.1), number(sum.0 - sum.1)));
    print(&format!("{} stored, {} empty, {} failed", number(stored), number(status.empty), number(failed)));
    for (class, many) in &status.failed {
        print(&format!("  failed: {} {class}", number(*many)));
    }
    if sum.1 < sum.0 {
        let failed_only = failed > 0 && failed >= sum.0 - sum.1;
        let option = if failed_only { " --failed" } else { "" };
        print(&format!("go on with: tiles get {}{option}", shown(asked)));
    }
    Ok(ExitCode::SUCCESS)
}

/// Opens what is there.
pub(crate) fn open(path: &Path) -> Result<Reader, Wrong> {
    if !path.exists() {
        let what = format!("there is no {}", path.display());
        return Err(Wrong { what, hint: "name a file or a folder that is there".to_owned() });
    }
    hinted!(Reader::open(path))
}

fn job_of(reader: &Reader) -> Result<Option<Job>, Wrong> {
    Job::read(|name| reader.job(name)).map_err(|error| match error {
        ReadError::File(error) => wrong(&error, StoreError::hint(&error)),
        ReadError::Job(error) => wrong(&error, error.hint()),
    })
}

/// How the tiles are kept.
fn layout(reader: &Reader) -> String {
    match reader {
        Reader::Mbtiles(file) => format!("mbtiles, {}", file.schema()),
        Reader::Pmtiles(_) => "pmtiles".to_owned(),
        Reader::Folder(_) => "folder".to_owned(),
    }
}

/// Takes out what only fetching needs.
pub(crate) fn finish(path: &Path, incomplete: bool) -> Result<ExitCode, Wrong> {
    let reader = open(path)?;
    let (job, known) = (job_of(&reader)?, hinted!(reader.known())?);
    if let (Some(job), false) = (job, incomplete) {
        let plan = hinted!(job.wanted.plan())?;
        let left = plan.total() - plan.count_in(&known.there());
        if left > 0 {
            let what = format!("{} of {} are missing", number(left), count(plan.total(), "tile"));
            let hint = format!("fetch them: tiles get {}; or say --incomplete", shown(path));
            return Err(Wrong { what, hint });
        }
    }
    drop(reader);
    let size = || std::fs::metadata(path).map_or(0, |found| found.len());
    let before = size();
    if Kind::of(path) == Kind::Folder {
        hinted!(folder::finish(path))?;
        print(&format!("{}: finished", path.display()));
        return Ok(ExitCode::SUCCESS);
    }
    hinted!(mbtiles::finish(path))?;
    print(&format!("{}: finished, {} instead of {}", path.display(), bytes(size()), bytes(before)));
    Ok(ExitCode::SUCCESS)
}

/// Reads all of it again.
pub(crate) fn verify(path: &Path) -> Result<ExitCode, Wrong> {
    drop(open(path)?);
    let found = hinted!(store::verify(path))?;
    let all: u64 = found.tiles.values().sum();
    print(&format!("{}: {}, {}", path.display(), count(all, "tile"), bytes(found.bytes)));
    for (format, many) in &found.formats {
        print(&format!("  {format}: {}", number(*many)));
    }
    for (tile, why) in &found.named {
        print(&format!("  wrong: {}/{}/{}: {why}", tile.z(), tile.x(), tile.y()));
    }
    if found.wrong > found.named.len() as u64 {
        print(&format!("  and {} more", number(found.wrong - found.named.len() as u64)));
    }
    if found.nowhere > 0 {
        print(&format!("  {} for tiles that do not exist", count(found.nowhere, "row")));
    }
    for damage in &found.damage {
        print(&format!("  damaged: {damage}"));
    }
    match found.agg {
        Agg::Absent => {}
        Agg::Right => print("  agg_tiles_hash: right"),
        Agg::Wrong => print("  agg_tiles_hash: wrong, the tiles have changed since it was written"),
    }
    if !found.missing.is_empty() {
        print(&format!("  metadata lacks: {}", found.missing.join(", ")));
    }
    print(if found.is_sound() { "sound" } else { "not sound" });
    Ok(if found.is_sound() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
