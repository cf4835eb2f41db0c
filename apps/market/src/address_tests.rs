use super::*;

#[test]
fn addresses_are_checked_with_what_to_type_instead() {
    for good in ["ws://127.0.0.1:9443", "wss://stream.binance.com:9443/", "ws://exchange", "ws://[::1]:80"] {
        assert!(Address::stream(good).is_ok(), "{good}");
    }
    for wrong in
        ["http://127.0.0.1", "127.0.0.1:9443", "ws://h/stream", "ws://h:0", "ws://h:70000", "ws://me@h", "ws://", ""]
    {
        let error = Address::stream(wrong).unwrap_err();
        assert!(error.contains(&format!("{wrong:?}")) && error.contains("without a path, such as wss://"), "{error}");
    }
    assert!(Address::requests("ws://exchange").unwrap_err().contains("such as https://api.binance.com"));
}

#[test]
fn a_port_that_is_not_named_is_the_schemes_own() {
    for (text, port, authority) in [
        ("http://127.0.0.1:8080/", 8080, "127.0.0.1:8080"),
        ("http://exchange", 80, "exchange"),
        ("https://api.binance.com", 443, "api.binance.com"),
        ("https://api.binance.com:443", 443, "api.binance.com"),
        ("ws://[::1]:9443", 9443, "[::1]:9443"),
    ] {
        let address: Address = text.parse().unwrap();

        assert_eq!((address.port, address.authority().as_str()), (port, authority), "{text}");
    }
}
