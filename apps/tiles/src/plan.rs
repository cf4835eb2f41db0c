//! What a job covers: areas, each at its zooms. Pure.

use std::{fmt, ops::RangeInclusive};

use serde_json::{Value, json};

use crate::{
    area::{Area, AreaError},
    cover::{Cover, CoverError, Todo},
    grid::Tile,
    ids::IdSet,
};

/// Areas, each at its zooms; a tile that several cover is one tile.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Wanted {
    parts: Vec<(Area, RangeInclusive<u8>)>,
}

impl Wanted {
    /// One area at some zooms.
    pub fn new(area: Area, zooms: RangeInclusive<u8>) -> Self {
        Self { parts: vec![(area, zooms)] }
    }

    /// Whether nothing is wanted.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// The areas and their zooms.
    pub fn parts(&self) -> &[(Area, RangeInclusive<u8>)] {
        &self.parts
    }

    /// Adds an area; one that is there already only gets more zooms.
    pub fn add(&mut self, area: Area, zooms: RangeInclusive<u8>) {
        let touches = |there: &RangeInclusive<u8>| {
            *there.start() <= zooms.end().saturating_add(1) && *zooms.start() <= there.end().saturating_add(1)
        };
        match self.parts.iter_mut().find(|(there, at)| there.has(&area) && area.has(there) && touches(at)) {
            Some((_, there)) => *there = *there.start().min(zooms.start())..=*there.end().max(zooms.end()),
            None if zooms.is_empty() => {}
            None => self.parts.push((area, zooms)),
        }
    }

    /// The lowest and the deepest zoom; none where nothing is wanted.
    pub fn zooms(&self) -> Option<RangeInclusive<u8>> {
        let first = self.parts.iter().map(|(_, zooms)| *zooms.start()).min()?;
        Some(first..=self.parts.iter().map(|(_, zooms)| *zooms.end()).max()?)
    }

    /// The smallest box around all of it: west, south, east, north; none where nothing is wanted.
    pub fn bounds(&self) -> Option<[f64; 4]> {
        let boxes = self.parts.iter().map(|(area, _)| area.bounds());
        boxes.reduce(|a, b| [a[0].min(b[0]), a[1].min(b[1]), a[2].max(b[2]), a[3].max(b[3])])
    }

    /// Works out which tiles these are.
    ///
    /// # Errors
    /// Zooms that go backwards or too deep.
    pub fn plan(&self) -> Result<Plan, CoverError> {
        // Zooms at which the same areas are wanted are covered together.
        let mut covers: Vec<(Vec<usize>, RangeInclusive<u8>)> = Vec::new();
        for zoom in self.zooms().into_iter().flatten() {
            let here: Vec<usize> = (0..self.parts.len()).filter(|part| self.parts[*part].1.contains(&zoom)).collect();
            match covers.last_mut() {
                _ if here.is_empty() => {}
                Some((areas, zooms)) if *areas == here && *zooms.end() + 1 == zoom => *zooms = *zooms.start()..=zoom,
                _ => covers.push((here, zoom..=zoom)),
            }
        }
        let cover = |(areas, zooms): (Vec<usize>, RangeInclusive<u8>)| {
            let all = areas.into_iter().map(|part| self.parts[part].0.clone()).reduce(Area::and);
            all.map(|area| Cover::new(&area, zooms))
        };
        Ok(Plan { covers: covers.into_iter().filter_map(cover).collect::<Result<_, _>>()? })
    }

    /// As one line of JSON, for [`Self::read`].
    pub fn text(&self) -> String {
        let part = |(area, zooms): &(Area, RangeInclusive<u8>)| {
            let area: Value = serde_json::from_str(&area.text()).unwrap_or_default();
            json!({ "zooms": [zooms.start(), zooms.end()], "area": area })
        };
        Value::from(self.parts.iter().map(part).collect::<Vec<_>>()).to_string()
    }

    /// Reads what [`Self::text`] wrote.
    ///
    /// # Errors
    /// It is not that.
    pub fn read(text: &str) -> Result<Self, WantedError> {
        let wrong = || WantedError { text: text.chars().take(100).collect(), area: None };
        let value: Value = serde_json::from_str(text).map_err(|_| wrong())?;
        let mut wanted = Self::default();
        for part in value.as_array().ok_or_else(wrong)? {
            let zoom =
                |at: usize| part["zooms"][at].as_u64().and_then(|zoom| u8::try_from(zoom).ok()).ok_or_else(wrong);
            let area = Area::read(&part["area"].to_string());
            let area = area.map_err(|error| WantedError { area: Some(Box::new(error)), ..wrong() })?;
            wanted.parts.push((area, zoom(0)?..=zoom(1)?));
        }
        Ok(wanted)
    }
}

