//! What a file of tiles says of itself.

use std::collections::BTreeMap;

use crate::{
    check::Format,
    grid::{Bounds, numbers, zoom},
};

/// Names and values as MBTiles has them; no value is empty.
///
/// The names that are known: `name`, `format`, `bounds` (west,south,east,north), `center` (longitude,latitude,zoom), `minzoom`, `maxzoom`,
/// `attribution`, `description`, `type`, `version`, and `json`, an object with `vector_layers`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Metadata(BTreeMap<String, String>);

impl Metadata {
    /// Without anything in it.
    pub fn new() -> Self {
        Self::default()
    }

    /// The value of a name.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Sets a value; an empty one takes the name out.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        let value = value.into();
        if value.is_empty() {
            self.0.remove(name);
        } else {
            self.0.insert(name.to_owned(), value);
        }
    }

    /// Names and values, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// What the tiles are; none where it is not said or not known.
    pub fn format(&self) -> Option<Format> {
        Format::named(self.value("format")?)
    }

    /// Where the tiles lie.
    pub fn bounds(&self) -> Option<Bounds> {
        self.value("bounds")?.parse().ok()
    }

    /// Longitude, latitude and zoom of what is shown first.
    pub fn center(&self) -> Option<(f64, f64, u8)> {
        let [lon, lat, z] = numbers(self.value("center")?).ok()?;
        let on_the_map = lon.abs() <= 180.0 && lat.abs() <= 90.0 && z >= 0.0;
        Some((lon, lat, zoom(z as u32).ok()?)).filter(|_| on_the_map)
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Metadata {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(values: I) -> Self {
        let mut metadata = Self::new();
        values.into_iter().for_each(|(name, value)| metadata.set(&name.into(), value));
        metadata
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_what_they_are_and_empty_ones_are_none() {
        let mut metadata =
            Metadata::from_iter([("format", "pbf"), ("bounds", "1,2,3,4"), ("center", "2,3,7"), ("name", "")]);

        assert_eq!(metadata.format(), Some(Format::Mvt));
        assert_eq!(metadata.bounds().unwrap().degrees(), [1.0, 2.0, 3.0, 4.0]);
        assert_eq!(metadata.center(), Some((2.0, 3.0, 7)));
        assert_eq!(metadata.value("name"), None);

        for wrong in ["", "1,2", "181,0,1", "0,0,31", "0,0,-1", "NaN,0,1", "0,0,x"] {
            metadata.set("center", wrong);
            assert_eq!(metadata.center(), None, "{wrong}");
        }
        assert_eq!(metadata.iter().count(), 3);
    }
}
