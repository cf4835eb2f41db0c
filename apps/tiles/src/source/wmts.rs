//! Reads WMTS 1.0.0 capabilities (OGC 07-057r7), as far as they lead to a template on the grid of web maps.

use roxmltree::{Document, Node};

use super::{Source, SourceError};
use crate::hilbert::MAX_ZOOM;

/// The scale denominator of zoom 0 with tiles of 256 pixels of 0.28 mm.
const SCALE: f64 = 559_082_264.028_717_8;
/// Half the width of the map, in metres.
const HALF: f64 = 20_037_508.342_789_244;

/// What a WMTS offers.
#[derive(Debug, Clone, PartialEq)]
pub struct Capabilities {
    layers: Vec<Layer>,
    sets: Vec<Set>,
    /// Where tiles are asked by key and value.
    kvp: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
struct Layer {
    id: String,
    title: Option<String>,
    summary: Option<String>,
    style: String,
    formats: Vec<String>,
    /// The ids of its sets.
    sets: Vec<String>,
    /// Templates, by format.
    addresses: Vec<(String, String)>,
    /// Names and default values of further dimensions.
    dimensions: Vec<(String, String)>,
    bounds: Option<[f64; 4]>,
}

/// A set of tiles on the grid of web maps.
#[derive(Debug, Clone, PartialEq)]
struct Set {
    id: String,
    /// The name of each zoom; empty where there is none.
    names: Vec<String>,
}

impl Capabilities {
    /// Reads a GetCapabilities document.
    ///
    /// # Errors
    /// It is not one.
    pub fn read(xml: &str) -> Result<Self, SourceError> {
        let document = Document::parse(xml).map_err(|error| malformed(error.to_string()))?;
        let root = document.root_element();
        if root.tag_name().name() != "Capabilities" {
            return Err(malformed(format!("it begins with <{}>", root.tag_name().name())));
        }
        let contents = child(root, "Contents").ok_or_else(|| malformed("it has no <Contents>".into()))?;
        Ok(Self {
            layers: children(contents, "Layer").filter_map(layer).collect(),
            sets: children(contents, "TileMatrixSet").filter_map(set).collect(),
            kvp: kvp(root),
        })
    }

    /// The ids of its layers, as described.
    pub fn layers(&self) -> Vec<&str> {
        self.layers.iter().map(|layer| layer.id.as_str()).collect()
    }

