//! What is to be fetched, from where and how: what a person says, and what the file remembers of it. Pure.

use std::{fmt, ops::RangeInclusive};

use serde_json::Value;
use twox_hash::XxHash3_128;

use crate::{
    area::Area,
    check::Format,
    plan::{Wanted, WantedError},
    template::{Settings, Template, TemplateError, secret::MASK},
};

/// Requests at once where a person says nothing.
pub const CONCURRENT: u32 = 16;
/// The most requests at once that can be asked for.
pub const MOST_CONCURRENT: u32 = 1000;
/// Tiles in a batch where a person says nothing: as in the original, and only what a report is given after.
pub const BATCH: u64 = 2500;

/// What a person says; what is left out, the file knows or a default is taken.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Request {
    /// A template, or the address of a TileJSON or of WMTS capabilities.
    pub url: Option<String>,
    /// Of a WMTS.
    pub layer: Option<String>,
    /// Of a WMTS.
    pub matrix_set: Option<String>,
    /// What `{s}` becomes.
    pub subdomains: Option<String>,
    /// Rows count from the south.
    pub tms: bool,
    /// Tiles of double size.
    pub double: bool,
    /// Which part of the world.
    pub area: Option<Area>,
    /// At which zooms.
    pub zooms: Option<RangeInclusive<u8>>,
    /// `Name: value`.
    pub headers: Vec<String>,
    /// How we call ourselves.
    pub agent: Option<String>,
    /// Where `{apikey}` is read from; without it, the environment.
    pub apikey_file: Option<String>,
    /// A file with certificates that are trusted as well.
    pub ca: Option<String>,
    /// Requests at once, at most.
    pub concurrent: Option<u32>,
    /// Requests a second, at most.
    pub rate: Option<f64>,
    /// Tiles after which a line is printed.
    pub batch: Option<u64>,
    /// What the tiles have to be.
    pub format: Option<Format>,
    /// Another source is meant.
    pub replace_source: bool,
}

/// A job, as it stands in the file.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// As a person gave it, without secrets.
    pub url: String,
    /// What came of it where it was no template.
    pub resolved: Option<Resolved>,
    /// Of a WMTS.
    pub layer: Option<String>,
    /// Of a WMTS.
    pub matrix_set: Option<String>,
    /// What `{s}` becomes.
    pub subdomains: Option<String>,
    /// Rows count from the south.
    pub tms: bool,
    /// Tiles of double size.
    pub double: bool,
    /// What is wanted.
    pub wanted: Wanted,
    /// As a person gave them, with placeholders for secrets.
    pub headers: Vec<String>,
    /// How we call ourselves.
    pub agent: Option<String>,
    /// Where `{apikey}` is read from.
    pub apikey_file: Option<String>,
    /// A file with certificates that are trusted as well.
    pub ca: Option<String>,
    /// Requests at once, at most.
    pub concurrent: u32,
    /// Requests a second, at most.
    pub rate: Option<f64>,
    /// Tiles after which a line is printed.
    pub batch: Option<u64>,
    /// What the tiles have to be.
    pub format: Option<Format>,
    /// How many requests at once were good in the last run.
    pub slots: Option<u32>,
}

/// A template that a description led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// The template.
    pub template: String,
    /// Whether its rows count from the south.
    pub tms: bool,
}

/// The names of what is kept, in the order of [`Job::kept`].
pub const NAMES: [&str; 16] = [
    "version",
    "url",
    "template",
    "scheme",
    "layer",
    "matrix_set",
    "subdomains",
    "tms",
    "double",
    "wanted",
    "headers",
    "agent",
    "apikey_file",
    "concurrent",
    "rate",
    "batch",
];

impl Job {
    /// What a person says, and what the file remembered.
    ///
    /// # Errors
    /// Something is missing, or another source is meant than before.
    pub fn new(before: Option<Self>, request: Request, url: Option<String>) -> Result<Self, JobError> {
        let source = before.as_ref().map(Self::source);
        let mut job = match (before, url) {
            // Nothing that was said for one server goes to another, least of all a header.
            (Some(before), Some(url)) if before.url != url => Self {
                wanted: before.wanted,
                agent: before.agent,
                concurrent: before.concurrent,
                rate: before.rate,
                batch: before.batch,
                ..Self::from(url)
            },
            (Some(before), _) => before,
            (None, Some(url)) => Self::from(url),
            (None, None) => return Err(JobError::NoSource),
        };
        if job.matrix_set != request.matrix_set.clone().or(job.matrix_set.clone()) {
            job.resolved = None;
        }
        for (here, said) in [
            (&mut job.layer, request.layer),
            (&mut job.matrix_set, request.matrix_set),
            (&mut job.subdomains, request.subdomains),
            (&mut job.agent, request.agent),
            (&mut job.apikey_file, request.apikey_file),
            (&mut job.ca, request.ca),
        ] {
            *here = said.or(here.take());
        }
        job.tms |= request.tms;
        job.double |= request.double;
        if let Some(before) = source.filter(|before| *before != job.source()) {
            if !request.replace_source {
                return Err(JobError::OtherSource { before, now: job.source() });
            }
            (job.resolved, job.format, job.slots) = (None, None, None);
        }
        job.format = request.format.or(job.format);
        job.rate = request.rate.or(job.rate);
        job.batch = request.batch.or(job.batch);
        if !request.headers.is_empty() {
            job.headers = request.headers;
        }
        job.concurrent = request.concurrent.unwrap_or(job.concurrent);
        job.want(request.area, request.zooms)?;
        Ok(job)
    }

