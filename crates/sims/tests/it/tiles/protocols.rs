use std::{error::Error, net::SocketAddr, sync::Arc, time::Duration};

use futures_util::future::join_all;
use http_body_util::{BodyExt, Empty};
use hyper::{Request, Version, body::Bytes, client::conn, header::HeaderValue};
use hyper_util::rt::{TokioExecutor, TokioIo};
use sims::tiles::{At, CERTIFICATE, Config, Cut, Fault, Format, Framing, How, Origin, Protocol, Rule, Script};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    task::JoinSet,
    time::{Instant, timeout},
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, ServerName, pem::PemObject},
    },
};

use super::{
    PATH, TILE,
    client::{Client, End, PATIENCE, get},
    png, struck, truth,
};

/// hyper's client on one connection.
pub(crate) struct Http2 {
    sender: conn::http2::SendRequest<Empty<Bytes>>,
    _connection: JoinSet<()>,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) etag: Option<HeaderValue>,
    pub(crate) body: Vec<u8>,
    /// The reason for which the stream was reset within its body.
    pub(crate) reset: Option<u32>,
    /// Whether the body did not come to its end.
    pub(crate) broken: bool,
}

trait Io: AsyncRead + AsyncWrite + Unpin + Send + 'static {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send + 'static> Io for T {}

impl Http2 {
    pub(crate) async fn connect(at: SocketAddr) -> Self {
        Self::on(TcpStream::connect(at).await.unwrap()).await.unwrap()
    }

    async fn on(stream: impl Io) -> hyper::Result<Self> {
        let (sender, connection) = conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
        let mut connections = JoinSet::new();
        connections.spawn(async move {
            let _ = connection.await;
        });
        Ok(Self { sender, _connection: connections })
    }

    pub(crate) async fn get(&self, path: String) -> Result<Answer, hyper::Error> {
        let request = Request::get(format!("http://tiles{path}")).body(Empty::new()).unwrap();
        let mut sender = self.sender.clone();
        let response = timeout(PATIENCE, sender.send_request(request)).await.unwrap()?;
        assert_eq!(response.version(), Version::HTTP_2);
        let (status, etag) = (response.status().as_u16(), response.headers().get("etag").cloned());
        let mut answer = Answer { status, etag, body: Vec::new(), reset: None, broken: false };
        let mut body = response.into_body();
        while let Some(frame) = timeout(PATIENCE, body.frame()).await.unwrap() {
            match frame {
                Ok(frame) => answer.body.extend(frame.into_data().unwrap()),
                Err(error) => {
                    (answer.reset, answer.broken) = (reset_reason(&error), true);
                    break;
                }
            }
        }
        Ok(answer)
    }

    /// All at once.
    pub(crate) async fn all(&self, paths: impl IntoIterator<Item = String>) -> Vec<Result<Answer, hyper::Error>> {
        join_all(paths.into_iter().map(|path| self.get(path))).await
    }
}

/// What HTTP/2 has to say about an error.
pub(crate) fn cause(error: &hyper::Error) -> Option<&h2::Error> {
    error.source().and_then(|error| error.downcast_ref())
}

/// The reason for which a stream was reset, if that is what happened.
pub(crate) fn reset_reason(error: &hyper::Error) -> Option<u32> {
    let cause = cause(error).filter(|error| error.is_reset())?;
    cause.reason().map(Into::into)
}

async fn tls(origin: &Origin, alpn: &[&[u8]]) -> TlsStream<TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(CERTIFICATE.as_bytes()).unwrap()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    let stream = TcpStream::connect(origin.address()).await.unwrap();
    let name = ServerName::from(origin.address().ip());
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
}

async fn secure(fault: Option<Fault>) -> Origin {
    let script = fault.into_iter().fold(Script::new(1), |script, fault| script.rule(Rule::new(fault)));
    Origin::start(Config { tls: true, script, ..Config::default() }).await.unwrap()
}

