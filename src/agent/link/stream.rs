//! What the rooms hold of a connection: the log stream, and exec sessions.
//!
//! Queues are one or a few messages long, and HTTP/2's window is behind them: who sends waits as
//! long as the server does not read. Nothing is ever dropped here; an error says the stream ended.
use super::Lost;
use super::call::{Client, Task};
use super::wire::{self, FromSession, ToSession};
use crate::proto::{EntrypointExecRequest, EntrypointExecResponse, EntrypointLogBatch};
use crate::seam::message::ExecId;
use futures_core::Stream;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Interval, MissedTickBehavior, interval, timeout};
use tonic::codec::Streaming;

/// A session that the server does not open in this time is none.
const OPEN_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a session that nobody reads any more may take to end on the server.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);
/// Source: protocol.md 3.5; load balancers cut streams that are silent for 30 s.
const KEEPALIVE_EVERY: Duration = Duration::from_secs(5);
/// Messages between a session and the wire; each holds at most what one read gave.
const QUEUE: usize = 4;

/// A registered connection: streams may be opened on it until it is lost.
#[derive(Clone)]
pub(crate) struct Connection {
    client: Client,
    instance_id: Arc<str>,
    /// The server said that it understands keepalives inside streams.
    keepalives: bool,
}

/// Sends the log of this instance; dropped without `finish`, what is under way is lost.
pub(crate) struct LogStream {
    batches: mpsc::Sender<EntrypointLogBatch>,
    call: Task<Result<(), Lost>>,
    /// Why it ended, once it has; the call is then not asked again.
    ended: Option<Lost>,
    instance_id: Arc<str>,
}

/// A session's way to the server; dropping it is the half-close.
pub(crate) struct ExecSender {
    events: mpsc::Sender<EntrypointExecRequest>,
    /// Closed as soon as the server has ended the session.
    ended: mpsc::Sender<()>,
}

/// The server's way to a session. Dropped early it is read to its end in the background: a client
/// that lets go of the answer cancels the call, and the exit in the queue would never arrive.
pub(crate) struct ExecReceiver {
    stream: Option<Streaming<EntrypointExecResponse>>,
    running: Option<mpsc::Receiver<()>>,
}

impl Connection {
    pub(super) fn new(client: Client, instance_id: &str, keepalives: bool) -> Self {
        Self { client, instance_id: instance_id.into(), keepalives }
    }

    /// Opens the log stream; the server says nothing until it ends.
    ///
    /// # Errors
    /// The connection is lost; there will be another.
    pub(crate) async fn logs(&self) -> Result<LogStream, Lost> {
        let (batches, outgoing) = self.outgoing(1, wire::log_keepalive);
        let mut client = self.client.clone();
        let call = Task(tokio::spawn(async move {
            client.entrypoint_log_stream(outgoing).await.map(drop).map_err(Lost::from)
        }));
        let instance_id = self.instance_id.clone();
        let mut stream = LogStream { batches, call, ended: None, instance_id };
        // The call has to notice a connection that is gone before anything is sent into it.
        tokio::task::yield_now().await;
        if stream.call.0.is_finished() { Err(stream.end().await) } else { Ok(stream) }
    }

    /// Opens a session's stream and waits until the server has it.
    ///
    /// # Errors
    /// The server refused, did not answer in 15 s, or the connection is lost.
    pub(crate) async fn exec(&self, id: ExecId) -> Result<(ExecSender, ExecReceiver), Lost> {
        let (events, outgoing) = self.outgoing(QUEUE, wire::exec_keepalive);
        let open = wire::exec_open(&self.instance_id, id);
        events.try_send(open).map_err(|_| Lost::unavailable("the session's queue is closed"))?;
        let mut client = self.client.clone();
        let opened = async {
            let mut stream = client.entrypoint_exec_stream(outgoing).await?.into_inner();
            while let Some(response) = stream.message().await? {
                if wire::is_opened(&response) {
                    return Ok(stream);
                }
            }
            Err(Lost::unavailable("the server ended the session before it was opened"))
        };
        let stream = timeout(OPEN_TIMEOUT, opened)
            .await
            .map_err(|_| Lost::deadline("the server did not open the session within 15 s"))??;
        let (ended, running) = mpsc::channel(1);
        let receiver = ExecReceiver { stream: Some(stream), running: Some(running) };
        Ok((ExecSender { events, ended }, receiver))
    }

    fn outgoing<T>(&self, depth: usize, keepalive: fn() -> T) -> (mpsc::Sender<T>, Outgoing<T>) {
        let (sender, messages) = mpsc::channel(depth);
        let clock = self.keepalives.then(|| {
            let mut clock = interval(KEEPALIVE_EVERY);
            clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
            clock
        });
        (sender, Outgoing { messages, clock, keepalive })
    }
}