    /// How to ask for the tiles of a layer. What is not named has to be the only one; of several sets that fit the one with most zooms
    /// is taken, of several formats PNG, then JPEG, then the first.
    ///
    /// # Errors
    /// Something has to be chosen, or no set of the layer is on the grid of web maps.
    pub fn source(&self, layer: Option<&str>, set: Option<&str>, format: Option<&str>) -> Result<Source, SourceError> {
        let choose =
            |what, from: Vec<&str>| SourceError::Choose { what, from: from.into_iter().map(str::to_owned).collect() };
        let layer = match (layer, &self.layers[..]) {
            (None, [only]) => only,
            (wanted, layers) => {
                let found = layers.iter().find(|layer| Some(layer.id.as_str()) == wanted);
                found.ok_or_else(|| choose("layer", self.layers()))?
            }
        };
        let fits: Vec<&Set> = self.sets.iter().filter(|set| layer.sets.contains(&set.id)).collect();
        let set = match set {
            None => fits.iter().max_by_key(|set| set.zooms()),
            Some(wanted) => fits.iter().find(|set| set.id == wanted),
        };
        let set = set.ok_or_else(|| match fits[..] {
            [] => SourceError::NoWebMercator { layer: layer.id.clone() },
            _ => choose("tile matrix set", fits.iter().map(|set| set.id.as_str()).collect()),
        })?;
        let formats: Vec<&str> = layer.formats.iter().map(String::as_str).collect();
        let format = match format {
            None => {
                ["image/png", "image/jpeg"].into_iter().find(|good| formats.contains(good)).or(formats.first().copied())
            }
            Some(wanted) => {
                formats.iter().copied().find(|format| *format == wanted || format.ends_with(&format!("/{wanted}")))
            }
        };
        let format = format.ok_or_else(|| choose("format", formats))?;
        let template =
            layer.template(set, format).or_else(|| self.kvp.as_ref().map(|kvp| layer.query(kvp, set, format)));
        Ok(Source {
            template: template
                .ok_or_else(|| malformed(format!("layer {:?} says nowhere how to ask for tiles", layer.id)))?,
            zooms: Some(set.first()..=set.names.len() as u8 - 1),
            bounds: layer.bounds,
            name: layer.title.clone().or_else(|| Some(layer.id.clone())),
            description: layer.summary.clone(),
            ..Source::default()
        })
    }
}

impl Layer {
    /// The address by path, in our placeholders.
    fn template(&self, set: &Set, format: &str) -> Option<String> {
        let (_, address) = self.addresses.iter().find(|(kind, _)| kind == format)?;
        let (mut template, mut rest) = (String::new(), address.as_str());
        while let Some((before, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}')?;
            template.push_str(before);
            match name.to_ascii_lowercase().as_str() {
                "tilematrixset" => template.push_str(&encoded(&set.id)),
                "tilematrix" => template.push_str(&set.placeholder()),
                "tilerow" => template.push_str("{y}"),
                "tilecol" => template.push_str("{x}"),
                "style" => template.push_str(&encoded(&self.style)),
                name => {
                    let (_, value) =
                        self.dimensions.iter().find(|(dimension, _)| dimension.to_ascii_lowercase() == name)?;
                    template.push_str(&encoded(value));
                }
            }
            rest = after;
        }
        Some(template + rest)
    }

    /// The address by keys and values.
    fn query(&self, kvp: &str, set: &Set, format: &str) -> String {
        let (layer, style, format, id) = (encoded(&self.id), encoded(&self.style), encoded(format), encoded(&set.id));
        let join = match kvp.chars().last() {
            Some('?' | '&') => "",
            _ if kvp.contains('?') => "&",
            _ => "?",
        };
        let dimensions = self.dimensions.iter().map(|(name, value)| format!("&{}={}", encoded(name), encoded(value)));
        format!(
            "{kvp}{join}SERVICE=WMTS&REQUEST=GetTile&VERSION=1.0.0&LAYER={layer}&STYLE={style}&FORMAT={format}\
             &TILEMATRIXSET={id}&TILEMATRIX={}&TILEROW={{y}}&TILECOL={{x}}{}",
            set.placeholder(),
            dimensions.collect::<String>()
        )
    }
}

impl Set {
    fn zooms(&self) -> usize {
        self.names.iter().filter(|name| !name.is_empty()).count()
    }

    fn first(&self) -> u8 {
        self.names.iter().position(|name| !name.is_empty()).unwrap_or_default() as u8
    }

