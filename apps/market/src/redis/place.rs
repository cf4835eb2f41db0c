//! Where the list of a symbol stands: what of the file is in it. Kept in Redis beside the list and changed together with it. Pure.

use std::fmt;

use crate::store::Since;

/// Of which file the list is, and how far it has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// The file's name for itself.
    pub(super) file: String,
    pub(super) symbol: String,
    /// Every minute that is over, has changed up to here and does not begin before the floor is in the list.
    pub(super) since: Since,
    /// The revision at which a minute was put there before it was over. With it every call changes the place, so that one that comes late
    /// or twice finds another one than it expects.
    pub(super) open: i64,
}

impl Place {
    /// Nothing of this file is there.
    pub(super) fn none(file: &str, symbol: &str, floor_ms: i64) -> Self {
        let since = Since { revision: 0, floor_ms };
        Self { file: file.to_owned(), symbol: symbol.to_owned(), since, open: 0 }
    }

    /// Reads what [`fmt::Display`] has written; `None` where it is something else.
    pub(super) fn read(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let (file, symbol) = (words.next()?.to_owned(), words.next()?.to_owned());
        let mut number = || words.next()?.parse().ok();
        let (revision, floor_ms, open) = (number()?, number()?, number()?);
        let place = Self { file, symbol, since: Since { revision, floor_ms }, open };
        words.next().is_none().then_some(place)
    }

    /// The file may have lost its last moments to a power cut, or been put back to an older one: what it knows ends at `last`.
    pub(super) fn at_most(mut self, last: i64) -> Self {
        self.since.revision = self.since.revision.min(last);
        self.open = self.open.min(last);
        self
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, symbol, since, open } = self;
        write!(f, "{file} {symbol} {} {} {open}", since.revision, since.floor_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_was_written() {
        let place = Place { since: Since { revision: 7, floor_ms: 60_000 }, open: 9, ..Place::none("f", "S", 0) };

        assert_eq!(place.to_string(), "f S 7 60000 9");
        assert_eq!(Place::read("f S 7 60000 9"), Some(place.clone()));
        for other in ["", "f", "f S 7 60000", "f S 7 60000 9 1", "f S x 60000 9"] {
            assert_eq!(Place::read(other), None, "{other:?}");
        }
        assert_eq!(place.clone().at_most(8).to_string(), "f S 7 60000 8");
        assert_eq!(place.at_most(3).to_string(), "f S 3 60000 3");
    }
}
