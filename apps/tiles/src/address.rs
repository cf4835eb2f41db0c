//! Addresses of web servers, as far as following a redirect needs them. Pure.

use std::fmt;

/// An `http` or `https` address in its parts (RFC 3986).
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    text: String,
    /// Where the host begins and ends in the text.
    host: (usize, usize),
    /// Where the path or the query begins in the text.
    path: usize,
}

impl Address {
    /// Reads an absolute address. What follows `#` is left out; host and scheme become lower case.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.split('#').next().unwrap_or_default();
        let (scheme, rest) = text.split_once("://")?;
        let scheme = scheme.to_ascii_lowercase();
        let length = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(length);
        // A name or a password in an address is no part of the host, and not sent.
        let authority = authority.rsplit('@').next()?.to_ascii_lowercase();
        let host = match authority.strip_prefix('[') {
            Some(_) => authority.find(']')? + 1,
            None => authority.find(':').unwrap_or(authority.len()),
        };
        let port = authority[host..].strip_prefix(':');
        let port_is_number = port.is_none_or(|port| port.parse::<u16>().is_ok());
        if !matches!(scheme.as_str(), "http" | "https")
            || host == 0
            || !port_is_number
            || !text.bytes().all(|b| b.is_ascii_graphic())
        {
            return None;
        }
        let begin = scheme.len() + 3;
        let slash = if path.starts_with('/') { "" } else { "/" };
        let origin = begin + authority.len();
        Some(Self { text: format!("{scheme}://{authority}{slash}{path}"), host: (begin, begin + host), path: origin })
    }

    /// The whole address.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it is asked over TLS.
    pub fn is_tls(&self) -> bool {
        self.text.starts_with("https")
    }

    /// The host, lower case, without the port.
    pub fn host(&self) -> &str {
        &self.text[self.host.0..self.host.1]
    }

    /// The port, 80 or 443 where none is named.
    pub fn port(&self) -> u16 {
        let named = self.text[self.host.1..self.path].strip_prefix(':').and_then(|port| port.parse().ok());
        named.unwrap_or(if self.is_tls() { 443 } else { 80 })
    }

    /// Host and port as the `Host` header has them.
    pub fn authority(&self) -> &str {
        &self.text[self.host.0..self.path]
    }

    /// What is asked of the host: path and query.
    pub fn path(&self) -> &str {
        &self.text[self.path..]
    }

    /// Whether the other is the same server: scheme, host and port.
    pub fn same_origin(&self, other: &Self) -> bool {
        (self.is_tls(), self.host(), self.port()) == (other.is_tls(), other.host(), other.port())
    }

    /// Where a reference in an answer from this address leads.
    pub fn join(&self, reference: &str) -> Option<Self> {
        let reference = reference.trim();
        let origin = &self.text[..self.path];
        if reference.contains("://") && !reference.starts_with(['/', '?', '.']) {
            Self::parse(reference)
        } else if reference.starts_with("//") {
            Self::parse(&format!("{}:{reference}", if self.is_tls() { "https" } else { "http" }))
        } else if reference.starts_with('/') {
            Self::parse(&format!("{origin}{}", straight(reference)))
        } else {
            let path = self.path().split('?').next().unwrap_or_default();
            let folder = &path[..path.rfind('/').map_or(0, |slash| slash + 1)];
            let path =
                if reference.starts_with('?') { format!("{path}{reference}") } else { format!("{folder}{reference}") };
            Self::parse(&format!("{origin}{}", straight(&path)))
        }
    }
}

/// A path without `.` and `..`; the query stays.
fn straight(path: &str) -> String {
    let (path, query) = path.split_at(path.find('?').unwrap_or(path.len()));
    let mut steps: Vec<&str> = Vec::new();
    for step in path.split('/') {
        match step {
            ".." if steps.len() > 1 => drop(steps.pop()),
            "." | ".." => {}
            step => steps.push(step),
        }
    }
    if path.ends_with("/.") || path.ends_with("/..") {
        steps.push("");
    }
    steps.join("/") + query
}

impl fmt::Debug for Address {
    /// Without the query, in which secrets may stand.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text.split('?').next().unwrap_or_default())
    }
}

#[cfg(test)]
#[path = "address_tests.rs"]
mod tests;
