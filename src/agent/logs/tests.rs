//! The shell on paused time, with a server in memory.
use super::run::{Open, Shared, Ship, read, ship};
use crate::agent::link::Lost;
use crate::agent::link::wire::{Line, Source};
use crate::sys::fd;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::unix::pipe;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// A connection, and what the server behind it does.
#[derive(Clone, Default)]
struct Server(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// gRPC's code; opening fails with it as often as the number says.
    refuses: (i32, u32),
    /// So many batches are taken, and then a stream breaks.
    breaks_after: Option<u32>,
    opened: Vec<Instant>,
    batches: Vec<Vec<String>>,
    finished: u32,
}

impl Server {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().expect("ours")
    }
    fn texts(&self) -> Vec<String> {
        self.state().batches.concat()
    }
}

fn lost(code: i32) -> Lost {
    Lost { code, text: "lost".into() }
}

impl Open for Server {
    type Stream = Self;
    async fn open(&self) -> Result<Self, Lost> {
        let mut state = self.state();
        state.opened.push(Instant::now());
        let (code, times) = state.refuses;
        if times > 0 {
            state.refuses.1 = times - 1;
            return Err(lost(code));
        }
        drop(state);
        Ok(self.clone())
    }
}

impl Ship for Server {
    async fn send(&mut self, lines: Vec<Line>) -> Result<(), Lost> {
        let mut state = self.state();
        match state.breaks_after.as_mut() {
            Some(0) => {
                state.breaks_after = None;
                return Err(lost(14));
            }
            Some(left) => *left -= 1,
            None => {}
        }
        state.batches.push(lines.into_iter().map(|it| it.text).collect());
        Ok(())
    }
    async fn finish(self) {
        self.state().finished += 1;
    }
}

struct Room {
    shared: Arc<Shared>,
    connection: watch::Sender<Option<Server>>,
    ending: watch::Sender<bool>,
    task: JoinHandle<()>,
}

fn room(connection: Option<Server>) -> Room {
    let shared = Arc::<Shared>::default();
    let (connection, there) = watch::channel(connection);
    let (ending, end) = watch::channel(false);
    let task = tokio::spawn(ship(shared.clone(), there, end));
    Room { shared, connection, ending, task }
}

impl Room {
    fn write(&self, text: &str) {
        self.shared.push(Source::App, text.to_owned());
    }

    /// Until everything that can happen by then has happened.
    async fn pass(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    async fn end(self) {
        self.ending.send_replace(true);
        self.task.await.expect("ended");
    }
}

const MOMENT: Duration = Duration::from_millis(150);

#[tokio::test(start_paused = true)]
async fn lines_that_come_together_go_together_and_a_silent_app_opens_nothing() {
    let server = Server::default();
    let room = room(Some(server.clone()));
    room.pass(Duration::from_secs(60)).await;
    assert!(server.state().opened.is_empty());
    ["a", "b"].iter().for_each(|it| room.write(it));
    room.pass(Duration::from_millis(50)).await;
    room.write("c");
    room.pass(MOMENT).await;
    room.write("d");
    room.end().await;
    let state = server.state();
    assert_eq!(state.batches, [vec!["a", "b", "c"], vec!["d"]]);
    assert_eq!((state.opened.len(), state.finished), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_hundred_lines_do_not_wait() {
    let server = Server::default();
    let room = room(Some(server.clone()));
    let start = Instant::now();
    (0..250).for_each(|it| room.write(&it.to_string()));
    while server.texts().len() < 200 {
        tokio::task::yield_now().await;
    }
    assert_eq!(start.elapsed(), Duration::ZERO);
    room.end().await;
    assert_eq!(server.state().batches.iter().map(Vec::len).collect::<Vec<_>>(), [100, 100, 50]);
}

#[tokio::test(start_paused = true)]
async fn lines_wait_for_a_connection_and_survive_the_end_of_one() {
    let room = room(None);
    room.write("before");
    room.pass(MOMENT).await;
    let server = Server::default();
    server.state().breaks_after = Some(1);
    room.connection.send_replace(Some(server.clone()));
    room.pass(MOMENT).await;
    assert_eq!(server.texts(), ["before"]);
    room.write("in hand");
    room.pass(MOMENT).await;
    assert_eq!(server.texts(), ["before"], "the stream has broken");
    let next = Server::default();
    room.connection.send_replace(Some(next.clone()));
    room.pass(MOMENT).await;
    assert_eq!(next.texts(), ["in hand"]);
    room.connection.send_replace(None);
    room.write("nobody there");
    room.pass(MOMENT).await;
    room.connection.send_replace(Some(next.clone()));
    room.end().await;
    assert_eq!(next.texts(), ["in hand", "nobody there"]);
    assert_eq!(next.state().finished, 1);
}

#[tokio::test(start_paused = true)]
async fn a_server_without_a_log_is_asked_again_after_five_minutes() {
    let server = Server::default();
    server.state().refuses = (12, 2);
    let room = room(Some(server.clone()));
    let start = Instant::now();
    room.write("a");
    room.pass(Duration::from_secs(1000)).await;
    let opened: Vec<_> = server.state().opened.iter().map(|it| (*it - start).as_secs()).collect();
    assert_eq!(opened, [0, 300, 600]);
    assert_eq!(server.texts(), ["a"]);
    room.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_refusing_server_is_asked_ever_more_seldom() {
    let server = Server::default();
    server.state().refuses = (5, 9);
    let room = room(Some(server.clone()));
    let start = Instant::now();
    room.write("a");
    room.pass(Duration::from_secs(1000)).await;
    let opened: Vec<_> = server.state().opened.iter().map(|it| (*it - start).as_secs()).collect();
    assert_eq!(opened, [0, 1, 3, 7, 15, 31, 63, 123, 183, 243]);
    room.end().await;
}

#[tokio::test(start_paused = true)]
async fn the_end_without_a_connection_waits_for_nobody() {
    let room = room(None);
    room.write("a");
    let start = Instant::now();
    room.end().await;
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn what_was_written_before_the_end_is_read_and_sent_before_the_end() {
    let server = Server::default();
    let room = room(Some(server.clone()));
    let (read_end, write_end) = fd::pipe().expect("a pipe");
    let pipe = pipe::Receiver::from_owned_fd(read_end).expect("watched");
    let (end_reading, reading) = watch::channel(false);
    let reader = tokio::spawn(read(pipe, room.shared.clone(), reading));
    let write = |text: &[u8]| assert_eq!(fd::write(write_end.as_fd(), text), Ok(text.len()));
    write(b"one\ntw");
    while server.texts().is_empty() {
        room.pass(MOMENT).await;
    }
    write(b"o\nthree\nand a half");
    // Somebody still holds the other end: it is the word that ends it, not the pipe.
    end_reading.send_replace(true);
    reader.await.expect("ended");
    room.end().await;
    assert_eq!(server.texts(), ["one", "two", "three", "and a half"]);
    assert_eq!(server.state().finished, 1);
    drop(write_end);
}
