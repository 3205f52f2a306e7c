//! The agent's end of the socket: it alone reads and writes it.
use super::calls::{Calls, Stdio};
use super::{Gaps, Handle, Outgoing};
use crate::agent::first::first;
use crate::agent::settings::Settings;
use crate::seam::message::{MAX_PACKET, Malformed, ToAgent, ToInit};
use crate::sys::seqpacket::{self, Received};
use crate::sys::{Errno, memfd};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::Interest;
use tokio::net::UnixDatagram;
use tokio::sync::{mpsc, watch};

/// Packets that wait for init; it takes them at once, so more than a few mean that it hangs.
const QUEUE: usize = 32;
/// After `Hello` no packet to us is longer.
const SHORT_PACKET: usize = 256;
/// A deposit that is longer is none of ours.
const MAX_DEPOSIT: usize = 4 << 20;

/// Why the agent has to go: there is nobody to work for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Ended {
    /// init has closed its end.
    Closed,
    Broken(Errno),
    Malformed(Malformed),
    /// A packet came with the wrong number of descriptors.
    Descriptors(usize),
}

/// All that `Hello` brought.
#[derive(Debug)]
pub(crate) struct Greeting {
    pub(crate) settings: Settings,
    pub(crate) stdout: OwnedFd,
    pub(crate) stderr: OwnedFd,
    /// What the last agent has kept; `None` also if it cannot be read.
    pub(crate) deposit: Option<memfd::Mapping>,
}

/// The socket before anybody else may use it. tokio knows it as a datagram socket, which a
/// sequenced-packet one is to everything but connect(2).
pub(crate) struct Socket(UnixDatagram);

impl Socket {
    /// # Errors
    /// The runtime cannot watch it.
    pub(crate) fn new(fd: OwnedFd) -> io::Result<Self> {
        UnixDatagram::from_std(fd.into()).map(Self)
    }

    /// Says that we are ready and waits for `Hello`, as long as init lives.
    ///
    /// # Errors
    /// Something else came, or nothing ever will.
    pub(crate) async fn greet(&self) -> Result<Greeting, Ended> {
        self.send(&Outgoing { message: ToInit::Ready, attachment: None }).await?;
        let mut buffer = vec![0; MAX_PACKET];
        let received = self.receive(&mut buffer).await?;
        let count = received.count();
        let packet = buffer.get(..received.length).unwrap_or_default();
        let message = ToAgent::decode(packet).map_err(Ended::Malformed)?;
        let ToAgent::Hello(hello) = message else {
            let kind = packet.get(1).copied().unwrap_or_default();
            return Err(Ended::Malformed(Malformed { kind, length: packet.len() }));
        };
        if message.descriptors() != Some(count) {
            return Err(Ended::Descriptors(count));
        }
        let [Some(stdout), Some(stderr), deposit] = received.descriptors else {
            return Err(Ended::Descriptors(count));
        };
        let deposit = deposit.and_then(|it| memfd::Mapping::of(it.as_fd(), MAX_DEPOSIT).ok());
        Ok(Greeting { settings: Settings::of(&hello), stdout, stderr, deposit })
    }

    /// The rooms' handle, and the future that serves it; it ends when there is no seam any more.
    pub(crate) fn serve(self) -> (Handle, impl Future<Output = Ended>) {
        let (outgoing, queue) = mpsc::channel(QUEUE);
        let calls = Arc::new(Calls::default());
        let (gaps, gaps_seen) = watch::channel(Gaps::default());
        let (shutdown, shutdown_seen) = watch::channel(None);
        let inbound = Inbound { calls: calls.clone(), gaps, shutdown, outgoing: outgoing.clone() };
        let handle = Handle { outgoing, calls, gaps: gaps_seen, shutdown: shutdown_seen };
        let serving = async move {
            // Two loops, so that a full socket does not keep us from reading, nor the reverse.
            first(inbound.listen(&self), self.talk(queue)).await.either()
        };
        (handle, serving)
    }

    async fn talk(&self, mut queue: mpsc::Receiver<Outgoing>) -> Ended {
        while let Some(outgoing) = queue.recv().await {
            if let Err(ended) = self.send(&outgoing).await {
                return ended;
            }
        }
        Ended::Closed
    }

