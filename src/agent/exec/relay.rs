//! Moves one session's bytes. Who is slow makes the other side wait, and nobody else.
use super::command::usable;
use super::session::{Event, Input, Next, Outputs, Piece};
use crate::agent::first::{First, first};
use crate::agent::link::wire::{FromSession, ToSession};
use crate::agent::link::{ExecReceiver, ExecSender, Lost};
use crate::agent::seam::{Started, Stdio};
use crate::seam::message::{Stream, WindowSize};
use crate::sys::{Errno, Exit, fd, terminal};
use bytes::Bytes;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;
use tokio::net::unix::pipe;
use tokio::sync::oneshot;
use tokio::time::sleep_until;

/// One message's output; larger ones are not faster, and make others wait. Source: exec.md 4.3.
const FRAME: usize = 16 << 10;

/// Where a session's output goes. The link's; a test has its own.
pub(super) trait Say: Send + Sync {
    fn say(&self, event: FromSession) -> impl Future<Output = Result<(), Lost>> + Send;
}

/// Where its input comes from; giving up waiting loses nothing.
pub(super) trait Hear: Send {
    fn hear(&mut self) -> impl Future<Output = Option<Result<ToSession, Lost>>> + Send;
}

impl Say for ExecSender {
    fn say(&self, event: FromSession) -> impl Future<Output = Result<(), Lost>> + Send {
        self.send(event)
    }
}

impl Hear for ExecReceiver {
    fn hear(&mut self) -> impl Future<Output = Option<Result<ToSession, Lost>>> + Send {
        self.next()
    }
}

/// How a session ended for us.
#[derive(Debug, PartialEq)]
pub(super) enum Ending {
    /// Its exit was said.
    Exited(Exit),
    /// Nobody listens to it any more, and init has to end it.
    Abandoned,
    /// Its descriptors cannot be watched.
    Unusable(Errno),
}

/// Until the session's exit was said, or nobody wants to know any more.
pub(super) async fn relay(started: Started, to: &impl Say, from: &mut impl Hear) -> Ending {
    let ports = match Ports::of(started.stdio) {
        Ok(ports) => ports,
        Err(error) => return Ending::Unusable(error.into()),
    };
    let Ports { outputs, stdin } = ports;
    match first(speak(outputs, started.exited, to), listen(stdin, from)).await {
        First::Left(Some(exit)) => Ending::Exited(exit),
        First::Left(None) | First::Right(()) => Ending::Abandoned,
    }
}

struct Ports {
    outputs: Pipes,
    stdin: Stdin,
}

struct Pipes {
    stdout: pipe::Receiver,
    /// A terminal has none.
    stderr: Option<pipe::Receiver>,
}

struct Stdin {
    /// `None` once it is closed, or nobody reads it; a terminal's stays.
    writer: Option<pipe::Sender>,
    is_terminal: bool,
}

impl Ports {
    fn of(stdio: Stdio) -> io::Result<Self> {
        Ok(match stdio {
            // Twice the same open file; tokio's pipes serve any descriptor that does not block.
            Stdio::Terminal(master) => {
                fd::set_nonblocking(master.as_fd())?;
                let reader = pipe::Receiver::from_owned_fd_unchecked(master.try_clone()?)?;
                let writer = Some(pipe::Sender::from_owned_fd_unchecked(master)?);
                Self {
                    outputs: Pipes { stdout: reader, stderr: None },
                    stdin: Stdin { writer, is_terminal: true },
                }
            }
            Stdio::Pipes { stdin, stdout, stderr } => {
                let reader = |fd: OwnedFd| pipe::Receiver::from_owned_fd(fd);
                let writer = Some(pipe::Sender::from_owned_fd(stdin)?);
                Self {
                    outputs: Pipes { stdout: reader(stdout)?, stderr: Some(reader(stderr)?) },
                    stdin: Stdin { writer, is_terminal: false },
                }
            }
        })
    }
}

/// Sends all output and then the exit; `None` if nobody takes it.
async fn speak(pipes: Pipes, mut exited: oneshot::Receiver<Exit>, to: &impl Say) -> Option<Exit> {
    let mut outputs = Outputs::new(pipes.stderr.is_none());
    let mut buffer = vec![0; FRAME];
    let mut exit_known = false;
    // Whose turn it is when both have something: neither can starve the other.
    let mut turn = Stream::Stdout;
    loop {
        let (stream, read) = match outputs.next() {
            Next::Finish(exit) => {
                let code = i32::from(exit.status());
                return to.say(FromSession::Exit { code }).await.ok().map(|()| exit);
            }
            Next::Read(stream) => (stream, pipes.read_now(stream, &mut buffer)),
            Next::Wait(until) => {
                let news = async {
                    if exit_known { std::future::pending().await } else { (&mut exited).await }
                };
                let news = first(news, pause(until));
                match first(news, pipes.readable(&outputs, turn)).await {
                    First::Left(First::Left(exit)) => {
                        exit_known = true;
                        outputs.on(Event::Exited(exit.ok()?), now());
                        continue;
                    }
                    First::Left(First::Right(())) => {
                        outputs.on(Event::Overdue, now());
                        continue;
                    }
                    First::Right(stream) => (stream, pipes.read_ready(stream, &mut buffer)),
                }
            }
        };
        turn = other(stream);
        if read.length > 0 {
            let data = Bytes::copy_from_slice(buffer.get(..read.length).unwrap_or_default());
            if let Some(message) = outputs.on(Event::Output(stream, data), now()) {
                to.say(message).await.ok()?;
            }
        }
        if let Some(event) = read.then(stream) {
            outputs.on(event, now());
        }
    }
}

