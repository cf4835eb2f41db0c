//! Between the metadata of MBTiles, names and texts, and those of PMTiles, a JSON object. Pure.

use serde_json::{Map, Value};

use super::Header;
use crate::{check::Format, store::Metadata};

/// What stands in the header and nowhere else.
const IN_HEADER: [&str; 5] = ["format", "bounds", "center", "minzoom", "maxzoom"];
/// What is only true of the file it stands in.
const OF_THE_FILE: [&str; 1] = ["agg_tiles_hash"];

/// The JSON of these metadata; what MBTiles has in `json` stands on its own here.
pub(super) fn encode(metadata: &Metadata) -> Vec<u8> {
    let mut object = Map::new();
    if let Some(Value::Object(json)) = metadata.value("json").and_then(|json| serde_json::from_str(json).ok()) {
        object.extend(json);
    }
    for (name, value) in metadata.iter() {
        // A GIF has no number in the header.
        let known = IN_HEADER.contains(&name) && !(name == "format" && metadata.format() == Some(Format::Gif));
        if name != "json" && !known && !OF_THE_FILE.contains(&name) {
            object.insert(name.to_owned(), value.into());
        }
    }
    Value::Object(object).to_string().into_bytes()
}

/// The metadata of MBTiles for this header and JSON; nothing where that is no object.
pub(super) fn decode(header: &Header, json: &[u8]) -> Option<Metadata> {
    let Ok(Value::Object(object)) = serde_json::from_slice(json) else { return None };
    let mut metadata = Metadata::new();
    let mut rest = Map::new();
    for (name, value) in object {
        match value {
            Value::String(text) => metadata.set(&name, text),
            value @ (Value::Number(_) | Value::Bool(_)) => metadata.set(&name, value.to_string()),
            Value::Null => {}
            value => {
                rest.insert(name, value);
            }
        }
    }
    if !rest.is_empty() {
        metadata.set("json", Value::Object(rest).to_string());
    }
    let list = |numbers: &[f64]| numbers.iter().map(f64::to_string).collect::<Vec<_>>().join(",");
    if let Some(format) = header.format {
        metadata.set("format", format.name());
    } else if metadata.format() != Some(Format::Gif) {
        metadata.set("format", "");
    }
    metadata.set("bounds", list(&header.bounds));
    metadata.set("center", list(&[header.center.0, header.center.1, f64::from(header.center.2)]));
    metadata.set("minzoom", header.zooms.0.to_string());
    metadata.set("maxzoom", header.zooms.1.to_string());
    Some(metadata)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_lost_between_the_two_forms() {
        let metadata = Metadata::from_iter([
            ("name", "Java"),
            ("attribution", "© \"them\""),
            ("json", r#"{"vector_layers":[{"id":"sea"}]}"#),
            ("format", "pbf"),
            ("bounds", "1,2,3,4.5"),
            ("center", "2,3,5"),
            ("minzoom", "0"),
            ("maxzoom", "14"),
        ]);
        let header = Header {
            format: Some(Format::Mvt),
            bounds: [1.0, 2.0, 3.0, 4.5],
            center: (2.0, 3.0, 5),
            zooms: (0, 14),
            ..Header::default()
        };

        let json = encode(&metadata);

        assert_eq!(
            String::from_utf8(json.clone()).unwrap(),
            r#"{"attribution":"© \"them\"","name":"Java","vector_layers":[{"id":"sea"}]}"#
        );
        assert_eq!(decode(&header, &json), Some(metadata));
        assert_eq!(decode(&header, b"[]"), None);
        assert_eq!(
            decode(&header, br#"{"a":1,"b":null,"c":true}"#).unwrap().iter().take(2).collect::<Vec<_>>(),
            [("a", "1"), ("bounds", "1,2,3,4.5")]
        );
    }
}
