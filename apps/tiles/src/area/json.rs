//! An area as one line of JSON: a list of its parts, which a job keeps in its file.

use serde_json::{Value, json};

use super::{Area, AreaError, Part, Point};
use crate::grid::Bounds;

pub(super) fn write(parts: &[Part]) -> String {
    let part = |part: &Part| match part {
        Part::Bounds(bounds) => json!({ "bounds": bounds.degrees() }),
        Part::Tiles { zoom, block } => {
            json!({ "tiles": [u32::from(*zoom), *block.x.start(), *block.x.end(), *block.y.start(), *block.y.end()] })
        }
        Part::Circle { center: [lon, lat], metres } => json!({ "circle": [lon, lat, metres] }),
        Part::Polygon(rings) => json!({ "polygon": rings }),
        Part::Line { points, metres } => json!({ "line": points, "metres": metres }),
    };
    Value::Array(parts.iter().map(part).collect()).to_string()
}

pub(super) fn read(text: &str) -> Result<Area, AreaError> {
    let list = serde_json::from_str::<Value>(text).ok();
    let parts = list.as_ref().and_then(Value::as_array).ok_or_else(|| wrong(text))?;
    let mut areas = parts.iter().map(|value| part(value).unwrap_or_else(|| Err(wrong(&value.to_string()))));
    let first = areas.next().unwrap_or(Err(AreaError::Nothing))?;
    areas.try_fold(first, |area, part| Ok(area.and(part?)))
}

/// None where the form is wrong, an error where a number is.
fn part(value: &Value) -> Option<Result<Area, AreaError>> {
    let (name, content) = value.as_object()?.iter().next()?;
    Some(match name.as_str() {
        "bounds" => {
            let [west, south, east, north] = numbers(content)?;
            Bounds::new(west, south, east, north).map(Area::from).map_err(AreaError::from)
        }
        "tiles" => {
            let [zoom, x0, x1, y0, y1] = numbers(content)?.map(|number| number as u32);
            Area::tiles(u8::try_from(zoom).ok()?, x0..=x1, y0..=y1)
        }
        "circle" => {
            let [lon, lat, metres] = numbers(content)?;
            Area::circle(lon, lat, metres)
        }
        "polygon" => Area::geojson(&json!({ "type": "Polygon", "coordinates": content }).to_string(), None),
        "line" => {
            let points: Vec<Point> = content.as_array()?.iter().map(numbers).collect::<Option<_>>()?;
            let line = match &points[..] {
                [one] => json!({ "type": "Point", "coordinates": one }),
                more => json!({ "type": "LineString", "coordinates": more }),
            };
            Area::geojson(&line.to_string(), Some(value["metres"].as_f64()?))
        }
        _ => return None,
    })
}

fn numbers<const N: usize>(value: &Value) -> Option<[f64; N]> {
    let list: Vec<f64> = value.as_array()?.iter().map(Value::as_f64).collect::<Option<_>>()?;
    list.try_into().ok()
}

fn wrong(text: &str) -> AreaError {
    AreaError::Json { what: format!("{text:.60}"), expected: "an area as this program writes it" }
}
