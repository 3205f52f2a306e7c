//! Names become addresses: /etc/hosts, then the servers of /etc/resolv.conf, by UDP and TCP.
//!
//! An own resolver, since a static glibc's getaddrinfo loads libraries of the image into us, and
//! needs a thread. Both files are read for each connection: a container's may change.
use super::dns::{self, Answer, Kind, Query};
use super::names::{self, Resolution};
use super::run;
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::{Instant, timeout_at};

/// A hosts file may be long (block lists), but nobody's is longer than this.
const MAX_FILE: u64 = 1024 * 1024;
/// When one kind of address is there, so much longer the other is waited for.
const SECOND_KIND: Duration = Duration::from_millis(300);
/// Aliases that have to be asked for one by one.
const MAX_ALIASES: usize = 8;

/// Where the two files are, and the servers' port; only tests have others.
pub(super) struct Resolver {
    pub(super) hosts: PathBuf,
    pub(super) resolv_conf: PathBuf,
    pub(super) port: u16,
}

/// Why there is no address: fits after "cannot resolve NAME: ".
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Unresolved {
    NoSuchName,
    NoAddress,
    /// What the last server that was asked did.
    Server(IpAddr, String),
}

impl Default for Resolver {
    fn default() -> Self {
        Self { hosts: "/etc/hosts".into(), resolv_conf: "/etc/resolv.conf".into(), port: 53 }
    }
}

impl std::fmt::Display for Unresolved {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoSuchName => f.write_str("no such name"),
            Self::NoAddress => f.write_str("the name has no address"),
            Self::Server(server, why) => write!(f, "DNS server {server}: {why}"),
        }
    }
}

impl Resolver {
    /// At least one address, in the order to try them. The caller has the deadline.
    pub(super) async fn resolve(&self, host: &str) -> Result<Vec<IpAddr>, Unresolved> {
        if let Ok(ip) = host.parse() {
            return Ok(vec![ip]);
        }
        let listed = names::hosts(&read(&self.hosts), host);
        if !listed.is_empty() {
            return Ok(names::interleave(listed));
        }
        if let Some(local) = names::literal(host) {
            return Ok(local);
        }
        let mut resolution = names::resolution(&read(&self.resolv_conf));
        if resolution.rotate {
            let turn = run::random() as usize % resolution.servers.len();
            resolution.servers.rotate_left(turn);
        }
        self.search(host, &resolution).await
    }

    /// One candidate after the other. A server's failure is not the end: the next name may be
    /// answered; but "no such name" is only said if every server could say so.
    async fn search(&self, host: &str, how: &Resolution) -> Result<Vec<IpAddr>, Unresolved> {
        let mut worst = Unresolved::NoSuchName;
        for candidate in names::candidates(host, how) {
            match self.candidate(candidate, how).await {
                Ok(found) => return Ok(names::interleave(found)),
                Err(Unresolved::NoSuchName) => {}
                Err(Unresolved::NoAddress) if worst != Unresolved::NoSuchName => {}
                Err(other) => worst = other,
            }
        }
        Err(worst)
    }

    async fn candidate(&self, name: String, how: &Resolution) -> Result<Vec<IpAddr>, Unresolved> {
        let mut name = name;
        for _ in 0..MAX_ALIASES {
            match self.servers(&name, how).await? {
                Found { addresses, .. } if !addresses.is_empty() => return Ok(addresses),
                Found { alias: Some(alias), .. } => name = alias,
                Found { exists: false, .. } => return Err(Unresolved::NoSuchName),
                Found { .. } => return Err(Unresolved::NoAddress),
            }
        }
        Err(Unresolved::NoAddress)
    }

    /// Every server in turn, as often as configured, until one says something.
    async fn servers(&self, name: &str, how: &Resolution) -> Result<Found, Unresolved> {
        let mut last = Unresolved::NoSuchName;
        for _ in 0..how.attempts {
            for &server in &how.servers {
                let (a, aaaa) = (id(), id());
                let queries = dns::query(a, name, Kind::A).zip(dns::query(aaaa, name, Kind::Aaaa));
                let Some((a, aaaa)) = queries else { return Err(Unresolved::NoSuchName) };
                match ask(SocketAddr::new(server, self.port), [a, aaaa], how.timeout).await {
                    Ok(found) => return Ok(found),
                    Err(why) => last = Unresolved::Server(server, why),
                }
            }
        }
        Err(last)
    }
}

