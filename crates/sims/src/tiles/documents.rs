//! What describes the tiles: TileJSON and WMTS capabilities.

use std::{fmt::Write, ops::RangeInclusive};

use serde_json::json;

use super::{tile::Format, world::World};

/// The one layer.
pub(crate) const LAYER: &str = "tiles";
/// The one style.
pub(crate) const STYLE: &str = "default";
/// The scale of zoom 0, one pixel being 0.28 mm (OGC 07-057r7, annex E.4).
const SCALE: f64 = 559_082_264.028_717_8;
const ATTRIBUTION: &str = "<a href=\"https://tiles.invalid/\">made-up tiles</a>";

/// A matrix set that tiles can be asked for by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Set {
    /// Matrices are named by their zoom.
    Plain,
    /// Matrices are named `EPSG:3857:7`.
    Prefixed,
}

const PLAIN: &str = "GoogleMapsCompatible";
const PREFIXED: &str = "EPSG:3857";
/// Offered but of no use: its scales are not those of the grid. Asked for, it is an error.
const OFF_SCALE: &str = "OffScale";

impl Set {
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            PLAIN => Some(Self::Plain),
            PREFIXED => Some(Self::Prefixed),
            _ => None,
        }
    }

    pub(crate) fn zoom(self, matrix: &str) -> Option<u8> {
        let number = match self {
            Self::Plain => matrix,
            Self::Prefixed => matrix.strip_prefix(PREFIXED)?.strip_prefix(':')?,
        };
        number.parse().ok()
    }
}

/// TileJSON 3.0.0, the tiles at this host.
pub(crate) fn tile_json(world: &World, base: &str, format: Format, tms: bool) -> String {
    let tiles = format!("{base}{}/{{z}}/{{x}}/{{y}}.{}", if tms { "/tms" } else { "" }, format.extension());
    let mut json = json!({
        "tilejson": "3.0.0",
        "name": "Simulated tiles",
        "description": "Made from their coordinates",
        "version": "1.0.0",
        "attribution": ATTRIBUTION,
        "scheme": if tms { "tms" } else { "xyz" },
        "tiles": [tiles],
        "minzoom": world.zooms.start(),
        "maxzoom": world.zooms.end(),
        "bounds": [-180.0, -85.0511, 180.0, 85.0511],
        "center": [0.0, 0.0, world.zooms.start()],
        "format": format.extension(),
    });
    if format == Format::Pbf {
        let fields = json!({ "name": "String", "filler": "String" });
        json["vector_layers"] = json!([{ "id": "tile", "description": "A point that names its tile", "fields": fields,
            "minzoom": world.zooms.start(), "maxzoom": world.zooms.end() }]);
    }
    json.to_string()
}

/// WMTS 1.0.0 capabilities: three matrix sets, one of them of no use.
pub(crate) fn capabilities(world: &World, base: &str) -> String {
    let mut resources = String::new();
    let mut formats = String::new();
    for format in [Format::Png, Format::Jpg, Format::Webp] {
        let (media, extension) = (format.media_type(), format.extension());
        let _ = write!(formats, "<Format>{media}</Format>");
        let _ = write!(
            resources,
            "<ResourceURL format=\"{media}\" resourceType=\"tile\" template=\"{base}/wmts/{LAYER}/{STYLE}/\
             {{TileMatrixSet}}/{{TileMatrix}}/{{TileRow}}/{{TileCol}}.{extension}\"/>"
        );
    }
    let zooms = || world.zooms.clone();
    let sets = [
        set(PLAIN, SCALE, zooms(), |z| z.to_string()),
        set(PREFIXED, SCALE, zooms(), |z| format!("{PREFIXED}:{z}")),
        set(OFF_SCALE, SCALE * 0.7, zooms(), |z| z.to_string()),
    ];
    let links: String = [OFF_SCALE, PREFIXED, PLAIN]
        .map(|name| format!("<TileMatrixSetLink><TileMatrixSet>{name}</TileMatrixSet></TileMatrixSetLink>"))
        .concat();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <Capabilities xmlns=\"http://www.opengis.net/wmts/1.0\" xmlns:ows=\"http://www.opengis.net/ows/1.1\" \
         xmlns:xlink=\"http://www.w3.org/1999/xlink\" version=\"1.0.0\">\n\
         <ows:ServiceIdentification><ows:Title>Simulated tiles</ows:Title><ows:ServiceType>OGC WMTS</ows:ServiceType>\
         <ows:ServiceTypeVersion>1.0.0</ows:ServiceTypeVersion></ows:ServiceIdentification>\n\
         <ows:OperationsMetadata><ows:Operation name=\"GetTile\"><ows:DCP><ows:HTTP><ows:Get xlink:href=\"{base}/wmts?\">\
         <ows:Constraint name=\"GetEncoding\"><ows:AllowedValues><ows:Value>KVP</ows:Value></ows:AllowedValues>\
         </ows:Constraint></ows:Get></ows:HTTP></ows:DCP></ows:Operation></ows:OperationsMetadata>\n\
         <Contents>\n<Layer><ows:Title>Simulated tiles</ows:Title><ows:WGS84BoundingBox>\
         <ows:LowerCorner>-180 -85.0511287798</ows:LowerCorner><ows:UpperCorner>180 85.0511287798</ows:UpperCorner>\
         </ows:WGS84BoundingBox><ows:Identifier>{LAYER}</ows:Identifier><Style isDefault=\"true\"><ows:Identifier>{STYLE}\
         </ows:Identifier></Style>{formats}{links}{resources}</Layer>\n{}</Contents>\n</Capabilities>\n",
        sets.concat()
    )
}

fn set(name: &str, scale: f64, zooms: RangeInclusive<u8>, identifier: impl Fn(u8) -> String) -> String {
    let matrices = zooms.map(|z| {
        let (width, scale) = (1u64 << z, scale / (1u64 << z) as f64);
        format!(
            "<TileMatrix><ows:Identifier>{}</ows:Identifier><ScaleDenominator>{scale}</ScaleDenominator>\
             <TopLeftCorner>-20037508.3427892 20037508.3427892</TopLeftCorner><TileWidth>256</TileWidth>\
             <TileHeight>256</TileHeight><MatrixWidth>{width}</MatrixWidth><MatrixHeight>{width}</MatrixHeight>\
             </TileMatrix>\n",
            identifier(z)
        )
    });
    format!(
        "<TileMatrixSet><ows:Identifier>{name}</ows:Identifier>\
         <ows:SupportedCRS>urn:ogc:def:crs:EPSG::3857</ows:SupportedCRS>\n{}</TileMatrixSet>\n",
        matrices.collect::<String>()
    )
}

/// What an OGC server answers to a request that makes no sense.
pub(crate) fn exception(wrong: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ExceptionReport xmlns=\"http://www.opengis.net/ows/1.1\" \
         version=\"1.0.0\"><Exception exceptionCode=\"InvalidParameterValue\" locator=\"{wrong}\"/></ExceptionReport>\n"
    )
}
