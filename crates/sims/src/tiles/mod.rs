//! A tile server: every tile made from its coordinates, so that every byte stored can be compared, and everything that goes wrong with
//! real ones, by a script.
//!
//! ```
//! use sims::tiles::{Config, Fault, Format, Origin, Rule, Script, Tile, Truth};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::io::Result<()> {
//! // One tile in a hundred fails the first time it is asked for.
//! let script = Script::new(7).rule(Rule::new(Fault::status(500)).share(0.01).first_tries(1));
//! let origin = Origin::start(Config { script, ..Config::default() }).await?;
//!
//! // … a program fetches `origin.template(Format::Png)` …
//!
//! let stored = match origin.truth(Format::Png, Tile::new(12, 3423, 1763)) {
//!     Truth::There(content) => content.bytes,
//!     Truth::Absent(_) => unreachable!("every tile is there unless the world says otherwise"),
//! };
//! assert!(stored.starts_with(b"\x89PNG"));
//! assert!(origin.stop().await.asked_again().is_empty());
//! # Ok(())
//! # }
//! ```
//!
//! # What is served
//! | address | what |
//! |---|---|
//! | `/{z}/{x}/{y}.png`, `.jpg`, `.webp`, `.pbf` | a tile; vector tiles are compressed and say so |
//! | `/tms/{z}/{x}/{y}.png` … | the same with rows from the south |
//! | `/q/{quadkey}.png` … | the same by quadkey |
//! | `/tiles.json`, `?format=pbf`, `?scheme=tms` | TileJSON; of vector tiles with `vector_layers` |
//! | `/wmts?SERVICE=WMTS&REQUEST=…` | `GetTile`, `GetCapabilities` |
//! | `/wmts/1.0.0/WMTSCapabilities.xml` | capabilities with the matrix sets `GoogleMapsCompatible` (matrix `7`), `EPSG:3857` (matrix `EPSG:3857:7`) and `OffScale`, whose scales fit no grid |
//! | `/wmts/tiles/default/{set}/{matrix}/{row}/{col}.png` … | a tile |
//! | `/truth/{z}/{x}/{y}.png` … | the tile, whatever the script says |
//! | `/log`, `/log?summary` | what was asked, as JSON |
//! | `/reset`, `/reset?revise` | empties the log and begins the script anew; `revise` makes the next revision |
//!
//! The last three are asked about the simulator: no fault strikes them, and they are not logged. Any query is allowed, as a key would be.
//! HTTP/1.1 and HTTP/2 are spoken on the same port: over TLS by ALPN, without it to those who begin with HTTP/2's preface.
//!
//! # What it is not
//! No picture of any place, no request bodies, no ranges, no HTTP/2 push or priorities. A tile counts as [served](Entry::served) when the
//! kernel has taken all of it (over HTTP/2: when h2 has, within the client's windows); a client that dies then may not have read it.

mod answer;
mod chance;
mod desk;
mod documents;
mod frames;
mod h1;
mod h2;
mod journal;
mod judge;
mod link;
mod log;
mod make;
mod parse;
mod report;
mod route;
mod script;
mod serve;
mod tile;
mod which;
mod world;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{sync::watch, task::JoinSet, time::timeout};

pub use self::{
    answer::Caching,
    log::{Asked, Entry, Log, Protocol, Window},
    make::{make, ocean},
    parse::ScriptError,
    script::{
        At, Connections, Cut, Delay, Encoding, Fault, Framing, How, Limit, Payload, RetryAfter, Rule, Script, Site, To,
    },
    tile::{DEEPEST, Format, NoTile, Tile},
    which::Which,
    world::{Absence, Content, Truth, World},
};
use self::{
    desk::Desk,
    serve::{Host, Port},
};
pub use crate::tls::CERTIFICATE;

/// Longer than connections are given to end.
const FAREWELL: Duration = Duration::from_secs(2);

/// What kind of server this is.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where it listens; port 0 picks a free one.
    pub listen: SocketAddr,
    /// Where the other host listens, to which a script may redirect.
    pub other: SocketAddr,
    /// Whether both speak TLS, with [`CERTIFICATE`].
    pub tls: bool,
    /// Whether HTTP/2 is spoken.
    pub http2: bool,
    /// Which tiles there are.
    pub world: World,
    /// What is said about how long they keep.
    pub caching: Caching,
    /// By how many seconds the clock of the server is ahead; negative: behind. It shows in Date, Expires and Retry-After.
    pub clock_skew: i64,
    /// What goes wrong.
    pub script: Script,
}

