//! The way to a server: TCP, TLS if wanted, HTTP/2, the version, all within ten seconds; and the
//! metadata that each call carries.
use super::failure::{Failure, cause, said};
use super::target::{Address, Target, Tls};
use crate::proto::server_features::Feature;
use crate::proto::version_info::ProtocolVersion;
use crate::proto::waypoint_client::WaypointClient;
use http::Uri;
use hyper_util::rt::TokioIo;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::crypto::{
    CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature,
};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    self, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

const DIAL: Duration = Duration::from_secs(10);
/// Source: the wire's version negotiation; every number is 1 so far.
const API: ProtocolVersion = ProtocolVersion { current: 1, minimum: 1 };

pub(crate) type Client = WaypointClient<InterceptedService<Channel, Metadata>>;

/// A server that answered and speaks our version.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    pub(crate) client: Client,
    /// It wants keepalive messages on streams that we send.
    pub(crate) keepalives: bool,
    /// What it says of itself; may be empty.
    pub(crate) version: String,
}

/// Dials, asks for the version, and agrees on one.
///
/// # Errors
/// One line with the address and the innermost cause.
pub(crate) async fn dial(target: &Target) -> Result<Link, Failure> {
    let failed = |why: String| Failure::new(format!("cannot reach {}: {why}", target.address));
    match tokio::time::timeout(DIAL, greet(target)).await {
        Ok(Ok(link)) => Ok(link),
        Ok(Err(why)) => Err(failed(why)),
        Err(_) => Err(failed(format!("no answer within {} s", DIAL.as_secs()))),
    }
}

async fn greet(target: &Target) -> Result<Link, String> {
    let connector = Connector {
        address: target.address.clone(),
        tls: tls_config(target.tls).map(tokio_rustls::TlsConnector::from),
    };
    let scheme = if target.tls == Tls::Off { "http" } else { "https" };
    let uri = |scheme| {
        format!("{scheme}://{}", target.address).parse::<Uri>().map_err(|it| it.to_string())
    };
    // The transport would do TLS by itself for https; ours is done in the connector.
    let endpoint = Endpoint::from(uri("http")?)
        .origin(uri(scheme)?)
        .http2_keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(20))
        .keep_alive_while_idle(true);
    let channel = endpoint.connect_with_connector(connector).await.map_err(|it| cause(&it))?;
    let metadata = Metadata::new(target.token.as_deref())?;
    let mut client = WaypointClient::with_interceptor(channel, metadata);
    let answer =
        client.get_version_info(()).await.map_err(|status| first_call(&status, target.tls))?;
    let answer = answer.into_inner();
    let info = answer.info.unwrap_or_default();
    agree(API, info.api.unwrap_or_default())?;
    let features = answer.server_features.unwrap_or_default().features;
    let keepalives = features.contains(&i32::from(Feature::InlineKeepalives));
    Ok(Link { client, keepalives, version: info.version })
}

/// The first call is where the two sides find that they do not speak the same.
fn first_call(status: &Status, tls: Tls) -> String {
    match std::error::Error::source(status) {
        Some(_) if tls == Tls::Off => format!("{} (does the server speak TLS?)", said(status)),
        _ => said(status),
    }
}

/// Source: the wire's rule; the smaller current is spoken.
fn agree(ours: ProtocolVersion, theirs: ProtocolVersion) -> Result<(), String> {
    if ours.current < theirs.minimum {
        let (ours, theirs) = (ours.current, theirs.minimum);
        return Err(format!(
            "this waypoint is too old: it speaks version {ours}, the server {theirs} and up"
        ));
    }
    if theirs.current < ours.minimum {
        let (ours, theirs) = (ours.minimum, theirs.current);
        return Err(format!(
            "the server is too old: it speaks version {theirs}, this waypoint {ours} and up"
        ));
    }
    Ok(())
}

/// A request whose call carries a stream: keepalive messages are welcome on it.
pub(crate) fn streaming<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("wp-inline-keepalives", MetadataValue::from_static("true"));
    request
}

/// What every call carries.
#[derive(Debug, Clone)]
pub(crate) struct Metadata {
    token: Option<MetadataValue<Ascii>>,
}

impl Metadata {
    fn new(token: Option<&str>) -> Result<Self, String> {
        let token = token.map(str::trim).map(|it| {
            let mut value = MetadataValue::try_from(it)
                .map_err(|_| "the token has characters that no token has".to_owned())?;
            value.set_sensitive(true);
            Ok::<_, String>(value)
        });
        Ok(Self { token: token.transpose()? })
    }
}

impl tonic::service::Interceptor for Metadata {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let metadata = request.metadata_mut();
        metadata.insert("client-api-protocol", MetadataValue::from_static("1,1"));
        metadata.insert("client-entrypoint-protocol", MetadataValue::from_static("1,1"));
        let version = MetadataValue::from_static(concat!("v", env!("CARGO_PKG_VERSION")));
        metadata.insert("client-version", version);
        if let Some(token) = &self.token {
            metadata.insert("waypoint-token", token.clone());
            metadata.insert("authorization", token.clone());
        }
        Ok(request)
    }
}

