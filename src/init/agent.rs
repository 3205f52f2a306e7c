//! When the agent starts, starts again, or must leave. Nothing here touches the child.
//! ```text
//! Due(at) --Overdue--> Running --Died--> Due(now, or later if it never had a link)
//!                         `--Overdue: it leaves data unread--> Hung --Died--> Due
//! ```
use std::time::{Duration, Instant};

const SLOWEST: Duration = Duration::from_secs(60);
/// After this an agent that seems to hang is looked at once more.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
const SHORT_LIFE: Duration = Duration::from_secs(1);
const AFTER_SHORT_LIFE: Duration = Duration::from_millis(50);

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
    /// Whether it takes what is sent to it (and has said that it is ready), and whether more waits
    /// for it now.
    Checked {
        taken: bool,
        waits: bool,
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
    /// `doubted`: at the last look it had taken nothing.
    Running {
        had_link: bool,
        since: Instant,
        check: Option<Instant>,
        doubted: bool,
    },
    /// Told to go by KILL; waits to be collected.
    Leaving {
        had_link: bool,
        since: Instant,
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
        use State::{Due, Leaving, Running};
        let check = now.checked_add(self.patience);
        let (state, action) = match (self.state, event) {
            (Due(_), Event::Overdue) => (Due(now), Some(Action::Spawn)),
            // Its first duty is to say that it is ready.
            (Due(_), Event::Spawned) => {
                (Running { had_link: false, since: now, check, doubted: false }, None)
            }
            (Due(_), Event::NotSpawned) => (self.again(false, now, now), None),
            (Running { since, check, doubted, .. }, Event::Linked) => {
                (Running { had_link: true, since, check, doubted }, None)
            }
            (Running { had_link, since, .. } | Leaving { had_link, since }, Event::Died) => {
                (self.again(had_link, since, now), None)
            }
            (Running { had_link, since, .. }, Event::Useless)
            | (
                Running { had_link, since, doubted: true, .. },
                Event::Checked { taken: false, .. },
            ) => (Leaving { had_link, since }, Some(Action::Kill)),
            // It may be that we slept as long as it did (a container that was paused): we look
            // again after a time that we have been awake.
            (Running { had_link, since, .. }, Event::Checked { taken: false, .. }) => {
                let check = now.checked_add(LOOK_AGAIN);
                (Running { had_link, since, check, doubted: true }, None)
            }
            (Running { had_link, since, .. }, Event::Checked { taken: true, waits }) => {
                let check = check.filter(|_| waits);
                (Running { had_link, since, check, doubted: false }, None)
            }
            (Running { had_link, since, check: None, doubted }, Event::Sent) => {
                (Running { had_link, since, check, doubted }, None)
            }
            (Running { .. }, Event::Overdue) => (self.state, Some(Action::Check)),
            (Running { .. }, Event::Spawned | Event::NotSpawned | Event::Sent)
            | (Due(_) | Leaving { .. }, _) => (self.state, None),
        };
        self.state = state;
        action
    }

    /// At once for one that had a link, and for the first that had none; then 1 s, 2 s, 4 s, …
    /// A link that ends its agent at once, each time, must not become a busy loop.
    fn again(&mut self, had_link: bool, since: Instant, now: Instant) -> State {
        self.failures = if had_link { 0 } else { self.failures.saturating_add(1) };
        let short = now.saturating_duration_since(since) < SHORT_LIFE;
        let wait = match self.failures {
            0 if short => AFTER_SHORT_LIFE,
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
        it.on(Event::Checked { taken: true, waits: false }, now);
        it
    }

    #[test]
    fn one_that_had_a_link_is_replaced_at_once_however_often_it_dies() {
        let mut now = Instant::now();
        let mut it = running(now);
        for _ in 0..100 {
            it.on(Event::Linked, now);
            now += SHORT_LIFE;
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
    fn one_whose_link_ends_it_at_once_is_no_busy_loop() {
        let now = Instant::now();
        let mut it = running(now);
        it.on(Event::Linked, now);
        it.on(Event::Died, now);
        assert_eq!(it.deadline(), Some(now + AFTER_SHORT_LIFE));
    }

    #[test]
    fn one_that_takes_nothing_is_killed_at_the_second_look() {
        let now = Instant::now();
        let mut it = running(now);
        it.on(Event::Sent, now);
        assert_eq!(it.deadline(), Some(now + PATIENCE));
        assert_eq!(it.on(Event::Overdue, now + PATIENCE), Some(Action::Check));
        let hangs = Event::Checked { taken: false, waits: true };
        assert_eq!(it.on(hangs, now), None);
        assert_eq!(it.deadline(), Some(now + LOOK_AGAIN));
        assert_eq!(it.on(hangs, now), Some(Action::Kill));
        it.on(Event::Died, now + PATIENCE);
        assert_eq!(it.on(Event::Overdue, now + PATIENCE), Some(Action::Spawn));
    }

    #[test]
    fn one_that_is_told_nothing_is_left_alone_and_one_for_whom_more_waits_is_not() {
        let now = Instant::now();
        let mut it = running(now);
        assert_eq!(it.deadline(), None, "an idle agent wakes nobody");
        it.on(Event::Sent, now);
        it.on(Event::Checked { taken: true, waits: true }, now);
        assert_eq!(it.deadline(), Some(now + PATIENCE), "it may have stopped just now");
        it.on(Event::Checked { taken: true, waits: false }, now);
        assert_eq!(it.deadline(), None);
    }

    #[test]
    fn a_useless_one_is_killed_once() {
        let now = Instant::now();
        let mut it = running(now);
        assert_eq!(it.on(Event::Useless, now), Some(Action::Kill));
        assert_eq!(it.on(Event::Useless, now), None);
    }
}
