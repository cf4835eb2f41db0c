//! One download as a program makes it, and what is compared when it has ended.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    future::pending,
    ops::RangeInclusive,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use sims::tiles::{Content, Log, Origin, Truth};
use softstop::{Event, Report, Service};
use tempfile::TempDir;
use tiles::{
    answer::Class,
    area::Area,
    fetch::{Manners, Numbers, Patience, Progress},
    get::{Config, ParseTemplate, Which},
    grid::{Bounds, Tile},
    ids::IdSet,
    job::{self, Job, Request},
    mbtiles::Schema,
    net::{self, Connect},
    store::{self, Options, Reader, Store},
    template::{Settings, Template},
};
use tokio::{task::JoinSet, time::timeout};

use super::memory::Memory;

/// No download here takes longer, unless its clock is paused.
const LIMIT: Duration = Duration::from_secs(60);
/// So many tiles has [`jakarta`] at zooms 0 to 13.
pub(crate) const TILES: usize = 159;
/// Makes the random pauses; a test that fails shows the same again.
const SEED: u64 = 7;
/// What `${SECRET}` and `{apikey}` become.
pub(crate) const SECRET: &str = "s3cr3t-0f-n0b0dy-else";

/// 1, 1, 1, 1, 1, 1, 2, 2, 2, 4, 4, 9, 30, 100 and 361 tiles at zooms 0 to 14.
pub(crate) fn jakarta() -> Area {
    Bounds::new(106.6, -6.4, 107.0, -6.0).unwrap().into()
}

fn environment(name: &str) -> Option<String> {
    (name == "SECRET").then(|| SECRET.to_owned())
}

/// A small world: the bytes matter, not how many they are.
pub(crate) fn world() -> sims::tiles::World {
    sims::tiles::World { mean_size: 1500, ..sims::tiles::World::default() }
}

/// Nothing goes wrong but what the script says.
pub(crate) fn config(script: sims::tiles::Script) -> sims::tiles::Config {
    sims::tiles::Config { script, world: world(), ..sims::tiles::Config::default() }
}

/// `tiles get` with its arguments; may be run again and again on its file.
pub(crate) struct Get {
    folder: Arc<TempDir>,
    url: String,
    pub(crate) request: Request,
    pub(crate) which: Which,
    pub(crate) prune: bool,
    pub(crate) patience: Patience,
    pub(crate) permitted: bool,
    pub(crate) connect: Connect,
    pub(crate) limit: Duration,
}

/// What one run has left behind.
pub(crate) struct Ran {
    pub(crate) report: Report,
    /// What was said, in order.
    pub(crate) said: Vec<String>,
    pub(crate) numbers: Numbers,
    pub(crate) path: PathBuf,
    plan: tiles::plan::Plan,
    _folder: Arc<TempDir>,
}

impl Get {
    /// Jakarta down to zoom 13.
    pub(crate) fn new(url: &str) -> Self {
        let request = Request { area: Some(jakarta()), zooms: Some(0..=13), ..Request::default() };
        let seconds = Duration::from_secs;
        Self {
            folder: Arc::new(tempfile::tempdir().unwrap()),
            url: url.to_owned(),
            request,
            which: Which::Missing,
            prune: false,
            patience: Patience { connect: seconds(5), idle: seconds(5), total: seconds(10) },
            permitted: false,
            connect: net::internet(None).unwrap(),
            limit: LIMIT,
        }
    }

    pub(crate) fn from(origin: &Origin) -> Self {
        Self::new(&origin.template(sims::tiles::Format::Png))
    }

    /// Of a server in memory, on a paused clock: with the patience of a person, and for as long as it takes.
    pub(crate) fn of(memory: &Memory) -> Self {
        let get = Self::new("http://memory/{z}/{x}/{y}.png");
        Self { connect: memory.connect(), patience: Patience::default(), limit: Duration::from_secs(1_000_000), ..get }
    }

    /// From another address.
    pub(crate) fn at(mut self, url: &str) -> Self {
        self.url = url.to_owned();
        self
    }

    pub(crate) fn zooms(mut self, zooms: RangeInclusive<u8>) -> Self {
        self.request.zooms = Some(zooms);
        self
    }

