//! The program itself, with real signals.

use std::{
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{ExitStatus, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use sims::tiles::{Format, Origin, Tile, Truth};
use tiles::store::{self, Reader};
use tokio::{
    process::{Child, Command},
    time::timeout,
};

use super::PATIENCE;

/// West, south, east, north of what most tests fetch, its zooms, and how many tiles these are.
pub(crate) const AREA: (&str, &str, u64) = ("106.6,-6.4,107.0,-6.0", "0-14", 520);

/// Takes SIGINT as a terminal would give it, also where the test runs with SIGINT ignored.
pub(crate) fn tiles(arguments: &[&str]) -> Command {
    let mut command = Command::new("env");
    command.args(["--default-signal=INT", env!("CARGO_BIN_EXE_tiles")]).args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// A run that has begun.
pub(crate) struct Run(Child);

/// How one ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Run {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self(tiles(arguments).spawn().unwrap())
    }

    pub(crate) fn signal(&self, signal: Signal) {
        // It may have ended by itself.
        if let Some(pid) = self.0.id() {
            let _ = kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), signal);
        }
    }

    pub(crate) async fn end(self) -> Ended {
        let ended =
            timeout(PATIENCE, self.0.wait_with_output()).await.expect("the program ends within the time").unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Ended { status: ended.status, out: text(ended.stdout), err: text(ended.stderr) }
    }
}

impl Ended {
    #[track_caller]
    pub(crate) fn left_with(self, code: i32) -> Self {
        assert_eq!(self.status.code(), Some(code), "{self:#?}");
        self
    }

    pub(crate) fn died_by(&self, signal: Signal) -> bool {
        self.status.signal() == Some(signal.as_raw())
    }

    /// Either stream has this.
    #[track_caller]
    pub(crate) fn said(self, text: &str) -> Self {
        assert!(self.out.contains(text) || self.err.contains(text), "nothing with {text:?}: {self:#?}");
        self
    }
}

/// What is stored is what the server has, byte by byte; how many tiles that are.
#[track_caller]
pub(crate) fn assert_equal(path: &Path, origin: &Origin) -> u64 {
    let reader = Reader::open(path).unwrap();
    let mut stored = 0;
    for tile in reader.tiles().unwrap().0 {
        let (tile, body) = tile.unwrap();
        let Truth::There(content) = origin.truth(Format::Png, Tile::new(tile.z(), tile.x(), tile.y())) else {
            panic!("{tile:?} is stored, and the server does not have it");
        };
        assert!(body == content.bytes, "{tile:?} differs");
        stored += 1;
    }
    stored
}

/// All of it is there, and nothing is wrong with the file.
#[track_caller]
pub(crate) fn assert_complete(path: &Path, origin: &Origin, tiles: u64) {
    assert_eq!(assert_equal(path, origin), tiles);
    let verified = store::verify(path).unwrap();
    assert!(verified.is_sound(), "{verified:#?}");
}
