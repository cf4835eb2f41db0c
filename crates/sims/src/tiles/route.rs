//! What an address asks for.

use super::{
    documents::{self, Set},
    script::Site,
    tile::{Format, Tile},
};

/// What an address asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Route {
    Tile {
        tile: Tile,
        format: Format,
        /// Whether a redirect has led here.
        redirected: bool,
        /// How many redirects still follow before the tile comes.
        hops: u32,
    },
    TileJson {
        format: Format,
        tms: bool,
    },
    Capabilities,
    /// A WMTS request that makes no sense, with the name of what is wrong.
    NotWmts(&'static str),
    Truth {
        tile: Tile,
        format: Format,
    },
    Log {
        summary: bool,
    },
    Reset {
        revise: bool,
    },
    Nowhere,
}

/// Where a tile lies that has moved: the same address below this.
const MOVED: &str = "/moved";
const HOP: &str = "/hop/";

impl Route {
    /// `target` is the path and the query.
    pub(crate) fn of(target: &str) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        if let Some(rest) = path.strip_prefix(MOVED) {
            return Self::plain(rest, query).moved(0);
        }
        if let Some((hops, rest)) = path.strip_prefix(HOP).and_then(|rest| rest.split_once('/')) {
            return hops.parse().map_or(Self::Nowhere, |hops| Self::plain(&format!("/{rest}"), query).moved(hops));
        }
        Self::plain(path, query)
    }

    pub(crate) fn tile(&self) -> Option<Tile> {
        match self {
            Self::Tile { tile, .. } => Some(*tile),
            _ => None,
        }
    }

    /// Whether it is a question about the simulator, which a fault never strikes and no log remembers.
    pub(crate) fn is_control(&self) -> bool {
        matches!(self, Self::Truth { .. } | Self::Log { .. } | Self::Reset { .. })
    }

    fn moved(self, left: u32) -> Self {
        match self {
            Self::Tile { tile, format, .. } => Self::Tile { tile, format, redirected: true, hops: left },
            _ => Self::Nowhere,
        }
    }

    fn plain(path: &str, query: &str) -> Self {
        let path = decoded(path);
        let parts: Vec<&str> = path.split('/').skip(1).collect();
        let plain = |(tile, format)| Self::Tile { tile, format, redirected: false, hops: 0 };
        match parts[..] {
            ["tms", z, x, y] => tile(z, x, y).map(|(tile, format)| plain((tile.flipped(), format))),
            ["q", key] => quadkey(key).map(plain),
            ["tiles.json"] => tile_json(query),
            ["wmts"] => Some(wmts(query)),
            ["wmts", "1.0.0", "WMTSCapabilities.xml"] => Some(Self::Capabilities),
            ["wmts", layer, style, set, matrix, row, column] => Some(
                wmts_tile([Some(layer), Some(style), Some(set), Some(matrix), Some(row)], column)
                    .map_or_else(Self::NotWmts, plain),
            ),
            ["truth", z, x, y] => tile(z, x, y).map(|(tile, format)| Self::Truth { tile, format }),
            ["log"] => Some(Self::Log { summary: asks(query, "summary") }),
            ["reset"] => Some(Self::Reset { revise: asks(query, "revise") }),
            [z, x, y] => tile(z, x, y).map(plain),
            _ => None,
        }
        .unwrap_or(Self::Nowhere)
    }
}

/// The address that a redirect to `/moved` or `/hop` leads to, from the one that was asked.
pub(crate) fn moved(target: &str, hops: u32, site: Site) -> String {
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let plain = match path.strip_prefix(HOP).and_then(|rest| rest.split_once('/')) {
        Some((_, rest)) => format!("/{rest}"),
        None => path.to_owned(),
    };
    let moved = if hops == 0 { format!("{MOVED}{plain}") } else { format!("{HOP}{hops}{plain}") };
    // The other host gets no keys of this one.
    match query.filter(|_| site == Site::Main) {
        Some(query) => format!("{moved}?{query}"),
        None => moved,
    }
}

