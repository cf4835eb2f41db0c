use proptest::prelude::*;

use super::*;

fn tile(z: u8, x: u32, y: u32) -> Tile {
    Tile::new(z, x, y).unwrap()
}

fn fill(text: &str, settings: &Settings<'_>, tile: Tile) -> String {
    let mut address = "what was there before".to_owned();
    Template::parse(text, settings).unwrap().fill(tile, &mut address);
    address
}

fn environment(name: &str) -> Option<String> {
    match name {
        "MAP_KEY" => Some("s3cr3t\n".into()),
        "EMPTY" => Some("  ".into()),
        "BAD" => Some("two words".into()),
        _ => None,
    }
}

#[test]
fn every_placeholder_becomes_what_the_table_says() {
    let letters = subdomains("abc").unwrap();
    let given = Settings { subdomains: &letters, apikey: Some("k"), environment: &environment, ..Settings::default() };
    let double = Settings { double: true, ..given };
    let tms = Settings { tms: true, ..given };
    let at = tile(3, 3, 5);
    for (text, settings, expected) in [
        ("https://h/{z}/{x}/{y}.png", &given, "https://h/3/3/5.png"),
        ("https://h/{zoom}/{x}/{-y}.png", &given, "https://h/3/3/2.png"),
        ("https://h/{z}/{x}/{y}.png", &tms, "https://h/3/3/2.png"),
        ("https://h/{q}", &given, "https://h/213"),
        ("https://{s}.h/{z}/{x}/{y}", &given, "https://c.h/3/3/5"),
        ("https://{switch:one,two}.h/{z}/{x}/{y}", &given, "https://one.h/3/3/5"),
        ("https://h/{z}/{x}/{y}{r}.png", &given, "https://h/3/3/5.png"),
        ("https://h/{z}/{x}/{y}{r}.png", &double, "https://h/3/3/5@2x.png"),
        ("https://h/{z}/{x}/{y}{ratio}.png", &double, "https://h/3/3/5@2x.png"),
        ("https://h/{x}/{y}/{z}?key={apikey}&a=b", &given, "https://h/3/5/3?key=k&a=b"),
        ("https://h/{z}/{x}/{y}?t=${MAP_KEY}", &given, "https://h/3/3/5?t=s3cr3t"),
        ("https://h/{z}/{x}/{y}?cost=$5", &given, "https://h/3/3/5?cost=$5"),
        ("https://h/{matrix:,,,EPSG:3857:3}/{y}/{x}", &given, "https://h/EPSG:3857:3/5/3"),
        ("tms[2,18]:https://h/{z}/{x}/{y}", &given, "https://h/3/3/5"),
        ("tms:http://h:8080/{z}/{x}/{y}", &given, "http://h:8080/3/3/5"),
    ] {
        assert_eq!(fill(text, settings, at), expected, "{text}");
    }
    let wms = fill("https://h/wms?BBOX={bbox-epsg-3857}", &given, tile(1, 1, 0));
    assert_eq!(wms, "https://h/wms?BBOX=0,0,20037508.342789244,20037508.342789244");
}

#[test]
fn a_tile_has_the_same_subdomain_each_time() {
    let names = subdomains("1-3").unwrap();
    let settings = Settings { subdomains: &names, ..Settings::default() };
    let hosts: Vec<String> = (0..4).map(|x| fill("https://{s}/{z}/{x}/{y}", &settings, tile(4, x, 1))).collect();

    assert_eq!(hosts, ["https://2/4/0/1", "https://3/4/1/1", "https://1/4/2/1", "https://2/4/3/1"]);
}

#[test]
fn zooms_are_known_where_the_template_says_them() {
    let zooms = |text: &str| Template::parse(text, &Settings::default()).unwrap().zooms();

    assert_eq!(zooms("https://h/{z}/{x}/{y}"), None);
    assert_eq!(zooms("tms:https://h/{z}/{x}/{y}"), None);
    assert_eq!(zooms("tms[2,18]:https://h/{z}/{x}/{y}"), Some(2..=18));
    assert_eq!(zooms("tms[18]:https://h/{z}/{x}/{y}"), Some(0..=18));
    assert_eq!(zooms("https://h/{matrix:,,a,b}/{x}/{y}"), Some(2..=3));
}

