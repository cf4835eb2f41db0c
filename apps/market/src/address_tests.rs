use super::*;

#[test]
fn addresses_are_checked_with_what_to_type_instead() {
    for good in ["ws://127.0.0.1:9443", "ws://127.0.0.1:9443/", "ws://exchange"] {
        assert!(address(good).is_ok(), "{good}");
    }
    for (wrong, says) in [
        ("wss://stream.binance.com:9443", "wss:// (TLS) is not in this version"),
        ("http://127.0.0.1", "such as ws://127.0.0.1:9443"),
        ("127.0.0.1:9443", "such as ws://"),
        ("ws://h/stream", "without a path"),
        ("ws://", "such as ws://"),
        ("", "such as ws://"),
    ] {
        let error = address(wrong).unwrap_err();
        assert!(error.contains(says), "{error}");
    }
}

#[test]
fn the_rest_side_is_named_by_host_and_port() {
    assert_eq!(rest_address("http://127.0.0.1:8080/").unwrap(), "127.0.0.1:8080");
    assert_eq!(rest_address("http://exchange").unwrap(), "exchange:80");
    assert!(rest_address("ws://exchange").unwrap_err().contains("such as http://127.0.0.1:8080"));
    assert!(rest_address("https://api.binance.com").unwrap_err().contains("(TLS) is not in this version"));
}