/// Zoom, column, and the row with its extension; without one it is a PNG. Tiles that no grid has are tiles as well: not found.
fn tile(z: &str, x: &str, y: &str) -> Option<(Tile, Format)> {
    let (y, format) = match y.split_once('.') {
        Some((y, extension)) => (y, Format::from_extension(extension)?),
        None => (y, Format::Png),
    };
    Some((Tile::new(z.parse().ok()?, x.parse().ok()?, y.parse().ok()?), format))
}

fn quadkey(key: &str) -> Option<(Tile, Format)> {
    let (key, extension) = key.split_once('.').unwrap_or((key, "png"));
    Some((Tile::from_quadkey(key)?, Format::from_extension(extension)?))
}

fn tile_json(query: &str) -> Option<Route> {
    let format = match value(query, "format") {
        Some(name) => Format::from_extension(&name)?,
        None => Format::Png,
    };
    Some(Route::TileJson { format, tms: value(query, "scheme").as_deref() == Some("tms") })
}

/// Requests by key and value.
fn wmts(query: &str) -> Route {
    if !value(query, "service").is_some_and(|service| service.eq_ignore_ascii_case("wmts")) {
        return Route::NotWmts("SERVICE");
    }
    match value(query, "request").unwrap_or_default().to_ascii_lowercase().as_str() {
        "getcapabilities" => Route::Capabilities,
        "gettile" => {
            let [layer, style, set, matrix, row] =
                ["layer", "style", "tilematrixset", "tilematrix", "tilerow"].map(|key| value(query, key));
            let known = [layer.as_deref(), style.as_deref(), set.as_deref(), matrix.as_deref(), row.as_deref()];
            let format = value(query, "format").unwrap_or_default();
            let Some(format) = Format::ALL.into_iter().find(|known| known.media_type() == format) else {
                return Route::NotWmts("FORMAT");
            };
            let Some(column) = value(query, "tilecol") else { return Route::NotWmts("TILECOL") };
            match wmts_tile(known, &format!("{column}.{}", format.extension())) {
                Ok((tile, format)) => Route::Tile { tile, format, redirected: false, hops: 0 },
                Err(wrong) => Route::NotWmts(wrong),
            }
        }
        _ => Route::NotWmts("REQUEST"),
    }
}

/// Layer, style, matrix set, matrix and row; and the column with its extension.
fn wmts_tile(known: [Option<&str>; 5], column: &str) -> Result<(Tile, Format), &'static str> {
    let [layer, style, set, matrix, row] = known;
    layer.filter(|layer| *layer == documents::LAYER).ok_or("LAYER")?;
    style.filter(|style| style.is_empty() || *style == documents::STYLE).ok_or("STYLE")?;
    let set = set.and_then(Set::named).ok_or("TILEMATRIXSET")?;
    let z = matrix.and_then(|matrix| set.zoom(matrix)).ok_or("TILEMATRIX")?;
    let y: u32 = row.and_then(|row| row.parse().ok()).ok_or("TILEROW")?;
    let (column, extension) = column.split_once('.').ok_or("FORMAT")?;
    let format = Format::from_extension(extension).ok_or("FORMAT")?;
    let x: u32 = column.parse().map_err(|_| "TILECOL")?;
    Ok((Tile::new(z, x, y), format))
}

/// What a query says of a key; keys are known in any case, as WMTS asks.
fn value(query: &str, key: &str) -> Option<String> {
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find(|(name, _)| name.eq_ignore_ascii_case(key)).map(|(_, value)| decoded(value))
}

fn asks(query: &str, key: &str) -> bool {
    query.split('&').any(|pair| pair == key || pair.strip_prefix(key).is_some_and(|rest| rest.starts_with('=')))
}

