//! `market selftest`: the collector against a simulated exchange on which everything goes wrong that does with real ones.

mod compare;
mod group;
mod groups;
mod rig;

use std::{fs, io, path::PathBuf, process::ExitCode, time::Instant};

use clap::Command;
use futures_util::FutureExt;
use softstop::{Result, Scope};

use self::group::{Group, Seen};
use super::print;

/// The exit status where something was not as it should be.
const FAILED: u8 = 1;

pub(crate) fn command() -> Command {
    Command::new("selftest")
        .about("Start an exchange of its own, do what goes wrong with real ones, and compare every minute and level")
        .after_help(
            "Needs no network and leaves nothing behind. Exit status: 0 passed, 1 failed, 130 stopped by Ctrl+C.",
        )
}

pub(crate) fn run() -> ExitCode {
    softstop::main(|s| {
        s.name("selftest").quiet().dies_by_signal();
        let job = s.component("selftest", (), async |scope: Scope, ()| {
            scope.spawn_with("groups", all);
            Ok(())
        });
        s.options(job).main_job();
        Ok(())
    })
}

/// A folder of its own, which goes with it.
struct Folder(PathBuf);

impl Folder {
    fn new() -> io::Result<Self> {
        let path = std::env::temp_dir().join(format!("market-selftest-{}", std::process::id()));
        fs::create_dir_all(&path)
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed is the system's to remove.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// All groups, one after the other: a line each, and a verdict.
async fn all(scope: Scope) -> Result {
    let (began, folder) = (Instant::now(), Folder::new()?);
    let (mut failed, mut faults, mut trades) = (0, 0, 0);
    let leaving = scope.clone();
    let leave = async move {
        leaving.draining().await;
    };
    let leave = leave.boxed().shared();
    for group in groups::all() {
        let began = Instant::now();
        let outcome = group.run(&folder.0, leave.clone()).await;
        if scope.is_draining() {
            return Ok(());
        }
        let took = began.elapsed().as_secs_f64();
        match outcome {
            Ok(seen) => {
                faults += seen.faults;
                trades += seen.compared.trades;
                print(&format!("ok    {} ({took:.1} s)", line(&group, seen)));
            }
            Err(why) => {
                failed += 1;
                print(&format!("FAIL  {}: {why} ({took:.1} s)", group.name));
            }
        }
    }
    let took = began.elapsed().as_secs_f64();
    if failed == 0 {
        print(&format!("passed: {faults} failures, {trades} trades compared, none missing, none twice ({took:.1} s)"));
    } else {
        print(&format!("failed: {failed} of the above ({took:.1} s)"));
        scope.exit_status(FAILED, format!("{failed} failed"));
    }
    Ok(())
}

fn line(group: &Group, seen: Seen) -> String {
    let Seen { faults, compared, books } = seen;
    let mut line = format!("{}: {faults} failures, {} trades equal", group.name, compared.trades);
    let books = i64::try_from(books).unwrap_or(i64::MAX);
    let further =
        [(books, "order books equal"), (compared.refilled, "fetched later"), (compared.lost, "not to be had")];
    for (number, words) in further {
        if number > 0 {
            line.push_str(&format!(", {number} {words}"));
        }
    }
    line
}
