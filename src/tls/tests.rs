use super::*;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::{ServerConfig, ServerConnection};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// A server's side of TLS, for other rooms' tests too.
pub(crate) struct Peer {
    pub(crate) pem: String,
    pub(crate) acceptor: TlsAcceptor,
}

/// A server with a certificate of its own for `name`.
pub(crate) fn peer(name: &str) -> Peer {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed([name.to_owned()]).expect("a certificate");
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .expect("key and certificate");
    config.alpn_protocols = vec![b"h2".to_vec()];
    Peer { pem: cert.pem(), acceptor: TlsAcceptor::from(Arc::new(config)) }
}

/// Shakes hands in memory; says which protocol was agreed upon.
async fn handshake(peer: &Peer, trust: &Trust, name: &str) -> Result<Vec<u8>, String> {
    let (ours, theirs) = tokio::io::duplex(16 * 1024);
    let config = client(trust, b"h2").map_err(|it| it.to_string())?;
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    let connector = TlsConnector::from(Arc::new(config));
    let (connected, accepted) =
        tokio::join!(connector.connect(name, ours), peer.acceptor.accept(theirs));
    let connected = connected.map_err(|it| it.to_string())?;
    let accepted = accepted.map_err(|it| it.to_string())?;
    let server: &ServerConnection = accepted.get_ref().1;
    assert_eq!(connected.get_ref().1.alpn_protocol(), server.alpn_protocol());
    Ok(server.alpn_protocol().expect("a protocol").to_vec())
}

fn file(directory: &Path, name: &str, text: &str) -> String {
    let path = directory.join(name);
    std::fs::write(&path, text).expect("a file");
    path.to_str().expect("UTF-8").to_owned()
}

#[tokio::test]
async fn a_root_is_trusted_from_each_place_that_names_it() {
    let peer = peer("server.test");
    let at = tempfile::tempdir().expect("a directory");
    let ca = file(at.path(), "ca.pem", &format!("text before\n{}", peer.pem));
    let directory = at.path().to_str().expect("UTF-8").to_owned();
    for trust in [
        Trust { ca_file: ca.clone(), ..Default::default() },
        Trust { ssl_cert_file: ca.clone(), ..Default::default() },
        Trust { ssl_cert_dir: format!("/nowhere:{directory}"), ..Default::default() },
    ] {
        assert_eq!(handshake(&peer, &trust, "server.test").await, Ok(b"h2".to_vec()), "{trust:?}");
        handshake(&peer, &trust, "other.test").await.expect_err("another name");
    }
}

#[tokio::test]
async fn a_stranger_is_refused_unless_anybody_will_do() {
    let peer = peer("server.test");
    let refused = handshake(&peer, &Trust::default(), "server.test").await;
    assert!(refused.expect_err("unknown issuer").contains("certificate"));
    let trust = Trust { skip_verify: true, ..Default::default() };
    assert_eq!(handshake(&peer, &trust, "whoever.test").await, Ok(b"h2".to_vec()));
}

#[tokio::test]
async fn the_only_roots_are_the_ones_that_were_named_first() {
    let (good, other) = (peer("server.test"), peer("server.test"));
    let at = tempfile::tempdir().expect("a directory");
    let good_ca = file(at.path(), "good.pem", &good.pem);
    let other_ca = file(at.path(), "other.pem", &other.pem);
    let trust =
        Trust { ca_file: other_ca.clone(), ssl_cert_file: good_ca.clone(), ..Default::default() };
    handshake(&good, &trust, "server.test").await.expect_err("only the CA file counts");
    let trust = Trust { ca_file: good_ca, ssl_cert_file: other_ca, ..Default::default() };
    handshake(&good, &trust, "server.test").await.expect("the CA file counts");
}

#[test]
fn a_named_place_without_a_certificate_is_an_error_that_names_it() {
    let at = tempfile::tempdir().expect("a directory");
    let empty = file(at.path(), "empty.pem", "nothing\n");
    for trust in [
        Trust { ca_file: empty.clone(), ..Default::default() },
        Trust { ca_file: "/nowhere/ca.pem".into(), ..Default::default() },
        Trust { ssl_cert_file: empty.clone(), ..Default::default() },
        Trust { ssl_cert_dir: "/nowhere/certs".into(), ..Default::default() },
    ] {
        let named = [&trust.ca_file, &trust.ssl_cert_file, &trust.ssl_cert_dir];
        let named = named.into_iter().find(|it| !it.is_empty()).expect("a place");
        let error = client(&trust, b"h2").expect_err("no roots").to_string();
        assert!(error.contains(named.as_str()), "{error}");
    }
}

#[test]
fn there_are_roots_without_any_setting() {
    assert!(!roots(&Trust::default()).expect("some").is_empty());
}

#[tokio::test]
async fn the_roots_are_gone_after_the_handshake_and_nothing_is_trusted_without_them() {
    let peer = peer("server.test");
    let at = tempfile::tempdir().expect("a directory");
    let ca_file = file(at.path(), "ca.pem", &peer.pem);
    let trust = Trust { ca_file, ..Default::default() };
    let connector = TlsConnector::from(Arc::new(client(&trust, b"h2").expect("a root")));
    for first in [true, false] {
        let (ours, theirs) = tokio::io::duplex(16 * 1024);
        let name = ServerName::try_from("server.test").expect("a name");
        let (connected, _) =
            tokio::join!(connector.connect(name, ours), peer.acceptor.accept(theirs));
        assert_eq!(connected.is_ok(), first);
    }
}
