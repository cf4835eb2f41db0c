//! `tiles get`.

use std::{
    fs,
    io::{IsTerminal, stderr, stdin},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use clap::ArgMatches;
use softstop::{BoxError, Result};
use tiles::{
    convert::MADE_FOR,
    fetch::{Manners, Patience, Progress},
    get::{Config, ParseTemplate, Which, service},
    job::{Job, ReadError, Request, is_description},
    mbtiles::Schema,
    net, policy,
    store::{Kind, Options, Reader, Store, StoreError},
    template::{Settings, Template},
};

use super::{Wrong, args, ask, hinted, print, refuse, wrong};

/// How we call ourselves where a person says nothing.
const AGENT: &str = concat!("softstop-tiles/", env!("CARGO_PKG_VERSION"));
/// Where `{apikey}` is taken from.
const APIKEY: &str = "TILES_APIKEY";
/// Without a terminal, a line every so often.
const LOG: Duration = Duration::from_secs(10);

/// What a person wants of `get`.
pub(crate) enum Wish {
    Get(Box<Get>),
    Status(PathBuf),
}

/// A download, as it was asked for.
pub(crate) struct Get {
    out: PathBuf,
    request: Request,
    which: Which,
    adopt: bool,
    schema: Schema,
    permitted: bool,
    total: Duration,
    prune: bool,
}

pub(crate) fn wish(matches: &ArgMatches) -> Result<Wish, Wrong> {
    let out = matches.get_one::<PathBuf>("out").cloned();
    let mut request = args::request(matches)?;
    let out = match out {
        Some(out) => out,
        None if request == Request::default() && stdin().is_terminal() && stderr().is_terminal() => {
            let (out, asked) = ask::all()?;
            request = asked;
            out
        }
        None => {
            return Err(Wrong {
                what: "there is no file to put the tiles into".to_owned(),
                hint: "say which, such as: tiles get map.mbtiles --url … --bbox … --zoom 0-14".to_owned(),
            });
        }
    };
    if matches.get_flag("status") {
        return Ok(Wish::Status(out));
    }
    Ok(Wish::Get(Box::new(Get {
        out,
        request,
        which: args::which(matches),
        adopt: matches.get_flag("adopt"),
        schema: args::schema(matches),
        permitted: matches.get_flag("i-have-permission"),
        prune: matches.get_flag("prune"),
        total: Duration::from_secs(matches.get_one::<u64>("timeout").copied().unwrap_or(30)),
    })))
}

pub(crate) fn run(get: Get) -> ExitCode {
    match get.is_done() {
        Ok(Some(words)) => {
            print(&words);
            return ExitCode::SUCCESS;
        }
        Ok(None) => {}
        Err(error) => return refuse(&error),
    }
    softstop::main(|s| {
        let config = get.config()?;
        let shown = Arc::clone(&config.progress);
        s.name("tiles").quiet().dies_by_signal().current_thread();
        s.status_line(move |width| shown.line(width));
        service(s, config);
        Ok(())
    })
}

/// What the environment says.
pub(crate) fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Where PMTiles are fetched to before they are made.
pub(crate) fn part(out: &Path) -> PathBuf {
    let mut name = out.file_name().unwrap_or_default().to_owned();
    name.push(".job");
    out.with_file_name(name)
}

impl Get {
    /// PMTiles that are whole hold the job that made them. Another one cannot be begun in them.
    fn is_done(&self) -> Result<Option<String>, Wrong> {
        if Kind::of(&self.out) != Kind::Pmtiles || !self.out.exists() || part(&self.out).exists() {
            return Ok(None);
        }
        let reader = hinted!(Reader::open(&self.out))?;
        let made_for = hinted!(reader.metadata())?.value(MADE_FOR).map(str::to_owned);
        let asks_nothing = self.request.url.is_none() && self.request.area.is_none() && self.request.zooms.is_none();
        if let (Some(made_for), true) = (made_for, self.which != Which::Stale)
            && (asks_nothing || job(None, self.request.clone()).is_ok_and(|job| job.checksum() == made_for))
        {
            let tiles = hinted!(reader.known())?.stored.len();
            return Ok(Some(format!("{} there, nothing to do", tiles::words::count(tiles, "tile"))));
        }
        if self.which == Which::Stale {
            return Err(Wrong {
                what: format!("{} is PMTiles, which cannot be refreshed", self.out.display()),
                hint: "fetch it anew under another name, or keep the map as MBTiles".to_owned(),
            });
        }
        let error = StoreError::NotAppendable { path: self.out.clone() };
        Err(wrong(&error, error.hint()))
    }

    fn config(self) -> Result<Config> {
        let Self { out, request, which, adopt, schema, permitted, total, prune } = self;
        let deliver = (Kind::of(&out) == Kind::Pmtiles).then(|| out.clone());
        let out = if deliver.is_some() { part(&out) } else { out };
        if fs::metadata(&out).is_ok_and(|found| !found.is_file() && !found.is_dir()) {
            let what = format!("{} is neither a file nor a folder", out.display());
            return Err(Wrong { what, hint: "name a file, such as map.mbtiles".to_owned() }.into());
        }
        let replaced = request.replace_source;
        let before = read(&out)?;
        let source_before = before.as_ref().map(Job::source);
        if before.is_none()
            && request.url.is_none()
            && out.exists()
            && out.metadata().is_ok_and(|found| found.len() > 0)
        {
            return Err(Wrong {
                what: format!(
                    "{} is finished, or of another program: it does not say where its tiles come from",
                    out.display()
                ),
                hint: "say --url, the area, --zoom and --adopt to add to it".to_owned(),
            }
            .into());
        }
        let job = job(before, request)?;
        let (template, description) = template(&job)?;
        let agent = job.agent.as_deref().unwrap_or(AGENT);
        let manners = Manners::new(agent, &job.headers, &environment)?;
        let connect = net::internet(job.ca.as_deref().map(Path::new))?;
        if let Some(host) = template.iter().flat_map(Template::hosts).find(|host| host.contains('*')) {
            let what = format!("the host {host} comes from the environment, so nobody sees whom this asks");
            return Err(Wrong { what, hint: "write the host into --url".to_owned() }.into());
        }
        if let Some(template) = &template
            && policy::check(&template.hosts(), u64::MAX, permitted).is_err()
        {
            let total = hinted!(job.wanted.plan())?.total();
            hinted!(policy::check(&template.hosts(), total, permitted))?;
        }
        // All that can be wrong with what was said is known: only now a file is made.
        let file = hinted!(Store::open(&out, &Options { schema, adopt, tms: false }))?;
        // What one source does not have, another may.
        let renew = replaced && source_before.is_some_and(|before| before != job.source());
        let parse: ParseTemplate = Arc::new(|job: &Job| Ok(parse(job)?));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(Config {
            path: out,
            file,
            job,
            template,
            description,
            parse,
            which,
            connect,
            manners,
            patience: Patience { total, ..Patience::default() },
            permitted,
            log_every: (!stderr().is_terminal()).then_some(LOG),
            seed: u64::from(now.subsec_nanos()) ^ u64::from(std::process::id()) << 32,
            progress: Arc::new(Progress::default()),
            deliver,
            renew,
            prune,
        })
    }
}

/// The job of a file; none where there is no file, or one of another program.
pub(crate) fn read(path: &Path) -> Result<Option<Job>, Wrong> {
    match fs::metadata(path) {
        // SQLite makes a file before it writes to it.
        Ok(found) if found.is_file() && found.len() == 0 => return Ok(None),
        Ok(_) => {}
        Err(_) => return Ok(None),
    }
    let reader = hinted!(Reader::open(path))?;
    Job::read(|name| reader.job(name)).map_err(|error| match error {
        ReadError::File(error) => wrong(&error, StoreError::hint(&error)),
        ReadError::Job(error) => wrong(&error, error.hint()),
    })
}

/// The job, with what is kept of the address of a source.
pub(crate) fn job(before: Option<Job>, request: Request) -> Result<Job, Wrong> {
    let url = match &request.url {
        Some(url) => {
            let subdomains =
                match request.subdomains.as_deref().or(before.as_ref().and_then(|job| job.subdomains.as_deref())) {
                    Some(text) => hinted!(tiles::template::subdomains(text))?,
                    None => Vec::new(),
                };
            let (apikey, nothing) = (Some("-"), |_: &str| Some("-".to_owned()));
            let settings = Settings {
                subdomains: &subdomains,
                double: request.double,
                tms: request.tms,
                apikey,
                environment: &nothing,
            };
            let read = if is_description(url) { Template::description } else { Template::parse };
            let template = hinted!(read(url, &settings))?;
            if template.forgets() {
                return Err(Wrong {
                    what: format!(
                        "--url {template}: a secret on the command line can be read by everybody on this machine"
                    ),
                    hint: "say ${NAME} for it, which is taken from the environment, or {apikey} with --apikey-file"
                        .to_owned(),
                });
            }
            Some(template.text().to_owned())
        }
        None => None,
    };
    hinted!(Job::new(before, request, url))
}

/// The template of a job, if it is known without asking the source, and where the source describes itself.
fn template(job: &Job) -> Result<(Option<Template>, Option<Template>), Wrong> {
    let apikey = apikey(job)?;
    let settings = Settings { apikey: apikey.as_deref(), environment: &environment, ..Settings::default() };
    let describes =
        is_description(&job.url).then(|| hinted!(Template::description(&job.url, &settings))).transpose()?;
    Ok((parse(job)?, describes))
}

fn parse(job: &Job) -> Result<Option<Template>, Wrong> {
    let apikey = apikey(job)?;
    hinted!(job.template(&job.url, apikey.as_deref(), &environment))
}

/// What `{apikey}` becomes.
fn apikey(job: &Job) -> Result<Option<String>, Wrong> {
    let Some(path) = &job.apikey_file else { return Ok(environment(APIKEY)) };
    let text = fs::read_to_string(path).map_err(|error| Wrong {
        what: format!("--apikey-file {path}: {error}"),
        hint: "name a file that holds the key and nothing else".to_owned(),
    })?;
    Ok(Some(text.trim().to_owned()))
}

const _: fn() = || {
    fn is_an_error<T: Into<BoxError>>() {}
    is_an_error::<Wrong>();
};