/// The tiles that are wanted. Never a list of them.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Each at zooms of its own, ascending.
    covers: Vec<Cover>,
}

impl Plan {
    /// How many tiles there are at each zoom, lowest first.
    pub fn counts(&self) -> Vec<(u8, u64)> {
        self.covers.iter().flat_map(Cover::counts).collect()
    }

    /// How many there are.
    pub fn total(&self) -> u64 {
        self.covers.iter().map(Cover::total).sum()
    }

    /// Whether a tile is one of them.
    pub fn contains(&self, tile: Tile) -> bool {
        self.covers.iter().any(|cover| cover.contains(tile))
    }

    /// How many of them are in a set, by zoom.
    pub fn counts_in(&self, set: &IdSet) -> Vec<(u8, u64)> {
        let at = |cover: &Cover| cover.zooms().map(|zoom| (zoom, cover.count_in(set, zoom))).collect::<Vec<_>>();
        self.covers.iter().flat_map(at).collect()
    }

    /// How many of them are in a set.
    pub fn count_in(&self, set: &IdSet) -> u64 {
        if set.is_empty() { 0 } else { self.counts_in(set).into_iter().map(|(_, count)| count).sum() }
    }

    /// Those of them that are not in a set, zoom after zoom, along the curve in each.
    pub fn todo(&self, done: &IdSet) -> impl Iterator<Item = Tile> + Send + use<> {
        let todos: Vec<Todo> = self.covers.iter().map(|cover| cover.todo(done.clone())).collect();
        todos.into_iter().flatten()
    }
}

/// What is kept of an area and cannot be read.
#[derive(Debug)]
pub struct WantedError {
    text: String,
    area: Option<Box<AreaError>>,
}

impl fmt::Display for WantedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the file says that this is wanted, which is no list of areas: {}", self.text)
    }
}

impl std::error::Error for WantedError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.area.as_deref().map(|error| error as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grid::Bounds;

    fn area(w: f64, s: f64, e: f64, n: f64) -> Area {
        Bounds::new(w, s, e, n).unwrap().into()
    }

    #[test]
    fn areas_at_other_zooms_are_a_union_and_not_a_product() {
        let (jakarta, berlin) = (area(106.6, -6.4, 107.0, -6.0), area(13.0884, 52.3383, 13.7611, 52.6755));
        let mut wanted = Wanted::new(jakarta.clone(), 0..=14);
        wanted.add(berlin.clone(), 0..=13);

        let plan = wanted.plan().unwrap();

        let berlin_13 = Cover::new(&berlin, 0..=13).unwrap().total();
        assert_eq!(berlin_13, 1175 - 832);
        // At the lowest zooms both lie in the same tiles.
        let both = Cover::new(&jakarta.clone().and(berlin), 0..=13).unwrap().total();
        assert_eq!(plan.total(), both + 361);
        assert_eq!(plan.counts().last(), Some(&(14, 361)));
        assert_eq!(plan.todo(&IdSet::new()).count() as u64, plan.total());
        assert_eq!(wanted, Wanted::read(&wanted.text()).unwrap());
        assert_eq!(wanted.zooms(), Some(0..=14));

        wanted.add(jakarta, 12..=15);
        assert_eq!((wanted.parts().len(), wanted.parts()[0].1.clone()), (2, 0..=15));
    }

    #[test]
    fn what_is_done_is_left_out() {
        let plan = Wanted::new(area(106.6, -6.4, 107.0, -6.0), 0..=14).plan().unwrap();
        let mut done = IdSet::new();
        plan.todo(&done.clone()).take(100).for_each(|tile| done.insert(tile.id()));

        assert_eq!((plan.total(), plan.count_in(&done), plan.todo(&done).count()), (520, 100, 420));
    }

    #[test]
    fn what_cannot_be_read_says_what_stands_there() {
        assert!(Wanted::read("nonsense").unwrap_err().to_string().ends_with("areas: nonsense"));
        assert!(Wanted::read(r#"[{"zooms": [0, 999], "area": []}]"#).is_err());
    }
}
