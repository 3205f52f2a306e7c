//! The server inside `waypoint`: holds what is configured, hands it to the instances, and stands
//! between whoever types `exec` or `logs` and the entrypoint that answers.
//!
//! `state/`, `selector.rs`, `token.rs`, `duration.rs`, `moment.rs` and `wire.rs` are pure; `hub.rs`
//! holds the one state and wakes who waits for it, `service/` is gRPC.
mod duration;
mod hub;
mod moment;
mod refusal;
mod selector;
mod service;
mod state;
mod token;
mod wire;

use crate::proto::{self, operation, server_config, status};
use hub::{Hub, Phase};
use refusal::Refusal;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tokio::time::{sleep, timeout};
use tonic::transport::server::{Router, TcpIncoming};
use tonic::transport::{Identity, ServerTlsConfig};

/// Detects a peer that vanished within 50 s.
const PING_EVERY: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(20);
/// For sessions and calls in progress to end by themselves, then for the connections to close.
const GRACE: Duration = Duration::from_secs(2);
const HARD: Duration = Duration::from_millis(500);

/// How the server is to run.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Port 0 takes any free one; `Server::address` tells which.
    pub(crate) listen: SocketAddr,
    /// Certificate chain and private key, PEM files.
    pub(crate) tls: Option<(PathBuf, PathBuf)>,
    /// What deployments are told of this server's address; `None`: `listen`, as it is.
    pub(crate) advertise: Option<Advertise>,
}

/// How an entrypoint is to reach the server.
#[derive(Debug, Clone)]
pub(crate) struct Advertise {
    /// `host:port`.
    pub(crate) address: String,
    pub(crate) tls: bool,
    pub(crate) tls_skip_verify: bool,
}

/// A server that listens, and serves once it is told to.
pub(crate) struct Server {
    hub: Hub,
    incoming: TcpIncoming,
    address: SocketAddr,
    router: Router,
}

/// Why there is no server (any more).
#[derive(Debug)]
pub(crate) enum Error {
    Listen(SocketAddr, std::io::Error),
    Read(PathBuf, std::io::Error),
    Tls(PathBuf, tonic::transport::Error),
    Serve(tonic::transport::Error),
    Refused(Refusal),
}

impl Server {
    /// Listens and reads the certificates; nobody is answered before `serve`.
    pub(crate) async fn bind(settings: Settings) -> Result<Self, Error> {
        let hub = Hub::new().map_err(Error::Refused)?;
        let mut grpc = tonic::transport::Server::builder()
            .http2_keepalive_interval(Some(PING_EVERY))
            .http2_keepalive_timeout(Some(PING_TIMEOUT))
            .max_concurrent_streams(1024);
        if let Some((certificate, key)) = &settings.tls {
            let identity = Identity::from_pem(read(certificate).await?, read(key).await?);
            grpc = grpc
                .tls_config(ServerTlsConfig::new().identity(identity))
                .map_err(|error| Error::Tls(certificate.clone(), error))?;
        }
        let failed = |error| Error::Listen(settings.listen, error);
        let incoming = TcpIncoming::bind(settings.listen).map_err(failed)?;
        let address = incoming.local_addr().map_err(failed)?;
        let incoming = incoming.with_nodelay(Some(true)).with_keepalive(Some(PING_EVERY));
        let advertise = settings.advertise.unwrap_or_else(|| Advertise {
            address: address.to_string(),
            tls: settings.tls.is_some(),
            tls_skip_verify: false,
        });
        hub.quietly(|state| state.advertise(advertise.into()));
        let router = grpc.add_service(service::admission::Admission::new(hub.clone()));
        Ok(Self { hub, incoming, address, router })
    }

    /// Where it listens; the port is real even if 0 was asked for.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The first login token, which never expires; once only.
    pub(crate) fn bootstrap(&self) -> Result<String, Error> {
        service::tokens::bootstrap(&self.hub).map_err(Error::Refused)
    }

    /// A new successful deployment in `workspace`, with its project and application; its id.
    pub(crate) fn deployment(
        &self,
        project: &str,
        application: &str,
        workspace: &str,
    ) -> Result<String, Error> {
        let made = self.hub.change(|state, moment| {
            let deployment = succeeded(project, application, workspace, moment.timestamp());
            state.catalog.upsert_deployment(deployment, moment)
        });
        made.map(|it| it.id).map_err(Error::Refused)
    }

    /// An invite token with which an entrypoint becomes an instance of the deployment; only after
    /// `bootstrap`.
    pub(crate) fn invite(&self, deployment: &str, lifetime: Duration) -> Result<String, Error> {
        service::tokens::invite_entrypoint(&self.hub, deployment, lifetime).map_err(Error::Refused)
    }

    /// Serves until `shutdown`, then for 2 s what is still going on; then all connections end.
    pub(crate) async fn serve(self, shutdown: impl Future<Output = ()>) -> Result<(), Error> {
        let hub = self.hub;
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        let told = async { drop(ended.await) };
        let mut serving =
            std::pin::pin!(self.router.serve_with_incoming_shutdown(self.incoming, told));
        tokio::select! {
            done = &mut serving => return done.map_err(Error::Serve),
            () = shutdown => {}
        }
        hub.enter(Phase::Closing);
        drop(end);
        if let Ok(done) = timeout(GRACE, &mut serving).await {
            return done.map_err(Error::Serve);
        }
        hub.enter(Phase::Closed);
        tokio::select! {
            done = serving => done.map_err(Error::Serve),
            () = sleep(HARD) => Ok(()), // who does not even read our goodbye keeps nobody waiting
        }
    }
}

fn succeeded(
    project: &str,
    application: &str,
    workspace: &str,
    now: prost_types::Timestamp,
) -> proto::Deployment {
    let app =
        proto::r#ref::Application { project: project.into(), application: application.into() };
    proto::Deployment {
        application: Some(app),
        workspace: Some(proto::r#ref::Workspace { workspace: workspace.into() }),
        state: operation::PhysicalState::Created.into(),
        status: Some(proto::Status {
            state: status::State::Success.into(),
            start_time: Some(now),
            complete_time: Some(now),
            ..Default::default()
        }),
        // As whoever deploys with the original does; selectors rely on it.
        labels: [("waypoint/workspace".into(), workspace.into())].into(),
        has_entrypoint_config: true,
        ..Default::default()
    }
}

async fn read(path: &std::path::Path) -> Result<Vec<u8>, Error> {
    tokio::fs::read(path).await.map_err(|error| Error::Read(path.into(), error))
}

impl From<Advertise> for server_config::AdvertiseAddr {
    fn from(it: Advertise) -> Self {
        Self { addr: it.address, tls: it.tls, tls_skip_verify: it.tls_skip_verify }
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Listen(address, error) => write!(f, "cannot listen on {address}: {error}"),
            Self::Read(path, error) => write!(f, "cannot read {}: {error}", path.display()),
            Self::Tls(path, error) => {
                write!(f, "cannot serve TLS with the certificate {}: {error}", path.display())
            }
            Self::Serve(error) => write!(f, "the server ended: {error}"),
            Self::Refused(refusal) => refusal.fmt(f),
        }
    }
}

impl std::error::Error for Error {}
