//! Reads TileJSON (github.com/mapbox/tilejson-spec).

use std::ops::RangeInclusive;

use serde_json::Value;

use super::{Source, SourceError};
use crate::hilbert::MAX_ZOOM;

pub(super) fn read(text: &str) -> Result<Source, SourceError> {
    let value: Value = serde_json::from_str(text).map_err(|error| wrong(format!("it is not JSON ({error})")))?;
    let template = value["tiles"][0].as_str().ok_or_else(|| wrong(field(&value, "tiles")))?.to_owned();
    let tms = match value["scheme"].as_str() {
        None | Some("xyz") => false,
        Some("tms") => true,
        Some(_) => return Err(wrong(field(&value, "scheme"))),
    };
    let words = |name: &str| value[name].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let layers = &value["vector_layers"];
    Ok(Source {
        template,
        tms,
        zooms: zooms(&value)?,
        bounds: bounds(&value)?,
        name: words("name"),
        description: words("description"),
        attribution: words("attribution"),
        vector_layers: layers.is_array().then(|| layers.to_string()),
    })
}

fn zooms(value: &Value) -> Result<Option<RangeInclusive<u8>>, SourceError> {
    let zoom = |name: &str, absent: u8| match &value[name] {
        Value::Null => Ok(absent),
        // Some writers have 14.0 here.
        number => match number.as_f64() {
            Some(zoom) if zoom >= 0.0 && zoom <= f64::from(MAX_ZOOM) && zoom.fract() == 0.0 => Ok(zoom as u8),
            _ => Err(wrong(field(value, name))),
        },
    };
    if value["minzoom"].is_null() && value["maxzoom"].is_null() {
        return Ok(None);
    }
    let (from, to) = (zoom("minzoom", 0)?, zoom("maxzoom", MAX_ZOOM)?);
    if from > to { Err(wrong(format!("minzoom {from} is above maxzoom {to}"))) } else { Ok(Some(from..=to)) }
}

fn bounds(value: &Value) -> Result<Option<[f64; 4]>, SourceError> {
    let Some(list) = value["bounds"].as_array() else { return Ok(None) };
    let numbers: Vec<f64> = list.iter().filter_map(Value::as_f64).collect();
    numbers.try_into().map(Some).map_err(|_| wrong(field(value, "bounds")))
}

fn field(value: &Value, name: &str) -> String {
    format!("{name} is {:.60}", value[name].to_string())
}

fn wrong(what: String) -> SourceError {
    SourceError::Malformed { kind: "TileJSON", what }
}