#[test]
fn what_is_wrong_is_named_and_no_secret_with_it() {
    let settings = Settings { environment: &environment, ..Settings::default() };
    for (text, says) in [
        ("h/{z}/{x}/{y}", "is no address of a web server"),
        ("ftp://h/{z}/{x}/{y}", "is no address of a web server"),
        ("https:///{z}/{x}/{y}", "is no address of a web server"),
        ("https://user:hidden@h/{z}/{x}/{y}", "a name or a password stands in the template before the host"),
        ("https://h/a b/{z}/{x}/{y}?key=hidden", "' ' cannot stand in an address"),
        ("https://h/{z}/{x}/{y}#x", "'#' cannot stand"),
        ("https://h/{z}/{x}/{y", "a brace in the template is alone"),
        ("https://h/z}/{x}/{y}", "a brace in the template is alone"),
        ("https://h/{z}/{x}/{row}?key=hidden", "placeholder {row} is not known"),
        (
            "https://h/{z}/{x}/{matrix:0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31}",
            "placeholder {matrix:0,1",
        ),
        ("https://h/{x}/{y}", "the template has no {z}"),
        ("https://h/{z}/{y}", "the template has no {x}"),
        ("https://h/{z}/{x}", "the template has no {y}"),
        ("https://{s}.h/{z}/{x}/{y}", "placeholder {s} needs subdomains"),
        ("https://h/{z}/{x}/{y}?key={apikey}", "{apikey} has no value"),
        ("https://h/{z}/{x}/{y}?key=${NONE}", "${NONE} has no value"),
        ("https://h/{z}/{x}/{y}?key=${EMPTY}", "${EMPTY} has no value"),
        ("https://h/{z}/{x}/{y}?key=${BAD}", "the value of ${BAD} cannot stand in an address"),
        ("https://h:99999/{z}/{x}/{y}", "no address of a web server"),
        ("https://h:port/{z}/{x}/{y}", "no address of a web server"),
        ("https://:80/{z}/{x}/{y}", "no address of a web server"),
        ("tms[18,2]:https://h/{z}/{x}/{y}", "\"tms[18,2]\" before the address is not understood"),
        ("tms[31]:https://h/{z}/{x}/{y}", "\"tms[31]\" before the address"),
        ("tmsx:https://h/{z}/{x}/{y}", "\"tmsx\" before the address"),
    ] {
        let error = Template::parse(text, &settings).unwrap_err();
        assert!(error.to_string().contains(says), "{text}: {error}");
        assert!(!format!("{error} {error:?} {}", error.hint()).contains("hidden"), "{error:?}");
    }
    for text in ["", "a b", "a,,b", "a_b,c", "4-1"] {
        assert!(subdomains(text).is_err(), "{text}");
    }
    assert_eq!(subdomains("tiles1, tiles2").unwrap(), ["tiles1", "tiles2"]);
}

#[test]
fn secrets_are_in_the_filled_address_and_nowhere_else() {
    let settings = Settings { environment: &environment, apikey: Some("s3cr3t"), ..Settings::default() };
    let at = tile(1, 0, 1);
    for (text, masked) in [
        ("https://h/{z}/{x}/{y}?apikey=s3cr3t&v=1", "https://h/1/0/1?apikey=***&v=1"),
        ("https://h/{z}/{x}/{y}?v=1&access_token=s3cr3t", "https://h/1/0/1?v=1&access_token=***"),
        (
            "https://h/t?X-Amz-Signature=s3cr3t&z={z}&x={x}&y={y}&sig=s3cr3t",
            "https://h/t?X-Amz-Signature=***&z=1&x=0&y=1&sig=***",
        ),
        ("https://h/{z}/{x}/{y}?k={apikey}", "https://h/1/0/1?k=***"),
        ("https://h/${MAP_KEY}/{z}/{x}/{y}", "https://h/***/1/0/1"),
        ("https://${MAP_KEY}.h/{z}/{x}/{y}", "https://***.h/1/0/1"),
    ] {
        let template = Template::parse(text, &settings).unwrap();
        let mut address = String::new();
        template.fill(at, &mut address);

        assert!(address.contains("s3cr3t"), "{address}");
        assert_eq!(template.masked(at), masked);
        assert_eq!(template.mask(&format!("no access for {address}")), format!("no access for {masked}"));
        let shown = format!("{template} {template:?} {:?} {}", template.hosts(), template.text());
        assert!(!shown.contains("s3cr3t"), "{shown}");
        assert_eq!(template.forgets(), text.contains("s3cr3t"));
        assert!(template.forgets() || Template::parse(template.text(), &settings).is_ok_and(|again| again == template));
    }
    let plain = "https://h/{z}/{x}/{y}?design=plain&monkeys=2&key={apikey}";
    assert_eq!(Template::parse(plain, &settings).unwrap().text(), plain);
}