    pub(crate) fn concurrent(mut self, concurrent: u32) -> Self {
        self.request.concurrent = Some(concurrent);
        self
    }

    pub(crate) fn header(mut self, header: &str) -> Self {
        self.request.headers.push(header.to_owned());
        self
    }

    pub(crate) fn patience(mut self, connect: Duration, idle: Duration, total: Duration) -> Self {
        self.patience = Patience { connect, idle, total };
        self
    }

    /// Trusts the certificate of the simulator.
    pub(crate) fn tls(mut self) -> Self {
        let roots = self.folder.path().join("roots.pem");
        fs::write(&roots, sims::tiles::CERTIFICATE).unwrap();
        self.connect = net::internet(Some(&roots)).unwrap();
        self
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("map.mbtiles")
    }

    /// What the file remembers, together with what is asked.
    fn job(&self) -> Job {
        let before = self.path().exists().then(|| Reader::open(&self.path()).unwrap());
        let before = before.and_then(|reader| Job::read(|name| reader.job(name)).unwrap());
        let settings = Settings { apikey: Some("-"), environment: &|_| Some("-".to_owned()), ..Settings::default() };
        let read = if job::is_description(&self.url) { Template::description } else { Template::parse };
        let kept = read(&self.url, &settings).unwrap().text().to_owned();
        Job::new(before, self.request.clone(), Some(kept)).unwrap()
    }

    fn description(&self) -> Option<Template> {
        let settings = Settings { apikey: Some(SECRET), environment: &environment, ..Settings::default() };
        job::is_description(&self.url).then(|| Template::description(&self.url, &settings).unwrap())
    }

    /// Runs until it has ended by itself.
    pub(crate) async fn run(&self) -> Ran {
        println!("seed {SEED}");
        let job = self.job();
        let plan = job.wanted.plan().unwrap();
        let template = job.template(&self.url, Some(SECRET), &environment).unwrap();
        let description = self.description();
        let manners = Manners::new("softstop-tiles/test", &job.headers, &environment).unwrap();
        let file = Store::open(&self.path(), &Options { schema: Schema::Flat, adopt: false, tms: false }).unwrap();
        let parse: ParseTemplate = Arc::new(|job: &Job| Ok(job.template(&job.url, Some(SECRET), &environment)?));
        let progress = Arc::new(Progress::default());
        let config = Config {
            path: self.path(),
            file,
            job,
            template,
            description,
            parse,
            which: self.which,
            connect: Arc::clone(&self.connect),
            manners,
            patience: self.patience,
            permitted: self.permitted,
            log_every: None,
            deliver: None,
            renew: false,
            prune: self.prune,
            seed: SEED,
            progress: Arc::clone(&progress),
        };
        let mut service = Service::new("tiles");
        tiles::get::service(&mut service, config);
        let mut events = service.handle().events();
        let listening = async {
            let mut said = Vec::new();
            while let Some(event) = events.next().await {
                if let Event::Said { text, .. } = event {
                    said.push(text);
                }
            }
            said
        };
        let (report, said) = timeout(self.limit, async { tokio::join!(service.run(pending()), listening) })
            .await
            .unwrap_or_else(|_| panic!("it does not end: {}", progress.log()));
        println!("{}\n{said:#?}", report.line());
        let numbers = progress.now();
        Ran { report, said, numbers, path: self.path(), plan, _folder: Arc::clone(&self.folder) }
    }
}

/// The tile as the simulator names it.
pub(crate) fn sim(tile: Tile) -> sims::tiles::Tile {
    sims::tiles::Tile::new(tile.z(), tile.x(), tile.y())
}

impl Ran {
    /// Every tile that is wanted.
    pub(crate) fn wanted(&self) -> Vec<Tile> {
        self.plan.todo(&IdSet::new()).collect()
    }

    /// All is there, and the exit status says so.
    #[track_caller]
    pub(crate) fn is_complete(&self, truth: impl Fn(sims::tiles::Tile) -> Truth) {
        assert_eq!(self.report.code(), 0, "{}", self.report.why);
        self.is_complete_but(&BTreeMap::new(), truth);
    }