/// What some reads gave together.
struct Read {
    length: usize,
    end: ReadEnd,
}

#[derive(Clone, Copy)]
enum ReadEnd {
    /// The buffer was full.
    More,
    Dry,
    Ended,
}

impl Read {
    fn then(&self, stream: Stream) -> Option<Event> {
        match self.end {
            ReadEnd::More => None,
            ReadEnd::Dry => Some(Event::Dry(stream)),
            ReadEnd::Ended => Some(Event::Ended(stream)),
        }
    }
}

impl Pipes {
    fn get(&self, stream: Stream) -> Option<&pipe::Receiver> {
        match stream {
            Stream::Stdout => Some(&self.stdout),
            Stream::Stderr => self.stderr.as_ref(),
        }
    }

    /// Waits until one of the open outputs has something; the one whose turn it is wins a tie.
    async fn readable(&self, outputs: &Outputs, turn: Stream) -> Stream {
        let ready = |stream| async move {
            match self.get(stream).filter(|_| outputs.is_open(stream)) {
                // An error is the next read's to find.
                Some(pipe) => {
                    let _ = pipe.readable().await;
                    stream
                }
                None => std::future::pending().await,
            }
        };
        first(ready(turn), ready(other(turn))).await.either()
    }

    /// Through the runtime, which notes when there is no more.
    fn read_ready(&self, stream: Stream, buffer: &mut [u8]) -> Read {
        fill(buffer, |rest| match self.get(stream) {
            Some(pipe) => pipe.try_read(rest),
            None => Ok(0),
        })
    }

    /// Past the runtime, which may not have been told yet that there is something.
    fn read_now(&self, stream: Stream, buffer: &mut [u8]) -> Read {
        fill(buffer, |rest| match self.get(stream) {
            Some(pipe) => Ok(fd::read(pipe.as_fd(), rest)?),
            None => Ok(0),
        })
    }
}

/// Reads until there is no more or no room: a terminal gives at most 4095 bytes at once.
fn fill(buffer: &mut [u8], mut read: impl FnMut(&mut [u8]) -> io::Result<usize>) -> Read {
    let mut length = 0;
    let end = loop {
        let rest = buffer.get_mut(length..).unwrap_or_default();
        if rest.is_empty() {
            break ReadEnd::More;
        }
        match read(rest) {
            Ok(count @ 1..) => length += count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break ReadEnd::Dry,
            // A terminal's end is EIO. Source: pty(7).
            Ok(0) | Err(_) => break ReadEnd::Ended,
        }
    };
    Read { length, end }
}

/// Writes what comes, until nothing can come any more: the server has ended the session.
async fn listen(mut stdin: Stdin, from: &mut impl Hear) {
    let mut input = Input::default();
    loop {
        let heard = async {
            if input.is_full() { std::future::pending().await } else { from.hear().await }
        };
        match first(heard, stdin.writable(&input)).await {
            First::Left(Some(Ok(event))) => {
                if let Some(size) = input.hear(event) {
                    stdin.resize(size);
                }
            }
            First::Left(Some(Err(_)) | None) => return,
            First::Right(()) => stdin.write(&mut input),
        }
    }
}

impl Stdin {
    /// Waits until there is something to write and room for it.
    async fn writable(&self, input: &Input) {
        match (&self.writer, input.next()) {
            (_, None) => std::future::pending().await,
            // An error is the next write's to find.
            (Some(writer), Some(Piece::Bytes(_))) => {
                let _ = writer.writable().await;
            }
            (None, Some(_)) | (_, Some(Piece::End)) => {}
        }
    }

    fn write(&mut self, input: &mut Input) {
        let Some(writer) = &self.writer else {
            input.broken();
            return;
        };
        match input.next() {
            Some(Piece::Bytes(data)) => match writer.try_write(data) {
                Ok(count) => input.wrote(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // Nobody reads it; the session goes on.
                Err(_) => {
                    input.broken();
                    self.close();
                }
            },
            Some(Piece::End) if self.is_terminal => match terminal::end_of_input(writer.as_fd()) {
                Some(end) => input.replace_end(input.end_keys(end)),
                // In raw mode there is no such key, and a byte would be one typed.
                None => input.wrote(0),
            },
            Some(Piece::End) => {
                input.wrote(0);
                self.close();
            }
            None => {}
        }
    }

    /// A pipe's reader sees its end. A terminal stays: closing it would hang up.
    fn close(&mut self) {
        if !self.is_terminal {
            self.writer = None;
        }
    }

    fn resize(&self, size: WindowSize) {
        if let Some(writer) = self.writer.as_ref().filter(|_| self.is_terminal) {
            let fd: BorrowedFd<'_> = writer.as_fd();
            // Of a terminal that has just ended; there is nobody to tell.
            let _ = terminal::resize(&fd, usable(size));
        }
    }
}

async fn pause(until: Option<Instant>) {
    match until {
        Some(until) => sleep_until(until.into()).await,
        None => std::future::pending().await,
    }
}

fn other(stream: Stream) -> Stream {
    match stream {
        Stream::Stdout => Stream::Stderr,
        Stream::Stderr => Stream::Stdout,
    }
}

/// The runtime's clock, which a test may have stopped.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
