use super::*;

#[test]
fn roots_that_cannot_be_used_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for (path, says) in [
        (folder.path().join("none.pem"), "none.pem: No such file"),
        (file("empty.pem", ""), "empty.pem: it has no certificate in PEM form"),
        (file("broken.pem", broken), "broken.pem: "),
    ] {
        let error = Tls::new(Some(&path), &[]).unwrap_err().to_string();
        assert!(error.starts_with("cannot trust the certificates of ") && error.contains(says), "{error}");
    }
    assert!(Tls::new(None, &["http/1.1"]).is_ok());
}

#[test]
fn who_issued_a_certificate_that_is_not_trusted_is_said_in_words() {
    let wrong = |error| in_words(io::Error::new(io::ErrorKind::InvalidData, rustls::Error::InvalidCertificate(error)));

    assert!(wrong(CertificateError::UnknownIssuer).to_string().starts_with("nobody who is trusted here"));
    assert!(wrong(CertificateError::Expired).to_string().contains("xpired"));
    assert_eq!(in_words(io::Error::other("else")).to_string(), "else");
}