    /// A job that wants nothing yet.
    fn from(url: String) -> Self {
        Self {
            url,
            resolved: None,
            layer: None,
            matrix_set: None,
            subdomains: None,
            tms: false,
            double: false,
            wanted: Wanted::default(),
            headers: Vec::new(),
            agent: None,
            apikey_file: None,
            ca: None,
            concurrent: CONCURRENT,
            rate: None,
            batch: None,
            format: None,
            slots: None,
        }
    }

    /// What makes the tiles what they are, for a person: where it is another, the tiles are others.
    pub fn source(&self) -> String {
        let mut source = self.url.clone();
        if let Some(layer) = &self.layer {
            source.push_str(&format!(", layer {layer}"));
        }
        for (said, what) in [(self.tms, ", rows from the south"), (self.double, ", double size")] {
            source.push_str(if said { what } else { "" });
        }
        source
    }

    fn want(&mut self, area: Option<Area>, zooms: Option<RangeInclusive<u8>>) -> Result<(), JobError> {
        match (area, zooms, self.wanted.parts()) {
            (None, None, []) => return Err(JobError::NoArea),
            (None, None, _) => {}
            (Some(area), Some(zooms), _) => self.wanted.add(area, zooms),
            (None, Some(zooms), [(area, _)]) => self.wanted.add(area.clone(), zooms),
            (Some(area), None, [(_, zooms)]) => self.wanted.add(area, zooms.clone()),
            (None, Some(_), []) => return Err(JobError::NoArea),
            (Some(_), None, []) => return Err(JobError::NoZooms),
            (None, Some(_), _) => return Err(JobError::WhichArea),
            (Some(_), None, _) => return Err(JobError::WhichZooms),
        }
        Ok(())
    }