impl LogStream {
    /// Sends lines in order; returns when the queue to the wire has taken them, not when the
    /// server has; dropped while it waits, what was not taken yet is not sent. No lines are no
    /// message: a command line would take it for the end.
    ///
    /// # Errors
    /// The stream has ended; lines of this call may or may not have arrived.
    pub(crate) async fn send(&mut self, lines: Vec<wire::Line>) -> Result<(), Lost> {
        let instance_id = self.instance_id.clone();
        for batch in wire::log_batches(&instance_id, lines) {
            if let Some(lost) = &self.ended {
                return Err(lost.clone());
            }
            let sent = {
                let sent = std::pin::pin!(self.batches.send(batch));
                match race(&mut self.call.0, sent).await {
                    Either::Right(sent) => sent.is_ok(),
                    Either::Left(joined) => return Err(self.ended.insert(ending(joined)).clone()),
                }
            };
            if !sent {
                return Err(self.end().await);
            }
        }
        Ok(())
    }

    /// Half-closes and waits until the server has read everything. The real server answers with an
    /// error even then, so any end is a good one. The caller has the deadline.
    pub(crate) async fn finish(self) {
        let Self { batches, mut call, ended, .. } = self;
        drop(batches);
        if ended.is_none() {
            let _ = (&mut call.0).await;
        }
    }

    /// Waits for the end of the call, which is an error's.
    async fn end(&mut self) -> Lost {
        let lost = ending((&mut self.call.0).await);
        self.ended.insert(lost).clone()
    }
}

impl ExecSender {
    /// Sends one event, in order; waits while the server does not read.
    ///
    /// # Errors
    /// The server has ended the session, or the connection is lost: `ExecReceiver` says which.
    pub(crate) async fn send(&self, event: FromSession) -> Result<(), Lost> {
        let ended = std::pin::pin!(self.ended.closed());
        let sent = std::pin::pin!(self.events.send(wire::from_session(event)));
        match race(ended, sent).await {
            Either::Right(Ok(())) => Ok(()),
            _ => Err(Lost::unavailable("the server has ended the session")),
        }
    }
}

impl ExecReceiver {
    /// The next event; `None` once the server has ended the session well.
    pub(crate) async fn next(&mut self) -> Option<Result<ToSession, Lost>> {
        loop {
            let next = self.stream.as_mut()?.message().await;
            let event = match next {
                Ok(Some(response)) => match wire::to_session(response) {
                    Some(event) => return Some(Ok(event)),
                    None => continue, // a keepalive, or a kind of event that is newer than we are
                },
                Ok(None) => None,
                Err(status) => Some(Err(status.into())),
            };
            self.stream = None;
            self.running = None;
            return event;
        }
    }
}

impl Drop for ExecReceiver {
    fn drop(&mut self) {
        let (Some(mut stream), running) = (self.stream.take(), self.running.take()) else { return };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                let _running = running;
                let to_its_end = async { while let Ok(Some(_)) = stream.message().await {} };
                let _ = timeout(DRAIN_TIMEOUT, to_its_end).await;
            });
        }
    }
}

/// The request side of a stream: messages in order, and a keepalive when its time has come.
struct Outgoing<T> {
    messages: mpsc::Receiver<T>,
    clock: Option<Interval>,
    keepalive: fn() -> T,
}

impl<T> Stream for Outgoing<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        // Messages first: a session's `open` is ahead of its first keepalive.
        if let Poll::Ready(message) = self.messages.poll_recv(context) {
            return Poll::Ready(message);
        }
        match &mut self.clock {
            Some(clock) => clock.poll_tick(context).map(|_| Some((self.keepalive)())),
            None => Poll::Pending,
        }
    }
}

/// A call that ended though we had not closed it: without an error it is an error all the same.
fn ending(joined: Result<Result<(), Lost>, tokio::task::JoinError>) -> Lost {
    match joined {
        Ok(Err(lost)) => lost,
        Ok(Ok(())) => Lost::unavailable("the server ended the log stream"),
        Err(_) => Lost::unavailable("the log stream's task has ended"),
    }
}

/// Which of two futures was ready first.
pub(super) enum Either<A, B> {
    Left(A),
    Right(B),
}

/// Waits for the first of two; the left one wins a tie. (tokio's `select!` would need its macros.)
pub(super) async fn race<A: Future + Unpin, B: Future + Unpin>(
    mut left: A,
    mut right: B,
) -> Either<A::Output, B::Output> {
    std::future::poll_fn(|context| match Pin::new(&mut left).poll(context) {
        Poll::Ready(it) => Poll::Ready(Either::Left(it)),
        Poll::Pending => Pin::new(&mut right).poll(context).map(Either::Right),
    })
    .await
}
