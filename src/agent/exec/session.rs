//! One session's order: all that was written, then how it ended, and nothing after it.
//!
//! ```text
//! Running --Exited--> Draining --each output Ended or Dry--> Grace --Overdue--> Done
//!    `--all Ended--> Silent --Exited--> Done    `--all Ended--> Done  <--all Ended--'
//! ```
//! After the leader's exit an output that is dry has given all the leader wrote; what still holds
//! it open is a grandchild, who gets a grace. Source: exec.md 2.10.
use crate::agent::link::wire::{FromSession, ToSession};
use crate::seam::message::{Stream, WindowSize};
use crate::sys::Exit;
use bytes::Bytes;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// For those who hold a session's output open after its leader has gone.
pub(super) const GRACE: Duration = Duration::from_millis(500);
/// Input that waits for a program to read it; then the server waits.
const MAX_INPUT: usize = 256 << 10;

/// What happened to a session's outputs and its leader.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Event {
    Output(Stream, Bytes),
    /// Nobody can write there any more.
    Ended(Stream),
    /// A read had nothing now.
    Dry(Stream),
    Exited(Exit),
    /// The time that `Next::Wait` named has come.
    Overdue,
}

/// What is to be done next.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Next {
    /// Wait for output, the exit, or this time.
    Wait(Option<Instant>),
    /// Read this output now, without waiting.
    Read(Stream),
    /// Say this and end.
    Finish(Exit),
}

#[derive(Debug)]
pub(super) struct Outputs {
    stdout: Output,
    stderr: Output,
    exit: Option<Exit>,
    /// When the grace ends; it began when the last output was dry.
    grace: Option<Instant>,
    overdue: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Output {
    Open,
    /// Dry after the exit.
    Dry,
    Ended,
}

impl Outputs {
    /// A terminal has one output.
    pub(super) fn new(terminal: bool) -> Self {
        let stderr = if terminal { Output::Ended } else { Output::Open };
        Self { stdout: Output::Open, stderr, exit: None, grace: None, overdue: false }
    }

    /// What is to be sent at once.
    pub(super) fn on(&mut self, event: Event, now: Instant) -> Option<FromSession> {
        match event {
            Event::Output(stream, data) => return Some(FromSession::Output { stream, data }),
            Event::Ended(stream) => *self.output(stream) = Output::Ended,
            Event::Dry(stream) if self.exit.is_some() => {
                let output = self.output(stream);
                if *output == Output::Open {
                    *output = Output::Dry;
                }
            }
            Event::Dry(_) => {}
            Event::Exited(exit) => self.exit = Some(self.exit.unwrap_or(exit)),
            Event::Overdue => self.overdue = self.grace.is_some_and(|it| it <= now),
        }
        let settled =
            self.exit.is_some() && [self.stdout, self.stderr].iter().all(|it| *it != Output::Open);
        if settled && self.grace.is_none() {
            self.grace = Some(now + GRACE);
        }
        None
    }

    pub(super) fn next(&self) -> Next {
        let Some(exit) = self.exit else { return Next::Wait(None) };
        match (self.stdout, self.stderr) {
            (Output::Open, _) => Next::Read(Stream::Stdout),
            (_, Output::Open) => Next::Read(Stream::Stderr),
            (Output::Ended, Output::Ended) => Next::Finish(exit),
            _ if self.overdue => Next::Finish(exit),
            _ => Next::Wait(self.grace),
        }
    }

    /// Whether there may be more on it.
    pub(super) fn is_open(&self, stream: Stream) -> bool {
        let output = match stream {
            Stream::Stdout => self.stdout,
            Stream::Stderr => self.stderr,
        };
        output != Output::Ended
    }

    fn output(&mut self, stream: Stream) -> &mut Output {
        match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        }
    }
}

