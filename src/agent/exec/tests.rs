//! One session's relay over real pipes and a real terminal; the server is two channels.
use super::relay::{Ending, Hear, Say, relay};
use crate::agent::link::Lost;
use crate::agent::link::wire::{FromSession, ToSession};
use crate::agent::seam::{Started, Stdio};
use crate::seam::message::{Stream, WindowSize};
use crate::sys::{Exit, Pid, Signal, fd, terminal};
use bytes::Bytes;
use std::os::fd::{AsFd, OwnedFd};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;

struct To(mpsc::Sender<FromSession>);
struct From(mpsc::Receiver<ToSession>);

impl Say for To {
    async fn say(&self, event: FromSession) -> Result<(), Lost> {
        self.0.send(event).await.map_err(|_| Lost { code: 14, text: String::new() })
    }
}

impl Hear for From {
    async fn hear(&mut self) -> Option<Result<ToSession, Lost>> {
        self.0.recv().await.map(Ok)
    }
}

/// A session: the program's side of it is the test's, and so is the server's.
struct Session {
    exit: oneshot::Sender<Exit>,
    said: mpsc::Receiver<FromSession>,
    to: mpsc::Sender<ToSession>,
    relay: JoinHandle<Ending>,
}

fn session(stdio: Stdio) -> Session {
    let (exit, exited) = oneshot::channel();
    let (say, said) = mpsc::channel(1);
    let (to, hear) = mpsc::channel(1);
    let relay = tokio::spawn(async move {
        let started = Started { pid: Pid::new(9).expect("a pid"), stdio, exited };
        relay(started, &To(say), &mut From(hear)).await
    });
    Session { exit, said, to, relay }
}

struct Program {
    stdin: OwnedFd,
    stdout: OwnedFd,
    stderr: OwnedFd,
}

fn pipes() -> (Session, Program) {
    let (stdin, their_stdin) = fd::pipe().expect("a pipe");
    let (their_stdout, stdout) = fd::pipe().expect("a pipe");
    let (their_stderr, stderr) = fd::pipe().expect("a pipe");
    let stdio = Stdio::Pipes { stdin: their_stdin, stdout: their_stdout, stderr: their_stderr };
    (session(stdio), Program { stdin, stdout, stderr })
}

fn output(stream: Stream, data: &str) -> Option<FromSession> {
    Some(FromSession::Output { stream, data: Bytes::from(data.to_owned()) })
}

fn write(fd: &OwnedFd, text: &[u8]) {
    assert_eq!(fd::write(fd.as_fd(), text), Ok(text.len()));
}

/// What the program reads, once there is something. The runtime has to run for it.
async fn read(fd: &OwnedFd) -> String {
    while fd::unread(fd.as_fd()) == 0 {
        tokio::task::yield_now().await;
    }
    let mut buffer = [0; 1024];
    let length = fd::read(fd.as_fd(), &mut buffer).expect("read");
    String::from_utf8_lossy(&buffer[..length]).into_owned()
}

#[tokio::test]
async fn all_output_comes_before_the_exit_and_nothing_after_it() {
    let (mut session, program) = pipes();
    write(&program.stdout, b"hi\n");
    write(&program.stderr, b"oops\n");
    drop(program);
    session.exit.send(Exit::Code(3)).expect("waiting");
    let mut said = vec![session.said.recv().await, session.said.recv().await];
    said.sort_by_key(|it| format!("{it:?}").contains("Stderr"));
    assert_eq!(said, [output(Stream::Stdout, "hi\n"), output(Stream::Stderr, "oops\n")]);
    assert_eq!(session.said.recv().await, Some(FromSession::Exit { code: 3 }));
    assert_eq!(session.said.recv().await, None);
    assert_eq!(session.relay.await.expect("ended"), Ending::Exited(Exit::Code(3)));
}

#[tokio::test(start_paused = true)]
async fn a_grandchild_that_holds_the_output_gets_half_a_second() {
    let (mut session, program) = pipes();
    write(&program.stdout, b"last words");
    session.exit.send(Signal::KILL.into()).expect("waiting");
    let start = Instant::now();
    assert_eq!(session.said.recv().await, output(Stream::Stdout, "last words"));
    write(&program.stdout, b"not quite");
    assert_eq!(session.said.recv().await, output(Stream::Stdout, "not quite"));
    assert_eq!(session.said.recv().await, Some(FromSession::Exit { code: 137 }));
    assert_eq!(start.elapsed().as_millis(), 500);
    drop(program);
}

