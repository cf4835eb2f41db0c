//! Reads templates.

use std::{fmt, ops::RangeInclusive};

use super::{Part, Template, secret};
use crate::{address::Address, grid::Tile, hilbert::MAX_ZOOM};

/// What a template may need besides itself. [`Settings::default`] has none of it.
#[derive(Clone, Copy)]
pub struct Settings<'a> {
    /// What `{s}` becomes; see [`subdomains`].
    pub subdomains: &'a [String],
    /// Whether tiles of double size are wanted.
    pub double: bool,
    /// Whether `{y}` counts from the south.
    pub tms: bool,
    /// What `{apikey}` becomes.
    pub apikey: Option<&'a str>,
    /// What `${NAME}` becomes, by its name.
    pub environment: &'a dyn Fn(&str) -> Option<String>,
}

impl Default for Settings<'_> {
    fn default() -> Self {
        Self { subdomains: &[], double: false, tms: false, apikey: None, environment: &|_| None }
    }
}

/// Reads what a person says of subdomains: `abc` (one letter or digit each), `1-4`, or `one,two`.
///
/// # Errors
/// There is none in it, or something that cannot be part of a host name.
pub fn subdomains(text: &str) -> Result<Vec<String>, TemplateError> {
    let wrong = || TemplateError::Subdomains { text: text.to_owned() };
    let range = text.split_once('-').and_then(|(a, b)| Some((a.parse::<u8>().ok()?, b.parse::<u8>().ok()?)));
    let names: Vec<String> = match range {
        Some((from, to)) => (from..=to).map(|number| number.to_string()).collect(),
        None if text.contains(',') => text.split(',').map(|name| name.trim().to_owned()).collect(),
        None => text.chars().map(String::from).collect(),
    };
    let fits = |name: &String| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte))
    };
    if !names.is_empty() && names.iter().all(fits) { Ok(names) } else { Err(wrong()) }
}

pub(super) fn parse(text: &str, settings: &Settings<'_>) -> Result<Template, TemplateError> {
    let template = read(text, settings)?;
    complete(&template.parts)?;
    leads_somewhere(&template)?;
    Ok(template)
}

/// The address of a description.
pub(super) fn description(text: &str, settings: &Settings<'_>) -> Result<Template, TemplateError> {
    let template = read(text, settings)?;
    leads_somewhere(&template)?;
    Ok(template)
}

/// Whether it makes an address, with a port that is one for instance.
fn leads_somewhere(template: &Template) -> Result<(), TemplateError> {
    let mut address = String::new();
    Tile::from_id(0).into_iter().for_each(|tile| template.fill(tile, &mut address));
    Address::parse(&address).map(|_| ()).ok_or(TemplateError::NotHttp)
}

/// Without looking whether it tells one tile from another.
fn read(text: &str, settings: &Settings<'_>) -> Result<Template, TemplateError> {
    let (zooms, address) = prefix(text)?;
    let host = address.strip_prefix("https://").or_else(|| address.strip_prefix("http://"));
    let host = host.ok_or(TemplateError::NotHttp)?.split(['/', '?']).next().unwrap_or_default();
    if host.is_empty() {
        return Err(TemplateError::NotHttp);
    }
    if host.contains('@') {
        return Err(TemplateError::Password);
    }
    if let Some(character) = address.chars().find(|c| !c.is_ascii_graphic() || *c == '#') {
        return Err(TemplateError::Character { character });
    }

    let mut reader = Reader { settings, parts: Vec::new() };
    let mut masked = text[..text.len() - address.len()].to_owned();
    for (i, piece) in secret::split(address).into_iter().enumerate() {
        if i % 2 == 1 {
            reader.parts.push(Part::Secret(piece.to_owned()));
            masked.push_str(secret::MASK);
        } else {
            reader.pieces(piece)?;
            masked.push_str(piece);
        }
    }
    let zooms = zooms.or_else(|| reader.parts.iter().find_map(named));
    Ok(Template { parts: reader.parts, text: masked, zooms })
}

