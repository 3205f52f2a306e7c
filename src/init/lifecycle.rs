//! The child's life: a fact and a time come in, at most one order goes out, `run.rs` performs it.
//! ```text
//! Waiting --Wanted, Overdue--> Running --Wanted--> Stopping --Exited--> Clearing --Cleared--> Running
//!    |                            |  `--stop--> Stopping --Exited--> Done    `--Overdue: KILL the group
//!    `--stop--> Done              `--Exited--> Done  `--Overdue (restart): KILL the group
//! ```
#[cfg(test)]
mod tests;

use crate::sys::{Exit, Signal};
use std::time::{Duration, Instant};

/// What a group that was killed has until it is gone.
const AFTER_KILL: Duration = Duration::from_secs(1);

/// Which environment: a new number for each that differs from the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct EnvId(pub(crate) u32);

impl EnvId {
    /// What the container was started with, and nothing from a server.
    pub(crate) const BASE: Self = Self(0);

    /// The number after this one; after four thousand million restarts they begin again.
    pub(crate) fn next(self) -> Self {
        Self(self.0.checked_add(1).unwrap_or(1))
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Event {
    /// Somebody wants the child to run with this environment.
    Wanted(EnvId),
    /// A signal that is to be passed on came to us.
    Signalled(Signal),
    /// The child has been collected.
    Exited(Exit),
    /// Nobody is left in the group of the child that has ended.
    Cleared,
    /// `Life::deadline` is over.
    Overdue,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Action {
    Spawn(EnvId),
    /// To the child alone.
    Kill(Signal),
    /// TERM, and CONT for those that are stopped, to the child's whole group.
    EndGroup,
    KillGroup,
    Finish(Exit),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    /// For a first environment; without a deadline where the server is required.
    Waiting(Option<Instant>),
    Running(EnvId),
    /// Told to end: to run again with another environment, or for good. Only the first has a
    /// deadline of ours; for the second it is the orchestrator's.
    Stopping(Option<EnvId>, Option<Instant>),
    /// It has ended, and its group must before the next starts: two of them would fight for ports.
    /// A group whose members cannot be killed (a zombie of a parent that does not collect it) does
    /// not keep the app down for ever: `true` once it has been killed.
    Clearing(EnvId, Option<Instant>, bool),
    Done,
}

/// One child after another, never two at once.
#[derive(Debug)]
pub(crate) struct Life {
    state: State,
    grace: Duration,
}

impl Life {
    /// Waits for a first environment until `deadline`; then the child starts without one. `grace`
    /// is what a child has between TERM and KILL when it is restarted.
    pub(crate) fn new(deadline: Option<Instant>, grace: Duration) -> Self {
        Self { state: State::Waiting(deadline), grace }
    }

    pub(crate) fn on(&mut self, event: Event, now: Instant) -> Option<Action> {
        let (state, action) = step(self.state, event, now, self.grace);
        self.state = state;
        action
    }

    /// When `Overdue` is due.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Waiting(at) | State::Stopping(_, at) | State::Clearing(_, at, _) => at,
            State::Running(_) | State::Done => None,
        }
    }

    pub(crate) fn is_waiting(&self) -> bool {
        matches!(self.state, State::Waiting(_))
    }

    pub(crate) fn is_clearing(&self) -> bool {
        matches!(self.state, State::Clearing(..))
    }
}

/// The whole policy, one row per state and event.
fn step(state: State, event: Event, now: Instant, grace: Duration) -> (State, Option<Action>) {
    use {Action::*, Event::*, State::*};
    let (later, soon) = (now.checked_add(grace), now.checked_add(AFTER_KILL));
    match (state, event) {
        (Waiting(_), Wanted(env)) => (Running(env), Some(Spawn(env))),
        (Waiting(_), Overdue) => (Running(EnvId::BASE), Some(Spawn(EnvId::BASE))), // fail open
        (Waiting(_), Signalled(sig)) if sig.is_stop() => (Done, Some(Finish(sig.into()))),
        (Running(env), Wanted(same)) if env == same => (state, None), // a fresh agent repeats it
        (Running(_), Wanted(env)) => (Stopping(Some(env), later), Some(EndGroup)),
        (Running(_), Signalled(sig)) if sig.is_stop() => (Stopping(None, None), Some(Kill(sig))),
        (Running(_) | Stopping(None, _), Exited(exit)) => (Done, Some(Finish(exit))),
        (Stopping(Some(_), at), Wanted(newest)) => (Stopping(Some(newest), at), None),
        (Stopping(_, _), Signalled(sig)) if sig.is_stop() => {
            (Stopping(None, None), Some(Kill(sig)))
        }
        (Stopping(next, _), Overdue) => (Stopping(next, later), Some(KillGroup)),
        (Stopping(Some(env), at), Exited(_)) => (Clearing(env, at, false), None),
        (Clearing(_, at, killed), Wanted(newest)) => (Clearing(newest, at, killed), None),
        (Clearing(..), Signalled(sig)) if sig.is_stop() => (Done, Some(Finish(sig.into()))),
        (Clearing(env, _, false), Overdue) => (Clearing(env, soon, true), Some(KillGroup)),
        (Clearing(env, ..), Cleared | Overdue) => (Running(env), Some(Spawn(env))),
        (Running(_) | Stopping(..), Signalled(sig)) => (state, Some(Kill(sig))),
        // Nothing to do; spelled out, so that a new state or event has to be thought about here.
        (Waiting(_) | Clearing(..), Signalled(_)) => (state, None), // kept for the next child
        (Waiting(_) | Clearing(..), Exited(_)) | (Running(_), Overdue) => (state, None),
        (Waiting(_) | Running(_) | Stopping(..), Cleared) => (state, None),
        (Stopping(None, _), Wanted(_)) | (Done, _) => (state, None),
    }
}
