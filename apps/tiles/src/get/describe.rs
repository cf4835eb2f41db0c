//! What the source says of itself: the template of its addresses, and what the file is told of it.

use std::time::Duration;

use softstop::{Result, Scope};

use super::{Fetch, hinted};
use crate::{
    address::Address,
    answer::{Broken, End, REDIRECTS},
    check::Format,
    fetch::{
        client::{Asking, Client},
        unix,
    },
    grid::{Bounds, Tile},
    job::Resolved,
    source::{Capabilities, Source},
    store::Metadata,
    template::Template,
    words::span,
};

/// The longest pause before a description is asked for again.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

impl Fetch {
    /// The template, and what the source says of itself if it was asked.
    pub(super) async fn resolve(&mut self, scope: &Scope, client: &Client) -> Result<(Template, Source)> {
        if let Some(template) = self.template.take() {
            return Ok((template, Source::default()));
        }
        let text = self.describe(scope, client).await?;
        let source = if text.trim_start_matches('\u{FEFF}').trim_start().starts_with('<') {
            let format = self.job.format.map(|format| match format {
                Format::Jpeg => "image/jpeg".to_owned(),
                format => format!("image/{format}"),
            });
            let (layer, set) = (self.job.layer.as_deref(), self.job.matrix_set.as_deref());
            let source = Capabilities::read(&text).and_then(|found| found.source(layer, set, format.as_deref()));
            source.map_err(|error| hinted(&error, error.hint()))?
        } else {
            Source::tilejson(&text).map_err(|error| hinted(&error, error.hint()))?
        };
        if let Some(wanted) = self.job.wanted.zooms() {
            source.check_zooms(&wanted).map_err(|error| hinted(&error, error.hint()))?;
        }
        self.job.resolved = Some(Resolved { template: source.template.clone(), tms: source.tms });
        let template = (self.parse)(&self.job)?.ok_or("the description leads to another description")?;
        // What a description says may hold a secret that the address had.
        self.job.resolved = Some(Resolved { template: template.text().to_owned(), tms: source.tms });
        Ok((template, source))
    }

    /// Fetches the description. What may pass is waited for, a few times and not for long.
    async fn describe(&self, scope: &Scope, client: &Client) -> Result<String> {
        let mut pauses = [1, 2, 4, 8].map(Duration::from_secs).into_iter();
        loop {
            let Undescribed { why, wait } = match self.description(client).await {
                Ok(text) => return Ok(text),
                Err(why) => why,
            };
            let pause = wait.zip(pauses.next()).map(|(wait, pause)| wait.max(pause));
            let Some(pause) = pause.filter(|pause| *pause <= LONGEST_WAIT) else {
                let wait = wait.filter(|wait| !wait.is_zero());
                let later = wait.map(|wait| format!(": come back in {}", span(wait))).unwrap_or_default();
                return Err(format!("cannot read the source {}: {why}{later}", self.job.url).into());
            };
            scope.say(format!("{why}: the source is asked again in {}", span(pause)));
            scope.sleep(pause).await?;
        }
    }

    /// Asks for the description once.
    async fn description(&self, client: &Client) -> Result<String, Undescribed> {
        let not = |why: &str| Undescribed { why: why.to_owned(), wait: None };
        let passes = |why: String| Undescribed { why, wait: Some(Duration::ZERO) };
        let first = self.description.as_ref().and_then(first_address).ok_or_else(|| not("it is no address"))?;
        let mut address = first.clone();
        for _ in 0..=REDIRECTS {
            let own = address.same_origin(&first);
            let asking = Asking { address: &address, own, format: None, stored: None, forgiving: true };
            let reply = client.ask(asking).await.map_err(|broken| match (broken, client.why()) {
                (Broken::Unreachable, Some(why)) => passes(format!("the server cannot be reached ({why})")),
                (Broken::TooLarge, _) => not("it is larger than 32 MB"),
                (broken, _) => passes(format!("{broken:?}").to_ascii_lowercase()),
            })?;
            let to = reply.headers.location.as_deref().and_then(|location| address.join(location));
            match (reply.status, to) {
                (200, _) if reply.end == End::Cut => return Err(passes("it was cut".to_owned())),
                (200, _) => return String::from_utf8(reply.body).map_err(|_| not("it is no text")),
                (301 | 302 | 303 | 307 | 308, Some(to)) => address = to,
                (status, _) => {
                    let passing = matches!(status, 408 | 425 | 429 | 500..=599);
                    let wait = passing.then(|| reply.headers.wait(unix()).unwrap_or_default());
                    return Err(Undescribed { why: format!("the server answers {status}"), wait });
                }
            }
        }
        Err(not("it redirects without end"))
    }

    /// What the file says of itself.
    pub(super) fn metadata(&self, source: &Source, says: &Metadata) -> Metadata {
        let mut metadata = Metadata::new();
        let path = self.deliver.as_ref().unwrap_or(&self.path);
        let name = path.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let named = source.name.as_deref().or(says.value("name")).unwrap_or(&name);
        metadata.set("name", named);
        for (name, value) in [("description", &source.description), ("attribution", &source.attribution)] {
            value.iter().for_each(|value| metadata.set(name, value.as_str()));
        }
        if let Some(layers) = &source.vector_layers {
            metadata.set("json", format!("{{\"vector_layers\":{layers}}}"));
        }
        if let (Some([w, s, e, n]), Some(zooms)) = (self.job.wanted.bounds(), self.job.wanted.zooms()) {
            // What an adopted file says of its tiles stays true.
            let [west, south, east, north] = says.bounds().map_or([w, s, e, n], Bounds::degrees);
            let [w, s, e, n] = [w.min(west), s.min(south), e.max(east), n.max(north)];
            let said = |name| says.value(name).and_then(|zoom| zoom.trim().parse::<u8>().ok());
            let first = said("minzoom").map_or(*zooms.start(), |zoom| zoom.min(*zooms.start()));
            let last = said("maxzoom").map_or(*zooms.end(), |zoom| zoom.max(*zooms.end()));
            let degrees = |degrees: f64| format!("{}", (degrees * 1e7).round() / 1e7);
            let [west, south, east, north] = [w, s, e, n].map(degrees);
            metadata.set("bounds", format!("{west},{south},{east},{north}"));
            let center = [(w + e) / 2.0, (s + n) / 2.0].map(degrees);
            metadata.set("center", format!("{},{},{first}", center[0], center[1]));
            metadata.set("minzoom", first.to_string());
            metadata.set("maxzoom", last.to_string());
        }
        metadata
    }
}

/// Why there is no description.
struct Undescribed {
    why: String,
    /// How long to wait before it may be there, if that passes.
    wait: Option<Duration>,
}

/// Where a template leads, for whichever tile.
pub(super) fn first_address(template: &Template) -> Option<Address> {
    let mut address = String::new();
    template.fill(Tile::from_id(0)?, &mut address);
    Address::parse(&address)
}