/// `%3A` as `:`; what is no such escape stays.
fn decoded(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [byte, after @ ..] = rest {
        let escape = after.get(..2).filter(|_| *byte == b'%').and_then(|two| std::str::from_utf8(two).ok());
        let escaped = escape.and_then(|two| u8::from_str_radix(two, 16).ok());
        out.push(escaped.unwrap_or(*byte));
        rest = if escaped.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TILE: Tile = Tile { z: 3, x: 3, y: 5 };

    fn plain(format: Format) -> Route {
        Route::Tile { tile: TILE, format, redirected: false, hops: 0 }
    }

    #[test]
    fn every_scheme_names_the_same_tile() {
        let kvp = "/wmts?service=WMTS&REQUEST=GetTile&VERSION=1.0.0&Layer=tiles&STYLE=default&FORMAT=image%2Fpng\
                   &TILEMATRIXSET=EPSG%3A3857&TILEMATRIX=EPSG:3857:3&TILEROW=5&TILECOL=3&key=secret";
        for (target, format) in [
            ("/3/3/5.png", Format::Png),
            ("/3/3/5.png?apikey=secret", Format::Png),
            ("/3/3/5.jpg", Format::Jpg),
            ("/3/3/5.webp", Format::Webp),
            ("/3/3/5.pbf", Format::Pbf),
            ("/3/3/5.mvt", Format::Pbf),
            ("/tms/3/3/2.png", Format::Png),
            ("/q/213.png", Format::Png),
            ("/wmts/tiles/default/EPSG%3A3857/EPSG:3857:3/5/3.png", Format::Png),
            ("/wmts/tiles/default/GoogleMapsCompatible/3/5/3.jpg", Format::Jpg),
            (kvp, Format::Png),
        ] {
            assert_eq!(Route::of(target), plain(format), "{target}");
        }
    }

    #[test]
    fn a_redirect_leads_to_the_same_tile() {
        let redirected = |hops| Route::Tile { tile: TILE, format: Format::Png, redirected: true, hops };

        for (from, hops, to) in [
            ("/3/3/5.png?key=1", 0, "/moved/3/3/5.png?key=1"),
            ("/q/213.png", 2, "/hop/2/q/213.png"),
            ("/hop/2/q/213.png", 1, "/hop/1/q/213.png"),
            ("/hop/1/q/213.png", 0, "/moved/q/213.png"),
        ] {
            assert_eq!(moved(from, hops, Site::Main), to);
            assert_eq!(Route::of(to), redirected(hops));
        }
        assert_eq!(moved("/3/3/5.png?key=1", 0, Site::Other), "/moved/3/3/5.png");
    }

    #[test]
    fn what_makes_no_sense_is_nowhere_or_named() {
        for target in ["/", "/3/3", "/3/3/5.tif", "/3/x/5.png", "/q/9.png", "/moved/log", "/hop/x/3/3/5.png"] {
            assert_eq!(Route::of(target), Route::Nowhere, "{target}");
        }
        for (target, wrong) in [
            ("/wmts", "SERVICE"),
            ("/wmts?service=WMTS&request=GetFeatureInfo", "REQUEST"),
            ("/wmts?service=WMTS&request=GetTile&format=image/tiff", "FORMAT"),
            ("/wmts?service=WMTS&request=GetTile&format=image/png", "TILECOL"),
            ("/wmts/roads/default/EPSG:3857/EPSG:3857:3/5/3.png", "LAYER"),
            ("/wmts/tiles/dark/EPSG:3857/EPSG:3857:3/5/3.png", "STYLE"),
            ("/wmts/tiles/default/EPSG:4326/3/5/3.png", "TILEMATRIXSET"),
            ("/wmts/tiles/default/OffScale/3/5/3.png", "TILEMATRIXSET"),
            ("/wmts/tiles/default/EPSG:3857/3/5/3.png", "TILEMATRIX"),
            ("/wmts/tiles/default/EPSG:3857/EPSG:3857:3/x/3.png", "TILEROW"),
        ] {
            assert_eq!(Route::of(target), Route::NotWmts(wrong), "{target}");
        }
    }
}
