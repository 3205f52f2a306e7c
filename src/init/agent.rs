//! When the agent starts, starts again, or must leave. Nothing here touches the child.
//! ```text
//! Due(at) --Overdue--> Running --Died--> Due(now, or later if it never had a link)
//!                         `--Overdue: it leaves data unread--> Hung --Died--> Due
//! ```
use std::time::{Duration, Instant};

const SLOWEST: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Event {
    /// Its process runs.
    Spawned,
    /// There was no process to be had (a pids limit): later.
    NotSpawned,
    /// It said that the link is up.
    Linked,
    /// It has been collected.
    Died,
    /// Its packets are malformed, or the seam has ended: it is useless.
    Useless,
    /// We sent it something, so from now on it has to take it.
    Sent,
    /// Whether it takes what is sent to it, and has said that it is ready.
    Checked {
        taken: bool,
    },
    Overdue,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Action {
    Spawn,
    /// Find out whether it takes what we send, and say `Checked`.
    Check,
    Kill,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    Due(Instant),
    Running {
        had_link: bool,
        check: Option<Instant>,
    },
    /// Told to go by KILL; waits to be collected.
    Leaving {
        had_link: bool,
    },
}

#[derive(Debug)]
pub(crate) struct Supervision {
    state: State,
    /// How many in a row died without ever having had a link.
    failures: u32,
    /// How long it may leave data unread.
    patience: Duration,
}

impl Supervision {
    pub(crate) fn new(patience: Duration, now: Instant) -> Self {
        Self { state: State::Due(now), failures: 0, patience }
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Due(at) => Some(at),
            State::Running { check, .. } => check,
            State::Leaving { .. } => None,
        }
    }

    pub(crate) fn on(&mut self, event: Event, now: Instant) -> Option<Action> {
        let check = now.checked_add(self.patience);
        let (state, action) = match (self.state, event) {
            (State::Due(_), Event::Overdue) => (State::Due(now), Some(Action::Spawn)),
            // Its first duty is to say that it is ready.
            (State::Due(_), Event::Spawned) => (State::Running { had_link: false, check }, None),
            (State::Due(_), Event::NotSpawned) => (self.again(false, now), None),
            (State::Running { check, .. }, Event::Linked) => {
                (State::Running { had_link: true, check }, None)
            }
            (State::Running { had_link, .. } | State::Leaving { had_link }, Event::Died) => {
                (self.again(had_link, now), None)
            }
            (State::Running { had_link, .. }, Event::Useless | Event::Checked { taken: false }) => {
                (State::Leaving { had_link }, Some(Action::Kill))
            }
            (State::Running { had_link, check: None }, Event::Sent) => {
                (State::Running { had_link, check }, None)
            }
            (State::Running { had_link, .. }, Event::Overdue) => {
                (State::Running { had_link, check }, Some(Action::Check))
            }
            (State::Running { had_link, .. }, Event::Checked { taken: true }) => {
                (State::Running { had_link, check: None }, None)
            }
            (State::Running { .. }, Event::Spawned | Event::NotSpawned | Event::Sent)
            | (State::Due(_), _)
            | (State::Leaving { .. }, _) => (self.state, None),
        };
        self.state = state;
        action
    }

    /// At once for one that had a link, and for the first that had none; then 1 s, 2 s, 4 s, …
    fn again(&mut self, had_link: bool, now: Instant) -> State {
        self.failures = if had_link { 0 } else { self.failures.saturating_add(1) };
        let wait = match self.failures {
            0 | 1 => Duration::ZERO,
            more => Duration::from_secs(1)
                .saturating_mul(1 << more.saturating_sub(2).min(6))
                .min(SLOWEST),
        };
        State::Due(now.checked_add(wait).unwrap_or(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    fn running(now: Instant) -> Supervision {
        let mut it = Supervision::new(PATIENCE, now);
        assert_eq!(it.on(Event::Overdue, now), Some(Action::Spawn));
        it.on(Event::Spawned, now);
        it.on(Event::Checked { taken: true }, now);
        it
    }

    #[test]
    fn one_that_had_a_link_is_replaced_at_once_however_often_it_dies() {
        let now = Instant::now();
        let mut it = running(now);
        for _ in 0..100 {
            it.on(Event::Linked, now);
            assert_eq!(it.on(Event::Died, now), None);
            assert_eq!(it.deadline(), Some(now));
            assert_eq!(it.on(Event::Overdue, now), Some(Action::Spawn));
            it.on(Event::Spawned, now);
        }
    }

    #[test]
    fn one_that_never_has_a_link_is_replaced_ever_more_slowly() {
        let now = Instant::now();
        let mut it = running(now);
        let waits: Vec<u64> = (0..9)
            .map(|_| {
                it.on(Event::Died, now);
                let wait = it.deadline().expect("it is due").duration_since(now);
                it.on(Event::Overdue, now);
                it.on(Event::Spawned, now);
                wait.as_secs()
            })
            .collect();
        assert_eq!(waits, [0, 1, 2, 4, 8, 16, 32, 60, 60]);
    }

    #[test]
    fn one_that_takes_nothing_is_killed_and_one_that_is_told_nothing_is_left_alone() {
        let now = Instant::now();
        let mut it = running(now);
        assert_eq!(it.deadline(), None, "an idle agent wakes nobody");
        it.on(Event::Sent, now);
        assert_eq!(it.deadline(), Some(now + PATIENCE));
        assert_eq!(it.on(Event::Overdue, now + PATIENCE), Some(Action::Check));
        it.on(Event::Checked { taken: true }, now + PATIENCE);
        assert_eq!(it.deadline(), None);
        it.on(Event::Sent, now);
        it.on(Event::Overdue, now);
        assert_eq!(it.on(Event::Checked { taken: false }, now), Some(Action::Kill));
        it.on(Event::Died, now);
        assert_eq!(it.on(Event::Overdue, now), Some(Action::Spawn));
    }

    #[test]
    fn a_useless_one_is_killed_once() {
        let now = Instant::now();
        let mut it = running(now);
        assert_eq!(it.on(Event::Useless, now), Some(Action::Kill));
        assert_eq!(it.on(Event::Useless, now), None);
    }
}
