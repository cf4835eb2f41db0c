//! Where the exchange is.

use std::{fmt, str::FromStr};

use tokio_tungstenite::tungstenite::http::Uri;

/// Where a side of the exchange listens, and how it is spoken to; as text, an address without a path such as
/// `wss://stream.binance.com:9443`.
///
/// ```
/// let address: market::Address = "https://api.binance.com".parse()?;
///
/// assert!(address.scheme.is_tls());
/// assert_eq!((address.host.as_str(), address.port), ("api.binance.com", 443));
/// # Ok::<(), String>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// What is spoken.
    pub scheme: Scheme,
    /// A name or a number; an IPv6 address stands in brackets.
    pub host: String,
    /// The port; where the text named none, the scheme's own.
    pub port: u16,
}

/// What is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// WebSocket.
    Ws,
    /// WebSocket within TLS.
    Wss,
    /// HTTP.
    Http,
    /// HTTP within TLS.
    Https,
}

impl Scheme {
    /// As it stands in an address.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ws => "ws",
            Self::Wss => "wss",
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// Whether it is spoken within TLS.
    pub fn is_tls(self) -> bool {
        matches!(self, Self::Wss | Self::Https)
    }

    /// Whether it is one for streams, not for requests.
    pub fn is_stream(self) -> bool {
        matches!(self, Self::Ws | Self::Wss)
    }

    fn port(self) -> u16 {
        if self.is_tls() { 443 } else { 80 }
    }
}

impl Address {
    /// Reads the address of a WebSocket, such as `ws://127.0.0.1:9443`.
    ///
    /// # Errors
    /// What is wrong with it, and what to type instead.
    pub fn stream(text: &str) -> Result<Self, String> {
        text.parse()
            .ok()
            .filter(|address: &Self| address.scheme.is_stream())
            .ok_or_else(|| wrong(text, "wss://stream.binance.com:9443"))
    }

    /// Reads the address for requests, such as `http://127.0.0.1:8080`.
    ///
    /// # Errors
    /// What is wrong with it, and what to type instead.
    pub fn requests(text: &str) -> Result<Self, String> {
        text.parse()
            .ok()
            .filter(|address: &Self| !address.scheme.is_stream())
            .ok_or_else(|| wrong(text, "https://api.binance.com"))
    }

    /// Host and port as a header says them: without a port that is the scheme's own.
    pub fn authority(&self) -> String {
        let Self { scheme, host, port } = self;
        if *port == scheme.port() { host.clone() } else { format!("{host}:{port}") }
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let address = || {
            let uri: Uri = text.parse().ok()?;
            let scheme = uri.scheme_str()?;
            let scheme =
                [Scheme::Ws, Scheme::Wss, Scheme::Http, Scheme::Https].into_iter().find(|s| s.name() == scheme)?;
            let (authority, path) = (uri.authority()?, uri.path_and_query().map_or("/", |path| path.as_str()));
            let (host, port) = (authority.host(), authority.port_u16());
            // What is neither host nor port, such as a user, would be lost.
            let whole = port.map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
            let sound = path == "/" && !host.is_empty() && port != Some(0) && whole == authority.as_str();
            sound.then(|| Self { scheme, host: host.to_owned(), port: port.unwrap_or_else(|| scheme.port()) })
        };
        address().ok_or_else(|| wrong(text, "wss://stream.binance.com:9443 or https://api.binance.com"))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme.name(), self.authority())
    }
}

fn wrong(text: &str, example: &str) -> String {
    format!("address {text:?}: expected an address without a path, such as {example}")
}

#[cfg(test)]
#[path = "address_tests.rs"]
mod tests;
