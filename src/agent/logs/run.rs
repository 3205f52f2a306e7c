//! Reads the child's outputs into the queue, and ships the queue to the server.
use super::lines::Lines;
use super::queue::{Batch, Queue};
use crate::agent::first::{First, first};
use crate::agent::link::wire::{Line, Source};
use crate::agent::link::{Connection, LogStream, Lost};
use crate::agent::log::Relay;
use crate::agent::seam::Gaps;
use crate::sys::fd;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

/// What one read takes.
const CHUNK: usize = 8 << 10;
/// A line waits so long for others to go with.
const LINGER: Duration = Duration::from_millis(100);
/// How long to wait after a stream that could not be opened; doubled each time.
const RETRY: Duration = Duration::from_secs(1);
const MAX_RETRY: Duration = Duration::from_secs(60);
/// A server without a log may be replaced by one that has it. Source: protocol.md 10.3.
const NOT_SUPPORTED_RETRY: Duration = Duration::from_secs(300);
/// gRPC's code for a call that the server does not know.
const UNIMPLEMENTED: i32 = 12;

/// The room's tasks; they end with `finish`.
pub(crate) struct Logs {
    shared: Arc<Shared>,
    readers: [JoinHandle<()>; 2],
    counter: JoinHandle<()>,
    shipper: JoinHandle<()>,
    /// Ends the readers, and, once they have given all they have, the shipper.
    end_reading: watch::Sender<bool>,
    end_shipping: watch::Sender<bool>,
}

/// Where lines wait.
#[derive(Default)]
pub(super) struct Shared {
    queue: Mutex<Queue>,
    more: Notify,
}

/// Starts reading the two pipes and shipping what comes.
///
/// # Errors
/// A descriptor is no pipe that can be read.
pub(crate) fn start(
    stdout: OwnedFd,
    stderr: OwnedFd,
    gaps: watch::Receiver<Gaps>,
    connection: watch::Receiver<Option<Connection>>,
) -> std::io::Result<Logs> {
    let shared = Arc::<Shared>::default();
    let (end_reading, reading) = watch::channel(false);
    let (end_shipping, shipping) = watch::channel(false);
    let readers = [pipe::Receiver::from_owned_fd(stdout)?, pipe::Receiver::from_owned_fd(stderr)?]
        .map(|pipe| tokio::spawn(read(pipe, shared.clone(), reading.clone())));
    let counter = tokio::spawn(count(gaps, shared.clone()));
    let shipper = tokio::spawn(ship(shared.clone(), connection, shipping));
    Ok(Logs { shared, readers, counter, shipper, end_reading, end_shipping })
}

impl Logs {
    /// Takes lines of our own; they go the way of the app's.
    pub(crate) fn relay(&self) -> Relay {
        let shared = self.shared.clone();
        Box::new(move |text| shared.push(Source::Entrypoint, text.to_owned()))
    }

    /// Drops all lines that wait, and counts them: memory is short.
    pub(crate) fn give_up(&self) {
        self.shared.queue().give_up();
    }

    /// The child has ended: reads what is left, sends it, and waits for the server to have it. The
    /// caller has the deadline.
    pub(crate) async fn finish(self) {
        self.end_reading.send_replace(true);
        for reader in self.readers {
            let _ = reader.await;
        }
        self.end_shipping.send_replace(true);
        let _ = self.shipper.await;
        self.counter.abort();
    }
}

impl Shared {
    pub(super) fn push(&self, source: Source, text: String) {
        self.queue().push(Line { at: SystemTime::now(), source, text });
        self.more.notify_one();
    }

    /// Nobody logs while this is held: the log ends here too.
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there is something to send.
    async fn something(&self) {
        while self.queue().is_empty() {
            self.more.notified().await;
        }
    }

    /// Waits until there is enough for a whole batch.
    async fn plenty(&self) {
        while !self.queue().is_plenty() {
            self.more.notified().await;
        }
    }
}

/// One output, until its end or ours.
pub(super) async fn read(
    mut pipe: pipe::Receiver,
    shared: Arc<Shared>,
    mut ending: watch::Receiver<bool>,
) {
    let mut lines = Lines::default();
    let mut buffer = vec![0; CHUNK];
    let take = |lines: &mut Lines, bytes: &[u8]| {
        lines.push(bytes, |line| shared.push(Source::App, line));
    };
    loop {
        match first(told(&mut ending), pipe.read(&mut buffer)).await {
            First::Right(Ok(length)) if length > 0 => {
                take(&mut lines, buffer.get(..length).unwrap_or_default());
            }
            First::Right(_) => break,
            First::Left(()) => {
                // All was written before we were told. Not by the runtime: it may not have been
                // told yet that there is something to read.
                while let Ok(length @ 1..) = fd::read(pipe.as_fd(), &mut buffer) {
                    take(&mut lines, buffer.get(..length).unwrap_or_default());
                }
                break;
            }
        }
    }
    if let Some(line) = lines.finish() {
        shared.push(Source::App, line);
    }
}

