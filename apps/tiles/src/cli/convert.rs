//! `tiles convert` and `tiles take-over`: long work on files, which a stop ends between two groups of tiles.

use std::{
    ops::ControlFlow,
    path::Path,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use clap::ArgMatches;
use softstop::{Flag, Result, Scope};
use tiles::{
    convert,
    plan::Wanted,
    store::{Kind, Options, Store},
    takeover::{self, Taken},
    words::{bytes, count, number},
};

use super::{Wrong, args, get, hinted};

/// Runs work on a thread of its own until it has ended or is told to.
fn work(
    name: &'static str,
    shown: Arc<AtomicU64>,
    doing: impl FnOnce(Flag, Scope) -> Result + Send + 'static,
) -> ExitCode {
    softstop::main(|s| {
        s.name("tiles").quiet().dies_by_signal().current_thread();
        s.status_line(move |_| match shown.load(Ordering::Relaxed) {
            0 => String::new(),
            tiles => count(tiles, "tile"),
        });
        let job = s.component(name, (), async move |scope, ()| {
            let words = scope.clone();
            scope.spawn_blocking("work", move |flag| doing(flag, words));
            Ok(())
        });
        s.options(job).main_job();
        Ok(())
    })
}

fn going(flag: &Flag) -> ControlFlow<()> {
    if flag.is_draining() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
}

pub(crate) fn convert(matches: &ArgMatches) -> ExitCode {
    let (from, to) = (args::path(matches, "from"), args::path(matches, "to"));
    let options = convert::Options {
        schema: args::schema(matches),
        tms: matches.get_flag("tms"),
        replace: matches.get_flag("replace"),
    };
    let tiles = Arc::new(AtomicU64::new(0));
    let shown = Arc::clone(&tiles);
    work("convert", shown, move |flag, scope| {
        let each = |progress: &convert::Progress| {
            tiles.store(progress.tiles, Ordering::Relaxed);
            going(&flag)
        };
        let made = hinted!(convert::convert(&from, &to, &options, each))?;
        scope.say(match made {
            Some(progress) => {
                format!("{}: {}, {}", to.display(), count(progress.tiles, "tile"), bytes(progress.bytes))
            }
            None => format!("stopped: nothing was made of {}; the same command begins anew", from.display()),
        });
        Ok(())
    })
}

pub(crate) fn take_over(matches: &ArgMatches) -> Result<ExitCode, Wrong> {
    let (from, out) = (args::path(matches, "from"), args::path(matches, "out"));
    if Kind::of(&out) == Kind::Pmtiles {
        let what = format!("{} would be PMTiles, which cannot be added to", out.display());
        return Err(Wrong { what, hint: "take over into an MBTiles file, and convert it at the end".to_owned() });
    }
    let mut request = args::request(matches)?;
    let before = get::read(&out)?;
    match takeover::asked(&from).filter(|_| request.area.is_none()) {
        Some(ranges) => {
            let area = tiles::area::Area::tiles(ranges.zoom, ranges.x.0..=ranges.x.1, ranges.y.0..=ranges.y.1);
            (request.area, request.zooms) = (Some(hinted!(area)?), Some(ranges.zoom..=ranges.zoom));
        }
        None if before.is_none() && request.area.is_none() => {
            return Err(Wrong {
                what: format!("nothing in {} says which tiles were asked for", from.display()),
                hint: "say it: --x A-B --y C-D --zoom Z".to_owned(),
            });
        }
        None => {}
    }
    let job = get::job(before, request)?;
    let mut file: Store = hinted!(Store::open(&out, &Options { schema: args::schema(matches), ..Options::default() }))?;
    let kept = job.kept();
    let kept: Vec<(&str, Option<&str>)> = kept.iter().map(|(name, value)| (*name, value.as_deref())).collect();
    hinted!(file.set_job(&kept))?;
    let tiles = Arc::new(AtomicU64::new(0));
    let shown = Arc::clone(&tiles);
    Ok(work("take over", shown, move |flag, scope| {
        let each = |taken: &Taken| {
            tiles.store(taken.stored + taken.known, Ordering::Relaxed);
            going(&flag)
        };
        let taken = takeover::take_over(&from, &mut file, each).and_then(|taken| file.close().map(|()| taken));
        say(&scope, &hinted!(taken)?, &out, &job.wanted);
        Ok(())
    }))
}

fn say(scope: &Scope, taken: &Taken, out: &Path, wanted: &Wanted) {
    let Taken { stored, known, empty, wrong, failed, .. } = taken;
    scope.say(format!("{} taken over, {}, into {}", count(*stored, "tile"), bytes(taken.bytes), out.display()));
    for (many, what) in [
        (known, "were there before"),
        (empty, "are empty files, and are fetched"),
        (wrong, "are no whole tiles, and are fetched"),
        (failed, "are in the list of failures"),
    ] {
        if *many > 0 {
            scope.say(format!("  {} {what}", number(*many)));
        }
    }
    for (path, why) in taken.named.iter().chain(&taken.unread) {
        scope.say(format!("  {}: {why}", path.display()));
    }
    let more = (empty + wrong).saturating_sub(taken.named.len() as u64);
    if more > 0 {
        scope.say(format!("  and {} more such files", number(more)));
    }
    let all = wanted.plan().map(|plan| plan.total()).unwrap_or_default();
    let wanted = format!("of {}", count(all, "tile"));
    scope.say(if taken.ended {
        "stopped: the same command goes on".to_owned()
    } else {
        format!("{} {wanted} there; go on with: tiles get {}", number(stored + known), out.display())
    });
}
