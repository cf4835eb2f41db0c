//! `tiles get`: the service that fetches what is wanted and not there.
//!
//! | component | needs | what it does | when it stops |
//! |---|---|---|---|
//! | `show` | | tells how far it is | the last words |
//! | `store` | `show` | commits what arrives, in groups | commits the rest, closes the file |
//! | `fetch`, the main job | `store` | slots that ask for one tile after another | no new tiles; what is on the wire is finished |

mod describe;
mod last;

use std::{
    fmt,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use softstop::{BoxError, Flag, Result, Scope, Service};

use self::{describe::first_address, last::LastWords};
use crate::{
    address::Address,
    answer::Order,
    convert::{self, convert},
    fetch::{
        Manners, Patience, Progress, Refresh, Slot,
        client::Client,
        desk::{Desk, Setup},
        unix,
    },
    grid::Tile,
    ids::IdSet,
    job::{Job, is_description},
    keep::{self, Note, Rows},
    mbtiles::Schema,
    net::Connect,
    pace::{FIRST_SLOTS, Pace},
    plan::Plan,
    policy,
    source::Source,
    store::{Known, Metadata, Reader, Store},
    template::Template,
    words::{count, number},
};

/// Exit statuses of `tiles get` besides those of every service.
pub mod status {
    /// All that this run was to ask for was asked for, and tiles of the job are missing: they failed, or were not asked for.
    pub const INCOMPLETE: u8 = 3;
    /// The server wants to be left alone for more than an hour.
    pub const COME_BACK: u8 = 4;
    /// The server does not want this job, or could not be reached.
    pub const REFUSED: u8 = 5;
}

/// Which tiles are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Which {
    /// Those that are not there, and did not fail for good.
    #[default]
    Missing,
    /// Those that failed.
    Failed,
    /// Those that are there, or empty, and may have changed.
    Stale,
}

/// What the service is made of.
pub struct Config {
    /// The file, as messages name it.
    pub path: PathBuf,
    /// The file, open; see [`Store::open`].
    pub file: Store,
    /// What is to be fetched.
    pub job: Job,
    /// The template; none where the address of the job is that of a description.
    pub template: Option<Template>,
    /// Where the description is, where that is what the address of the job leads to.
    pub description: Option<Template>,
    /// Makes a template of a description.
    pub parse: ParseTemplate,
    /// Which of its tiles.
    pub which: Which,
    /// How servers are called.
    pub connect: Connect,
    /// What they are told.
    pub manners: Manners,
    /// How long they may take.
    pub patience: Patience,
    /// Whether operators that forbid bulk downloads have allowed this one.
    pub permitted: bool,
    /// How often a line is printed; never on a terminal, which has a bar.
    pub log_every: Option<Duration>,
    /// Makes the random pauses.
    pub seed: u64,
    /// How far it is.
    pub progress: Arc<Progress>,
    /// PMTiles cannot be added to: they are made of the file when all is there, and the file goes. Its name is then that of a part.
    pub deliver: Option<PathBuf>,
    /// Another source is asked than before: what that one said of tiles is forgotten.
    pub renew: bool,
    /// A refresh takes out what the server does not have any more.
    pub prune: bool,
}

/// Makes a template of a job that has been resolved.
pub type ParseTemplate = Arc<dyn Fn(&Job) -> Result<Option<Template>> + Send + Sync>;

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config").field("path", &self.path).field("job", &self.job).finish_non_exhaustive()
    }
}

/// What the store hands to those who fetch.
#[derive(Clone)]
struct Stored {
    rows: Rows,
    known: Arc<Known>,
    stale: Arc<IdSet>,
    /// What the file says of itself.
    says: Metadata,
}

/// How the job ended, for the last words.
#[derive(Debug, Default)]
struct Ending {
    /// All has been asked for.
    finished: bool,
    /// What was made of it is whole, and the part of no use any more.
    delivered: bool,
}

