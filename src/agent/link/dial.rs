//! From an address to an open stream of bytes: resolve, TCP, perhaps a proxy, perhaps TLS.
use super::address::Address;
use super::proxy::{self, Proxy, Reply};
use super::resolve::Resolver;
use super::{Lost, Settings};
use crate::tls;
use nix::sys::socket::{setsockopt, sockopt};
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

/// With several servers and a search list resolv.conf's own deadlines add up to minutes.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(12);
/// Eight addresses that are silent must not keep the last from being tried; but less than 2 s each
/// would give up on a slow path.
const FOR_ALL: Duration = Duration::from_secs(16);
const AT_LEAST: Duration = Duration::from_secs(2);
const AT_MOST: Duration = Duration::from_secs(8);
const PROXY_TIMEOUT: Duration = Duration::from_secs(10);
const TLS_TIMEOUT: Duration = Duration::from_secs(10);
/// Unacknowledged bytes end the connection after this: a little more than a ping and its timeout.
const USER_TIMEOUT: Duration = Duration::from_secs(60);

/// Bytes both ways, whatever is below: one type, so that HTTP/2 is compiled once.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

pub(crate) type Dialled<'a> = Pin<Box<dyn Future<Output = Result<Box<dyn Io>, Lost>> + Send + 'a>>;

/// How the link comes to a stream of bytes; in a test it is made of memory.
pub(super) trait Dial: Send + Sync {
    fn dial<'a>(&'a self, to: &'a Target) -> Dialled<'a>;
}

/// Where to, and what is spoken there.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) address: Address,
    pub(super) tls: bool,
    /// For ALPN.
    pub(super) protocol: &'static [u8],
}

/// The real network.
pub(super) struct Network {
    resolver: Resolver,
    trust: tls::Trust,
    https_proxy: String,
    no_proxy: String,
}

impl Network {
    pub(super) fn new(settings: &Settings) -> Self {
        Self::with_resolver(settings, Resolver::default())
    }

    fn with_resolver(settings: &Settings, resolver: Resolver) -> Self {
        let trust = tls::Trust {
            skip_verify: settings.tls_skip_verify,
            ca_file: settings.tls_ca_file.clone(),
            ssl_cert_file: settings.ssl_cert_file.clone(),
            ssl_cert_dir: settings.ssl_cert_dir.clone(),
        };
        let (https_proxy, no_proxy) = (settings.https_proxy.clone(), settings.no_proxy.clone());
        Self { resolver, trust, https_proxy, no_proxy }
    }

    async fn connect(&self, target: &Target) -> Result<Box<dyn Io>, Lost> {
        let to = &target.address;
        let proxy =
            proxy::choose(&self.https_proxy, &self.no_proxy, to).map_err(Lost::unavailable)?;
        let io: Box<dyn Io> = match proxy {
            Some(proxy) => self.tunnel(&proxy, to).await?,
            None => Box::new(self.tcp(to).await?),
        };
        if target.tls { self.encrypt(io, to, target.protocol).await } else { Ok(io) }
    }

    /// Each address in turn; the error is the last one's.
    async fn tcp(&self, to: &Address) -> Result<TcpStream, Lost> {
        let addresses = self.resolve(&to.host).await?;
        let share = FOR_ALL / u32::try_from(addresses.len()).unwrap_or(u32::MAX).max(1);
        let limit = share.clamp(AT_LEAST, AT_MOST);
        let mut last = Lost::unavailable(format!("{to} has no address"));
        for ip in addresses {
            match connect(SocketAddr::new(ip, to.port), limit).await {
                Ok(tcp) => return Ok(tcp),
                Err(why) => last = Lost::unavailable(format!("cannot connect to {to}: {why}")),
            }
        }
        Err(last)
    }

    async fn resolve(&self, host: &str) -> Result<Vec<IpAddr>, Lost> {
        let why = match timeout(RESOLVE_TIMEOUT, self.resolver.resolve(host)).await {
            Ok(Ok(addresses)) => return Ok(addresses),
            Ok(Err(why)) => why.to_string(),
            Err(_) => "no DNS server answered within 12 s".into(),
        };
        Err(Lost::unavailable(format!("cannot resolve {host}: {why}")))
    }

    async fn tunnel(&self, proxy: &Proxy, to: &Address) -> Result<Box<dyn Io>, Lost> {
        let at = &proxy.address;
        let mut io: Box<dyn Io> = Box::new(self.tcp(at).await?);
        if proxy.tls {
            io = self.encrypt(io, at, b"http/1.1").await?;
        }
        let request = proxy.request(to);
        let asked = timeout(PROXY_TIMEOUT, ask(&mut io, &request)).await;
        match asked.unwrap_or_else(|_| Err("no answer within 10 s".into())) {
            Ok(()) => Ok(io),
            Err(why) => Err(Lost::unavailable(format!("proxy {at} to {to}: {why}"))),
        }
    }

    async fn encrypt(
        &self,
        io: Box<dyn Io>,
        to: &Address,
        protocol: &'static [u8],
    ) -> Result<Box<dyn Io>, Lost> {
        let named = |why: &dyn std::fmt::Display| Lost::unavailable(format!("TLS to {to}: {why}"));
        let name = ServerName::try_from(to.host.clone()).map_err(|why| named(&why))?;
        // The roots are some hundred kilobytes: there only while they are needed.
        let config = tls::client(&self.trust, protocol).map_err(|why| named(&why))?;
        match timeout(TLS_TIMEOUT, TlsConnector::from(Arc::new(config)).connect(name, io)).await {
            Ok(Ok(tls)) => Ok(Box::new(tls)),
            Ok(Err(error)) => Err(named(&error)),
            Err(_) => Err(named(&"the handshake took longer than 10 s")),
        }
    }
}

impl Dial for Network {
    fn dial<'a>(&'a self, to: &'a Target) -> Dialled<'a> {
        Box::pin(self.connect(to))
    }
}

async fn connect(to: SocketAddr, limit: Duration) -> Result<TcpStream, String> {
    let connected = timeout(limit, TcpStream::connect(to)).await;
    let tcp = connected
        .map_err(|_| format!("no answer from {} within {limit:?}", to.ip()))?
        .map_err(|error| format!("{}: {error}", to.ip()))?;
    prepare(&tcp);
    Ok(tcp)
}

/// A kernel that has not one of these still has a connection.
fn prepare(tcp: &TcpStream) {
    let _ = tcp.set_nodelay(true);
    let _ = setsockopt(tcp, sockopt::KeepAlive, &true);
    let _ = setsockopt(tcp, sockopt::TcpKeepIdle, &60);
    let _ = setsockopt(tcp, sockopt::TcpKeepInterval, &15);
    let _ = setsockopt(tcp, sockopt::TcpKeepCount, &3);
    let _ = setsockopt(tcp, sockopt::TcpUserTimeout, &(USER_TIMEOUT.as_millis() as u32));
}

/// Asks the proxy for the tunnel.
async fn ask(io: &mut Box<dyn Io>, request: &str) -> Result<(), String> {
    io.write_all(request.as_bytes()).await.map_err(|error| error.to_string())?;
    io.flush().await.map_err(|error| error.to_string())?;
    let mut head = vec![];
    loop {
        // One byte at a time: what follows the head is the tunnel's already.
        let byte = io.read_u8().await.map_err(|error| error.to_string())?;
        head.push(byte);
        match proxy::reply(&head) {
            Reply::Incomplete => {}
            Reply::Open => return Ok(()),
            Reply::Refused(line) => return Err(format!("it answered {line:?}")),
        }
    }
}

#[cfg(all(test, feature = "server"))]
mod tests;
