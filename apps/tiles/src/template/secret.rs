//! What in an address is a secret. Pure.

/// What stands where a secret was.
pub(crate) const MASK: &str = "***";

/// How the names of query parameters end whose values are nobody's business.
const ENDS: [&str; 8] = ["key", "token", "secret", "password", "signature", "credential", "auth", "authorization"];
/// Whole names of the same kind.
const NAMES: [&str; 8] = ["sig", "pass", "passwd", "pwd", "tk", "jwt", "appid", "app_code"];

/// Whether a query parameter with this name holds a secret.
pub(super) fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    NAMES.contains(&name.as_str()) || ENDS.iter().any(|end| name.ends_with(end))
}

/// So much of the beginning of a secret, at the end of a text that was cut, is hidden as well.
const TELLS: usize = 4;

/// A text with [`MASK`] for secrets; the longer ones should come first.
pub(crate) fn hide<'a>(text: &str, secrets: impl Iterator<Item = &'a str>) -> String {
    let mut hidden = text.to_owned();
    for secret in secrets.filter(|secret| !secret.is_empty()) {
        hidden = hidden.replace(secret, MASK);
        let begins = |length: &usize| hidden.as_bytes().ends_with(&secret.as_bytes()[..*length]);
        if let Some(length) = (TELLS..secret.len()).rev().find(begins) {
            hidden.truncate(hidden.len() - length);
            hidden.push_str(MASK);
        }
    }
    hidden
}

/// Cuts a text where secrets stand in its query: texts and, between each two of them, a secret.
///
/// A value that is nothing but a placeholder is none: what it becomes is known to be one.
pub(super) fn split(text: &str) -> Vec<&str> {
    let mut cuts = Vec::new();
    let mut from = 0;
    let Some(query) = text.find('?') else { return vec![text] };
    let mut at = query + 1;
    for pair in text[at..].split('&') {
        if let Some((name, value)) = pair.split_once('=')
            && !value.is_empty()
            && is_secret(name)
            && !is_placeholder(value)
        {
            let begin = at + name.len() + 1;
            cuts.extend([&text[from..begin], value]);
            from = begin + value.len();
        }
        at += pair.len() + 1;
    }
    cuts.push(&text[from..]);
    cuts
}

fn is_placeholder(value: &str) -> bool {
    let inner = value.strip_prefix('$').unwrap_or(value).strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    inner.is_some_and(|inner| !inner.contains(['{', '}']))
}