#[tokio::test]
async fn http2_without_tls_is_spoken_on_the_same_port_as_http1() {
    let origin = Origin::start(Config::default()).await.unwrap();

    let (first, second) = (get(origin.address(), PATH).await, Http2::connect(origin.address()).await);
    let second = second.get("/12/3423/1763.jpg".into()).await.unwrap();

    assert!(first.body == png(&origin));
    let content = truth(&origin, Format::Jpg, TILE);
    assert!(second.status == 200 && second.body == content.bytes);
    assert_eq!(second.etag.unwrap(), content.etag);
    let log = origin.stop().await;
    let spoken: Vec<_> = log.entries().iter().map(|entry| (entry.protocol, entry.served())).collect();
    assert_eq!(spoken, [(Protocol::Http1, true), (Protocol::Http2, true)]);
    assert_eq!(log.entries()[1].header("host"), Some("tiles"));
}

#[tokio::test]
async fn over_tls_the_client_chooses_what_is_spoken() {
    let origin = secure(None).await;
    assert!(origin.template(Format::Png).starts_with("https://127.0.0.1:"));

    let offers: [&[&[u8]]; 2] = [&[], &[b"http/1.1"]];
    for alpn in offers {
        let mut client = Client::on(tls(&origin, alpn).await);
        for _ in 0..2 {
            assert!(client.get(PATH).await.body == png(&origin));
        }
    }
    let stream = tls(&origin, &[b"h2", b"http/1.1"]).await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let client = Http2::on(stream).await.unwrap();
    assert!(client.get(PATH.into()).await.unwrap().body == png(&origin));

    let log = origin.stop().await;
    let spoken: Vec<_> = log.entries().iter().map(|entry| entry.protocol).collect();
    assert_eq!(spoken, [[Protocol::Http1; 4].as_slice(), &[Protocol::Http2]].concat());
}

#[tokio::test]
async fn tls_is_cut_off_where_the_script_says_and_ended_where_it_does_not() {
    let whole = secure(Some(Fault::Framing(Framing::Close))).await;
    let seen = Client::on(tls(&whole, &[]).await).get(PATH).await;
    assert!(seen.body == png(&whole) && seen.end == End::Closed);

    for how in [How::Close, How::Reset] {
        let cut = Cut { at: At::Byte(100), framing: Framing::Close, how };
        let origin = secure(Some(Fault::Cut(cut))).await;
        let seen = Client::on(tls(&origin, &[]).await).get(PATH).await;
        assert_eq!((seen.body.len(), seen.end), (100, End::Broken), "{how:?}");
    }
}

#[tokio::test]
async fn an_origin_may_not_understand_http2() {
    let plain = Origin::start(Config { http2: false, ..Config::default() }).await.unwrap();
    let stream = TcpStream::connect(plain.address()).await.unwrap();
    let answer = match Http2::on(stream).await {
        Ok(client) => client.get(PATH.into()).await.err(),
        Err(error) => Some(error),
    };
    assert!(answer.is_some());
    assert!(plain.stop().await.entries().is_empty());

    let secure = Origin::start(Config { http2: false, tls: true, ..Config::default() }).await.unwrap();
    let stream = tls(&secure, &[b"h2", b"http/1.1"]).await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
}

#[tokio::test]
async fn http2_has_no_body_where_there_is_none() {
    for (code, length) in [(204, 0), (304, 0), (404, 11)] {
        let origin = struck(Fault::status(code)).await;
        let seen = Http2::connect(origin.address()).await.get(PATH.into()).await.unwrap();
        assert_eq!((seen.status, seen.body.len(), seen.broken), (code, length, false));
    }
}

#[tokio::test]
async fn http2_drips_and_tells_wrong_lengths_too() {
    let origin = struck(Fault::WrongLength(7)).await;
    let client = Http2::connect(origin.address()).await;
    let seen = client.get(PATH.into()).await.unwrap();
    assert!(seen.broken, "{} bytes", seen.body.len());

    // 1500 bytes each 50 ms.
    let origin = struck(Fault::Drip(30_000)).await;
    let client = Http2::connect(origin.address()).await;
    let began = Instant::now();
    let seen = client.get(PATH.into()).await.unwrap();
    let pieces = png(&origin).len() as u32 / 1500;
    assert!(began.elapsed() >= Duration::from_millis(50) * (pieces - 1), "{:?}", began.elapsed());
    assert!(seen.body == png(&origin));
}
