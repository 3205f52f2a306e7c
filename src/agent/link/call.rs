//! One HTTP/2 connection as tonic's generated client wants it: a service that adds the metadata.
use super::Lost;
use super::dial::{Io, Target};
use crate::proto::waypoint_client::WaypointClient;
use http::header::{AUTHORIZATION, HeaderMap, HeaderValue, USER_AGENT};
use http::{Request, Response, Uri};
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, SendRequest};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::JoinHandle;
use tonic::body::Body;

/// A real server answers a client that pings more often than every 20 s with GOAWAY.
const PING_EVERY: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(20);
/// What one stream, and all together, may hold that nobody has read: config, and input of sessions.
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 16 * STREAM_WINDOW;
/// What one stream may hold that the network has not taken yet.
const SEND_BUFFER: usize = 64 * 1024;
const SERVICE: &str = "/hashicorp.waypoint.Waypoint/";

pub(super) type Client = WaypointClient<Channel>;

/// An open connection; dropping it takes every stream on it down.
pub(super) struct Transport {
    sender: SendRequest<Body>,
    driver: Task<Result<(), hyper::Error>>,
    credentials: Credentials,
    origin: Uri,
}

/// A task that ends when its owner does.
pub(super) struct Task<T>(pub(super) JoinHandle<T>);

/// What every call carries to be let in; replaced while connected when a token is renewed.
#[derive(Clone, Default)]
pub(super) struct Credentials(Arc<Mutex<HeaderMap>>);

/// A clone per client; all share the connection.
#[derive(Clone)]
pub(super) struct Channel {
    sender: SendRequest<Body>,
    credentials: Credentials,
}

impl Transport {
    /// Shakes hands. The caller has the deadline: a peer that is no HTTP/2 server may be silent.
    pub(super) async fn open(io: Box<dyn Io>, to: &Target) -> Result<Self, Lost> {
        let origin = origin(to)?;
        let handshake = Builder::new(Spawn)
            .timer(Timer)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_send_buf_size(SEND_BUFFER)
            .keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PING_TIMEOUT)
            .keep_alive_while_idle(true)
            .handshake(Adapter(io));
        let (sender, connection) =
            handshake.await.map_err(|error| Lost::unavailable(describe(&error)))?;
        let driver = Task(tokio::spawn(connection));
        Ok(Self { sender, driver, credentials: Credentials::default(), origin })
    }

    pub(super) fn client(&self) -> Client {
        let channel =
            Channel { sender: self.sender.clone(), credentials: self.credentials.clone() };
        WaypointClient::with_origin(channel, self.origin.clone())
    }

    pub(super) fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// Lets what is queued leave, for at most `grace`, and closes. Clients must be gone by then.
    pub(super) async fn close(self, grace: Duration) {
        let Self { sender, mut driver, .. } = self;
        drop(sender);
        let _ = tokio::time::timeout(grace, &mut driver.0).await;
    }
}

impl Credentials {
    /// The Waypoint token as both headers, or beside an OAuth2 `authorization` of its own.
    pub(super) fn set(&self, token: &str, authorization: Option<&str>) -> Result<(), Lost> {
        let value = |text: &str| {
            let mut value = HeaderValue::from_str(text)
                .map_err(|_| Lost::unavailable("the credential has characters no header may"))?;
            value.set_sensitive(true); // kept out of Debug and of HPACK's table
            Ok::<_, Lost>(value)
        };
        let mut headers = HeaderMap::new();
        headers.insert("waypoint-token", value(token)?);
        headers.insert(AUTHORIZATION, value(authorization.unwrap_or(token))?);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = headers;
        Ok(())
    }

    pub(super) fn add_to(&self, headers: &mut HeaderMap) {
        let ours = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        headers.extend(ours.iter().map(|(name, value)| (name.clone(), value.clone())));
    }
}

impl tower_service::Service<Request<Body>> for Channel {
    type Response = Response<Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.sender.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let is_stream = request
            .uri()
            .path()
            .strip_prefix(SERVICE)
            // All three of an entrypoint's own methods stream, and nothing else we call does.
            .is_some_and(|method| method.starts_with("Entrypoint"));
        let headers = request.headers_mut();
        headers.insert("client-api-protocol", HeaderValue::from_static("1,1"));
        headers.insert("client-entrypoint-protocol", HeaderValue::from_static("1,1"));
        headers.insert("client-version", HeaderValue::from_static(VERSION));
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        if is_stream {
            headers.insert("wp-inline-keepalives", HeaderValue::from_static("true"));
        }
        self.credentials.add_to(headers);
        Box::pin(self.sender.send_request(request))
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

const VERSION: &str = concat!("v", env!("CARGO_PKG_VERSION"));
const AGENT: &str = concat!("waypoint-entrypoint/", env!("CARGO_PKG_VERSION"));

/// An error and its causes, in one line: hyper's own text names only the layer.
pub(super) fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

fn origin(to: &Target) -> Result<Uri, Lost> {
    let scheme = if to.tls { "https" } else { "http" };
    let authority = to.address.to_string();
    let uri =
        Uri::builder().scheme(scheme).authority(authority.as_str()).path_and_query("/").build();
    uri.map_err(|error| Lost::unavailable(format!("the address {authority}: {error}")))
}

/// hyper's tasks on our runtime.
#[derive(Clone, Copy)]
pub(super) struct Spawn;

impl<F: Future<Output: Send> + Send + 'static> hyper::rt::Executor<F> for Spawn {
    fn execute(&self, future: F) {
        tokio::spawn(future);
    }
}

/// hyper's pings by our clock, which tests can pause.
struct Timer;

struct Sleep(Pin<Box<tokio::time::Sleep>>);

impl hyper::rt::Timer for Timer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn hyper::rt::Sleep>> {
        Box::pin(Sleep(Box::pin(tokio::time::sleep(duration))))
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn hyper::rt::Sleep>> {
        Box::pin(Sleep(Box::pin(tokio::time::sleep_until(deadline.into()))))
    }

    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }
}

impl hyper::rt::Sleep for Sleep {}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().poll(context)
    }
}

/// tokio's bytes as hyper reads and writes them.
pub(super) struct Adapter(pub(super) Box<dyn Io>);

impl hyper::rt::Read for Adapter {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut into: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<std::io::Result<()>> {
        // A copy through the stack: filling hyper's buffer in place would take unsafe code.
        let mut chunk = [0; 8 * 1024];
        let room = into.remaining().min(chunk.len());
        let mut read = ReadBuf::new(&mut chunk[..room]);
        std::task::ready!(Pin::new(&mut self.0).poll_read(context, &mut read))?;
        into.put_slice(read.filled());
        Poll::Ready(Ok(()))
    }
}

impl hyper::rt::Write for Adapter {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