/// What the answers to both questions say together.
#[derive(Default)]
struct Found {
    addresses: Vec<IpAddr>,
    alias: Option<String>,
    exists: bool,
    /// A server that cannot answer one of the two (some refuse AAAA) is believed in the other.
    failure: Option<String>,
}

impl Found {
    fn add(&mut self, answer: Answer) {
        match answer {
            Answer::Addresses(found) => {
                self.exists = true;
                self.addresses.extend(found);
            }
            Answer::Alias(name) => {
                self.exists = true;
                self.alias = Some(name);
            }
            Answer::NoSuchName => {}
            Answer::Truncated => self.failure = Some("truncated even by TCP".into()),
            Answer::Failed(code) => self.failure = Some(format!("answered with code {code}")),
        }
    }

    fn settle(self) -> Result<Self, String> {
        match self.failure {
            Some(why) if self.addresses.is_empty() && self.alias.is_none() => Err(why),
            _ => Ok(self),
        }
    }
}

/// Asks one server both questions at once.
async fn ask(server: SocketAddr, queries: [Query; 2], limit: Duration) -> Result<Found, String> {
    let mut deadline = Instant::now() + limit;
    let socket = connect(server, &queries).await.map_err(|error| error.to_string())?;
    let mut open: Vec<&Query> = queries.iter().collect();
    let mut found = Found::default();
    // One byte more than is allowed, so that too long is not taken for whole.
    let mut packet = [0; dns::MAX_UDP + 1];
    while !open.is_empty() {
        let received = match timeout_at(deadline, socket.recv(&mut packet)).await {
            Ok(received) => received.map_err(|error| error.to_string())?,
            Err(_) if !found.addresses.is_empty() => break,
            Err(_) => return Err(format!("no answer within {limit:?}")),
        };
        let answered = open.iter().enumerate().find_map(|(at, query)| {
            dns::answer(query, &packet[..received]).map(|answer| (at, answer))
        });
        // What answers neither question is somebody's guess, or an answer to an earlier attempt.
        let Some((at, answer)) = answered else { continue };
        let query = open.swap_remove(at);
        let answer = match answer {
            Answer::Truncated => by_tcp(server, query, deadline).await?,
            whole => whole,
        };
        found.add(answer);
        if !found.addresses.is_empty() {
            deadline = deadline.min(Instant::now() + SECOND_KIND);
        }
    }
    found.settle()
}

/// A socket of its own for each attempt: the kernel chooses the port, half of what must be guessed,
/// and, connected, takes packets of this server alone and reports that nobody listens.
async fn connect(server: SocketAddr, queries: &[Query]) -> std::io::Result<UdpSocket> {
    let any: IpAddr =
        if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0)).await?;
    socket.connect(server).await?;
    for query in queries {
        socket.send(&query.bytes).await?;
    }
    Ok(socket)
}

async fn by_tcp(server: SocketAddr, query: &Query, deadline: Instant) -> Result<Answer, String> {
    let exchange = async {
        let mut tcp = TcpStream::connect(server).await?;
        let length = query.bytes.len() as u16; // a question is at most 271 bytes
        tcp.write_all(&[&length.to_be_bytes(), query.bytes.as_slice()].concat()).await?;
        let mut packet = vec![0; usize::from(tcp.read_u16().await?)];
        tcp.read_exact(&mut packet).await?;
        Ok::<_, std::io::Error>(packet)
    };
    let packet = timeout_at(deadline, exchange).await.map_err(|_| "no answer by TCP")?;
    let packet = packet.map_err(|error| format!("by TCP: {error}"))?;
    dns::answer(query, &packet).ok_or_else(|| "no answer to the question by TCP".into())
}

fn id() -> u16 {
    run::random() as u16
}

/// A file that is missing or unreadable is as one that is empty; every resolver does so.
fn read(path: &Path) -> String {
    let mut bytes = vec![];
    if let Ok(file) = std::fs::File::open(path) {
        // Half a file is better than none.
        let _ = file.take(MAX_FILE).read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests;