    /// The template, if it is known.
    ///
    /// # Errors
    /// It cannot be one, or needs what is not given.
    pub fn template(
        &self,
        secret: &str,
        apikey: Option<&str>,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Option<Template>, TemplateError> {
        let subdomains = match &self.subdomains {
            Some(text) => crate::template::subdomains(text)?,
            None => Vec::new(),
        };
        let settings = Settings { subdomains: &subdomains, double: self.double, tms: self.tms, apikey, environment };
        match &self.resolved {
            // What a server wrote gets no secret that it only has to name.
            Some(Resolved { template, tms }) if !template.contains(MASK) => {
                let settings = Settings { tms: *tms, apikey: None, environment: &|_| None, ..settings };
                Template::parse(template, &settings).map(Some)
            }
            // With a secret in it, it is only known to who wrote it.
            _ if is_description(&self.url) => Ok(None),
            _ => Template::parse(secret, &settings).map(Some),
        }
    }

    /// Names and values, to be kept.
    pub fn kept(&self) -> Vec<(&'static str, Option<String>)> {
        let flag = |flag: bool| flag.then(|| "1".to_owned());
        let headers = (!self.headers.is_empty()).then(|| Value::from(self.headers.clone()).to_string());
        let values = [
            Some("1".to_owned()),
            Some(self.url.clone()),
            self.resolved.as_ref().map(|resolved| resolved.template.clone()),
            self.resolved.as_ref().map(|resolved| if resolved.tms { "tms" } else { "xyz" }.to_owned()),
            self.layer.clone(),
            self.matrix_set.clone(),
            self.subdomains.clone(),
            flag(self.tms),
            flag(self.double),
            Some(self.wanted.text()),
            headers,
            self.agent.clone(),
            self.apikey_file.clone(),
            Some(self.concurrent.to_string()),
            self.rate.map(|rate| rate.to_string()),
            self.batch.map(|batch| batch.to_string()),
        ];
        let rest = [
            ("ca", self.ca.clone()),
            ("format", self.format.map(|format| format.name().to_owned())),
            ("slots", self.slots.map(|n| n.to_string())),
        ];
        NAMES.into_iter().zip(values).chain(rest).collect()
    }

    /// What tells this job from another one: where from and which tiles, as a checksum that tells neither.
    pub fn checksum(&self) -> String {
        format!("{:032x}", XxHash3_128::oneshot(format!("{} {}", self.source(), self.wanted.text()).as_bytes()))
    }

    /// Reads what was kept, by name; none where nothing was.
    ///
    /// # Errors
    /// It is of a later version, or cannot be read.
    pub fn read<E>(mut value: impl FnMut(&str) -> Result<Option<String>, E>) -> Result<Option<Self>, ReadError<E>> {
        let mut get = |name: &str| value(name).map_err(ReadError::File);
        let Some(version) = get("version")? else { return Ok(None) };
        if version != "1" {
            return Err(ReadError::Job(JobError::Version { version }));
        }
        let damaged = |name: &'static str| ReadError::Job(JobError::Damaged { name });
        let url = get("url")?.ok_or_else(|| damaged("url"))?;
        let tms = get("scheme")?.as_deref() == Some("tms");
        let wanted = get("wanted")?.ok_or_else(|| damaged("wanted"))?;
        let wanted = Wanted::read(&wanted).map_err(|error| ReadError::Job(JobError::Wanted(error)))?;
        let headers = get("headers")?.map(|text| serde_json::from_str::<Value>(&text)).transpose();
        let headers = headers.map_err(|_| damaged("headers"))?.unwrap_or_default();
        let text = |value: &Value| value.as_str().map(str::to_owned);
        Ok(Some(Self {
            url,
            resolved: get("template")?.map(|template| Resolved { template, tms }),
            layer: get("layer")?,
            matrix_set: get("matrix_set")?,
            subdomains: get("subdomains")?,
            tms: get("tms")?.is_some(),
            double: get("double")?.is_some(),
            wanted,
            headers: headers.as_array().into_iter().flatten().filter_map(text).collect(),
            agent: get("agent")?,
            apikey_file: get("apikey_file")?,
            ca: get("ca")?,
            concurrent: get("concurrent")?.and_then(|text| text.parse().ok()).unwrap_or(CONCURRENT),
            rate: get("rate")?.and_then(|text| text.parse().ok()),
            batch: get("batch")?.and_then(|text| text.parse().ok()),
            format: get("format")?.and_then(|name| Format::named(&name)),
            slots: get("slots")?.and_then(|text| text.parse().ok()),
        }))
    }
}

/// Whether an address is that of a description, because nothing in it tells one tile from another.
pub fn is_description(url: &str) -> bool {
    let tells =
        ["{x}", "{y}", "{-y}", "{q}", "{quadkey}", "{bbox-epsg-3857}", "{z}", "{zoom}", "{TileRow}", "{TileCol}"];
    !tells.iter().any(|placeholder| url.contains(placeholder))
}

/// Why what was kept could not be read.
#[derive(Debug)]
pub enum ReadError<E> {
    /// The file could not.
    File(E),
    /// What stands there is no job.
    Job(JobError),
}

/// What is no job.
#[derive(Debug)]
#[non_exhaustive]
pub enum JobError {
    /// Nothing says where tiles come from.
    NoSource,
    /// Nothing says which tiles.
    NoArea,
    /// Nothing says at which zooms.
    NoZooms,
    /// There are several areas, and nothing says for which of them the zooms are.
    WhichArea,
    /// The areas that are there have zooms of their own, and nothing says those of the new one.
    WhichZooms,
    /// Another source is meant than before.
    OtherSource {
        /// That of the file.
        before: String,
        /// That of the person.
        now: String,
    },
    /// A later program wrote it.
    Version {
        /// What it says of itself.
        version: String,
    },
    /// A value that has to be there is not, or is no such value.
    Damaged {
        /// Its name.
        name: &'static str,
    },
    /// What is wanted cannot be read.
    Wanted(WantedError),
}

impl JobError {
    /// What to do about it, in one sentence.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NoSource => "say where from: --url 'https://host/{z}/{x}/{y}.png'",
            Self::NoArea => {
                "say what: --bbox W,S,E,N, --polygon FILE, --center LON,LAT --radius KM, or --x A-B --y C-D"
            }
            Self::NoZooms | Self::WhichZooms => "say how deep: --zoom 0-14",
            Self::WhichArea => "say for which: --bbox, --polygon, --center or --x and --y besides --zoom",
            Self::OtherSource { .. } => "name another file, or say --replace-source to mix the two",
            Self::Version { .. } => "use a newer version of this program",
            Self::Damaged { .. } | Self::Wanted(_) => "say --url, the area and --zoom again for another file",
        }
    }
}

impl fmt::Display for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSource => write!(f, "there is no source"),
            Self::NoArea => write!(f, "there is no area"),
            Self::NoZooms => write!(f, "there are no zooms"),
            Self::WhichArea => write!(f, "there are several areas in the file, and zooms for one that is not named"),
            Self::WhichZooms => {
                write!(f, "there are several areas in the file, each with zooms of its own, and a new one without")
            }
            Self::OtherSource { before, now } => {
                write!(f, "the tiles in the file come from {before}, and not from {now}")
            }
            Self::Version { version } => write!(f, "the job in the file is of version {version}, this program knows 1"),
            Self::Damaged { name } => write!(f, "the job in the file has no usable {name:?}"),
            Self::Wanted(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for JobError {}

#[cfg(test)]
#[path = "job_tests.rs"]
mod tests;