#[tokio::test]
async fn a_client_that_does_not_read_stops_the_program_and_loses_nothing() {
    let (mut session, program) = pipes();
    fd::set_nonblocking(program.stdout.as_fd()).expect("ours");
    // Until nothing more fits: the pipe, a frame or two, and no more than that.
    let (mut sent, mut idle) = (0, 0);
    while idle < 100 {
        match fd::write(program.stdout.as_fd(), &[b'x'; 1000]) {
            Ok(count) => (sent, idle) = (sent + count, 0),
            Err(_) => idle += 1,
        }
        tokio::task::yield_now().await;
    }
    assert!(sent < 200_000, "{sent} bytes went nowhere");
    drop(program);
    session.exit.send(Exit::SUCCESS).expect("waiting");
    let mut got = 0;
    while let Some(said) = session.said.recv().await {
        match said {
            FromSession::Output { data, .. } => {
                assert!(data.len() <= 16 << 10);
                got += data.len();
            }
            last => assert_eq!(last, FromSession::Exit { code: 0 }),
        }
    }
    assert_eq!(got, sent);
}

#[tokio::test]
async fn input_arrives_and_its_end_closes_the_pipe() {
    let (session, program) = pipes();
    session.to.send(ToSession::Input("abc".into())).await.expect("heard");
    session.to.send(ToSession::Resize(WindowSize::default())).await.expect("heard");
    session.to.send(ToSession::InputEnd).await.expect("heard");
    assert_eq!(read(&program.stdin).await, "abc");
    fd::set_nonblocking(program.stdin.as_fd()).expect("ours");
    while fd::read(program.stdin.as_fd(), &mut [0]) != Ok(0) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn input_that_nobody_reads_is_dropped_and_the_session_goes_on() {
    let (mut session, Program { stdin, stdout, stderr }) = pipes();
    drop(stdin);
    for _ in 0..100 {
        session.to.send(ToSession::Input(Bytes::from_static(&[b'x'; 9000]))).await.expect("heard");
    }
    write(&stdout, b"still here");
    assert_eq!(session.said.recv().await, output(Stream::Stdout, "still here"));
    drop((stdout, stderr));
    session.exit.send(Exit::SUCCESS).expect("waiting");
    assert_eq!(session.said.recv().await, Some(FromSession::Exit { code: 0 }));
}

#[tokio::test]
async fn input_that_is_not_read_yet_makes_the_client_wait() {
    let (session, program) = pipes();
    let mut sent = 0;
    let mut idle = 0;
    while idle < 100 {
        match session.to.try_send(ToSession::Input(Bytes::from_static(&[b'x'; 10_000]))) {
            Ok(()) => (sent, idle) = (sent + 10_000, 0),
            Err(_) => idle += 1,
        }
        tokio::task::yield_now().await;
    }
    assert!((256 << 10..400 << 10).contains(&sent), "{sent} bytes");
    drop(program);
}

#[tokio::test]
async fn a_client_that_has_gone_ends_the_session() {
    let (session, _program) = pipes();
    drop(session.to);
    assert_eq!(session.relay.await.expect("ended"), Ending::Abandoned);
    let (session, program) = pipes();
    drop(session.said);
    write(&program.stdout, b"to whom?");
    assert_eq!(session.relay.await.expect("ended"), Ending::Abandoned);
}

#[tokio::test]
async fn a_terminal_is_resized_and_its_last_line_arrives() {
    let size = WindowSize { rows: 24, columns: 80, x_pixels: 0, y_pixels: 0 };
    let (master, slave) = terminal::open(size).expect("a pty");
    let mut session = session(Stdio::Terminal(master));
    let larger = WindowSize { rows: 50, ..size };
    session.to.send(ToSession::Resize(larger)).await.expect("heard");
    while terminal::size(slave.as_fd()) != Ok(larger) {
        tokio::task::yield_now().await;
    }
    // More than one read of a terminal gives.
    write(&slave, &[b'x'; 9000]);
    drop(slave);
    session.exit.send(Exit::SUCCESS).expect("waiting");
    let mut got = 0;
    while let Some(FromSession::Output { stream: Stream::Stdout, data }) = session.said.recv().await
    {
        got += data.len();
    }
    assert_eq!(got, 9000);
    assert_eq!(session.relay.await.expect("ended"), Ending::Exited(Exit::SUCCESS));
}

#[tokio::test]
async fn the_end_of_input_is_a_key_on_a_terminal_in_line_mode() {
    let (master, slave) = terminal::open(WindowSize::default()).expect("a pty");
    let session = session(Stdio::Terminal(master));
    fd::set_nonblocking(slave.as_fd()).expect("ours");
    session.to.send(ToSession::Input("abc".into())).await.expect("heard");
    session.to.send(ToSession::InputEnd).await.expect("heard");
    let mut buffer = [0; 16];
    let mut reads = Vec::new();
    while reads.len() < 2 {
        match fd::read(slave.as_fd(), &mut buffer) {
            Ok(length) => reads.push(buffer[..length].to_vec()),
            Err(_) => tokio::task::yield_now().await,
        }
    }
    assert_eq!(reads, [b"abc".to_vec(), vec![]], "the begun line, and then the end");
}