    /// `{z}` where the names are the plain numbers.
    fn placeholder(&self) -> String {
        let plain = self.names.iter().enumerate().all(|(zoom, name)| name.is_empty() || *name == zoom.to_string());
        if plain {
            return "{z}".into();
        }
        format!("{{matrix:{}}}", self.names.iter().map(|name| encoded(name)).collect::<Vec<_>>().join(","))
    }
}

fn layer(node: Node<'_, '_>) -> Option<Layer> {
    let style = children(node, "Style").max_by_key(|style| style.attribute("isDefault") == Some("true"));
    let dimension = |node| Some((text(node, "Identifier")?, text(node, "Default")?));
    let address = |node: Node<'_, '_>| {
        let tile = node.attribute("resourceType") == Some("tile");
        Some((node.attribute("format")?.to_owned(), node.attribute("template")?.to_owned())).filter(|_| tile)
    };
    Some(Layer {
        id: text(node, "Identifier")?,
        title: text(node, "Title"),
        summary: text(node, "Abstract"),
        style: style.and_then(|style| text(style, "Identifier")).unwrap_or_else(|| "default".into()),
        formats: children(node, "Format")
            .filter_map(|format| format.text())
            .map(|format| format.trim().to_owned())
            .collect(),
        sets: children(node, "TileMatrixSetLink").filter_map(|link| text(link, "TileMatrixSet")).collect(),
        addresses: children(node, "ResourceURL").filter_map(address).collect(),
        dimensions: children(node, "Dimension").filter_map(dimension).collect(),
        bounds: child(node, "WGS84BoundingBox").and_then(corners),
    })
}

fn corners(node: Node<'_, '_>) -> Option<[f64; 4]> {
    let (low, high) = (pair(&text(node, "LowerCorner")?)?, pair(&text(node, "UpperCorner")?)?);
    Some([low.0, low.1, high.0, high.1])
}

/// None for a set that is not on the grid of web maps; single matrices that are not are left out.
fn set(node: Node<'_, '_>) -> Option<Set> {
    let system = text(node, "SupportedCRS")?;
    if !["3857", "900913", "102100", "3785"].iter().any(|code| system.ends_with(code)) {
        return None;
    }
    let mut names: Vec<String> = Vec::new();
    for matrix in children(node, "TileMatrix") {
        let Some((zoom, name)) = named_zoom(matrix) else { continue };
        names.resize(names.len().max(zoom + 1), String::new());
        names[zoom] = name;
    }
    Some(Set { id: text(node, "Identifier")?, names }).filter(|set| !set.names.is_empty())
}

/// The zoom of a matrix that has the scale, the corner and the width of one.
fn named_zoom(matrix: Node<'_, '_>) -> Option<(usize, String)> {
    let number = |name| text(matrix, name)?.parse::<f64>().ok();
    let zoom = (SCALE / number("ScaleDenominator")?).log2();
    let whole = zoom.round();
    let corner = pair(&text(matrix, "TopLeftCorner")?)?;
    let at_corner = (corner.0 + HALF).abs() < 1.0 && (corner.1 - HALF).abs() < 1.0;
    let fits = (zoom - whole).abs() < 1e-5 && (0.0..=f64::from(MAX_ZOOM)).contains(&whole) && at_corner;
    let wide = number("MatrixWidth")? == whole.exp2() && number("MatrixHeight")? == whole.exp2();
    (fits && wide).then_some((whole as usize, text(matrix, "Identifier")?))
}

fn kvp(root: Node<'_, '_>) -> Option<String> {
    let operations = child(root, "OperationsMetadata")?;
    let tile = children(operations, "Operation").find(|operation| operation.attribute("name") == Some("GetTile"))?;
    let get = child(child(child(tile, "DCP")?, "HTTP")?, "Get")?;
    let href = get.attributes().find(|attribute| attribute.name() == "href")?;
    Some(href.value().to_owned())
}

fn children<'a, 'i>(node: Node<'a, 'i>, name: &'static str) -> impl Iterator<Item = Node<'a, 'i>> {
    node.children().filter(move |child| child.tag_name().name() == name)
}

fn child<'a, 'i>(node: Node<'a, 'i>, name: &'static str) -> Option<Node<'a, 'i>> {
    children(node, name).next()
}

fn text(node: Node<'_, '_>, name: &'static str) -> Option<String> {
    let text = child(node, name)?.text()?.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

fn pair(text: &str) -> Option<(f64, f64)> {
    let (a, b) = text.trim().split_once(char::is_whitespace)?;
    Some((a.parse().ok()?, b.trim().parse().ok()?))
}

/// Percent-encodes what would mean something else in an address or in a list of names.
fn encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b':' | b'/' => {
                encoded.push(char::from(byte))
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

fn malformed(what: String) -> SourceError {
    SourceError::Malformed { kind: "WMTS capabilities", what }
}
