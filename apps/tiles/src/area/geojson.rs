//! Reads the areas of a GeoJSON text (RFC 7946).

use serde_json::Value;

use super::{AreaError, Part, Point, WIDEST_BUFFER};
use crate::grid::{self, GridError};

/// Longitudes may go on beyond the antimeridian by a whole turn.
const WIDEST_LON: f64 = 360.0;

pub(super) fn read(text: &str, buffer: Option<f64>) -> Result<Vec<Part>, AreaError> {
    let buffer = buffer.map(|metres| {
        let fits = metres > 0.0 && metres <= WIDEST_BUFFER;
        if fits { Ok(metres) } else { Err(AreaError::Radius { metres }) }
    });
    let mut reader = Reader { buffer: buffer.transpose()?, parts: Vec::new() };
    let value: Value = serde_json::from_str(text)
        .map_err(|error| AreaError::Json { what: format!("the text is not JSON ({error})"), expected: "GeoJSON" })?;
    crs(&value)?;
    reader.object(&value, "")?;
    if reader.parts.is_empty() { Err(AreaError::Nothing) } else { Ok(reader.parts) }
}

/// Older files may name another system of coordinates.
fn crs(value: &Value) -> Result<(), AreaError> {
    let Some(name) = value["crs"]["properties"]["name"].as_str() else { return Ok(()) };
    if name.ends_with("CRS84") || name.ends_with(":4326") {
        return Ok(());
    }
    Err(AreaError::Json { what: format!("crs is {name:?}"), expected: "longitude and latitude in degrees (CRS84)" })
}

struct Reader {
    buffer: Option<f64>,
    parts: Vec<Part>,
}

impl Reader {
    fn object(&mut self, value: &Value, at: &str) -> Result<(), AreaError> {
        let kind = value["type"].as_str().unwrap_or_default();
        let place = path(at, "coordinates");
        let coordinates = &value["coordinates"];
        match kind {
            "FeatureCollection" => self.each(&value["features"], &path(at, "features"), Self::object),
            "GeometryCollection" => self.each(&value["geometries"], &path(at, "geometries"), Self::object),
            // A feature without a place is allowed, and covers nothing.
            "Feature" if value["geometry"].is_null() => Ok(()),
            "Feature" => self.object(&value["geometry"], &path(at, "geometry")),
            "Polygon" => self.polygon(coordinates, &place),
            "MultiPolygon" => self.each(coordinates, &place, Self::polygon),
            "LineString" => self.line(coordinates, &place),
            "MultiLineString" => self.each(coordinates, &place, Self::line),
            "Point" => self.point(coordinates, &place),
            "MultiPoint" => self.each(coordinates, &place, Self::point),
            _ => {
                Err(wrong(&path(at, "type"), &value["type"], "a type of GeoJSON, such as FeatureCollection or Polygon"))
            }
        }
    }

    fn each(
        &mut self,
        list: &Value,
        at: &str,
        read: fn(&mut Self, &Value, &str) -> Result<(), AreaError>,
    ) -> Result<(), AreaError> {
        let items = list.as_array().ok_or_else(|| wrong(at, list, "a list"))?;
        items.iter().enumerate().try_for_each(|(i, item)| read(self, item, &format!("{at}[{i}]")))
    }

    fn polygon(&mut self, rings: &Value, at: &str) -> Result<(), AreaError> {
        let list = rings.as_array().ok_or_else(|| wrong(at, rings, "a list of rings"))?;
        let rings: Vec<Vec<Point>> =
            list.iter().enumerate().map(|(i, ring)| outline(ring, &format!("{at}[{i}]"))).collect::<Result<_, _>>()?;
        // `"coordinates": []` is an empty polygon.
        if !rings.is_empty() {
            self.parts.push(Part::Polygon(rings));
        }
        Ok(())
    }

    fn line(&mut self, points: &Value, at: &str) -> Result<(), AreaError> {
        let metres = self.buffer.ok_or_else(|| AreaError::NoBuffer { at: at.to_owned() })?;
        let points = positions(points, at)?;
        if !points.is_empty() {
            self.parts.push(Part::Line { points, metres });
        }
        Ok(())
    }

    fn point(&mut self, point: &Value, at: &str) -> Result<(), AreaError> {
        let metres = self.buffer.ok_or_else(|| AreaError::NoBuffer { at: at.to_owned() })?;
        self.parts.push(Part::Line { points: vec![position(point, at)?], metres });
        Ok(())
    }
}

/// A ring without its repeated last point.
fn outline(ring: &Value, at: &str) -> Result<Vec<Point>, AreaError> {
    let mut points = positions(ring, at)?;
    if points.len() > 1 && points.first() == points.last() {
        points.pop();
    }
    let flat = |axis: usize| points.iter().all(|point| point[axis] == points[0][axis]);
    if points.len() < 3 || flat(0) || flat(1) {
        return Err(AreaError::Json {
            what: format!("{at} has {} different corners", points.len()),
            expected: "a ring around something",
        });
    }
    Ok(points)
}

fn positions(list: &Value, at: &str) -> Result<Vec<Point>, AreaError> {
    let items = list.as_array().ok_or_else(|| wrong(at, list, "a list of positions"))?;
    items.iter().enumerate().map(|(i, item)| position(item, &format!("{at}[{i}]"))).collect()
}

fn position(value: &Value, at: &str) -> Result<Point, AreaError> {
    let number = |i: usize| value.get(i).and_then(Value::as_f64);
    let (Some(lon), Some(lat)) = (number(0), number(1)) else {
        return Err(wrong(at, value, "a position such as [106.6, -6.4]"));
    };
    let place = |error: GridError| AreaError::Place { at: at.to_owned(), error };
    if lon.abs() > WIDEST_LON {
        return Err(place(GridError::OutOfRange { name: "longitude", value: lon, limit: WIDEST_LON }));
    }
    Ok([lon, grid::latitude("latitude", lat).map_err(place)?])
}

fn path(at: &str, name: &str) -> String {
    if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") }
}

fn wrong(at: &str, value: &Value, expected: &'static str) -> AreaError {
    AreaError::Json { what: format!("{at} is {:.60}", value.to_string()), expected }
}

#[cfg(test)]
#[path = "geojson_tests.rs"]
mod tests;
