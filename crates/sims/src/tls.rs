//! TLS with the one certificate that lies beside this crate.

use std::{io, sync::Arc};

use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
};

/// The certificate that an origin shows, as PEM: self-signed, for `localhost`, `127.0.0.1`, `127.0.0.2` and `::1`, until 2125. A
/// client that is to trust the origin is given it as a root. Its key is public, so it is worth nothing anywhere else.
pub const CERTIFICATE: &str = include_str!("../fixtures/localhost-certificate.pem");
const KEY: &str = include_str!("../fixtures/localhost-key.pem");

pub(crate) fn acceptor(http2: bool) -> io::Result<TlsAcceptor> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(CERTIFICATE.as_bytes()).collect();
    let certificates = certificates.map_err(io::Error::other)?;
    let key = PrivateKeyDer::from_pem_slice(KEY.as_bytes()).map_err(io::Error::other)?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(certificates, key))
        .map_err(io::Error::other)?;
    let protocols: &[&[u8]] = if http2 { &[b"h2", b"http/1.1"] } else { &[b"http/1.1"] };
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    Ok(TlsAcceptor::from(Arc::new(config)))
}
