//! A Waypoint server in memory whose every answer is the test's: each call comes out of `next`.
//! With a paused clock a test of back-off takes no time.
use super::dial::{Dial, Dialled, Io, Target};
use super::stream::{Either, race};
use super::{Handle, Lost, Settings, start_over};
use crate::proto::{
    ConvertInviteTokenRequest, EntrypointConfig, EntrypointConfigRequest, EntrypointConfigResponse,
    EntrypointExecRequest, EntrypointExecResponse, EntrypointLogBatch, GetVersionInfoResponse,
    NewTokenResponse, ServerFeatures, VersionInfo, version_info::ProtocolVersion,
};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use tokio::io::DuplexStream;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_rustls::TlsAcceptor;
use tokio_stream::wrappers::ReceiverStream;
use tonic::body::Body;
use tonic::metadata::MetadataMap;
use tonic::server::{Grpc, NamedService};
use tonic::transport::server::Connected;
use tonic::{Request, Response, Status, Streaming};

type Answer<T> = oneshot::Sender<Result<T, Status>>;
type Sent<T> = mpsc::Receiver<Result<T, Status>>;

/// What the entrypoint asks of the server.
pub(crate) enum Call {
    Convert {
        token: String,
        answer: Answer<String>,
    },
    Version {
        answer: Answer<GetVersionInfoResponse>,
    },
    Config {
        request: EntrypointConfigRequest,
        metadata: MetadataMap,
        answer: Answer<Sent<EntrypointConfigResponse>>,
    },
    Logs {
        batches: Streaming<EntrypointLogBatch>,
        metadata: MetadataMap,
        answer: Answer<()>,
    },
    Exec {
        events: Streaming<EntrypointExecRequest>,
        answer: Answer<Sent<EntrypointExecResponse>>,
    },
}

/// The config stream's other end; dropping it ends the stream well.
pub(crate) type Configs = mpsc::Sender<Result<EntrypointConfigResponse, Status>>;

pub(crate) struct Server {
    calls: mpsc::Receiver<Call>,
    pub(super) dialler: Arc<Memory>,
}

/// What the next dialled connection meets; when the list is empty, the server.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Obstacle {
    Refuses,
    BlackHole,
}

/// Connections made of memory.
pub(crate) struct Memory {
    /// Once true, no byte passes any more, and nobody is told.
    pub(super) frozen: watch::Sender<bool>,
    connections: mpsc::Sender<std::io::Result<DuplexStream>>,
    pub(super) obstacles: Mutex<Vec<Obstacle>>,
    /// The other ends of black holes, and when each dial was.
    holes: Mutex<Vec<DuplexStream>>,
    pub(super) dials: Mutex<Vec<tokio::time::Instant>>,
}

impl Server {
    pub(crate) fn start() -> Self {
        let (connections, incoming) = mpsc::channel(4);
        let calls = serve(incoming);
        Self { calls, dialler: Arc::new(Memory::over(connections)) }
    }

    /// The same on a port of this machine, behind TLS.
    pub(super) async fn listen(tls: TlsAcceptor) -> (Self, u16) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let (connections, incoming) = mpsc::channel(4);
        tokio::spawn(async move {
            loop {
                let (tcp, _) = listener.accept().await.expect("a connection");
                // A client that does not trust us is no concern of the others.
                if let Ok(stream) = tls.accept(tcp).await {
                    connections.send(Ok(stream)).await.expect("the server runs");
                }
            }
        });
        let (unused, _) = mpsc::channel(1);
        (Self { calls: serve(incoming), dialler: Arc::new(Memory::over(unused)) }, port)
    }

    /// A link to this server.
    pub(crate) fn link(&self, settings: Settings) -> Handle {
        start_over(Settings { server: "server:9701".into(), ..settings }, self.dialler.clone())
    }

    pub(crate) async fn next(&mut self) -> Call {
        self.calls.recv().await.expect("the link is alive")
    }

    /// Answers an entrypoint without a token up to its first config.
    pub(crate) async fn register(&mut self, config: EntrypointConfig) -> Configs {
        self.version(version(1, 1, false)).await;
        let (configs, _) = self.config(config).await;
        configs
    }

    pub(crate) async fn version(&mut self, info: GetVersionInfoResponse) {
        let Call::Version { answer } = self.next().await else { panic!("no version asked") };
        answer.send(Ok(info)).expect("the call waits");
    }

    pub(crate) async fn config(&mut self, config: EntrypointConfig) -> (Configs, MetadataMap) {
        let Call::Config { answer, metadata, .. } = self.next().await else { panic!("no config") };
        let (configs, stream) = mpsc::channel(4);
        configs.send(Ok(snapshot(config))).await.expect("there is room");
        answer.send(Ok(stream)).expect("the call waits");
        (configs, metadata)
    }
}

/// Serves whatever is connected; the calls come out at the other end.
fn serve<T>(connections: mpsc::Receiver<std::io::Result<T>>) -> mpsc::Receiver<Call>
where
    T: Connected<ConnectInfo: Clone + Send + Sync + 'static> + Io + 'static,
{
    let (calls_to, calls) = mpsc::channel(16);
    let service = tonic::transport::Server::builder().add_service(Service(calls_to));
    tokio::spawn(service.serve_with_incoming(ReceiverStream::new(connections)));
    calls
}

pub(crate) fn version(minimum: u32, current: u32, keepalives: bool) -> GetVersionInfoResponse {
    let entrypoint = Some(ProtocolVersion { current, minimum });
    GetVersionInfoResponse {
        info: Some(VersionInfo { entrypoint, ..Default::default() }),
        server_features: Some(ServerFeatures {
            features: if keepalives { vec![1] } else { vec![] },
        }),
    }
}

