//! Asks for what the original asked for, where nothing was said.

use std::{
    io::{self, BufRead as _, Write as _},
    path::PathBuf,
};

use tiles::{grid, job::Request};

use super::{Wrong, args};

/// Asks until all is said.
pub(crate) fn all() -> Result<(PathBuf, Request), Wrong> {
    let mut request =
        Request { url: Some(one("Address of the tiles, with {z} {x} {y}", "", url)?), ..Request::default() };
    let zoom = one("Zoom", "17", |text| {
        let zoom = text.parse().map_err(|_| "a whole number, such as 17".to_owned())?;
        grid::zoom(zoom).map_err(|error| error.to_string())
    })?;
    request.zooms = Some(zoom..=zoom);
    let kind =
        one("Area by tile (X)/(Y) ranges, or by (d)egrees", "x", |text| match text.to_ascii_lowercase().as_str() {
            "x" | "y" | "xy" => Ok(false),
            "d" | "degrees" => Ok(true),
            _ => Err("x or d".to_owned()),
        })?;
    request.area = Some(if kind {
        one("West, south, east, north in degrees, such as 106.6,-6.4,107.0,-6.0", "", |text| {
            args::bbox(text).map_err(|_| "four numbers with commas between them, on the map".to_owned())
        })?
    } else {
        let range =
            |text: &str| tiles::area::Area::range(text).map(|_| text.to_owned()).map_err(|error| error.to_string());
        loop {
            let x = one("X from-to", "", range)?;
            let y = one("Y from-to", "", range)?;
            match args::block(zoom, &x, &y) {
                Ok(area) => break area,
                Err(error) => say(&error.to_string()),
            }
        }
    });
    let out = one("File", "map.mbtiles", |text| Ok(PathBuf::from(text)))?;
    Ok((out, request))
}

fn url(text: &str) -> Result<String, String> {
    let fits = text.starts_with("http://") || text.starts_with("https://");
    if fits { Ok(text.to_owned()) } else { Err("an address that begins with http:// or https://".to_owned()) }
}

/// Asks for one thing until it is one. Nothing said is the default, where there is one.
fn one<T>(what: &str, default: &str, read: impl Fn(&str) -> Result<T, String>) -> Result<T, Wrong> {
    let wrong = |why: &str| Wrong {
        what: format!("{what}: {why}"),
        hint: "or say everything with options: tiles get --help".to_owned(),
    };
    loop {
        let shown = if default.is_empty() { String::new() } else { format!(" [{default}]") };
        let mut prompt = io::stderr();
        let _ = write!(prompt, "{what}{shown}: ");
        let _ = prompt.flush();
        let mut line = String::new();
        match io::stdin().lock().read_line(&mut line) {
            Ok(0) => return Err(wrong("nothing more was said")),
            Ok(_) => {}
            Err(error) => return Err(wrong(&error.to_string())),
        }
        let said = line.trim();
        match read(if said.is_empty() { default } else { said }) {
            Ok(value) => return Ok(value),
            Err(expected) => say(&format!("expected {expected}")),
        }
    }
}

fn say(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}
