//! Addresses of tiles from a template such as `https://host/{z}/{x}/{y}.png`. Pure.
//!
//! | placeholder | becomes |
//! |---|---|
//! | `{z}` `{zoom}` | the zoom |
//! | `{x}` `{y}` | column and row, the row from the north; from the south where the source is TMS |
//! | `{-y}` | the row from the south |
//! | `{q}` | the quadkey |
//! | `{s}` | one of the subdomains, the same for a tile each time |
//! | `{switch:a,b,c}` | one of these, likewise |
//! | `{r}` `{ratio}` | `@2x` where tiles of double size are wanted, otherwise nothing |
//! | `{bbox-epsg-3857}` | west, south, east, north in metres, for WMS |
//! | `{matrix:a,b,c}` | the name of the zoom in a WMTS: `a` for zoom 0, nothing for a zoom it does not have |
//! | `{apikey}` `${NAME}` | a secret, and a value of the environment |
//!
//! `tms[2,18]:` before it, as in JOSM, says which zooms there are.
//!
//! Secrets are whatever comes from `{apikey}` and `${NAME}`, and what stands in the query under a name that sounds like one. They are
//! in what [`Template::fill`] writes and nowhere else.

mod parse;
pub(crate) mod secret;

use std::{
    fmt::{self, Write},
    ops::RangeInclusive,
};

pub use self::parse::{Settings, TemplateError, subdomains};
use crate::grid::Tile;

/// A template that has all it needs.
#[derive(Clone, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
    /// Without secrets.
    text: String,
    zooms: Option<RangeInclusive<u8>>,
}

#[derive(Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Secret(String),
    Zoom,
    Column,
    Row,
    RowFromSouth,
    Quadkey,
    /// One of these by the place of the tile; never empty.
    OneOf(Vec<String>),
    Metres,
    /// By the zoom.
    Matrix(Vec<String>),
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// It is no http address, names something unknown, or lacks what tells one tile from another.
    pub fn parse(text: &str, settings: &Settings<'_>) -> Result<Self, TemplateError> {
        parse::parse(text, settings)
    }

    /// Reads the address of a description, such as a TileJSON: the same for all tiles, and with secrets as in a template.
    ///
    /// # Errors
    /// It is no http address, or names something unknown.
    pub fn description(text: &str, settings: &Settings<'_>) -> Result<Self, TemplateError> {
        parse::description(text, settings)
    }

    /// Writes the address of a tile, secrets included, over what stands in `to`.
    pub fn fill(&self, tile: Tile, to: &mut String) {
        to.clear();
        self.parts.iter().for_each(|part| part.fill(tile, to));
    }

    /// The address of a tile to show to people and to keep: with `***` for secrets.
    pub fn masked(&self, tile: Tile) -> String {
        let mut address = String::new();
        for part in &self.parts {
            match part {
                Part::Secret(_) => address.push_str(secret::MASK),
                part => part.fill(tile, &mut address),
            }
        }
        address
    }

    /// Any text, such as what a server said, with `***` for the secrets in it.
    pub fn mask(&self, text: &str) -> String {
        let secrets = self.parts.iter().filter_map(|part| match part {
            Part::Secret(secret) => Some(secret.as_str()),
            _ => None,
        });
        secret::hide(text, secrets)
    }

    /// The template as it was given, with `***` for secrets that stood in it: what a job keeps and compares.
    ///
    /// It can be parsed again unless [`Self::forgets`] something.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether [`Self::text`] lacks a secret, because it stood in the template itself.
    pub fn forgets(&self) -> bool {
        self.text.contains(secret::MASK)
    }

    /// The zooms there are, where the template says so.
    pub fn zooms(&self) -> Option<RangeInclusive<u8>> {
        self.zooms.clone()
    }

    /// The hosts that may be asked, lower case, without ports; each once, in order.
    pub fn hosts(&self) -> Vec<String> {
        let mut starts = vec![String::new()];
        for part in &self.parts {
            let ways: Vec<&str> = match part {
                Part::Text(text) => vec![text],
                Part::Secret(_) => vec![secret::MASK],
                Part::OneOf(ways) => ways.iter().map(String::as_str).collect(),
                _ => vec!["0"],
            };
            starts = starts.iter().flat_map(|start| ways.iter().map(move |way| format!("{start}{way}"))).collect();
            if starts.iter().all(|start| start.matches('/').count() > 2) || starts.len() > 1000 {
                break;
            }
        }
        let mut hosts: Vec<String> = starts
            .iter()
            .filter_map(|start| crate::address::Address::parse(start))
            .map(|a| a.host().to_owned())
            .collect();
        hosts.sort();
        hosts.dedup();
        hosts
    }

    /// The template after a server has said that it has moved for good, if what was asked for a tile and what it named differ only
    /// before the first placeholder. A query that is the same for all tiles, such as a key, may be left out. [`Self::text`] stays what
    /// it was.
    #[must_use]
    pub fn moved(&self, tile: Tile, location: &str) -> Option<Self> {
        self.moved_as_a_whole(tile, location).or_else(|| self.without_query()?.moved_as_a_whole(tile, location))
    }

    /// The template without its query, if that does not tell one tile from another.
    fn without_query(&self) -> Option<Self> {
        let begins = |part: &Part| matches!(part, Part::Text(text) if text.contains('?'));
        let at = self.parts.iter().position(begins)?;
        let (path, query) = self.parts.split_at(at);
        let (Part::Text(first), rest) = query.split_first()? else { return None };
        let same = rest.iter().all(|part| matches!(part, Part::Text(_) | Part::Secret(_)));
        let last = first.split('?').next().map(|text| Part::Text(text.to_owned()));
        same.then(|| Self { parts: path.iter().cloned().chain(last).collect(), ..self.clone() })
    }

    fn moved_as_a_whole(&self, tile: Tile, location: &str) -> Option<Self> {
        let (Part::Text(before), rest) = self.parts.split_first()? else { return None };
        let mut end = String::new();
        rest.iter().for_each(|part| part.fill(tile, &mut end));
        let head = location.strip_suffix(end.as_str())?;
        // The host has to be a part of what differs as a whole, and nothing of a query.
        let is_whole = |text: &str| text.matches('/').count() > 2 && !text.contains('?');
        if rest.is_empty() || !is_whole(before) || !is_whole(head) {
            return None;
        }
        let mut moved = self.clone();
        moved.parts[0] = Part::Text(head.to_owned());
        Some(moved)
    }
}

impl Part {
    fn fill(&self, tile: Tile, to: &mut String) {
        let (x, y) = (tile.x(), tile.y());
        // Writing to a String cannot fail.
        let _ = match self {
            Self::Text(text) | Self::Secret(text) => to.write_str(text),
            Self::Zoom => write!(to, "{}", tile.z()),
            Self::Column => write!(to, "{x}"),
            Self::Row => write!(to, "{y}"),
            Self::RowFromSouth => write!(to, "{}", tile.tms_row()),
            Self::Quadkey => {
                tile.quadkey(to);
                Ok(())
            }
            Self::OneOf(ways) => to.write_str(&ways[(x as usize + y as usize) % ways.len()]),
            Self::Metres => {
                let [west, south, east, north] = tile.metres();
                write!(to, "{west},{south},{east},{north}")
            }
            Self::Matrix(names) => to.write_str(names.get(usize::from(tile.z())).map_or("", String::as_str)),
        };
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Template").field("text", &self.text).field("zooms", &self.zooms).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "template_tests.rs"]
mod tests;
