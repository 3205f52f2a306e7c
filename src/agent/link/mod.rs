//! The pillar towards the server: one connection at a time, made again for ever.
//!
//! ```text
//! session (pure)  decides: dial, token, grant, version, register, serve, back off, dial ...
//! run             performs: owns the connection and tells the rooms through a `Handle`
//! dial            resolve (dns, names), TCP, proxy, crate::tls; call: HTTP/2 and the metadata
//! stream          what a room holds: logs and exec sessions on the connection of the moment
//! wire            proto to our types and back; generated types stop there
//! ```
//! Nothing here gives up: every failure is one line in the log and another attempt.
mod address;
mod basic;
mod call;
mod dial;
mod dns;
mod grant;
mod names;
mod oauth;
mod proxy;
mod resolve;
mod run;
mod session;
mod stream;
#[cfg(all(test, feature = "server"))]
pub(crate) mod testing;
#[cfg(all(test, feature = "server"))]
mod tests;
pub(crate) mod wire;

pub(crate) use stream::{Connection, ExecReceiver, ExecSender, LogStream};

use dial::Dial;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot, watch};

/// What the link has to know; from `Hello`, and constant for the life of the agent.
#[derive(Clone, Default)]
pub(crate) struct Settings {
    /// `host:port` of the server; without a port it is 9701.
    pub(crate) server: String,
    pub(crate) tls: bool,
    pub(crate) tls_skip_verify: bool,
    /// A PEM file with the only roots to trust; empty for the usual places.
    pub(crate) tls_ca_file: String,
    pub(crate) ssl_cert_file: String,
    pub(crate) ssl_cert_dir: String,
    /// The invite token; empty for none. Never logged.
    pub(crate) token: String,
    pub(crate) deployment_id: String,
    pub(crate) instance_id: String,
    pub(crate) disable_exec: bool,
    pub(crate) https_proxy: String,
    pub(crate) no_proxy: String,
}

/// Why a connection, a stream or a call ended: gRPC's code, and a line for somebody at 3 a.m.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Lost {
    pub(crate) code: i32,
    pub(crate) text: String,
}

/// The rooms' way to the link. Its task ends with `close`, or when the last handle is dropped.
#[derive(Clone)]
pub(crate) struct Handle {
    config: watch::Receiver<Option<Arc<wire::Config>>>,
    connection: watch::Receiver<Option<Connection>>,
    close: mpsc::Sender<oneshot::Sender<()>>,
}

/// Starts the link on the current runtime; the first attempt begins at once.
pub(crate) fn start(settings: Settings) -> Handle {
    let dialler = Arc::new(dial::Network::new(&settings));
    start_over(settings, dialler)
}

/// The same over any transport: a test has its server in memory.
fn start_over(settings: Settings, dialler: Arc<dyn Dial>) -> Handle {
    let (config_to, config) = watch::channel(None);
    let (connection_to, connection) = watch::channel(None);
    let (close, closing) = mpsc::channel(1);
    tokio::spawn(run::run(settings, dialler, run::Told { config_to, connection_to, closing }));
    Handle { config, connection, close }
}

impl Handle {
    /// The newest snapshot, over all connections; `None` until the first.
    pub(crate) fn config(&self) -> watch::Receiver<Option<Arc<wire::Config>>> {
        self.config.clone()
    }

    /// `Some` from the first snapshot of a connection until that connection is lost.
    pub(crate) fn connection(&self) -> watch::Receiver<Option<Connection>> {
        self.connection.clone()
    }

    /// Says goodbye to the server, within a quarter of a second, and ends the link's task. Streams
    /// that should have arrived whole are finished before.
    pub(crate) async fn close(&self) {
        let (done, closed) = oneshot::channel();
        // An error on either side: the task has ended already.
        if self.close.send(done).await.is_ok() {
            let _ = closed.await;
        }
    }
}

impl std::fmt::Display for Lost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} (gRPC code {})", self.text, self.code)
    }
}

impl std::error::Error for Lost {}

impl Lost {
    /// The peer or the way to it is gone.
    fn unavailable(text: impl Into<String>) -> Self {
        Self { code: tonic::Code::Unavailable as i32, text: text.into() }
    }

    /// Nothing was heard in time.
    fn deadline(text: impl Into<String>) -> Self {
        Self { code: tonic::Code::DeadlineExceeded as i32, text: text.into() }
    }
}

/// A broken transport is Unavailable, wherever in the stack it was noticed and however wrapped.
impl From<tonic::Status> for Lost {
    fn from(status: tonic::Status) -> Self {
        let mut source = std::error::Error::source(&status);
        while let Some(cause) = source {
            if cause.is::<hyper::Error>() {
                return Self::unavailable(call::describe(cause));
            }
            source = cause.source();
        }
        let text = match status.message() {
            "" => status.code().description(),
            text => text,
        };
        // One line, whatever the server says: it ends up in logs and on terminals.
        let printable = |it: char| if it.is_control() { ' ' } else { it };
        let text = text.chars().take(MAX_TEXT).map(printable).collect();
        Self { code: status.code() as i32, text }
    }
}

/// A server's words end up in our log; more than this of them is noise.
const MAX_TEXT: usize = 400;

/// The fuzzer's door to what reads foreign bytes here.
#[cfg(fuzzing)]
pub(crate) fn fuzz(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for kind in [dns::Kind::A, dns::Kind::Aaaa] {
        if let Some(query) = dns::query(0, "waypoint.example", kind) {
            let _ = dns::answer(&query, bytes);
        }
    }
    let _ = dns::query(0, &text, dns::Kind::A);
    let _ = proxy::reply(bytes);
    let _ = oauth::answer(200, bytes);
    let _ = names::candidates(&text, &names::resolution(&text));
    let _ = names::hosts(&text, "waypoint");
}
