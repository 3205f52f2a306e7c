//! `waypoint exec`: a command beside the app. Two threads do what can block for long, reading
//! standard input and writing standard output; the loop between them never does, so that resizes
//! and signals are always heard.
//! ```text
//! stdin --thread--> requests(8) --\                        /--> output(16) --thread--> stdout, stderr
//!                    SIGWINCH -----+--> server --> Session/
//! ```
//! Our sending side stays open until the exit arrives: closing it would end the session.
use super::deployment::{newest, numbered};
use crate::cli::connect::{Link, streaming};
use crate::cli::desk::{Desk, tell, unwritten};
use crate::cli::escape::Escape;
use crate::cli::failure::{Failure, Outcome, TRANSPORT};
use crate::cli::terminal::{Raw, size};
use crate::proto::exec_stream_request::{Event, Input, Pty, Start, start::Target};
use crate::proto::exec_stream_response::output::Channel;
use crate::proto::exec_stream_response::{self, Output};
use crate::proto::{ExecStreamRequest, ExecStreamResponse};
use rustix::fs::{FileType, fstat};
use std::io::{self, IsTerminal, Read, Write};
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

/// The server finds an instance at once or says that there is none.
const OPEN: Duration = Duration::from_secs(30);
/// Source: the wire; peers send no larger chunks.
const CHUNK: usize = 32 * 1024;
const KEEPALIVE: Duration = Duration::from_secs(5);

pub(crate) async fn run(desk: &Desk<'_>) -> Outcome {
    // Every failure of our own has a status that the command's can hardly have.
    session(desk).await.map_err(|failure| match failure.status {
        1 => failure.transport(),
        _ => failure,
    })
}

async fn session(desk: &Desk<'_>) -> Outcome {
    let mut link = desk.link().await?;
    let target = target(desk, &mut link).await?;
    let terminal = io::stdout().is_terminal();
    let (requests, receiver) = mpsc::channel(8);
    let start = Start { target: Some(target), args: desk.call.rest.clone(), pty: pty(terminal) };
    let _ = requests.try_send(event(Event::Start(start)));
    let mut stream = tokio::time::timeout(OPEN, async {
        let answer = link.client.start_exec_stream(streaming(ReceiverStream::new(receiver)));
        let mut stream = answer.await?.into_inner();
        opened(&mut stream).await.map(|()| stream)
    })
    .await
    .map_err(|_| Failure::new(format!("no session within {} s", OPEN.as_secs())))??;

    let raw = if terminal { Raw::enter() } else { None };
    let (escaped, escape) = oneshot::channel();
    read_input(requests.clone(), terminal, raw.is_some().then_some(escaped))?;
    let (output, written) = write_output()?;
    let mut session =
        Session { requests, output, written, escape: raw.is_some().then_some(escape), raw };
    let code = session.relay(&mut stream, link.keepalives).await?;
    session.finish().await?;
    // A status is the low byte; a death by signal comes as -1 from the original's entrypoint.
    Ok((code & 0xff) as u8)
}

async fn target(desk: &Desk<'_>, link: &mut Link) -> Result<Target, Failure> {
    let number = desk.call.number("deployment-seq")?;
    if let Some(id) = desk.call.given("instance") {
        return Ok(Target::InstanceId(id.to_owned()));
    }
    let place = desk.place(&mut link.client).await?;
    let deployment = match number {
        Some(number) => numbered(&mut link.client, &place, number).await?,
        None => newest(&mut link.client, &place).await?,
    };
    if io::stdout().is_terminal() && io::stderr().is_terminal() {
        let (project, app) = (desk.style.text(&place.project), desk.style.text(&place.application));
        tell(&format!(
            "connecting to {project}/{app}, deployment v{}; ~. ends it",
            deployment.sequence
        ));
    }
    Ok(Target::DeploymentId(deployment.id))
}

fn pty(terminal: bool) -> Option<Pty> {
    terminal.then(|| Pty {
        enable: true,
        term: std::env::var("TERM").unwrap_or_default(),
        window_size: size(&io::stdout()),
    })
}

fn event(event: Event) -> ExecStreamRequest {
    ExecStreamRequest { event: Some(event), ..Default::default() }
}

/// Waits for the server's first message but keepalives.
async fn opened(stream: &mut Streaming<ExecStreamResponse>) -> Result<(), Failure> {
    use exec_stream_response::Event;
    loop {
        match stream.message().await?.map(|it| it.event) {
            Some(Some(Event::Open(_))) => return Ok(()),
            Some(None) => {}
            Some(Some(_)) => {
                return Err(Failure::new("the server spoke before it opened the session"));
            }
            None => return Err(Failure::new("the server ended the session before it was opened")),
        }
    }
}

