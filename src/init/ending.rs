//! The end, once the child has been collected: who is left, then the output, then the agent.
//! ```text
//! Leftovers --Alone--> Draining --Drained, Overdue--> Goodbye --AgentGone, Overdue--> Left
//!     `--Overdue: KILL, again each second until Alone
//! ```
use crate::sys::Exit;
use std::time::{Duration, Instant};

/// What is left of the child's processes has so long between TERM and KILL.
pub(crate) const LEFTOVERS_GRACE: Duration = Duration::from_secs(5);
/// Those that fork while they are being killed are looked for again after this.
const KILL_AGAIN: Duration = Duration::from_secs(1);
/// A process the kernel cannot end (it hangs in a dead disk) must not keep us for ever.
const KILL_TRIES: u8 = 5;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Event {
    /// No process is left below us but the agent and our own helpers.
    Alone,
    /// All that the child has written has gone to the real output.
    Drained,
    AgentGone,
    /// `Ending::deadline` is over.
    Overdue,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Action {
    TermLeftovers,
    KillLeftovers,
    /// Look once more what the pipes hold: nobody writes any more.
    Drain,
    /// Tell the agent to flush and leave within this time.
    Goodbye(Duration),
    Leave(Exit),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    Leftovers { until: Instant, kills: u8 },
    Draining { until: Instant },
    Goodbye { until: Instant },
    Left,
}

#[derive(Debug)]
pub(crate) struct Ending {
    state: State,
    exit: Exit,
    /// What draining and the agent's goodbye may take together.
    budget: Duration,
}

impl Ending {
    pub(crate) fn new(exit: Exit, budget: Duration, now: Instant) -> (Self, Action) {
        let until = after(now, LEFTOVERS_GRACE);
        (Self { state: State::Leftovers { until, kills: 0 }, exit, budget }, Action::TermLeftovers)
    }

    /// What it waits for besides its deadline.
    pub(crate) fn waits_for(&self) -> Option<Event> {
        match self.state {
            State::Leftovers { .. } => Some(Event::Alone),
            State::Draining { .. } => Some(Event::Drained),
            State::Goodbye { .. } => Some(Event::AgentGone),
            State::Left => None,
        }
    }

    /// Its patience with leftovers is over: whoever comes to light now is killed at once.
    pub(crate) fn is_killing(&self) -> bool {
        matches!(self.state, State::Leftovers { kills: 1.., .. })
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Leftovers { until, .. }
            | State::Draining { until }
            | State::Goodbye { until } => Some(until),
            State::Left => None,
        }
    }

    pub(crate) fn on(&mut self, event: Event, now: Instant) -> Option<Action> {
        let (state, action) = match (self.state, event) {
            (State::Leftovers { .. }, Event::Alone) => self.drain(now),
            (State::Leftovers { kills: KILL_TRIES.., .. }, Event::Overdue) => self.drain(now),
            (State::Leftovers { kills, .. }, Event::Overdue) => {
                let until = after(now, KILL_AGAIN);
                let kills = kills.saturating_add(1);
                (State::Leftovers { until, kills }, Some(Action::KillLeftovers))
            }
            (State::Draining { until }, Event::Drained | Event::Overdue) => (
                State::Goodbye { until },
                Some(Action::Goodbye(until.saturating_duration_since(now))),
            ),
            (State::Goodbye { .. }, Event::AgentGone | Event::Overdue) => {
                (State::Left, Some(Action::Leave(self.exit)))
            }
            (State::Leftovers { .. }, Event::Drained | Event::AgentGone)
            | (State::Draining { .. }, Event::Alone | Event::AgentGone)
            | (State::Goodbye { .. }, Event::Alone | Event::Drained)
            | (State::Left, _) => (self.state, None),
        };
        self.state = state;
        action
    }

    fn drain(&self, now: Instant) -> (State, Option<Action>) {
        (State::Draining { until: after(now, self.budget) }, Some(Action::Drain))
    }
}

fn after(now: Instant, time: Duration) -> Instant {
    now.checked_add(time).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUDGET: Duration = Duration::from_secs(3);

    #[test]
    fn a_child_that_leaves_nothing_behind_costs_no_time() {
        let now = Instant::now();
        let (mut ending, first) = Ending::new(Exit::Code(3), BUDGET, now);
        assert_eq!(first, Action::TermLeftovers);
        assert_eq!(ending.on(Event::Alone, now), Some(Action::Drain));
        assert_eq!(ending.on(Event::Drained, now), Some(Action::Goodbye(BUDGET)));
        assert_eq!(ending.on(Event::AgentGone, now), Some(Action::Leave(Exit::Code(3))));
        assert_eq!((ending.deadline(), ending.on(Event::Overdue, now)), (None, None));
    }

    #[test]
    fn leftovers_are_killed_after_their_grace_and_cannot_keep_us_for_ever() {
        let mut now = Instant::now();
        let (mut ending, _) = Ending::new(Exit::SUCCESS, BUDGET, now);
        let mut kills = 0;
        loop {
            now = ending.deadline().expect("it waits for something");
            match ending.on(Event::Overdue, now) {
                Some(Action::KillLeftovers) => kills += 1,
                other => break assert_eq!(other, Some(Action::Drain)),
            }
        }
        assert_eq!(kills, KILL_TRIES);
    }

    #[test]
    fn drain_and_goodbye_share_one_budget() {
        let now = Instant::now();
        let (mut ending, _) = Ending::new(Exit::SUCCESS, BUDGET, now);
        ending.on(Event::Alone, now);
        let late = now + Duration::from_secs(2);
        assert_eq!(ending.on(Event::Drained, late), Some(Action::Goodbye(Duration::from_secs(1))));
        assert_eq!(ending.deadline(), Some(now + BUDGET));
    }
}
