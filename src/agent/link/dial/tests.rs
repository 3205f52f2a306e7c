use super::super::testing::{Call, Server, version};
use super::super::{Handle, start_over};
use super::*;
use crate::proto::token_transport::{ExternalCreds, OAuthCredentials};
use crate::proto::{EntrypointConfig, TokenTransport};
use crate::tls::tests::{Peer, peer};
use std::path::Path;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// A network with a hosts file of its own, and nobody to ask for other names.
fn network(settings: &Settings, hosts: &str) -> (Network, TempDir) {
    let at = tempfile::tempdir().expect("a directory");
    let path = at.path().join("hosts");
    std::fs::write(&path, hosts).expect("a file");
    let resolver = Resolver { hosts: path, resolv_conf: "/nowhere".into(), port: 1 };
    (Network::with_resolver(settings, resolver), at)
}

fn target(host: &str, port: u16, tls: bool) -> Target {
    Target { address: Address { host: host.into(), port }, tls, protocol: b"h2" }
}

/// Sends back what it is sent.
async fn echo() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    tokio::spawn(async move {
        let (mut tcp, _) = listener.accept().await.expect("a connection");
        let (mut from, mut to) = tcp.split();
        let _ = tokio::io::copy(&mut from, &mut to).await;
    });
    port
}

async fn assert_echo(mut io: Box<dyn Io>) {
    io.write_all(b"ping").await.expect("sent");
    io.flush().await.expect("sent");
    let mut back = [0; 4];
    io.read_exact(&mut back).await.expect("an answer");
    assert_eq!(&back, b"ping");
}

/// A proxy that lets everybody through to one place, and tells what it was asked. With an answer
/// of its own it only says that.
async fn proxy(to: u16, answer: Option<&'static str>) -> (u16, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let (asked, requests) = mpsc::channel(4);
    tokio::spawn(async move {
        loop {
            let (mut tcp, _) = listener.accept().await.expect("a connection");
            let mut head = vec![];
            while !head.ends_with(b"\r\n\r\n") {
                head.push(tcp.read_u8().await.expect("a request"));
            }
            asked.send(String::from_utf8(head).expect("text")).await.expect("a test");
            match answer {
                Some(answer) => tcp.write_all(answer.as_bytes()).await.expect("sent"),
                None => {
                    let mut server = TcpStream::connect(("127.0.0.1", to)).await.expect("there");
                    tcp.write_all(b"HTTP/1.1 200 Yes\r\n\r\n").await.expect("sent");
                    tokio::spawn(async move {
                        let _ = tokio::io::copy_bidirectional(&mut tcp, &mut server).await;
                    });
                }
            }
        }
    });
    (port, requests)
}

#[tokio::test]
async fn every_address_of_a_name_is_tried() {
    let port = echo().await;
    // Nobody listens on the first two; the second is of the other kind.
    let hosts = "127.0.0.9 server\n::1 server\n127.0.0.1 server";
    let (network, _files) = network(&Settings::default(), hosts);
    assert_echo(network.dial(&target("server", port, false)).await.expect("connected")).await;
}

#[tokio::test]
async fn what_cannot_be_reached_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    drop(listener);
    let (network, _files) = network(&Settings::default(), "127.0.0.1 server");
    let refused = network.dial(&target("server", port, false)).await.err().expect("refused");
    assert_eq!(
        refused.text,
        format!("cannot connect to server:{port}: 127.0.0.1: Connection refused (os error 111)")
    );
    let unknown = network.dial(&target("stranger", port, false)).await.err().expect("unknown");
    assert!(unknown.text.starts_with("cannot resolve stranger: DNS server 127.0.0.1"), "{unknown}");
    assert_eq!((refused.code, unknown.code), (14, 14));
}

#[tokio::test(start_paused = true)]
async fn silent_dns_servers_are_named_as_the_cause() {
    let silent = tokio::net::UdpSocket::bind("127.0.0.1:0").await.expect("a port");
    let port = silent.local_addr().expect("bound").port();
    for (servers, why) in [
        (1, "DNS server 127.0.0.1: no answer within 5s"),
        (3, "no DNS server answered within 12 s"),
    ] {
        let (mut network, files) = network(&Settings::default(), "");
        let resolv_conf = files.path().join("resolv.conf");
        std::fs::write(&resolv_conf, "nameserver 127.0.0.1\n".repeat(servers)).expect("a file");
        network.resolver = Resolver { resolv_conf, port, ..network.resolver };
        let lost = network.dial(&target("server", 9701, false)).await.err().expect("silence");
        assert_eq!(lost.text, format!("cannot resolve server: {why}"));
    }
}

