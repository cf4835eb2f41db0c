use super::*;

fn environment(name: &str) -> Option<String> {
    (name == "KEY").then(|| "s3cret".to_owned())
}

fn manners(headers: &[&str]) -> Result<Manners, String> {
    let headers: Vec<String> = headers.iter().map(|text| (*text).to_owned()).collect();
    Manners::new("test/1", &headers, &environment).map_err(|error| error.to_string())
}

#[test]
fn headers_go_to_their_own_server_only_and_secrets_are_not_shown() {
    let manners = manners(&["X-Map: one", "Authorization: Bearer ${KEY}"]).unwrap();
    let address = Address::parse("http://h:81/1/2/3.png?v=1").unwrap();

    let request = manners.request(&address, true, None, None, false).unwrap();
    assert_eq!(request.uri(), "/1/2/3.png?v=1");
    let header = |name: &str| request.headers().get(name).map(|value| value.to_str().unwrap());
    assert_eq!((header("host"), header("user-agent")), (Some("h:81"), Some("test/1")));
    assert_eq!((header("x-map"), header("authorization")), (Some("one"), Some("Bearer s3cret")));
    assert_eq!(header("accept-encoding"), None);
    assert!(!format!("{manners:?} {request:?}").contains("s3cret"));
    assert_eq!(manners.mask("no Bearer s3cret here"), "no *** here");
    assert_eq!(manners.mask("key s3cret is unknown"), "key *** is unknown", "what it was made of as well");
    assert_eq!(manners.mask("a text that was cut within s3cr"), "a text that was cut within ***");
    assert_eq!(manners.mask("a text that was cut: Bearer s3c"), "a text that was cut: ***");
    assert_eq!(manners.mask("the s3"), "the s3", "so little tells nothing");
    assert_eq!(manners.kept(), ["X-Map: one", "Authorization: Bearer ${KEY}"]);

    let request = manners.request(&address, false, Some(Format::Mvt), None, true).unwrap();
    assert_eq!(request.uri(), "http://h:81/1/2/3.png?v=1");
    assert_eq!(request.headers().len(), 3, "{request:?}");
    assert_eq!(request.headers()["accept-encoding"], "gzip");
}

#[test]
fn what_is_stored_is_asked_for_by_its_etag_or_else_by_its_date() {
    let manners = manners(&[]).unwrap();
    let address = Address::parse("http://h/").unwrap();
    let asked = |etag: Option<&str>, date: Option<&str>| {
        let [etag, last_modified] = [etag, date].map(|text| text.map(str::to_owned));
        let http = Http { etag, last_modified, ..Http::default() };
        let request = manners.request(&address, true, None, Some(&http), false).unwrap();
        ["if-none-match", "if-modified-since"].map(|name| request.headers().contains_key(name))
    };

    assert_eq!(asked(Some("\"a\""), Some("Sat, 29 Oct 1994 19:43:31 GMT")), [true, false]);
    assert_eq!(asked(None, Some("Sat, 29 Oct 1994 19:43:31 GMT")), [false, true]);
    assert_eq!(asked(None, None), [false, false]);
}

#[test]
fn errors_name_the_header_and_not_its_value() {
    let error = |header| manners(&[header]).unwrap_err();

    assert!(error("X-Api-Key: abc").contains("can be read by everybody"));
    assert!(!error("X-Api-Key: abc").contains("abc"));
    assert!(error("X: ${NO}").contains("has no NO"));
    assert!(error("X: @/no/such").contains("cannot read /no/such"));
    assert!(error("Host: a").contains("writes it itself"));
    assert!(error("no colon").contains("expected `Name: value`"));
    assert!(error("X: a\nb").contains("cannot be sent"));
    assert!(Manners::new("", &[], &environment).is_err());
}
