//! A response stream: one task makes its messages, one place sends them, keepalives among them.
//!
//! The channel between is bounded, so a peer that does not read stops the task that makes, and
//! nobody else. When the peer is gone the task is dropped wherever it waits; what it holds cleans up.
use crate::proto::{
    EntrypointConfigResponse, EntrypointExecRequest, EntrypointExecResponse, EntrypointLogBatch,
    ExecStreamRequest, ExecStreamResponse, LogBatch, RunnerConfigResponse, RunnerJobStreamResponse,
};
use crate::server::hub::{Hub, Phase};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};
use tokio_stream::Stream;
use tonic::metadata::MetadataMap;
use tonic::{Response, Status, Streaming};

/// Source: protocol, section "Inline keepalives".
const SIGNATURE: &str = "inline_keepalive";
const EVERY: Duration = Duration::from_secs(5);
/// Messages made and not yet sent; each at most 4 MiB, of honest peers at most 32 KiB.
const AHEAD: usize = 4;

/// A message of a stream, in whose place a keepalive may stand.
pub(crate) trait Streamed: Sized + Send + 'static {
    /// `None` for messages that have no room for one.
    fn keepalive() -> Option<Self>;
    fn is_keepalive(&self) -> bool;
}

macro_rules! streamed {
    ($($message:ty)*) => {$(
        impl Streamed for $message {
            fn keepalive() -> Option<Self> {
                Some(Self { inline_keepalive: SIGNATURE.into(), ..Default::default() })
            }

            fn is_keepalive(&self) -> bool {
                self.inline_keepalive == SIGNATURE
            }
        }
    )*};
}

streamed!(EntrypointConfigResponse EntrypointExecRequest EntrypointExecResponse EntrypointLogBatch
    ExecStreamRequest ExecStreamResponse LogBatch);

/// Runners are stubs, and their streams carry next to nothing: none of ours has a keepalive.
impl Streamed for RunnerConfigResponse {
    fn keepalive() -> Option<Self> {
        None
    }

    fn is_keepalive(&self) -> bool {
        false
    }
}

impl Streamed for RunnerJobStreamResponse {
    fn keepalive() -> Option<Self> {
        None
    }

    fn is_keepalive(&self) -> bool {
        false
    }
}

/// Where the task of a stream puts its messages.
pub(crate) struct Out<T>(mpsc::Sender<Result<T, Status>>);

/// What tonic sends.
pub(crate) struct Outgoing<T> {
    messages: mpsc::Receiver<Result<T, Status>>,
    keepalives: Option<Interval>,
    /// One at once; a timer would be a millisecond late, and behind the first message.
    keepalive_due: bool,
}

/// Answers with a stream whose messages `work` makes; its end is the stream's. Once the server's
/// end has come to `until`, the stream ends with that.
pub(crate) fn answer<T: Streamed, W>(
    hub: &Hub,
    metadata: &MetadataMap,
    until: Phase,
    work: impl FnOnce(Out<T>) -> W,
) -> Response<Outgoing<T>>
where
    W: Future<Output = Result<(), Status>> + Send + 'static,
{
    let asked = metadata.get("wp-inline-keepalives").is_some_and(|it| it == "true");
    let keepalives = asked.then(|| {
        let mut every = interval_at(Instant::now() + EVERY, EVERY);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        every
    });
    let (sender, messages) = mpsc::channel(AHEAD);
    let work = work(Out(sender.clone()));
    let hub = hub.clone();
    tokio::spawn(async move {
        let end = tokio::select! {
            done = work => done,
            () = sender.closed() => return,
            status = hub.until(until) => Err(status),
        };
        if let Err(status) = end {
            // Fails only if the peer has gone meanwhile.
            let _ = sender.send(Err(status)).await;
        }
    });
    Response::new(Outgoing { messages, keepalive_due: asked, keepalives })
}

impl<T> Out<T> {
    /// Waits while the peer does not read.
    ///
    /// # Errors
    /// The peer has gone; the task is dropped soon.
    pub(crate) async fn send(&self, message: T) -> Result<(), Status> {
        self.0.send(Ok(message)).await.map_err(|_| Status::cancelled("the peer has gone"))
    }
}

impl<T: Streamed> Stream for Outgoing<T> {
    type Item = Result<T, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(every) = &mut self.keepalives {
            // Polled in any case, so that it wakes us.
            let due = every.poll_tick(context).is_ready() | self.keepalive_due;
            self.keepalive_due = false;
            if due && let Some(keepalive) = T::keepalive() {
                return Poll::Ready(Some(Ok(keepalive)));
            }
        }
        self.messages.poll_recv(context)
    }
}

/// The next message of a peer that is no keepalive; `None` when it has half-closed.
pub(crate) async fn next<T: Streamed>(incoming: &mut Streaming<T>) -> Result<Option<T>, Status> {
    loop {
        match incoming.message().await? {
            Some(message) if message.is_keepalive() => {}
            other => return Ok(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost::Message;
    use tokio_stream::StreamExt;

    fn asking() -> MetadataMap {
        let mut metadata = MetadataMap::new();
        metadata.insert("wp-inline-keepalives", "true".parse().expect("ASCII"));
        metadata
    }

    #[test]
    fn a_keepalive_has_the_bytes_that_every_peer_knows() {
        let bytes = LogBatch::keepalive().expect("it has room").encode_to_vec();
        assert_eq!(bytes, b"\x82\x90\xbc\xfd\x02\x10inline_keepalive");
    }

    #[tokio::test(start_paused = true)]
    async fn keepalives_come_at_once_and_then_every_five_seconds() {
        let hub = Hub::new().expect("a hub");
        let idle = |_: Out<LogBatch>| std::future::pending();
        let mut stream = answer(&hub, &asking(), Phase::Closing, idle).into_inner();
        let began = Instant::now();
        for seconds in [0, 5, 10, 15] {
            let next = stream.next().await.expect("no end").expect("fine");
            assert!(next.is_keepalive());
            assert_eq!(began.elapsed().as_secs(), seconds);
        }
        hub.enter(Phase::Closing);
        let end = stream.next().await.expect("a word").expect_err("the end");
        assert_eq!(end.code(), tonic::Code::Unavailable);
        assert!(stream.next().await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_ask_gets_no_keepalive() {
        let hub = Hub::new().expect("a hub");
        let late = |out: Out<LogBatch>| async move {
            tokio::time::sleep(EVERY * 3).await;
            out.send(LogBatch { deployment_id: "D".into(), ..Default::default() }).await
        };
        let mut stream = answer(&hub, &MetadataMap::new(), Phase::Closing, late).into_inner();
        assert_eq!(stream.next().await.expect("one").expect("fine").deployment_id, "D");
        assert!(stream.next().await.is_none());
    }

    #[tokio::test]
    async fn a_task_whose_peer_has_gone_is_dropped_where_it_waits() {
        let (held, dropped) = tokio::sync::oneshot::channel::<()>();
        let hub = Hub::new().expect("a hub");
        let stuck = |_: Out<LogBatch>| async move {
            let _held = held;
            std::future::pending().await
        };
        drop(answer(&hub, &asking(), Phase::Closing, stuck));
        assert!(dropped.await.is_err());
    }
}