#[test]
fn all_hosts_that_may_be_asked_are_known() {
    let names = subdomains("ab").unwrap();
    let settings = Settings { subdomains: &names, ..Settings::default() };
    let hosts = |text: &str| Template::parse(text, &settings).unwrap().hosts();

    assert_eq!(hosts("https://Tile.OpenStreetMap.org/{z}/{x}/{y}.png"), ["tile.openstreetmap.org"]);
    assert_eq!(hosts("https://{s}.h:8443/{z}/{x}/{y}.png"), ["a.h", "b.h"]);
    assert_eq!(hosts("https://{switch:h,h}/{z}/{x}/{y}.png"), ["h"]);
    assert_eq!(hosts("https://{switch:c,d}{s}.h/{s}/{z}/{x}/{y}.png"), ["ca.h", "cb.h", "da.h", "db.h"]);
}

#[test]
fn a_move_for_good_is_remembered_for_all_tiles() {
    let moved = |text: &str, location: &str| {
        let moved = Template::parse(text, &Settings::default()).unwrap().moved(tile(3, 1, 2), location)?;
        Some(moved.masked(tile(4, 5, 6)))
    };
    let text = "http://old/t/{z}/{x}/{y}.png?v=1";

    assert_eq!(moved(text, "https://new/tiles/3/1/2.png?v=1").as_deref(), Some("https://new/tiles/4/5/6.png?v=1"));
    assert_eq!(moved(text, "https://new/tiles/3/1/2.jpg?v=1"), None, "it ends otherwise");
    assert_eq!(moved(text, "https://new/t?for=3/1/2.png?v=1"), None, "it stands in a query");
    assert_eq!(
        moved("http://old/{z}/{x}/{y}.png?v=1&key=s3cr3t", "https://new/3/1/2.png").as_deref(),
        Some("https://new/4/5/6.png"),
        "its query was for the old one"
    );
    assert_eq!(moved("http://old/t?z={z}&x={x}&y={y}", "https://new/t"), None, "there it names the tile");
    assert_eq!(moved("http://old/{z}/{x}.png?y={y}", "https://new/3/1.png"), None);
    assert_eq!(moved("http://{switch:a,b}.old/{z}/{x}/{y}", "http://b.old/3/1/2"), None, "the host varies");
    assert_eq!(
        moved("http://t{switch:a,b}/{z}/{x}/{y}", "https://h/tb/3/1/2"),
        None,
        "a part of the host would be lost"
    );
}

proptest! {
    #[test]
    fn nothing_makes_the_parser_panic(text in "(https://|tms\\[)?[hs{}$:,/?&=zxyqk\\-\\[\\]0-9]{0,40}", other in "\\PC{0,40}") {
        let settings = Settings { environment: &environment, ..Settings::default() };
        for text in [&text, &other, &format!("https://h/{{z}}/{{x}}/{{y}}{other}")] {
            if let Ok(template) = Template::parse(text, &settings) {
                prop_assert!(template.masked(tile(30, 7, 9)).starts_with("http"));
                template.hosts();
            }
            let _ = subdomains(text);
        }
    }
}
