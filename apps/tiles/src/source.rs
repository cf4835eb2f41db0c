//! Where tiles come from, as a server describes itself: TileJSON and WMTS capabilities.

mod tilejson;
mod wmts;

use std::{fmt, ops::RangeInclusive};

pub use self::wmts::Capabilities;

/// What a description says, ready for [`Template::parse`](crate::template::Template::parse) and for the metadata of the file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Source {
    /// The template, with its placeholders.
    pub template: String,
    /// Whether its rows count from the south.
    pub tms: bool,
    /// The zooms there are.
    pub zooms: Option<RangeInclusive<u8>>,
    /// West, south, east, north in degrees, as described.
    pub bounds: Option<[f64; 4]>,
    /// What it calls itself.
    pub name: Option<String>,
    /// More about it.
    pub description: Option<String>,
    /// Who is to be named; may hold HTML.
    pub attribution: Option<String>,
    /// The `vector_layers` of vector tiles, as a JSON list.
    pub vector_layers: Option<String>,
}

impl Source {
    /// Reads a TileJSON text (1.0 to 3.0). Of several templates the first is taken.
    ///
    /// # Errors
    /// It is not TileJSON, or its zooms or bounds are none.
    pub fn tilejson(text: &str) -> Result<Self, SourceError> {
        tilejson::read(text)
    }

    /// Takes zooms that are all there.
    ///
    /// # Errors
    /// Some are not.
    pub fn check_zooms(&self, wanted: &RangeInclusive<u8>) -> Result<(), SourceError> {
        match &self.zooms {
            Some(there) if wanted.start() < there.start() || wanted.end() > there.end() => {
                Err(SourceError::Zooms { wanted: wanted.clone(), there: there.clone() })
            }
            _ => Ok(()),
        }
    }
}

/// What is not a description of a source that can be used.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum SourceError {
    /// The text is not what it should be.
    Malformed {
        /// `TileJSON` or `WMTS capabilities`.
        kind: &'static str,
        /// What is wrong with it.
        what: String,
    },
    /// Not all zooms that are wanted are there.
    Zooms {
        /// What is wanted.
        wanted: RangeInclusive<u8>,
        /// What there is.
        there: RangeInclusive<u8>,
    },
    /// There are several of something, or what is asked for is not among them.
    Choose {
        /// `layer`, `tile matrix set` or `format`.
        what: &'static str,
        /// What there is.
        from: Vec<String>,
    },
    /// None of the layer's sets of tiles is on the grid of web maps.
    NoWebMercator {
        /// The layer.
        layer: String,
    },
}

impl SourceError {
    /// What to do about it, in one sentence.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "look at what the address answers: it may be a page for people",
            Self::Zooms { .. } => "ask for zooms that the source has",
            Self::Choose { .. } => "name one of them",
            Self::NoWebMercator { .. } => {
                "only sets with the scales of web maps (EPSG:3857, 559082264.0287178 / 2^z) fit MBTiles"
            }
        }
    }
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed { kind, what } => write!(f, "not {kind}: {what}"),
            Self::Zooms { wanted, there } => {
                let ((a, b), (c, d)) = (wanted.clone().into_inner(), there.clone().into_inner());
                write!(f, "zooms {a} to {b} are wanted, the source has {c} to {d}")
            }
            Self::Choose { what, from } if from.is_empty() => write!(f, "there is no {what}"),
            Self::Choose { what, from } => write!(f, "which {what}? there are {}", from.join(", ")),
            Self::NoWebMercator { layer } => write!(f, "layer {layer:?} has no tiles on the grid of web maps"),
        }
    }
}

impl std::error::Error for SourceError {}

#[cfg(test)]
#[path = "source_tests.rs"]
mod tests;
