use proptest::prelude::*;

use super::*;

fn address(text: &str) -> Address {
    Address::parse(text).unwrap()
}

#[test]
fn an_address_is_known_by_its_parts() {
    for (text, tls, host, port, authority, path) in [
        ("http://h", false, "h", 80, "h", "/"),
        ("HTTPS://H.Example/a?b#c", true, "h.example", 443, "h.example", "/a?b"),
        ("http://127.0.0.1:8080/x", false, "127.0.0.1", 8080, "127.0.0.1:8080", "/x"),
        ("https://[::1]:8443?q", true, "[::1]", 8443, "[::1]:8443", "/?q"),
        ("https://user:pass@h/", true, "h", 443, "h", "/"),
    ] {
        let found = address(text);
        assert_eq!((found.is_tls(), found.host(), found.port()), (tls, host, port), "{text}");
        assert_eq!((found.authority(), found.path()), (authority, path), "{text}");
    }
    for wrong in [
        "",
        "h/a",
        "ftp://h/",
        "http://",
        "http:///a",
        "http://:80/",
        "http://h:x/",
        "http://h:70000/",
        "http://h/a b",
        "http://[::1",
    ] {
        assert_eq!(Address::parse(wrong), None, "{wrong}");
    }
    assert!(!format!("{:?}", address("https://h/a?key=hidden")).contains("hidden"));
}

#[test]
fn a_reference_leads_where_the_rfc_says() {
    let from = address("https://h:8443/a/b/c.png?q=1");
    for (reference, to) in [
        ("https://other/x", "https://other/x"),
        ("//other/x", "https://other/x"),
        ("/x/y?z", "https://h:8443/x/y?z"),
        ("d.png", "https://h:8443/a/b/d.png"),
        ("./d.png", "https://h:8443/a/b/d.png"),
        ("../d.png", "https://h:8443/a/d.png"),
        ("../../../d.png", "https://h:8443/d.png"),
        ("..", "https://h:8443/a/"),
        ("?r=2", "https://h:8443/a/b/c.png?r=2"),
        ("/login?to=https://h/../x", "https://h:8443/login?to=https://h/../x"),
        (" /x#part ", "https://h:8443/x"),
    ] {
        assert_eq!(from.join(reference).unwrap().as_str(), to, "{reference}");
    }
    assert_eq!(from.join("ftp://h/x"), None);
    assert_eq!(from.join("/a b"), None);
}

#[test]
fn the_same_server_is_known_by_scheme_host_and_port() {
    let from = address("https://h/a");

    assert!(from.same_origin(&address("https://H:443/b")));
    for other in ["http://h/a", "https://h:8443/a", "https://www.h/a"] {
        assert!(!from.same_origin(&address(other)), "{other}");
    }
    assert!(!address("https://h:8443/").same_origin(&address("http://h:8443/")));
}

proptest! {
    #[test]
    fn nothing_makes_it_panic(text in "\\PC{0,40}", reference in "(https?:)?[/.?#a:@\\[\\]]{0,30}") {
        let _ = Address::parse(&text);
        let _ = Address::parse(&reference);
        if let Some(joined) = address("http://h/a/b").join(&reference) {
            prop_assert!(joined.path().starts_with('/'));
        }
        let _ = address("http://h/a/b").join(&text);
    }
}