pub(crate) fn snapshot(config: EntrypointConfig) -> EntrypointConfigResponse {
    EntrypointConfigResponse { config: Some(config), ..Default::default() }
}

impl Memory {
    fn over(connections: mpsc::Sender<std::io::Result<DuplexStream>>) -> Self {
        let (obstacles, holes, dials) = Default::default();
        Self { frozen: watch::Sender::new(false), connections, obstacles, holes, dials }
    }

    /// A wire between two ends, until it freezes; an end that closes closes the other.
    fn wire(&self) -> (DuplexStream, DuplexStream) {
        let (ours, mut left) = tokio::io::duplex(64 * 1024);
        let (mut right, theirs) = tokio::io::duplex(64 * 1024);
        let mut frozen = self.frozen.subscribe();
        tokio::spawn(async move {
            let freezes = std::pin::pin!(async { drop(frozen.wait_for(|it| *it).await) });
            let copied = std::pin::pin!(tokio::io::copy_bidirectional(&mut left, &mut right));
            if let Either::Left(_) = race(freezes, copied).await {
                std::future::pending::<()>().await;
            }
        });
        (ours, theirs)
    }
}

impl Dial for Memory {
    fn dial<'a>(&'a self, _: &'a Target) -> Dialled<'a> {
        Box::pin(async move {
            self.dials.lock().expect("no panic").push(tokio::time::Instant::now());
            let (ours, theirs) = self.wire();
            let obstacle = self.obstacles.lock().expect("no panic").pop();
            match obstacle {
                Some(Obstacle::Refuses) => return Err(Lost::unavailable("connection refused")),
                Some(Obstacle::BlackHole) => self.holes.lock().expect("no panic").push(theirs),
                None => self.connections.send(Ok(theirs)).await.expect("the server runs"),
            }
            Ok(Box::new(ours) as Box<dyn Io>)
        })
    }
}

/// The service by its paths; the generated trait would ask for all of the hundred methods.
#[derive(Clone)]
pub(super) struct Service(pub(super) mpsc::Sender<Call>);

impl NamedService for Service {
    const NAME: &'static str = "hashicorp.waypoint.Waypoint";
}

impl tower_service::Service<http::Request<Body>> for Service {
    type Response = http::Response<Body>;
    type Error = std::convert::Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let Self(calls) = self.clone();
        Box::pin(async move { Ok(dispatch(calls, request).await) })
    }
}

async fn dispatch(calls: mpsc::Sender<Call>, request: http::Request<Body>) -> http::Response<Body> {
    let method = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
    match method.as_str() {
        "ConvertInviteToken" => {
            let method = Method(|it: Request<ConvertInviteTokenRequest>| async move {
                let token = it.into_inner().token;
                let token = put(&calls, |answer| Call::Convert { token, answer }).await?;
                Ok(Response::new(NewTokenResponse { token }))
            });
            Grpc::new(tonic_prost::ProstCodec::default()).unary(method, request).await
        }
        "GetVersionInfo" => {
            let method = Method(|_: Request<()>| async move {
                put(&calls, |answer| Call::Version { answer }).await.map(Response::new)
            });
            Grpc::new(tonic_prost::ProstCodec::default()).unary(method, request).await
        }
        "EntrypointConfig" => {
            let method = Method(|it: Request<EntrypointConfigRequest>| async move {
                let (metadata, _, request) = it.into_parts();
                let call = |answer| Call::Config { request, metadata, answer };
                put(&calls, call).await.map(|it| Response::new(ReceiverStream::new(it)))
            });
            Grpc::new(tonic_prost::ProstCodec::default()).server_streaming(method, request).await
        }
        "EntrypointLogStream" => {
            let method = Method(|it: Request<Streaming<EntrypointLogBatch>>| async move {
                let (metadata, _, batches) = it.into_parts();
                let call = |answer| Call::Logs { batches, metadata, answer };
                put(&calls, call).await.map(Response::new)
            });
            Grpc::new(tonic_prost::ProstCodec::default()).client_streaming(method, request).await
        }
        "EntrypointExecStream" => {
            let method = Method(|it: Request<Streaming<EntrypointExecRequest>>| async move {
                let events = it.into_inner();
                let sent = put(&calls, |answer| Call::Exec { events, answer }).await?;
                Ok(Response::new(ReceiverStream::new(sent)))
            });
            Grpc::new(tonic_prost::ProstCodec::default()).streaming(method, request).await
        }
        other => Status::unimplemented(other.to_owned()).into_http(),
    }
}

/// Hands a call to the test and waits for its answer.
async fn put<T>(
    calls: &mpsc::Sender<Call>,
    call: impl FnOnce(Answer<T>) -> Call,
) -> Result<T, Status> {
    let (answer, answered) = oneshot::channel();
    calls.send(call(answer)).await.map_err(|_| Status::internal("the test is over"))?;
    answered.await.unwrap_or_else(|_| Err(Status::internal("the test let go of the call")))
}

/// A closure as the service that tonic wants.
struct Method<F>(F);

impl<F, R, M, T> tower_service::Service<Request<R>> for Method<F>
where
    F: FnOnce(Request<R>) -> M + Clone,
    M: Future<Output = Result<Response<T>, Status>> + Send + 'static,
{
    type Response = Response<T>;
    type Error = Status;
    type Future = Pin<Box<dyn Future<Output = Result<Response<T>, Status>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<R>) -> Self::Future {
        Box::pin((self.0.clone())(request))
    }
}