/// What init could not give us.
async fn count(mut gaps: watch::Receiver<Gaps>, shared: Arc<Shared>) {
    while gaps.changed().await.is_ok() {
        let now = *gaps.borrow_and_update();
        shared.queue().missing(now);
        shared.more.notify_one();
    }
}

/// A connection on which log streams can be opened. The link's; a test has its own.
pub(super) trait Open: Clone + Send + Sync + 'static {
    type Stream: Ship;
    fn open(&self) -> impl Future<Output = Result<Self::Stream, Lost>> + Send;
}

/// An open log stream.
pub(super) trait Ship: Send {
    fn send(&mut self, lines: Vec<Line>) -> impl Future<Output = Result<(), Lost>> + Send;
    fn finish(self) -> impl Future<Output = ()> + Send;
}

impl Open for Connection {
    type Stream = LogStream;
    fn open(&self) -> impl Future<Output = Result<LogStream, Lost>> + Send {
        self.logs()
    }
}

impl Ship for LogStream {
    fn send(&mut self, lines: Vec<Line>) -> impl Future<Output = Result<(), Lost>> + Send {
        LogStream::send(self, lines)
    }
    fn finish(self) -> impl Future<Output = ()> + Send {
        LogStream::finish(self)
    }
}

/// Ships until `ending`, and then what is left, if there is a connection.
pub(super) async fn ship<C: Open>(
    shared: Arc<Shared>,
    mut connection: watch::Receiver<Option<C>>,
    ending: watch::Receiver<bool>,
) {
    let mut retry = RETRY;
    loop {
        let mut end = ending.clone();
        // A stream is opened with its first line: a silent app costs none.
        let awaited = async {
            shared.something().await;
            connection.wait_for(Option::is_some).await.ok().and_then(|it| it.clone())
        };
        let there = match first(awaited, told(&mut end)).await {
            First::Left(Some(there)) => there,
            First::Left(None) => return,
            First::Right(()) => match connection.borrow_and_update().clone() {
                Some(there) if !shared.queue().is_empty() => there,
                _ => return,
            },
        };
        let opened = Instant::now();
        let lost = match there.open().await {
            Ok(stream) => match ship_on(stream, &shared, &mut connection, &ending).await {
                Ok(Over::Finished) => return,
                Ok(Over::Reconnected) => {
                    retry = RETRY;
                    continue;
                }
                Err(lost) => lost,
            },
            Err(lost) => lost,
        };
        if *ending.borrow() {
            return;
        }
        tracing::debug!("the log stream ended: {lost}");
        let pause = if lost.code == UNIMPLEMENTED { NOT_SUPPORTED_RETRY } else { retry };
        if opened.elapsed() >= MAX_RETRY {
            retry = RETRY;
        }
        retry = retry.saturating_mul(2).min(MAX_RETRY);
        // Another connection ends the pause, and so does our end.
        first(timeout(pause, connection.changed()), told(&mut end)).await;
    }
}

/// Waits for our end.
async fn told(ending: &mut watch::Receiver<bool>) {
    // An error is a sender that is gone, and with it whoever would have told us.
    let _ = ending.wait_for(|it| *it).await;
}

/// How a stream ended without a failure.
enum Over {
    /// All is sent, and so are we.
    Finished,
    Reconnected,
}

async fn ship_on<C: Open>(
    mut stream: C::Stream,
    shared: &Shared,
    connection: &mut watch::Receiver<Option<C>>,
    ending: &watch::Receiver<bool>,
) -> Result<Over, Lost> {
    let mut end = ending.clone();
    loop {
        let ready = async {
            shared.something().await;
            first(shared.plenty(), sleep(LINGER)).await;
        };
        let moved = first(connection.changed(), told(&mut end));
        // Our end does not cut a send short, only the waiting before it.
        let is_end = match first(moved, ready).await {
            First::Left(First::Left(_)) => return Ok(Over::Reconnected),
            First::Left(First::Right(())) => true,
            First::Right(()) => false,
        };
        let batch = shared.queue().batch(SystemTime::now());
        if !batch.lines.is_empty() {
            send(&mut stream, shared, batch).await?;
        } else if is_end {
            stream.finish().await;
            return Ok(Over::Finished);
        }
    }
}

async fn send(stream: &mut impl Ship, shared: &Shared, batch: Batch) -> Result<(), Lost> {
    let sent = stream.send(batch.lines.clone()).await;
    if sent.is_err() {
        shared.queue().put_back(batch);
    }
    sent
}