/// What is to be written to a session, in order.
#[derive(Debug, Default)]
pub(super) struct Input {
    pieces: VecDeque<Piece>,
    bytes: usize,
    /// The last byte that was written: whether a line is begun.
    last: Option<u8>,
    /// Nothing more will be written: it was ended, or nobody reads it.
    closed: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Piece {
    Bytes(Bytes),
    End,
}

impl Input {
    /// A size is for the terminal at once, ahead of the input that waits.
    pub(super) fn hear(&mut self, event: ToSession) -> Option<WindowSize> {
        match event {
            ToSession::Resize(size) => return Some(size),
            ToSession::Input(data) if !self.closed && !data.is_empty() => {
                self.bytes = self.bytes.saturating_add(data.len());
                self.pieces.push_back(Piece::Bytes(data));
            }
            ToSession::InputEnd if !self.closed => {
                self.closed = true;
                self.pieces.push_back(Piece::End);
            }
            ToSession::Input(_) | ToSession::InputEnd => {}
        }
        None
    }

    /// Whether to stop listening until something has been written.
    pub(super) fn is_full(&self) -> bool {
        self.bytes >= MAX_INPUT
    }

    pub(super) fn next(&self) -> Option<&Piece> {
        self.pieces.front()
    }

    /// So many bytes of the next piece were written; or its end was, with 0.
    pub(super) fn wrote(&mut self, count: usize) {
        let Some(Piece::Bytes(data)) = self.pieces.front_mut() else {
            self.pieces.pop_front();
            return;
        };
        let written = data.split_to(count.min(data.len()));
        self.last = written.last().copied().or(self.last);
        self.bytes = self.bytes.saturating_sub(written.len());
        if data.is_empty() {
            self.pieces.pop_front();
        }
    }

    /// Nobody reads it: what waits and what comes is dropped in silence, as by a closed pipe.
    pub(super) fn broken(&mut self) {
        self.closed = true;
        self.pieces.clear();
        self.bytes = 0;
    }

    /// How a terminal in line mode is told the end: its character, twice where a line is begun,
    /// which the first one only sends on. Source: termios(3), VEOF.
    pub(super) fn end_keys(&self, end: u8) -> Bytes {
        let begun = self.last.is_some_and(|it| it != b'\n' && it != b'\r' && it != end);
        Bytes::from(vec![end; if begun { 2 } else { 1 }])
    }

