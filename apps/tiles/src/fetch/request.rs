//! What is asked of a server.

use std::{convert::Infallible, fmt, path::Path};

use bytes::Bytes;
use hyper::{
    Request,
    header::{
        ACCEPT, ACCEPT_ENCODING, HOST, HeaderMap, HeaderName, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH, USER_AGENT,
    },
};

use crate::{address::Address, check::Format, store::Http, template::secret::hide};

/// The body of a request: there is none.
#[derive(Debug, Default)]
pub(crate) struct Nothing;

impl hyper::body::Body for Nothing {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<Bytes>, Infallible>>> {
        std::task::Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        true
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        hyper::body::SizeHint::with_exact(0)
    }
}

/// What every request says.
#[derive(Clone)]
pub struct Manners {
    agent: HeaderValue,
    /// Only to the server that the template names.
    own: Vec<(HeaderName, HeaderValue)>,
    /// Their text without secrets, as a job keeps it.
    kept: Vec<String>,
    secrets: Vec<String>,
}

impl fmt::Debug for Manners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Manners").field("agent", &self.agent).field("headers", &self.kept).finish()
    }
}

impl Manners {
    /// `agent` is how we call ourselves. Headers are `Name: value`; in a value, `${NAME}` is taken from the environment and
    /// `@FILE` as a whole from a file.
    ///
    /// # Errors
    /// A header that is none, that we write ourselves, or that holds a secret which everybody on the machine could read in the list of
    /// processes.
    pub fn new(
        agent: &str,
        headers: &[String],
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, HeaderError> {
        let wrong = |header: &str, why| HeaderError { header: header.to_owned(), why };
        let agent_value = HeaderValue::from_str(agent).ok().filter(|value| !value.is_empty());
        let agent = agent_value.ok_or_else(|| wrong(agent, Why::Agent))?;
        if agent.as_bytes().starts_with(b"Mozilla/") {
            return Err(wrong(&String::from_utf8_lossy(agent.as_bytes()), Why::Browser));
        }
        let mut manners = Self { agent, own: Vec::new(), kept: Vec::new(), secrets: Vec::new() };
        for header in headers {
            let (name, value) = header.split_once(':').ok_or_else(|| wrong(header, Why::Form))?;
            let (name, value) = (name.trim(), value.trim());
            let parsed: HeaderName = name.parse().map_err(|_| wrong(name, Why::Form))?;
            if [USER_AGENT, HOST, ACCEPT_ENCODING, IF_NONE_MATCH, IF_MODIFIED_SINCE].contains(&parsed)
                || ["connection", "content-length", "transfer-encoding", "range"].contains(&parsed.as_str())
            {
                return Err(wrong(name, Why::Ours));
            }
            let (text, secrets) = expand(name, value, environment)?;
            let hidden = !secrets.is_empty();
            if secrets.iter().any(String::is_empty) {
                return Err(wrong(name, Why::Empty));
            }
            if !hidden && is_secret(parsed.as_str()) {
                return Err(wrong(name, Why::Open));
            }
            let mut value_sent = HeaderValue::from_str(&text).map_err(|_| wrong(name, Why::Value))?;
            value_sent.set_sensitive(hidden);
            manners.secrets.extend(secrets);
            manners.own.push((parsed, value_sent));
            manners.kept.push(format!("{name}: {value}"));
        }
        // What holds another one is hidden as a whole.
        manners.secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        Ok(manners)
    }

    /// The headers as they were given, for the job.
    pub fn kept(&self) -> &[String] {
        &self.kept
    }

    /// A text with `***` for the secrets in it.
    pub fn mask(&self, text: &str) -> String {
        hide(text, self.secrets.iter().map(String::as_str))
    }

    /// A request for an address. `own` says whether it goes to the server that the template names.
    pub(crate) fn request(
        &self,
        address: &Address,
        own: bool,
        format: Option<Format>,
        stored: Option<&Http>,
        http2: bool,
    ) -> Option<Request<Nothing>> {
        let target = if http2 { address.as_str() } else { address.path() };
        let mut request = Request::new(Nothing);
        *request.uri_mut() = target.parse().ok()?;
        let headers = request.headers_mut();
        if !http2 {
            headers.insert(HOST, HeaderValue::from_str(address.authority()).ok()?);
        }
        headers.insert(USER_AGENT, self.agent.clone());
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
        // Pictures are packed already; nothing else is asked for.
        if format == Some(Format::Mvt) {
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        }
        if own {
            self.own.iter().for_each(|(name, value)| _ = headers.append(name, value.clone()));
        }
        if let Some(stored) = stored {
            validate(headers, stored);
        }
        Some(request)
    }
}

/// An ETag goes before a date: RFC 9110, 13.1.3.
fn validate(headers: &mut HeaderMap, stored: &Http) {
    let value = |text: &Option<String>| text.as_deref().and_then(|text| HeaderValue::from_str(text).ok());
    if let Some(etag) = value(&stored.etag) {
        headers.insert(IF_NONE_MATCH, etag);
    } else if let Some(date) = value(&stored.last_modified) {
        headers.insert(IF_MODIFIED_SINCE, date);
    }
}

/// A value with what its placeholders stand for, and what of it is secret: the whole, and what it was made of.
fn expand(
    name: &str,
    value: &str,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<(String, Vec<String>), HeaderError> {
    let wrong = |why| HeaderError { header: name.to_owned(), why };
    if let Some(path) = value.strip_prefix('@') {
        let text = std::fs::read_to_string(Path::new(path));
        let text = text.map_err(|error| wrong(Why::File(path.to_owned(), error)))?.trim().to_owned();
        // As in `Bearer …`: a server may repeat it without the scheme.
        let last = text.rsplit(' ').next().unwrap_or_default().to_owned();
        return Ok((text.clone(), vec![text, last]));
    }
    let (mut text, mut rest, mut secrets) = (String::new(), value, Vec::new());
    while let Some((before, after)) = rest.split_once("${") {
        let (variable, after) = after.split_once('}').ok_or_else(|| wrong(Why::Form))?;
        let value = environment(variable).ok_or_else(|| wrong(Why::Variable(variable.to_owned())))?;
        text.push_str(before);
        text.push_str(&value);
        secrets.push(value);
        rest = after;
    }
    text.push_str(rest);
    if !secrets.is_empty() {
        secrets.push(text.clone());
    }
    Ok((text, secrets))
}

fn is_secret(name: &str) -> bool {
    let ends = ["key", "token", "secret", "password", "authorization", "cookie", "auth"];
    ends.iter().any(|end| name.ends_with(end))
}

/// A header that is not sent.
#[derive(Debug)]
pub struct HeaderError {
    header: String,
    why: Why,
}

#[derive(Debug)]
enum Why {
    Form,
    Agent,
    Browser,
    Empty,
    Ours,
    Open,
    Value,
    Variable(String),
    File(String, std::io::Error),
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.header;
        match &self.why {
            Why::Form => write!(f, "header {name:?}: expected `Name: value`, `Name: ${{VARIABLE}}` or `Name: @FILE`"),
            Why::Agent => {
                write!(f, "--user-agent {name:?}: expected visible characters, such as `my-map/1.0 (me@example.org)`")
            }
            Why::Browser => write!(
                f,
                "--user-agent {name:?}: this is no browser, and operators block what says it is one; name yourself"
            ),
            Why::Empty => write!(f, "header {name}: its secret is empty"),
            Why::Ours => write!(f, "header {name}: this program writes it itself"),
            Why::Open => write!(
                f,
                "header {name}: a secret on the command line can be read by everybody on this machine; \
                 say `{name}: ${{VARIABLE}}` or `{name}: @FILE`"
            ),
            Why::Value => write!(f, "header {name}: its value cannot be sent; expected visible characters"),
            Why::Variable(variable) => write!(f, "header {name}: the environment has no {variable}; set it"),
            Why::File(path, error) => write!(f, "header {name}: cannot read {path}: {error}"),
        }
    }
}

impl std::error::Error for HeaderError {}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