    /// Every tile that is wanted is in the file as the truth has it, empty ones as empty, but for these, which have failed; and nothing
    /// else is in it.
    #[track_caller]
    pub(crate) fn is_complete_but(
        &self,
        failed: &BTreeMap<sims::tiles::Tile, (Class, Option<u16>)>,
        truth: impl Fn(sims::tiles::Tile) -> Truth,
    ) {
        self.is_in_order();
        let reader = Reader::open(&self.path).unwrap();
        let known = reader.known().unwrap();
        let failures: BTreeMap<_, _> =
            reader.failures().unwrap().iter().map(|row| (sim(row.tile), (row.class.unwrap(), row.status))).collect();
        assert_eq!(&failures, failed);
        let (mut stored, mut empty) = (BTreeSet::new(), BTreeSet::new());
        for tile in self.wanted() {
            match truth(sim(tile)) {
                _ if failed.contains_key(&sim(tile)) => {}
                Truth::There(Content { bytes, .. }) => {
                    stored.insert(tile.id());
                    let body = reader.body(tile).unwrap().unwrap_or_else(|| panic!("{:?} is missing", sim(tile)));
                    assert!(body == bytes, "{} differs: {} bytes for {}", sim(tile), body.len(), bytes.len());
                }
                Truth::Absent(_) => drop(empty.insert(tile.id())),
            }
        }
        assert_eq!(ids(&known.stored), stored);
        assert_eq!(ids(&known.empty), empty);
    }

    /// Nothing is lost, left open or damaged, and what was counted is in the file.
    #[track_caller]
    pub(crate) fn is_in_order(&self) {
        let report = &self.report;
        assert!(report.failures.is_empty(), "{:?}", report.failures);
        assert!(report.losses.is_empty() && report.leaks.is_empty(), "{}", report.line());
        let verified = store::verify(&self.path).unwrap();
        assert!(verified.is_sound(), "{verified:?}");
        assert_eq!(self.numbers.arrived, self.numbers.safe);
        let words = self.said.last().cloned().unwrap_or_default();
        assert_eq!(self.said.iter().filter(|line| **line == words).count(), 1, "last words are said once");
    }

    /// Neither in the file nor in what was said or reported.
    #[track_caller]
    pub(crate) fn has_no_secret(&self) {
        let report = format!("{}{}{:?}{:?}", self.report.to_json(), self.report.timeline(200), self.report, self.said);
        for (what, bytes) in [("report", report.into_bytes()), ("file", fs::read(&self.path).unwrap())] {
            // Also not a part of it.
            let part = &SECRET.as_bytes()[..8];
            assert!(!bytes.windows(part.len()).any(|window| window == part), "a secret in the {what}");
        }
    }

    /// How many tiles are in the file.
    pub(crate) fn stored(&self) -> u64 {
        Reader::open(&self.path).unwrap().known().unwrap().stored.len()
    }

    /// The line that begins with this, or panics.
    #[track_caller]
    pub(crate) fn says(&self, part: &str) {
        let lines = self.said.iter().filter(|line| line.contains(part)).count();
        assert_eq!(lines, 1, "{part:?} once in {:#?}", self.said);
    }
}

fn ids(set: &IdSet) -> BTreeSet<u64> {
    set.ranges().flatten().collect()
}

/// No tile was asked for more often, and none once more after it had been served whole.
#[track_caller]
pub(crate) fn asked_at_most(log: &Log, most: u64) {
    assert_eq!(log.asked_again(), BTreeMap::new(), "what was served is not asked for again");
    let more: Vec<_> = log.tiles().into_iter().filter(|(_, asked)| asked.requests > most).collect();
    assert!(more.is_empty(), "more than {most} requests: {more:?}");
}

/// Tiles that have failed, all in the same way.
pub(crate) fn all_failed(
    tiles: impl IntoIterator<Item = Tile>,
    class: Class,
    status: Option<u16>,
) -> BTreeMap<sims::tiles::Tile, (Class, Option<u16>)> {
    tiles.into_iter().map(|tile| (sim(tile), (class, status))).collect()
}

/// All of these at once: most of the time each of them waits.
pub(crate) async fn together(runs: impl IntoIterator<Item = impl Future<Output = ()> + Send + 'static>) {
    let mut all: JoinSet<()> = runs.into_iter().collect();
    while let Some(ended) = all.join_next().await {
        if let Err(panic) = ended {
            std::panic::resume_unwind(panic.into_panic());
        }
    }
}