/// Describes the service.
pub fn service(s: &mut Service, config: Config) {
    let Config { path, file, which, log_every, progress, .. } = config;
    let ending = Arc::new(Mutex::new(Ending::default()));
    let job = config.job.clone();

    let (shown, shown_ending, batch) = (Arc::clone(&progress), Arc::clone(&ending), job.batch);
    let (part, deliver) = (path.clone(), config.deliver);
    let flat = deliver.is_none() && matches!(&file, Store::Mbtiles(file) if file.schema() == Schema::Flat);
    let words =
        LastWords { path: deliver.clone().unwrap_or_else(|| path.clone()), part: deliver.is_some(), flat, which };
    let show = s.component("show", (), async move |scope, ()| {
        if log_every.is_some() || batch.is_some() {
            let progress = Arc::clone(&shown);
            scope.spawn_with("log", move |scope| log(scope, progress, log_every, batch));
        }
        let words_scope = scope.clone();
        scope.on_stop(async move |_| {
            let ending = std::mem::take(&mut *lock(&shown_ending));
            shown.over();
            if ending.delivered {
                // The store has closed it.
                std::fs::remove_file(&part)?;
            }
            words.say(&shown, &ending).into_iter().for_each(|line| words_scope.say(line));
            Ok(())
        });
        Ok(())
    });

    let kept = Arc::clone(&progress);
    let looked_up = path.clone();
    let store = s.component("store", show, async move |scope, ()| {
        // The walk over the index takes a second for some millions of tiles.
        let read = move |_| {
            let (known, says) = (file.known()?, file.metadata()?);
            let stale = if which == Which::Stale { file.stale(unix())? } else { IdSet::new() };
            Ok((file, known, stale, says))
        };
        let (file, known, stale, says) = scope.spawn_blocking("read", read).await?;
        let rows = keep::start(&scope, file, kept).await?;
        Ok(Stored { rows, known: Arc::new(known), stale: Arc::new(stale), says })
    });

    let fetch = Fetch {
        path: looked_up,
        job,
        template: config.template,
        description: config.description,
        parse: config.parse,
        which,
        manners: config.manners,
        permitted: config.permitted,
        seed: config.seed,
        progress,
        ending,
        deliver,
        renew: config.renew,
        prune: config.prune,
    };
    let (connect, patience) = (config.connect, config.patience);
    let job = s.component("fetch", store, async move |scope, stored| {
        let client = Arc::new(Client::new(&scope, connect, fetch.manners.clone(), patience));
        fetch.start(&scope, client, stored).await
    });
    s.options(job).main_job();
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A line every so often, and one after each batch.
async fn log(scope: Scope, progress: Arc<Progress>, every: Option<Duration>, batch: Option<u64>) -> Result {
    let look = Duration::from_millis(200).min(every.unwrap_or(Duration::MAX));
    let (mut last, mut batches) = (tokio::time::Instant::now(), 0);
    while scope.sleep(look).await.is_ok() {
        let numbers = progress.now();
        if let Some(batch) = batch
            && numbers.done() / batch > batches
        {
            batches = numbers.done() / batch;
            let all = numbers.wanted.div_ceil(batch);
            scope.say(format!("batch {} of {}: {}", number(batches), number(all), progress.log()));
            last = tokio::time::Instant::now();
        } else if every.is_some_and(|every| last.elapsed() >= every) && numbers.wanted > 0 {
            scope.say(progress.log());
            last = tokio::time::Instant::now();
        }
    }
    Ok(())
}

/// What fetching begins with.
struct Fetch {
    path: PathBuf,
    job: Job,
    template: Option<Template>,
    description: Option<Template>,
    parse: ParseTemplate,
    which: Which,
    manners: Manners,
    permitted: bool,
    seed: u64,
    progress: Arc<Progress>,
    ending: Arc<Mutex<Ending>>,
    deliver: Option<PathBuf>,
    renew: bool,
    prune: bool,
}

impl Fetch {
    async fn start(mut self, scope: &Scope, client: Arc<Client>, stored: Stored) -> Result {
        let Stored { rows, mut known, mut stale, says } = stored;
        if self.renew {
            stale = Arc::new(known.stored.clone());
            known = Arc::new(Known { stored: known.stored.clone(), ..Known::default() });
        }
        let (template, source) = self.resolve(scope, &client).await?;
        if let (Some(there), Some(wanted)) = (template.zooms(), self.job.wanted.zooms()) {
            Source { zooms: Some(there), ..Source::default() }.check_zooms(&wanted)?;
        }
        let plan = self.job.wanted.plan()?;
        let counted = plan.clone();
        // At once for boxes; for the edge of a large polygon it takes seconds.
        let total = scope.spawn_blocking("count", move |_| Ok(counted.total())).await?;
        policy::check(&template.hosts(), total, self.permitted).map_err(|error| hinted(&error, error.hint()))?;
        let mut metadata = self.metadata(&source, &says);
        let format = self.job.format.or(says.format());
        if let Some(format) = format {
            metadata.set("format", format.name());
        }
        if self.deliver.is_some() {
            metadata.set(convert::MADE_FOR, self.job.checksum());
        }
        let note = Note { forget: self.renew, job: self.job.kept(), metadata };
        rows.note(note).await.map_err(|_| "the file has been closed")?;

        let (todo, wanted) = self.todo(scope, &plan, total, &known, &stale).await?;
        if wanted == 0 {
            scope.spawn_with("job", async move |scope| self.finish(&scope, None, plan).await);
            return Ok(());
        }
        self.announce(scope, total, wanted);
        let ceiling = self.job.concurrent;
        let start = self.job.slots.unwrap_or(FIRST_SLOTS).min(ceiling);
        let (manners, mask, described) = (self.manners.clone(), template.clone(), self.description.clone());
        // What is sent to the server that a person named goes to no other that it named.
        let named = if is_description(&self.job.url) { Address::parse(&self.job.url) } else { None };
        let elsewhere = named.zip(first_address(&template)).is_some_and(|(named, asked)| !named.same_origin(&asked));
        let (hosts, permitted) = (template.hosts(), self.permitted);
        let desk = Arc::new(Desk::new(Setup {
            todo,
            template,
            format,
            learns: format.is_none(),
            pace: Pace::new(start, ceiling, self.job.rate),
            seed: self.seed,
            keeps: policy::keeps(&hosts),
            progress: Arc::clone(&self.progress),
            elsewhere,
            allows: Box::new(move |to| policy::check(&[to.host().to_owned()], total, permitted).is_ok()),
            mask: Box::new(move |text| {
                let text = manners.mask(&mask.mask(text));
                described.iter().fold(text, |text, description| description.mask(&text))
            }),
        }));
        let stored = match self.which {
            Which::Stale => Some(Refresh {
                reader: Arc::new(Mutex::new(Reader::open(&self.path)?)),
                known: if self.prune { Arc::default() } else { Arc::clone(&known) },
            }),
            _ => None,
        };
        drop(known);
        let slot = |_| {
            let slot = Slot {
                desk: Arc::clone(&desk),
                client: Arc::clone(&client),
                rows: rows.clone(),
                stored: stored.clone(),
            };
            scope.spawn_with("slot", |scope| slot.run(scope))
        };
        let slots: Vec<_> = (0..u64::from(ceiling).min(wanted)).map(slot).collect();
        scope.spawn_with("job", async move |scope| {
            for slot in slots {
                slot.await?;
            }
            client.close().await;
            let slots = Note { job: vec![("slots", Some(desk.slots().to_string()))], ..Note::default() };
            // Where the file has been closed, it says why.
            let _ = rows.note(slots).await;
            self.finish(&scope, desk.ended(), plan).await
        });
        Ok(())
    }

    /// Says what is about to happen.
    fn announce(&self, scope: &Scope, total: u64, wanted: u64) {
        let before = self.progress.now().before;
        let there = if self.which == Which::Stale { before + wanted } else { before };
        let zooms = self.job.wanted.zooms().map(|zooms| format!(" at zooms {} to {}", zooms.start(), zooms.end()));
        let what = match self.which {
            Which::Missing => "to fetch",
            Which::Failed => "that failed to try again",
            Which::Stale => "to ask for changes of",
        };
        let path = self.deliver.as_ref().unwrap_or(&self.path).display();
        scope.say(format!(
            "{path}: {}{}, {} there, {} {what}",
            count(total, "tile"),
            zooms.unwrap_or_default(),
            number(there),
            number(wanted),
        ));
    }

    /// All has been asked for, or the server or a stop has ended it.
    async fn finish(&self, scope: &Scope, order: Option<Order>, plan: Plan) -> Result {
        let numbers = self.progress.now();
        let finished = numbers.left() == 0;
        if finished && self.which != Which::Missing {
            // This run asked for a part of them only.
            let path = self.path.clone();
            let count = move |_| Ok(plan.total() - plan.count_in(&Reader::open(&path)?.known()?.there()));
            self.progress.missing(scope.spawn_blocking("count", count).await?);
        }
        let missing = self.progress.now().missing;
        match &order {
            Some(order @ Order::ComeBack { .. }) => scope.exit_status(status::COME_BACK, order.to_string()),
            Some(order) => scope.exit_status(status::REFUSED, order.to_string()),
            None if finished && numbers.failures() > 0 => {
                scope.exit_status(status::INCOMPLETE, format!("{} failed", count(numbers.failures(), "tile")));
            }
            None if finished && missing > 0 => {
                scope.exit_status(status::INCOMPLETE, format!("{} missing", count(missing, "tile")));
            }
            None => {}
        }
        let delivered = match &self.deliver {
            Some(to) if finished => self.deliver(scope, to).await? && numbers.failures() == 0,
            _ => false,
        };
        *lock(&self.ending) = Ending { finished, delivered };
        Ok(())
    }

    /// Makes what was asked for of the part; `false` if a stop came before it was whole.
    async fn deliver(&self, scope: &Scope, to: &Path) -> Result<bool> {
        let (from, to) = (self.path.clone(), to.to_owned());
        let make = move |flag: Flag| {
            let options = convert::Options { replace: true, ..convert::Options::default() };
            let going = |_: &convert::Progress| {
                if flag.is_draining() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            };
            convert(&from, &to, &options, going).map_err(|error| hinted(&error, error.hint()))
        };
        Ok(scope.spawn_blocking("deliver", make).await?.is_some())
    }

    /// The tiles to ask for, and how many these are.
    async fn todo(
        &self,
        scope: &Scope,
        plan: &Plan,
        total: u64,
        known: &Arc<Known>,
        stale: &Arc<IdSet>,
    ) -> Result<(Box<dyn Iterator<Item = Tile> + Send>, u64)> {
        let (plan, known, stale) = (plan.clone(), Arc::clone(known), Arc::clone(stale));
        let (which, progress) = (self.which, Arc::clone(&self.progress));
        let work = move |_| {
            let mut done = known.there();
            let (there, empty) = (plan.count_in(&done), plan.count_in(&known.empty));
            let among = |set: &IdSet| {
                // Only those of this job: an area of an earlier one may have been larger.
                let (wanted, runs) = (plan.count_in(set), set.ranges().collect::<Vec<_>>());
                let (tiles, plan) = (runs.into_iter().flatten().filter_map(Tile::from_id), plan.clone());
                (Box::new(tiles.filter(move |tile| plan.contains(*tile))) as Box<dyn Iterator<Item = _> + Send>, wanted)
            };
            Ok(match which {
                Which::Missing => {
                    let mut for_good = IdSet::new();
                    for run in known.for_good.ranges() {
                        done.missing(run).for_each(|run| for_good.insert_range(run));
                    }
                    let given_up = plan.count_in(&for_good);
                    for_good.ranges().for_each(|range| done.insert_range(range));
                    let wanted = total - there - given_up;
                    progress.begin(wanted, there, empty, given_up);
                    (Box::new(plan.todo(&done)) as Box<dyn Iterator<Item = _> + Send>, wanted)
                }
                Which::Failed => {
                    let (tiles, wanted) = among(&known.failed);
                    progress.begin(wanted, there, empty, 0);
                    (tiles, wanted)
                }
                Which::Stale => {
                    let (tiles, wanted) = among(&stale);
                    progress.begin(wanted, there - wanted.min(there), empty, 0);
                    (tiles, wanted)
                }
            })
        };
        Ok(scope.spawn_blocking("plan", work).await?)
    }
}

fn hinted(error: &dyn std::error::Error, hint: &str) -> BoxError {
    format!("{}; {hint}", keep::with_causes(error)).into()
}