/// What stands before the address: `tms:`, `tms[18]:` or `tms[2,18]:`.
fn prefix(text: &str) -> Result<(Option<RangeInclusive<u8>>, &str), TemplateError> {
    let wrong = || TemplateError::Prefix { prefix: text.split(':').next().unwrap_or_default().to_owned() };
    let Some((prefix, address)) = text.split_once(':').filter(|(prefix, _)| prefix.starts_with("tms")) else {
        return Ok((None, text));
    };
    if prefix == "tms" {
        return Ok((None, address));
    }
    let inner = prefix.strip_prefix("tms[").and_then(|rest| rest.strip_suffix(']')).ok_or_else(wrong)?;
    let (from, to) = inner.split_once(',').unwrap_or(("0", inner));
    let zoom = |text: &str| text.trim().parse::<u8>().ok().filter(|zoom| *zoom <= MAX_ZOOM).ok_or_else(wrong);
    let (from, to) = (zoom(from)?, zoom(to)?);
    if from > to { Err(wrong()) } else { Ok((Some(from..=to), address)) }
}

/// The zooms that a list of names has.
fn named(part: &Part) -> Option<RangeInclusive<u8>> {
    let Part::Matrix(names) = part else { return None };
    let first = names.iter().position(|name| !name.is_empty())?;
    Some(u8::try_from(first).ok()?..=u8::try_from(names.len()).ok()? - 1)
}

struct Reader<'a> {
    settings: &'a Settings<'a>,
    parts: Vec<Part>,
}

impl Reader<'_> {
    fn pieces(&mut self, mut text: &str) -> Result<(), TemplateError> {
        while let Some(open) = text.find('{') {
            let end = text[open..].find('}').map(|length| open + length).ok_or(TemplateError::Unclosed)?;
            let (before, name) = (&text[..open], &text[open + 1..end]);
            let from_environment = before.ends_with('$');
            self.text(before.strip_suffix('$').unwrap_or(before))?;
            let part = if from_environment { self.environment(name)? } else { self.placeholder(name)? };
            self.parts.extend(part);
            text = &text[end + 1..];
        }
        self.text(text)
    }

    fn text(&mut self, text: &str) -> Result<(), TemplateError> {
        if text.contains('}') {
            return Err(TemplateError::Unclosed);
        }
        if !text.is_empty() {
            self.parts.push(Part::Text(text.to_owned()));
        }
        Ok(())
    }

    fn environment(&self, name: &str) -> Result<Option<Part>, TemplateError> {
        let value = (self.settings.environment)(name);
        secret_part(&format!("${{{name}}}"), value.as_deref()).map(Some)
    }

    fn placeholder(&self, name: &str) -> Result<Option<Part>, TemplateError> {
        let list = |text: &str| text.split(',').map(str::to_owned).collect::<Vec<_>>();
        Ok(Some(match name {
            "z" | "zoom" => Part::Zoom,
            "x" => Part::Column,
            "y" if self.settings.tms => Part::RowFromSouth,
            "y" => Part::Row,
            "-y" => Part::RowFromSouth,
            "q" | "quadkey" => Part::Quadkey,
            "s" if self.settings.subdomains.is_empty() => return Err(TemplateError::NoSubdomains),
            "s" => Part::OneOf(self.settings.subdomains.to_vec()),
            "r" | "ratio" if self.settings.double => Part::Text("@2x".to_owned()),
            "r" | "ratio" => return Ok(None),
            "bbox-epsg-3857" => Part::Metres,
            "apikey" => secret_part("{apikey}", self.settings.apikey)?,
            _ => match (name.strip_prefix("switch:"), name.strip_prefix("matrix:")) {
                (Some(ways), _) => Part::OneOf(list(ways)),
                (_, Some(names)) if list(names).len() <= usize::from(MAX_ZOOM) + 1 => Part::Matrix(list(names)),
                _ => return Err(TemplateError::Unknown { name: name.to_owned() }),
            },
        }))
    }
}