    async fn send(&self, outgoing: &Outgoing) -> Result<(), Ended> {
        let mut buffer = [0; 64];
        let packet = outgoing.message.encode(&mut buffer);
        let attachment: Vec<BorrowedFd<'_>> = outgoing.attachment.iter().map(AsFd::as_fd).collect();
        let sent = self.0.async_io(Interest::WRITABLE, || {
            Ok(seqpacket::send(self.0.as_fd(), packet, &attachment)?)
        });
        sent.await.map_err(Ended::from)
    }

    async fn receive(&self, buffer: &mut [u8]) -> Result<Received, Ended> {
        let received = self
            .0
            .async_io(Interest::READABLE, || Ok(seqpacket::receive(self.0.as_fd(), buffer)?))
            .await?;
        if received.length == 0 { Err(Ended::Closed) } else { Ok(received) }
    }
}

/// What init says, handed to whoever waits for it.
struct Inbound {
    calls: Arc<Calls>,
    gaps: watch::Sender<Gaps>,
    shutdown: watch::Sender<Option<Duration>>,
    outgoing: mpsc::Sender<Outgoing>,
}

impl Inbound {
    async fn listen(self, socket: &Socket) -> Ended {
        let mut buffer = [0; SHORT_PACKET];
        loop {
            let closing = match socket.receive(&mut buffer).await {
                Ok(received) => self.take(&buffer, received),
                Err(ended) => return ended,
            };
            match closing {
                Ok(None) => {}
                Ok(Some(message)) => {
                    let _ = self.outgoing.send(Outgoing { message, attachment: None }).await;
                }
                Err(ended) => return ended,
            }
        }
    }

    /// What is to be answered, which is hardly ever anything.
    fn take(&self, buffer: &[u8], received: Received) -> Result<Option<ToInit>, Ended> {
        let packet = buffer.get(..received.length).unwrap_or_default();
        let message = ToAgent::decode(packet).map_err(Ended::Malformed)?;
        let count = received.count();
        if message.descriptors().is_some_and(|it| it != count) {
            return Err(Ended::Descriptors(count));
        }
        match message {
            ToAgent::ExecStarted { id, pid } => {
                let stdio = match received.descriptors {
                    [Some(master), None, None] => Stdio::Terminal(master),
                    [Some(stdin), Some(stdout), Some(stderr)] => {
                        Stdio::Pipes { stdin, stdout, stderr }
                    }
                    _ => return Err(Ended::Descriptors(count)),
                };
                return Ok(
                    (!self.calls.started(id, pid, stdio)).then_some(ToInit::ExecClose { id })
                );
            }
            ToAgent::ExecFailed { id, step, errno } => self.calls.failed(id, step, errno),
            ToAgent::ExecExited { id, exit } => self.calls.exited(id, exit),
            // No room asks; what the child was doing when we came was in `Hello`.
            ToAgent::Child(_) => {}
            ToAgent::LogGap { stream, bytes } => {
                self.gaps.send_modify(|it| it.set(stream, bytes));
            }
            ToAgent::Shutdown { milliseconds } => {
                let time = Duration::from_millis(u64::from(milliseconds));
                self.shutdown.send_replace(Some(time));
            }
            ToAgent::Hello(_) => {
                let kind = packet.get(1).copied().unwrap_or_default();
                return Err(Ended::Malformed(Malformed { kind, length: packet.len() }));
            }
        }
        Ok(None)
    }
}

impl From<io::Error> for Ended {
    fn from(error: io::Error) -> Self {
        match error.raw_os_error() {
            Some(number) if matches!(Errno(number), Errno::PIPE) => Self::Closed,
            number => Self::Broken(number.map_or(Errno::INVALID, Errno)),
        }
    }
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Closed => f.write_str("init has closed the seam"),
            Self::Broken(errno) => write!(f, "the seam is broken: {errno}"),
            Self::Malformed(malformed) => write!(f, "init's message: {malformed}"),
            Self::Descriptors(count) => {
                write!(f, "init's message came with {count} descriptors, which are not its own")
            }
        }
    }
}

impl std::error::Error for Ended {}