impl Default for Config {
    /// Every tile, nothing wrong, HTTP/1.1 and HTTP/2 without TLS, on free ports of the loopback interface.
    fn default() -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        Self {
            listen: any,
            other: any,
            tls: false,
            http2: true,
            world: World::default(),
            caching: Caching::default(),
            clock_skew: 0,
            script: Script::default(),
        }
    }
}

/// A running tile server, on two ports. Dropping it ends it at once; [`stop`](Self::stop) lets answers end first.
#[derive(Debug)]
pub struct Origin {
    desk: Arc<Desk>,
    addresses: [SocketAddr; 2],
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

impl Origin {
    /// Listens on both ports and serves.
    ///
    /// # Errors
    /// An address that cannot be listened on; the message names it.
    ///
    /// # Cancel safety
    /// Cancel safe: dropped, it closes what it opened.
    pub async fn start(config: Config) -> io::Result<Self> {
        let ports = [Port::bind(config.listen)?, Port::bind(config.other)?];
        let addresses = [ports[0].at(), ports[1].at()];
        let scheme = if config.tls { "https" } else { "http" };
        let bases = addresses.map(|at| format!("{scheme}://{at}"));
        let tls = config.tls.then(|| crate::tls::acceptor(config.http2)).transpose()?;
        let desk = Arc::new(Desk::new(config.world, config.caching, config.clock_skew, config.script, bases));

        let (stop, stopping) = watch::channel(false);
        let (goes, gone) = watch::channel(false);
        let (_stays, never) = watch::channel(false);
        let mut tasks = JoinSet::new();
        for (port, (site, gone)) in ports.into_iter().zip([(Site::Main, gone), (Site::Other, never)]) {
            let listener = port.listen()?;
            let (desk, tls, stop) = (Arc::clone(&desk), tls.clone(), stopping.clone());
            tasks.spawn(serve::serve(port, listener, Host { desk, site, tls, http2: config.http2, stop }, gone));
        }
        let (hours, mut stopping) = (serve::keep_hours(Arc::clone(&desk), goes), stopping);
        tasks.spawn(async move {
            tokio::select! {
                () = hours => {}
                _ = stopping.wait_for(|stop| *stop) => {}
            }
        });
        Ok(Self { desk, addresses, stop, tasks })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// Where the other host listens.
    pub fn other(&self) -> SocketAddr {
        self.addresses[1]
    }

    /// Scheme and authority of a host, such as `http://127.0.0.1:4321`.
    pub fn base(&self, site: Site) -> &str {
        self.desk.base(site)
    }

    /// The template of the tiles: `http://127.0.0.1:4321/{z}/{x}/{y}.png`.
    pub fn template(&self, format: Format) -> String {
        format!("{}/{{z}}/{{x}}/{{y}}.{}", self.base(Site::Main), format.extension())
    }

    /// What really lies there now.
    pub fn truth(&self, format: Format, tile: Tile) -> Truth {
        self.desk.truth(format, tile)
    }

    /// A copy of the log.
    pub fn log(&self) -> Log {
        self.desk.log()
    }

    /// The time by the clock of the log: how long ago the start or the last reset was. Compares with [`Entry::at`].
    pub fn now(&self) -> Duration {
        self.desk.journal.now()
    }

    /// Completes when `enough` finds what it looks for in the log; it is asked again whenever something was written, and has to answer
    /// soon: everybody waits for it.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn until(&self, enough: impl FnMut(&Log) -> bool) {
        self.desk.journal.until(enough).await;
    }

    /// Makes the next revision of the world and returns its number: the share [`World::changing`] of the tiles has other bytes, another
    /// ETag and a later date.
    pub fn revise(&self) -> u32 {
        self.desk.revise()
    }

    /// Empties the log and begins the script anew: its time, its counts, its limits. With another script, that one; connections
    /// that are open keep the rules for connections that they began with.
    pub fn reset(&self, script: Option<Script>) {
        self.desk.reset(script);
    }

    /// Begins another script while everything else goes on: its time, its counts and its limits begin now, the log is kept. Answers under
    /// way end as they began, and connections that are open keep the rules for connections that they began with.
    pub fn set_script(&self, script: Script) {
        self.desk.set_script(script);
    }

    /// Cuts every connection to the main host and refuses new ones, until told otherwise. The port stays its own.
    pub fn set_gone(&self, gone: bool) {
        self.desk.set_gone(gone);
    }

    /// Listens no more, gives the answers under way a second at most to end, and returns the log.
    ///
    /// # Cancel safety
    /// Dropped before it completes, it ends everything at once.
    pub async fn stop(mut self) -> Log {
        self.stop.send_replace(true);
        let all_gone = async { while self.tasks.join_next().await.is_some() {} };
        let _ = timeout(FAREWELL, all_gone).await;
        self.desk.log()
    }
}
