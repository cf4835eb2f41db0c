//! The labels that must stay few.

use super::*;

#[test]
fn a_nested_scope_counts_for_its_component() {
    let components = ["http", "http/api", "feed"].map(str::to_owned);

    for (name, expected) in [
        ("feed", "feed"),
        ("feed/conn 17/tls", "feed"),
        ("http/conn 3", "http"),
        ("http/api", "http/api"),
        ("http/api/conn 3", "http/api"),
        ("http/apis", "http"),
        ("feeder", "feeder"),
        ("the service itself", "the service itself"),
    ] {
        assert_eq!(root(name, &components), expected, "{name}");
    }
}
