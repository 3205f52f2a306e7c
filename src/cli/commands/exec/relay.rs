//! The loop of a session: waits for whatever comes first, and never for one thing alone.
use super::event;
use super::pipes::Written;
use crate::cli::desk::unwritten;
use crate::cli::failure::{Failure, TRANSPORT};
use crate::cli::terminal::{Raw, size};
use crate::proto::exec_stream_request::Event;
use crate::proto::exec_stream_response::Output;
use crate::proto::{ExecStreamRequest, ExecStreamResponse, exec_stream_response};
use std::io;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tonic::Streaming;

const KEEPALIVE: Duration = Duration::from_secs(5);

pub(super) struct Relay {
    pub(super) requests: mpsc::Sender<ExecStreamRequest>,
    pub(super) output: mpsc::Sender<Output>,
    pub(super) written: Written,
    /// Told when the escape was typed.
    pub(super) escape: Option<oneshot::Receiver<()>>,
    /// Held as long as the session lasts.
    pub(super) raw: Option<Raw>,
    /// The command has a terminal, which follows ours in its size.
    pub(super) terminal: bool,
}

impl Relay {
    /// Until the command's exit: its code.
    pub(super) async fn run(
        &mut self,
        stream: &mut Streaming<ExecStreamResponse>,
        keepalives: bool,
    ) -> Result<i32, Failure> {
        use exec_stream_response::Event as From;
        let mut signals = Signals::new()?;
        let mut alive = tokio::time::interval(KEEPALIVE);
        let (mut waiting, mut resized) = (None, false);
        loop {
            tokio::select! {
                fact = signals.next() => match fact {
                    Fact::Ended(failure) => return Err(failure),
                    Fact::Resized => resized = self.terminal,
                    Fact::Continued => drop(self.raw.as_ref().map(Raw::again)),
                },
                _ = typed(&mut self.escape) => {
                    return Err(Failure { text: "the session was ended by ~.".into(), status: TRANSPORT });
                }
                written = &mut self.written => return Err(broken(written)),
                place = self.output.reserve(), if waiting.is_some() => {
                    if let (Ok(place), Some(output)) = (place, waiting.take()) {
                        place.send(output);
                    }
                }
                place = self.requests.reserve(), if resized => {
                    resized = false;
                    if let (Ok(place), Some(size)) = (place, size(&io::stdout())) {
                        place.send(event(Event::Winch(size)));
                    }
                }
                _ = alive.tick(), if keepalives => {
                    // A full queue is alive without it.
                    let inline_keepalive = "inline_keepalive".into();
                    let _ = self.requests.try_send(ExecStreamRequest { inline_keepalive, event: None });
                }
                message = stream.message(), if waiting.is_none() => match message?.map(|it| it.event) {
                    Some(Some(From::Output(output))) => waiting = Some(output),
                    Some(Some(From::Exit(exit))) => return Ok(exit.code),
                    Some(Some(From::Open(_)) | None) => {}
                    None => return Err(Failure::new(
                        "the session ended without an exit status: the instance or the server is gone",
                    )),
                },
            }
        }
    }

    /// All output is written before we leave; a signal still ends us.
    pub(super) async fn finish(self) -> Result<(), Failure> {
        let Self { output, written, raw: _raw, .. } = self;
        drop(output);
        let mut signals = Signals::new()?;
        tokio::pin!(written);
        loop {
            tokio::select! {
                result = &mut written => return match result {
                    Ok(Ok(())) => Ok(()),
                    other => Err(broken(other)),
                },
                fact = signals.next() => if let Fact::Ended(failure) = fact { return Err(failure) },
            }
        }
    }
}

/// The output's thread ended too early.
fn broken(written: Result<io::Result<()>, oneshot::error::RecvError>) -> Failure {
    match written {
        Ok(Err(error)) if error.kind() == io::ErrorKind::BrokenPipe => unwritten(&error),
        Ok(Err(error)) => unwritten(&error).transport(),
        Ok(Ok(())) | Err(_) => Failure::new("the output's thread ended").transport(),
    }
}

/// Never, without an escape, or when the input ended otherwise.
async fn typed(escape: &mut Option<oneshot::Receiver<()>>) {
    let ended = match escape {
        Some(receiver) => receiver.await.is_ok(),
        None => false,
    };
    if !ended {
        *escape = None;
        std::future::pending::<()>().await;
    }
}

enum Fact {
    Resized,
    Continued,
    Ended(Failure),
}

struct Signals {
    resize: Signal,
    resume: Signal,
    ends: [(Signal, SignalKind); 4],
}

impl Signals {
    fn new() -> Result<Self, Failure> {
        let listen = |kind| {
            signal(kind)
                .map_err(|error| Failure::new(format!("cannot listen for signals: {error}")))
        };
        let end = |kind| listen(kind).map(|it| (it, kind));
        Ok(Self {
            resize: listen(SignalKind::window_change())?,
            resume: listen(SignalKind::from_raw(crate::sys::Signal::CONT.raw()))?,
            ends: [
                end(SignalKind::terminate())?,
                end(SignalKind::interrupt())?,
                end(SignalKind::hangup())?,
                end(SignalKind::quit())?,
            ],
        })
    }

    async fn next(&mut self) -> Fact {
        let [term, int, hup, quit] = &mut self.ends;
        let kind = tokio::select! {
            _ = self.resize.recv() => return Fact::Resized,
            _ = self.resume.recv() => return Fact::Continued,
            _ = term.0.recv() => term.1,
            _ = int.0.recv() => int.1,
            _ = hup.0.recv() => hup.1,
            _ = quit.0.recv() => quit.1,
        };
        let status = u8::try_from(128 + kind.as_raw_value()).unwrap_or(TRANSPORT);
        Fact::Ended(Failure { text: String::new(), status })
    }
}