/// The value of a secret; of one that cannot stand in an address only the name is told.
fn secret_part(name: &str, value: Option<&str>) -> Result<Part, TemplateError> {
    let value = value.map(str::trim).filter(|value| !value.is_empty());
    let value = value.ok_or_else(|| TemplateError::NoValue { name: name.to_owned() })?;
    if value.bytes().all(|byte| byte.is_ascii_graphic() && !b"#{}".contains(&byte)) {
        Ok(Part::Secret(value.to_owned()))
    } else {
        Err(TemplateError::BadValue { name: name.to_owned() })
    }
}

/// Whether no two tiles have the same address.
fn complete(parts: &[Part]) -> Result<(), TemplateError> {
    let has = |wanted: &[Part]| wanted.iter().any(|part| parts.contains(part));
    if has(&[Part::Quadkey, Part::Metres]) {
        return Ok(());
    }
    let matrix = parts.iter().any(|part| matches!(part, Part::Matrix(_)));
    for (there, name) in [
        (matrix || has(&[Part::Zoom]), "{z}"),
        (has(&[Part::Column]), "{x}"),
        (has(&[Part::Row, Part::RowFromSouth]), "{y}"),
    ] {
        if !there {
            return Err(TemplateError::Missing { name });
        }
    }
    Ok(())
}

/// What cannot be a template. No variant holds a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TemplateError {
    /// It does not begin with `http://` or `https://` and a host.
    NotHttp,
    /// A name or a password stands before the host.
    Password,
    /// Something that cannot stand in an address.
    Character {
        /// The first of them.
        character: char,
    },
    /// What stands before the address is not understood.
    Prefix {
        /// Up to the first colon.
        prefix: String,
    },
    /// A brace is alone.
    Unclosed,
    /// A placeholder is not known.
    Unknown {
        /// What stands between the braces.
        name: String,
    },
    /// All tiles would have the same address but for other placeholders.
    Missing {
        /// The first placeholder that is missing.
        name: &'static str,
    },
    /// `{s}` stands in it, and no subdomains are given.
    NoSubdomains,
    /// A text names no subdomains.
    Subdomains {
        /// The text.
        text: String,
    },
    /// A value from outside is not given or empty.
    NoValue {
        /// Its placeholder.
        name: String,
    },
    /// A value from outside cannot stand in an address.
    BadValue {
        /// Its placeholder.
        name: String,
    },
}

impl TemplateError {
    /// What to do about it, in one sentence.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NotHttp => "it has to look like https://host/{z}/{x}/{y}.png",
            Self::Password => "send it as a header, with its value in the environment",
            Self::Character { .. } => {
                "write what is no letter, digit or sign of an address as %XX, and leave out what follows #"
            }
            Self::Prefix { .. } => "before the address may stand tms:, tms[18]: or tms[2,18]:",
            Self::Unclosed => "every { needs its }",
            Self::Unknown { .. } => {
                "known are {z} {x} {y} {-y} {q} {s} {switch:a,b} {r} {bbox-epsg-3857} {zoom} {apikey} ${NAME}"
            }
            Self::Missing { .. } => "a template needs {z}, {x} and {y} (or {-y}), or {q}, or {bbox-epsg-3857}",
            Self::NoSubdomains | Self::Subdomains { .. } => "name them, such as abc, 1-4 or tiles1,tiles2",
            Self::NoValue { .. } => "set it in the environment",
            Self::BadValue { .. } => "it may not hold spaces, line ends, braces or #",
        }
    }
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotHttp => write!(f, "the template is no address of a web server"),
            Self::Password => write!(f, "a name or a password stands in the template before the host"),
            Self::Character { character } => write!(f, "{character:?} cannot stand in an address"),
            Self::Prefix { prefix } => write!(f, "{prefix:?} before the address is not understood"),
            Self::Unclosed => write!(f, "a brace in the template is alone"),
            Self::Unknown { name } => write!(f, "placeholder {{{name}}} is not known"),
            Self::Missing { name } => write!(f, "the template has no {name}"),
            Self::NoSubdomains => write!(f, "placeholder {{s}} needs subdomains"),
            Self::Subdomains { text } => write!(f, "{text:?} names no subdomains"),
            Self::NoValue { name } => write!(f, "{name} has no value"),
            Self::BadValue { name } => write!(f, "the value of {name} cannot stand in an address"),
        }
    }
}

impl std::error::Error for TemplateError {}