/// The thread for standard input, which may never come back from its last read.
fn read_input(
    requests: mpsc::Sender<ExecStreamRequest>,
    terminal: bool,
    escaped: Option<oneshot::Sender<()>>,
) -> Result<(), Failure> {
    let input = io::stdin();
    let device = fstat(&input)
        .is_ok_and(|it| FileType::from_raw_mode(it.st_mode) == FileType::CharacterDevice);
    let work = move || {
        // Somebody's terminal is not read when the output goes elsewhere, as in `exec ls | less`.
        if !device || terminal {
            let mut escape = escaped.is_some().then(Escape::default);
            if copy_input(input.lock(), &requests, escape.as_mut()) {
                let _ = escaped.map(|it| it.send(()));
                return;
            }
        }
        let _ = requests.blocking_send(event(Event::InputEof(())));
    };
    thread("input", work)
}

/// Until the end of the input, or of the session; whether the escape was typed.
fn copy_input(
    mut input: impl Read,
    requests: &mpsc::Sender<ExecStreamRequest>,
    mut escape: Option<&mut Escape>,
) -> bool {
    let send = |data: Vec<u8>| {
        data.is_empty() || requests.blocking_send(event(Event::Input(Input { data }))).is_ok()
    };
    let mut buffer = vec![0; CHUNK];
    loop {
        let length = match input.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            // A terminal that hung up, a directory as input: there is no more.
            Err(_) => break,
        };
        let (data, ended) = match escape.as_deref_mut() {
            Some(escape) => escape.pass(&buffer[..length]),
            None => (buffer[..length].to_vec(), false),
        };
        if !send(data) || ended {
            return ended;
        }
    }
    send(escape.map_or(Vec::new(), |it| it.rest().to_vec()));
    false
}

type Written = oneshot::Receiver<io::Result<()>>;

/// The thread for standard output and standard error; it ends when all is written.
fn write_output() -> Result<(mpsc::Sender<Output>, Written), Failure> {
    let (sender, mut receiver) = mpsc::channel::<Output>(16);
    let (done, written) = oneshot::channel();
    thread("output", move || {
        let mut write = || {
            while let Some(output) = receiver.blocking_recv() {
                match output.channel() {
                    Channel::Stderr => io::stderr().write_all(&output.data)?,
                    Channel::Stdout | Channel::Unknown => {
                        let mut out = io::stdout().lock();
                        out.write_all(&output.data)?;
                        out.flush()?;
                    }
                }
            }
            Ok(())
        };
        let _ = done.send(write());
    })?;
    Ok((sender, written))
}

fn thread(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), Failure> {
    std::thread::Builder::new()
        .name(name.into())
        .spawn(work)
        .map(drop)
        .map_err(|error| Failure::new(format!("cannot start a thread: {error}")))
}

struct Session {
    requests: mpsc::Sender<ExecStreamRequest>,
    output: mpsc::Sender<Output>,
    written: Written,
    escape: Option<oneshot::Receiver<()>>,
    raw: Option<Raw>,
}

impl Session {
    /// Until the command's exit: its code.
    async fn relay(
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
                    Fact::Resized => resized = self.raw.is_some() || io::stdout().is_terminal(),
                    Fact::Continued => drop(self.raw.as_ref().map(Raw::again)),
                },
                _ = typed(&mut self.escape) => {
                    return Err(Failure { text: "session ended by ~.".into(), status: TRANSPORT });
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
    async fn finish(self) -> Result<(), Failure> {
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
        Ok(Err(error)) => unwritten(&error),
        Ok(Ok(())) | Err(_) => Failure::new("the output's thread ended"),
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What is sent for an input, and whether it was the escape.
    fn check(input: &[u8], escape: bool) -> (Vec<Vec<u8>>, bool) {
        let (sender, mut receiver) = mpsc::channel(64);
        let ended = copy_input(input, &sender, escape.then(Escape::default).as_mut());
        drop(sender);
        let mut sent = Vec::new();
        while let Some(request) = receiver.blocking_recv() {
            let Some(Event::Input(input)) = request.event else { panic!("{request:?}") };
            sent.push(input.data);
        }
        (sent, ended)
    }

    #[test]
    fn input_that_is_no_terminal_passes_whole_and_knows_no_escape() {
        assert_eq!(check(b"~.", false), (vec![b"~.".to_vec()], false));
        let long = vec![b'x'; CHUNK + 1];
        let (sent, _) = check(&long, false);
        assert_eq!(sent.iter().map(Vec::len).collect::<Vec<_>>(), [CHUNK, 1]);
        assert_eq!(check(b"", false), (vec![], false));
    }

    #[test]
    fn the_escape_ends_what_a_terminal_types_and_is_not_sent() {
        assert_eq!(check(b"ls\r~.more", true), (vec![b"ls\r".to_vec()], true));
        assert_eq!(check(b"~", true), (vec![b"~".to_vec()], false), "half an escape at the end");
    }

    #[test]
    fn input_ends_when_the_session_does() {
        let (sender, receiver) = mpsc::channel(1);
        drop(receiver);
        assert!(!copy_input(io::repeat(b'x'), &sender, None));
    }
}
