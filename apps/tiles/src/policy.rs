//! What operators of tile servers are known to forbid. Pure.

use std::fmt;

/// Tiles of OpenStreetMap's own servers that may be fetched without their permission: what a person looks at, not an area.
///
/// Its tile usage policy (operations.osmfoundation.org/policies/tiles) forbids bulk downloads.
pub const OSM_MOST: u64 = 250;

/// Takes a job that no known policy forbids. `hosts` are lower case, as [`Template::hosts`](crate::template::Template::hosts) has them.
///
/// # Errors
/// One of them is OpenStreetMap's, the job has more than [`OSM_MOST`] tiles, and there is no permission.
pub fn check(hosts: &[String], tiles: u64, permitted: bool) -> Result<(), Forbidden> {
    match hosts.iter().find(|host| is_osm(host)) {
        Some(host) if !permitted && tiles > OSM_MOST => Err(Forbidden { host: host.clone(), tiles }),
        _ => Ok(()),
    }
}

/// For how many seconds a tile is kept at least where the answer says nothing of it; none where nobody asks for that.
///
/// OpenStreetMap's policy asks for seven days.
pub fn keeps(hosts: &[String]) -> Option<u64> {
    hosts.iter().any(|host| is_osm(host)).then_some(7 * 24 * 3600)
}

fn is_osm(host: &str) -> bool {
    let host = host.trim_end_matches('.');
    host == "tile.openstreetmap.org" || host.ends_with(".tile.openstreetmap.org")
}

/// A job that an operator forbids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forbidden {
    /// Whose.
    pub host: String,
    /// How many tiles it has.
    pub tiles: u64,
}

impl Forbidden {
    /// What to do about it, in one sentence.
    pub fn hint(&self) -> &'static str {
        "use a provider that allows it, render the tiles yourself, or say --i-have-permission if you have it in writing"
    }
}

impl fmt::Display for Forbidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, tiles } = self;
        write!(f, "{tiles} tiles from {host}: its operators forbid bulk downloads, and more than {OSM_MOST} are one")
    }
}

impl std::error::Error for Forbidden {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bulk_downloads_from_openstreetmap_need_its_permission() {
        let hosts = |name: &str| [name.to_owned(), "h".to_owned()];

        for host in ["tile.openstreetmap.org", "a.tile.openstreetmap.org", "tile.openstreetmap.org."] {
            assert_eq!(check(&hosts(host), 250, false), Ok(()));
            assert_eq!(check(&hosts(host), 251, true), Ok(()));
            let error = check(&hosts(host), 251, false).unwrap_err();
            assert!(error.to_string().starts_with(&format!("251 tiles from {host}: ")), "{error}");
        }
        assert_eq!(keeps(&hosts("b.tile.openstreetmap.org")), Some(604_800));
        assert_eq!(keeps(&hosts("example.com")), None);
        assert_eq!(check(&hosts("tile.openstreetmap.org.example.com"), 9999, false), Ok(()));
        assert_eq!(check(&hosts("mytile.openstreetmap.org"), 9999, false), Ok(()));
    }
}
