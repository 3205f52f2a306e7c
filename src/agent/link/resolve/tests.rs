use super::*;
use std::sync::{Arc, Mutex};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// What the server does with a question: the name, its type (1 or 28), and whether it is by TCP.
type Behaviour = dyn Fn(&str, u16, bool) -> Reply + Send + Sync;

enum Reply {
    Silence,
    Code(u8),
    Truncated,
    Addresses(Vec<IpAddr>),
    Alias(&'static str),
    /// An answer under another id first, with an address that nobody should use.
    Forged(Vec<IpAddr>),
}

/// A DNS server on this machine.
struct Server {
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

async fn server(behaviour: impl Fn(&str, u16, bool) -> Reply + Send + Sync + 'static) -> Server {
    let behaviour: Arc<Behaviour> = Arc::new(behaviour);
    // The same port for both; whoever has the one may have lost the other to somebody else.
    let (udp, tcp, port) = loop {
        let udp = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
        let port = udp.local_addr().expect("bound").port();
        if let Ok(tcp) = TcpListener::bind(("127.0.0.1", port)).await {
            break (udp, tcp, port);
        }
    };
    let asked = Arc::new(Mutex::new(vec![]));
    let (by_udp, by_tcp) = (behaviour.clone(), behaviour);
    let (udp_asked, tcp_asked) = (asked.clone(), asked.clone());
    let udp = tokio::spawn(async move {
        let mut packet = [0; 512];
        loop {
            let (length, from) = udp.recv_from(&mut packet).await.expect("a packet");
            for reply in answers(&packet[..length], &*by_udp, false, &udp_asked) {
                udp.send_to(&reply, from).await.expect("sent");
            }
        }
    });
    let tcp = tokio::spawn(async move {
        loop {
            let (mut stream, _) = tcp.accept().await.expect("a connection");
            let mut packet = vec![0; usize::from(stream.read_u16().await.expect("a length"))];
            stream.read_exact(&mut packet).await.expect("a question");
            for reply in answers(&packet, &*by_tcp, true, &tcp_asked) {
                stream.write_u16(reply.len() as u16).await.expect("sent");
                stream.write_all(&reply).await.expect("sent");
            }
        }
    });
    Server { port, asked, tasks: vec![udp, tcp] }
}

fn answers(
    question: &[u8],
    behaviour: &Behaviour,
    tcp: bool,
    asked: &Mutex<Vec<String>>,
) -> Vec<Vec<u8>> {
    let (name, kind) = read_question(question);
    asked.lock().expect("no panic").push(format!("{name}/{kind}"));
    let records = |ips: Vec<IpAddr>| -> Vec<Vec<u8>> {
        let data = |ip| match ip {
            IpAddr::V4(it) => (1, it.octets().to_vec()),
            IpAddr::V6(it) => (28, it.octets().to_vec()),
        };
        let records = ips.into_iter().map(data).filter(|(of, _)| *of == kind);
        records.map(|(kind, data)| record(kind, &data)).collect()
    };
    match behaviour(&name, kind, tcp) {
        Reply::Silence => vec![],
        Reply::Code(code) => vec![packet(question, 0x8180 | u16::from(code), &[])],
        Reply::Truncated => vec![packet(question, 0x8380, &[])],
        Reply::Addresses(ips) => vec![packet(question, 0x8180, &records(ips))],
        Reply::Alias(to) => {
            let mut data = vec![];
            to.split('.').for_each(|label| {
                data.push(label.len() as u8);
                data.extend(label.bytes());
            });
            data.push(0);
            vec![packet(question, 0x8180, &[record(5, &data)])]
        }
        Reply::Forged(ips) => {
            let mut forged = packet(question, 0x8180, &[record(1, &[6; 4])]);
            forged[0] ^= 1;
            vec![forged, packet(question, 0x8180, &records(ips))]
        }
    }
}

fn read_question(question: &[u8]) -> (String, u16) {
    let (mut labels, mut at) = (vec![], 12);
    while question[at] != 0 {
        let end = at + 1 + usize::from(question[at]);
        labels.push(String::from_utf8_lossy(&question[at + 1..end]).into_owned());
        at = end;
    }
    (labels.join("."), u16::from_be_bytes([question[at + 1], question[at + 2]]))
}

fn packet(question: &[u8], flags: u16, records: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = question.to_vec();
    bytes[2..4].copy_from_slice(&flags.to_be_bytes());
    bytes[7] = records.len() as u8;
    records.iter().for_each(|it| bytes.extend(it));
    bytes
}

fn record(kind: u16, data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0xc0, 12];
    bytes.extend(kind.to_be_bytes());
    bytes.extend([0, 1, 0, 0, 0, 1, 0, data.len() as u8]);
    bytes.extend(data);
    bytes
}

/// A resolver with files of its own.
fn resolver(port: u16, resolv_conf: &str, hosts: &str) -> (Resolver, TempDir) {
    let at = tempfile::tempdir().expect("a directory");
    let (hosts_at, resolv_conf_at) = (at.path().join("hosts"), at.path().join("resolv.conf"));
    std::fs::write(&hosts_at, hosts).expect("a file");
    std::fs::write(&resolv_conf_at, resolv_conf).expect("a file");
    (Resolver { hosts: hosts_at, resolv_conf: resolv_conf_at, port }, at)
}

fn ips(text: &[&str]) -> Vec<IpAddr> {
    text.iter().map(|it| it.parse().expect("an address")).collect()
}

#[tokio::test]
async fn both_kinds_are_asked_and_found() {
    let all = ips(&["10.0.0.1", "10.0.0.2", "fd00::1"]);
    let found = all.clone();
    let server = server(move |_, _, _| Reply::Addresses(found.clone())).await;
    let (resolver, _files) = resolver(server.port, "nameserver 127.0.0.1", "");
    let found = resolver.resolve("server.test").await.expect("found");
    assert_eq!(found, ips(&["10.0.0.1", "fd00::1", "10.0.0.2"]));
}

#[tokio::test]
async fn hosts_literals_and_localhost_need_no_server() {
    // Nobody listens on port 1; an answer from there would be an error.
    let (resolver, _files) = resolver(1, "nameserver 127.0.0.1", "10.9.9.9 server\n::9 localhost");
    for (host, expected) in [
        ("server", ["10.9.9.9"].as_slice()),
        ("10.0.0.1", &["10.0.0.1"]),
        ("::1", &["::1"]),
        ("localhost", &["::9"]),
        ("app.localhost", &["127.0.0.1", "::1"]),
    ] {
        assert_eq!(resolver.resolve(host).await, Ok(ips(expected)), "{host}");
    }
}

#[tokio::test]
async fn the_search_list_is_gone_through_until_a_name_is_there() {
    let server = server(|name, _, _| match name {
        "api.svc.cluster" => Reply::Addresses(ips(&["10.0.0.1"])),
        "api.ns.svc.cluster" => Reply::Code(3),
        _ => Reply::Code(5),
    })
    .await;
    let text = "nameserver 127.0.0.1\nsearch ns.svc.cluster svc.cluster\noptions ndots:5";
    let (resolver, _files) = resolver(server.port, text, "");
    assert_eq!(resolver.resolve("api").await, Ok(ips(&["10.0.0.1"])));
    let mut asked = server.asked.lock().expect("no panic").clone();
    asked.sort();
    asked.dedup();
    let names = ["api.ns.svc.cluster", "api.svc.cluster"];
    let both: Vec<_> =
        names.iter().flat_map(|it| [format!("{it}/1"), format!("{it}/28")]).collect();
    assert_eq!(asked, both, "and the bare name was not asked for");
}

#[tokio::test]
async fn what_is_truncated_comes_by_tcp() {
    let many: Vec<IpAddr> = (0..40).map(|it| IpAddr::from([10, 0, 0, it])).collect();
    let server = server(move |_, _, tcp| match tcp {
        true => Reply::Addresses(many.clone()),
        false => Reply::Truncated,
    })
    .await;
    let (resolver, _files) = resolver(server.port, "nameserver 127.0.0.1", "");
    let found = resolver.resolve("server").await.expect("found");
    assert_eq!(found.len(), names::MAX_ADDRESSES);
}

#[tokio::test]
async fn aliases_are_followed_and_a_ring_of_them_ends() {
    let server = server(|name, _, _| match name {
        "a" => Reply::Alias("b.test"),
        "b.test" => Reply::Addresses(ips(&["10.0.0.1"])),
        "ring" => Reply::Alias("gnir"),
        _ => Reply::Alias("ring"),
    })
    .await;
    let (resolver, _files) = resolver(server.port, "nameserver 127.0.0.1", "");
    assert_eq!(resolver.resolve("a").await, Ok(ips(&["10.0.0.1"])));
    assert_eq!(resolver.resolve("ring").await, Err(Unresolved::NoAddress));
}

#[tokio::test]
async fn an_answer_under_another_id_is_not_believed() {
    let server = server(|_, _, _| Reply::Forged(ips(&["10.0.0.1"]))).await;
    let (resolver, _files) = resolver(server.port, "nameserver 127.0.0.1", "");
    assert_eq!(resolver.resolve("server").await, Ok(ips(&["10.0.0.1"])));
}

#[tokio::test]
async fn a_server_that_is_silent_about_ipv6_is_believed_about_ipv4() {
    let server = server(|_, kind, _| match kind {
        1 => Reply::Addresses(ips(&["10.0.0.1"])),
        _ => Reply::Silence,
    })
    .await;
    let (resolver, _files) = resolver(server.port, "nameserver 127.0.0.1\noptions timeout:30", "");
    // Well before the 30 s that a single question would be waited for.
    let found = tokio::time::timeout(Duration::from_secs(20), resolver.resolve("server")).await;
    assert_eq!(found.expect("soon"), Ok(ips(&["10.0.0.1"])));
}

#[tokio::test]
async fn the_next_server_is_asked_when_one_fails() {
    // 127.0.0.2 is this machine too, but nobody listens there: refused at once.
    let server = server(|_, _, _| Reply::Addresses(ips(&["10.0.0.1"]))).await;
    let text = "nameserver 127.0.0.2\nnameserver 127.0.0.1";
    let (resolver, _files) = resolver(server.port, text, "");
    assert_eq!(resolver.resolve("server").await, Ok(ips(&["10.0.0.1"])));
}

#[tokio::test]
async fn what_went_wrong_is_said() {
    let server = server(|name, _, _| match name {
        "nothing" => Reply::Addresses(vec![]),
        "broken" => Reply::Code(2),
        _ => Reply::Code(3),
    })
    .await;
    let (resolver, _files) =
        resolver(server.port, "nameserver 127.0.0.1\noptions timeout:1 attempts:1", "");
    for (name, error) in [
        ("nothing", "the name has no address"),
        ("broken", "DNS server 127.0.0.1: answered with code 2"),
        ("missing", "no such name"),
        ("a..b", "no such name"),
    ] {
        let why = resolver.resolve(name).await.expect_err("not found").to_string();
        assert_eq!(why, error, "{name}");
    }
}

#[tokio::test]
async fn a_missing_file_is_an_empty_one() {
    let nowhere = PathBuf::from("/nowhere/at/all");
    let resolver = Resolver { hosts: nowhere.clone(), resolv_conf: nowhere, port: 1 };
    let why = resolver.resolve("server").await.expect_err("nobody to ask").to_string();
    assert!(why.starts_with("DNS server 127.0.0.1: "), "{why}");
}
