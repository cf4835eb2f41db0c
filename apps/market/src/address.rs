//! Where the exchange is.

use tokio_tungstenite::tungstenite::http::{Uri, uri::Authority};

/// Reads where the exchange listens, such as `ws://127.0.0.1:9443`.
///
/// # Errors
/// What is wrong with it, and what to type instead.
pub fn address(text: &str) -> Result<String, String> {
    Ok(format!("ws://{}", authority(text, "ws", "ws://127.0.0.1:9443")?))
}

/// Reads where the exchange answers requests, such as `http://127.0.0.1:8080`, as host and port.
///
/// # Errors
/// What is wrong with it, and what to type instead.
pub fn rest_address(text: &str) -> Result<String, String> {
    let authority = authority(text, "http", "http://127.0.0.1:8080")?;
    Ok(if authority.port().is_some() { authority.to_string() } else { format!("{authority}:80") })
}

fn authority(text: &str, scheme: &str, example: &str) -> Result<Authority, String> {
    let expected = format!("expected an address without a path, such as {example}");
    let uri: Uri = text.parse().map_err(|error| format!("address {text:?}: {error}; {expected}"))?;
    match (uri.scheme_str(), uri.authority(), uri.path_and_query().map_or("/", |path| path.as_str())) {
        (Some(tls @ ("wss" | "https")), ..) => {
            Err(format!("address {text:?}: {tls}:// (TLS) is not in this version; {expected}"))
        }
        (Some(given), Some(authority), "/") if given == scheme && !authority.host().is_empty() => Ok(authority.clone()),
        _ => Err(format!("address {text:?}: {expected}")),
    }
}

#[cfg(test)]
#[path = "address_tests.rs"]
mod tests;