#[tokio::test]
async fn a_proxy_is_told_the_name_and_the_way_back_is_whole() {
    let (port, mut asked) = proxy(echo().await, None).await;
    let https_proxy = format!("http://me:pw@127.0.0.1:{port}");
    let (network, _files) = network(&Settings { https_proxy, ..Default::default() }, "");
    // The name is the proxy's to resolve.
    assert_echo(network.dial(&target("server.test", 9701, false)).await.expect("through")).await;
    let request = asked.recv().await.expect("a request");
    assert!(request.starts_with("CONNECT server.test:9701 HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("Proxy-Authorization: Basic bWU6cHc=\r\n"), "{request}");
}

#[tokio::test]
async fn a_proxy_that_refuses_is_named_without_its_password() {
    let (port, _asked) = proxy(0, Some("HTTP/1.1 407 Who are you\r\n\r\n")).await;
    let https_proxy = format!("http://me:pw@127.0.0.1:{port}");
    let (network, _files) = network(&Settings { https_proxy, ..Default::default() }, "");
    let lost = network.dial(&target("server.test", 9701, false)).await.err().expect("refused");
    let why = format!(
        "proxy 127.0.0.1:{port} to server.test:9701: it answered \"HTTP/1.1 407 Who are you\""
    );
    assert_eq!(lost.text, why);
}

/// A link over real sockets and TLS, to a server that is called server.test.
fn link(peer: &Peer, server_port: u16, settings: Settings) -> (Handle, TempDir, TempDir) {
    let at = tempfile::tempdir().expect("a directory");
    let ca = at.path().join("ca.pem");
    std::fs::write(&ca, &peer.pem).expect("a file");
    let settings = Settings {
        server: format!("server.test:{server_port}"),
        tls: true,
        tls_ca_file: text(&ca),
        ..settings
    };
    let (network, files) = network(&settings, "127.0.0.1 server.test auth.test");
    (start_over(settings, Arc::new(network)), at, files)
}

fn text(path: &Path) -> String {
    path.to_str().expect("UTF-8").to_owned()
}

#[tokio::test]
async fn a_link_comes_up_over_tls() {
    let peer = peer("server.test");
    let (mut server, port) = Server::listen(peer.acceptor.clone()).await;
    let (handle, _ca, _files) = link(&peer, port, Settings::default());
    let _configs = server.register(EntrypointConfig::default()).await;
    handle.connection().wait_for(Option::is_some).await.expect("alive");
    handle.close().await;
}

#[tokio::test]
async fn a_link_comes_up_through_a_proxy_and_tls_with_its_token() {
    let peer = peer("server.test");
    let (mut server, port) = Server::listen(peer.acceptor.clone()).await;
    let (proxy_port, mut asked) = proxy(port, None).await;
    let settings = Settings {
        token: "invite".into(),
        https_proxy: format!("127.0.0.1:{proxy_port}"),
        ..Default::default()
    };
    let (handle, _ca, _files) = link(&peer, port, settings);
    assert!(asked.recv().await.expect("asked").starts_with("CONNECT server.test:"));
    let Call::Convert { answer, .. } = server.next().await else { panic!("no exchange") };
    answer.send(Ok("login".into())).expect("the call waits");
    server.version(version(1, 1, true)).await;
    let (_configs, metadata) = server.config(EntrypointConfig::default()).await;
    assert_eq!(metadata.get("waypoint-token").expect("a token"), "login");
    handle.connection().wait_for(Option::is_some).await.expect("alive");
    handle.close().await;
}

#[tokio::test]
async fn a_server_with_another_s_certificate_is_refused_by_name() {
    let peer = peer("other.test");
    let (_server, port) = Server::listen(peer.acceptor.clone()).await;
    let at = tempfile::tempdir().expect("a directory");
    let ca = at.path().join("ca.pem");
    std::fs::write(&ca, &peer.pem).expect("a file");
    let settings = Settings { tls_ca_file: text(&ca), ..Default::default() };
    let (network, _files) = network(&settings, "127.0.0.1 server.test");
    let lost = network.dial(&target("server.test", port, true)).await.err().expect("refused");
    assert!(lost.text.starts_with(&format!("TLS to server.test:{port}: ")), "{lost}");
    assert!(lost.text.contains("not valid for name"), "{lost}");
}

/// A token endpoint that likes everybody.
async fn token_endpoint() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    tokio::spawn(async move {
        let (mut tcp, _) = listener.accept().await.expect("a connection");
        let mut request = vec![];
        while !request.ends_with(b"api.hashicorp.cloud") {
            request.push(tcp.read_u8().await.expect("a request"));
        }
        let body = r#"{"access_token":"access","token_type":"bearer"}"#;
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        tcp.write_all((head + body).as_bytes()).await.expect("sent");
    });
    port
}

#[tokio::test]
async fn oauth_credentials_become_an_access_token_beside_the_login() {
    let peer = peer("server.test");
    let (mut server, port) = Server::listen(peer.acceptor.clone()).await;
    let (handle, _ca, _files) =
        link(&peer, port, Settings { token: "invite".into(), ..Default::default() });
    let bare = TokenTransport { body: vec![7], ..Default::default() };
    let credentials = OAuthCredentials {
        url: format!("http://auth.test:{}/token", token_endpoint().await),
        ..Default::default()
    };
    let login = TokenTransport {
        external_creds: Some(ExternalCreds::OauthCreds(credentials)),
        ..bare.clone()
    };
    let Call::Convert { answer, .. } = server.next().await else { panic!("no exchange") };
    answer.send(Ok(crate::token::encode(&login))).expect("the call waits");
    server.version(version(1, 1, false)).await;
    let (_configs, metadata) = server.config(EntrypointConfig::default()).await;
    assert_eq!(metadata.get("authorization").expect("a token"), "Bearer access");
    assert_eq!(
        metadata.get("waypoint-token").expect("a token"),
        crate::token::encode(&bare).as_str()
    );
    handle.close().await;
}