trait Io: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

#[derive(Clone)]
struct Connector {
    address: Address,
    tls: Option<tokio_rustls::TlsConnector>,
}

impl tower_service::Service<Uri> for Connector {
    type Response = TokioIo<Box<dyn Io>>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let Self { address, tls } = self.clone();
        Box::pin(async move {
            let tcp = TcpStream::connect((address.host.as_str(), address.port)).await?;
            tcp.set_nodelay(true)?;
            let Some(tls) = tls else { return Ok(TokioIo::new(Box::new(tcp) as Box<dyn Io>)) };
            let name = ServerName::try_from(address.host).map_err(io::Error::other)?;
            let stream = tls.connect(name, tcp).await.map_err(explained)?;
            Ok(TokioIo::new(Box::new(stream) as Box<dyn Io>))
        })
    }
}

/// The two mistakes that everybody makes once, with their way out.
fn explained(error: io::Error) -> io::Error {
    use rustls::{Error, InvalidMessage};
    let known = error.get_ref().and_then(|it| it.downcast_ref::<Error>());
    match known {
        Some(Error::InvalidMessage(InvalidMessage::InvalidContentType)) => {
            io::Error::other("the server does not speak TLS; -server-tls=false talks to it without")
        }
        Some(Error::InvalidCertificate(why)) => io::Error::other(format!(
            "the server's certificate is refused ({why}); -server-tls-skip-verify accepts any"
        )),
        _ => error,
    }
}

fn tls_config(tls: Tls) -> Option<Arc<ClientConfig>> {
    let provider = Arc::new(ring::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("ring's provider has the ciphers of both versions");
    let mut config = match tls {
        Tls::Off => return None,
        Tls::Verify => config.with_root_certificates(roots()),
        Tls::SkipVerify => {
            config.dangerous().with_custom_certificate_verifier(Arc::new(Anybody(provider)))
        }
    }
    .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Some(Arc::new(config))
}

/// The system's trust store, as distributions lay it out; Mozilla's list where there is none.
fn roots() -> RootCertStore {
    const FILES: [&str; 4] = [
        "/etc/ssl/certs/ca-certificates.crt",
        "/etc/pki/tls/certs/ca-bundle.crt",
        "/etc/ssl/ca-bundle.pem",
        "/etc/ssl/cert.pem",
    ];
    let chosen = std::env::var_os("SSL_CERT_FILE");
    let files = match &chosen {
        Some(file) => vec![std::path::Path::new(file)],
        None => FILES.iter().map(std::path::Path::new).collect(),
    };
    let mut store = RootCertStore::empty();
    if let Some(found) = files.iter().find_map(|it| CertificateDer::pem_file_iter(it).ok()) {
        store.add_parsable_certificates(found.filter_map(Result::ok));
    }
    if store.is_empty() && chosen.is_none() {
        store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    store
}

/// Accepts any certificate, but the handshake must be signed with its key.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            certificate,
            signed,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            certificate,
            signed,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::target::parse_address;

    fn version(current: u32, minimum: u32) -> ProtocolVersion {
        ProtocolVersion { current, minimum }
    }

    #[test]
    fn versions_agree_when_each_reaches_the_others_minimum() {
        assert_eq!(agree(version(1, 1), version(1, 1)), Ok(()));
        assert_eq!(agree(version(1, 1), version(3, 1)), Ok(()));
        assert!(
            agree(version(1, 1), version(3, 2)).is_err_and(|it| it.contains("waypoint is too old"))
        );
        assert!(
            agree(version(2, 2), version(1, 1)).is_err_and(|it| it.contains("server is too old"))
        );
    }

    fn target(port: u16, tls: Tls) -> Target {
        let address = parse_address(&format!("127.0.0.1:{port}")).expect("an address");
        Target { address, tls, token: None }
    }

    #[tokio::test]
    async fn nobody_at_the_address_is_said_with_the_address() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
        let port = listener.local_addr().expect("an address").port();
        drop(listener);
        let said = dial(&target(port, Tls::Off)).await.expect_err("nobody").text;
        assert!(said.contains(&format!("127.0.0.1:{port}")), "{said}");
        assert!(said.to_lowercase().contains("refused"), "{said}");
    }

    #[tokio::test]
    async fn a_server_without_tls_is_told_from_a_broken_one() {
        use tokio::io::AsyncWriteExt;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let port = listener.local_addr().expect("an address").port();
        let plain = tokio::spawn(async move {
            let (mut peer, _) = listener.accept().await.expect("a peer");
            peer.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.expect("written");
        });
        let said = dial(&target(port, Tls::SkipVerify)).await.expect_err("no TLS").text;
        assert!(said.contains("-server-tls=false"), "{said}");
        plain.await.expect("it ended");
    }
}