    /// Puts keys in the place of the end that was next.
    pub(super) fn replace_end(&mut self, keys: Bytes) {
        self.bytes = self.bytes.saturating_add(keys.len());
        if let Some(end @ Piece::End) = self.pieces.front_mut() {
            *end = Piece::Bytes(keys);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Event::{Dry, Ended, Exited, Overdue};
    use Stream::{Stderr, Stdout};
    use proptest::prelude::*;

    const EXIT: Exit = Exit::Code(3);

    /// Each event, and what is next after it; milliseconds for times.
    fn check(terminal: bool, steps: &[(u64, Event, Next)]) {
        let start = Instant::now();
        let mut outputs = Outputs::new(terminal);
        assert_eq!(outputs.next(), Next::Wait(None));
        for (at, event, next) in steps {
            let said = outputs.on(event.clone(), start + Duration::from_millis(*at));
            assert_eq!(said, None);
            let wait = |it: Option<Instant>| it.map(|it| it.saturating_duration_since(start));
            match (outputs.next(), *next) {
                (Next::Wait(now), Next::Wait(_)) => {
                    assert_eq!(wait(now), wait(now).map(|_| GRACE + Duration::from_millis(20)));
                }
                (now, next) => assert_eq!(now, next, "after {event:?}"),
            }
        }
    }

    const WAIT: Next = Next::Wait(None);

    #[test]
    fn the_exit_is_said_when_all_outputs_have_ended() {
        check(
            false,
            &[
                (0, Ended(Stdout), WAIT),
                (1, Exited(EXIT), Next::Read(Stderr)),
                (2, Ended(Stderr), Next::Finish(EXIT)),
            ],
        );
        check(
            false,
            &[
                (0, Ended(Stdout), WAIT),
                (0, Ended(Stderr), WAIT),
                (9, Exited(EXIT), Next::Finish(EXIT)),
            ],
        );
        check(
            true,
            &[
                (0, Dry(Stdout), WAIT),
                (1, Exited(EXIT), Next::Read(Stdout)),
                (2, Ended(Stdout), Next::Finish(EXIT)),
            ],
        );
    }

    #[test]
    fn who_holds_an_output_open_after_the_exit_gets_the_grace_and_no_more() {
        check(
            false,
            &[
                (0, Exited(EXIT), Next::Read(Stdout)),
                (10, Dry(Stdout), Next::Read(Stderr)),
                (20, Dry(Stderr), WAIT),
                (30, Dry(Stdout), WAIT),
                (400, Ended(Stdout), WAIT),
                (519, Overdue, WAIT),
                (520, Overdue, Next::Finish(EXIT)),
            ],
        );
        check(
            true,
            &[
                (0, Exited(EXIT), Next::Read(Stdout)),
                (20, Dry(Stdout), WAIT),
                (100, Ended(Stdout), Next::Finish(EXIT)),
            ],
        );
    }

    proptest! {
        #[test] // nothing is held back, and an end is only reached by way of an exit
        fn output_goes_out_as_it_comes(
            terminal in any::<bool>(),
            steps in prop::collection::vec((0..6_u8, any::<bool>()), 0..20),
        ) {
            let now = Instant::now();
            let (mut outputs, mut exited) = (Outputs::new(terminal), false);
            for (kind, first) in steps {
                let stream = if first { Stdout } else { Stderr };
                let data = Bytes::from_static(b"x");
                let said = match kind {
                    0 | 1 => {
                        let said = outputs.on(Event::Output(stream, data.clone()), now);
                        prop_assert_eq!(said, Some(FromSession::Output { stream, data }));
                        continue;
                    }
                    2 => outputs.on(Ended(stream), now),
                    3 => outputs.on(Dry(stream), now),
                    4 => outputs.on(Overdue, now),
                    _ => { exited = true; outputs.on(Exited(EXIT), now) }
                };
                prop_assert_eq!(said, None);
                prop_assert_eq!(matches!(outputs.next(), Next::Wait(None)), !exited);
            }
        }
    }

    #[test]
    fn input_keeps_its_order_and_its_end_is_the_end() {
        let mut input = Input::default();
        assert_eq!(input.hear(ToSession::Input("abc".into())), None);
        assert_eq!(input.hear(ToSession::InputEnd), None);
        assert_eq!(input.hear(ToSession::Input("late".into())), None);
        let size = WindowSize { rows: 1, columns: 2, ..WindowSize::default() };
        assert_eq!(input.hear(ToSession::Resize(size)), Some(size), "sizes pass the queue");
        input.wrote(1);
        assert_eq!(input.next(), Some(&Piece::Bytes("bc".into())));
        input.wrote(2);
        assert_eq!(input.next(), Some(&Piece::End));
        input.wrote(0);
        assert_eq!(input.next(), None);
    }

    #[test]
    fn a_full_input_is_not_listened_to_and_a_broken_one_takes_everything() {
        let mut input = Input::default();
        while !input.is_full() {
            input.hear(ToSession::Input(Bytes::from_static(&[b'x'; 16 << 10])));
        }
        assert_eq!(input.bytes, MAX_INPUT);
        input.wrote(16 << 10);
        assert!(!input.is_full());
        input.broken();
        input.hear(ToSession::Input("more".into()));
        assert_eq!((input.next(), input.bytes), (None, 0));
    }

    #[test]
    fn the_end_key_is_pressed_twice_in_a_begun_line() {
        for (typed, keys) in [("", 1), ("abc", 2), ("abc\n", 1), ("abc\r", 1), ("abc\x04", 1)] {
            let mut input = Input::default();
            input.hear(ToSession::Input(typed.to_owned().into()));
            input.hear(ToSession::InputEnd);
            if !typed.is_empty() {
                input.wrote(typed.len());
            }
            let pressed = input.end_keys(4);
            assert_eq!(pressed.len(), keys, "{typed:?}");
            input.replace_end(pressed.clone());
            assert_eq!(input.next(), Some(&Piece::Bytes(pressed)));
        }
    }
}
