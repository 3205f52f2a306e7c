//! Whose pid it is: the child's, the agent's, a session's, a helper's, or an orphan's.
use crate::seam::message::{ExecId, ExecStep, MAX_EXEC_IDS};
use crate::sys::{Errno, Exit, Pid, Signal};
use std::time::{Duration, Instant};

/// As many sessions run at once.
pub(crate) const MAX_SESSIONS: usize = 16;
/// As many refusals wait to be told; of more, the oldest are forgotten (the agent has a deadline).
const MAX_REFUSALS: usize = 8;
/// A forked side that has not exec'd after this hangs in a file system, and is killed.
pub(crate) const START_TIMEOUT: Duration = Duration::from_secs(5);
/// What a session that nobody listens to has between HUP and TERM, and between TERM and KILL.
const CLOSE_GRACE: [Duration; 2] = [Duration::from_secs(5), Duration::from_secs(2)];

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Who {
    Child,
    Agent,
    Pump,
    Session(usize),
    Orphan,
}

/// The processes that are ours by name. Everybody else we adopted.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    pub(crate) child: Option<Pid>,
    pub(crate) agent: Option<Pid>,
    pub(crate) pumps: [Option<Pid>; 2],
    sessions: [Option<Session>; MAX_SESSIONS],
    recent: Recent,
    refusals: [Option<Refusal>; MAX_REFUSALS],
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Refusal {
    pub(crate) id: ExecId,
    pub(crate) step: ExecStep,
    pub(crate) errno: Errno,
}

/// One exec session, from the fork until the agent knows how it ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Session {
    pub(crate) id: ExecId,
    pub(crate) pid: Pid,
    /// It has exec'd.
    pub(crate) running: bool,
    /// And the agent has been told.
    pub(crate) announced: bool,
    pub(crate) exit: Option<Exit>,
    /// The agent that asked for it has gone.
    abandoned: bool,
    /// The next signal of its end and when it is due.
    closing: Option<(Signal, Instant)>,
}

impl Registry {
    pub(crate) fn who(&self, pid: Pid) -> Who {
        if self.child == Some(pid) {
            return Who::Child;
        }
        if self.agent == Some(pid) {
            return Who::Agent;
        }
        if self.pumps.contains(&Some(pid)) {
            return Who::Pump;
        }
        let runs = |it: &Option<Session>| it.is_some_and(|it| it.pid == pid && it.exit.is_none());
        self.sessions.iter().position(runs).map_or(Who::Orphan, Who::Session)
    }

    /// A free slot for a session with this id, or why there is none.
    pub(crate) fn admit(&self, id: ExecId, disabled: bool) -> Result<usize, ExecStep> {
        if disabled || self.recent.contains(id) {
            return Err(ExecStep::Refused);
        }
        self.sessions.iter().position(Option::is_none).ok_or(ExecStep::TooMany)
    }

    pub(crate) fn started(&mut self, slot: usize, id: ExecId, pid: Pid) {
        self.recent.add(id);
        if let Some(free) = self.sessions.get_mut(slot) {
            *free = Some(Session {
                id,
                pid,
                running: false,
                announced: false,
                exit: None,
                abandoned: false,
                closing: None,
            });
        }
    }

    pub(crate) fn refuse(&mut self, refusal: Refusal) {
        self.recent.add(refusal.id);
        self.refusals.rotate_right(1);
        self.refusals[0] = Some(refusal);
    }

    /// The refusal that has waited longest, to be told; `told` forgets it.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        self.refusals.iter().rev().flatten().next().copied()
    }

    pub(crate) fn told(&mut self, refusal: Refusal) {
        if let Some(slot) = self.refusals.iter_mut().rev().find(|it| **it == Some(refusal)) {
            *slot = None;
        }
    }

    pub(crate) fn session(&mut self, slot: usize) -> Option<&mut Session> {
        self.sessions.get_mut(slot)?.as_mut()
    }

    pub(crate) fn sessions(&self) -> impl Iterator<Item = (usize, &Session)> {
        self.sessions.iter().enumerate().filter_map(|(slot, it)| Some((slot, it.as_ref()?)))
    }

    /// The session of this id that runs.
    pub(crate) fn by_id(&mut self, id: ExecId) -> Option<&mut Session> {
        self.sessions.iter_mut().flatten().find(|it| it.id == id && it.exit.is_none())
    }

    pub(crate) fn forget(&mut self, slot: usize) {
        if let Some(slot) = self.sessions.get_mut(slot) {
            *slot = None;
        }
    }

    pub(crate) fn forget_pump(&mut self, pid: Pid) {
        if let Some(slot) = self.pumps.iter_mut().find(|it| **it == Some(pid)) {
            *slot = None;
        }
    }

    /// A server that restarted counts its sessions anew.
    pub(crate) fn forget_ids(&mut self) {
        self.recent.length = 0;
        for slot in 0..MAX_SESSIONS {
            if let Some(id) = self.session(slot).map(|it| it.id) {
                self.recent.add(id);
            }
        }
    }

    /// Every session begins its end.
    pub(crate) fn close_sessions(&mut self, now: Instant, mut signal: impl FnMut(Pid, Signal)) {
        for session in self.sessions.iter_mut().flatten() {
            session.close(now).into_iter().for_each(|it| signal(session.pid, it));
        }
    }

    /// The agent has gone: nobody hears of its sessions any more, and each begins its end.
    pub(crate) fn abandon_sessions(&mut self, now: Instant, mut signal: impl FnMut(Pid, Signal)) {
        self.refusals = [None; MAX_REFUSALS];
        for slot in &mut self.sessions {
            if let Some(session) = slot {
                session.abandoned = true;
                match session.exit {
                    Some(_) => *slot = None,
                    None => session.close(now).into_iter().for_each(|it| signal(session.pid, it)),
                }
            }
        }
    }

    /// A session's process has been collected.
    pub(crate) fn ended(&mut self, slot: usize, exit: Exit) {
        if let Some(it) = self.sessions.get_mut(slot)
            && let Some(session) = it
        {
            session.exit = Some(exit);
            if session.abandoned {
                *it = None;
            }
        }
    }

    /// Whether this is one of ours that ends by itself or by its owner, and no leftover.
    pub(crate) fn is_helper(&self, pid: Pid) -> bool {
        matches!(self.who(pid), Who::Agent | Who::Pump)
    }

    /// The last ids, as `Hello` carries them.
    pub(crate) fn recent_ids(&self) -> &[u8] {
        self.recent.bytes()
    }
}

impl Session {
    pub(crate) fn is_abandoned(&self) -> bool {
        self.abandoned
    }

    /// Begins its end: the signal to send to its group now, unless the end has begun.
    pub(crate) fn close(&mut self, now: Instant) -> Option<Signal> {
        if self.closing.is_some() || self.exit.is_some() {
            return None;
        }
        self.closing = Some((Signal::TERM, later(now, CLOSE_GRACE[0])));
        Some(Signal::HUP)
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.closing.filter(|_| self.exit.is_none()).map(|(_, at)| at)
    }

    /// The next signal of its end, if it is due.
    pub(crate) fn overdue(&mut self, now: Instant) -> Option<Signal> {
        let (signal, at) = self.closing.filter(|(_, at)| *at <= now)?;
        self.closing = Some((Signal::KILL, later(at, CLOSE_GRACE[1])));
        Some(signal)
    }
}

fn later(now: Instant, time: Duration) -> Instant {
    now.checked_add(time).unwrap_or(now)
}

/// The last ids that ran, oldest first, big-endian as they cross the seam.
#[derive(Debug)]
struct Recent {
    ids: [[u8; 8]; MAX_EXEC_IDS],
    length: usize,
}

impl Default for Recent {
    fn default() -> Self {
        Self { ids: [[0; 8]; MAX_EXEC_IDS], length: 0 }
    }
}

impl Recent {
    fn add(&mut self, id: ExecId) {
        if self.contains(id) {
            return;
        }
        if self.length == MAX_EXEC_IDS {
            self.ids.rotate_left(1);
            self.length = MAX_EXEC_IDS.saturating_sub(1);
        }
        if let Some(slot) = self.ids.get_mut(self.length) {
            *slot = id.0.to_be_bytes();
            self.length = self.length.saturating_add(1);
        }
    }

    fn contains(&self, id: ExecId) -> bool {
        self.known().contains(&id.0.to_be_bytes())
    }

    fn known(&self) -> &[[u8; 8]] {
        self.ids.get(..self.length).unwrap_or_default()
    }

    fn bytes(&self) -> &[u8] {
        self.known().as_flattened()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pid(raw: i32) -> Pid {
        Pid::new(raw).expect("a pid")
    }

    fn start(registry: &mut Registry, id: i64) -> Result<usize, ExecStep> {
        let slot = registry.admit(ExecId(id), false)?;
        registry.started(slot, ExecId(id), pid(1000 + id as i32));
        Ok(slot)
    }

    #[test]
    fn every_pid_has_one_owner_and_the_unknown_is_an_orphan() {
        let mut it = Registry { child: Some(pid(7)), agent: Some(pid(8)), ..Registry::default() };
        it.pumps[1] = Some(pid(9));
        let slot = start(&mut it, 1).expect("room");
        let owners = [7, 8, 9, 1001, 5].map(|raw| it.who(pid(raw)));
        assert_eq!(owners, [Who::Child, Who::Agent, Who::Pump, Who::Session(slot), Who::Orphan]);
        it.ended(slot, Exit::SUCCESS);
        assert_eq!(it.who(pid(1001)), Who::Orphan, "a pid may come again once it is collected");
    }

    #[test]
    fn no_id_runs_twice_and_a_restarted_servers_small_ones_do() {
        let mut it = Registry::default();
        let slot = start(&mut it, 5).expect("room");
        it.forget(slot);
        assert_eq!(start(&mut it, 5), Err(ExecStep::Refused));
        assert!(start(&mut it, 1).is_ok());
        assert_eq!(it.admit(ExecId(2), true), Err(ExecStep::Refused));
    }

    #[test]
    fn after_a_new_registration_only_the_ids_that_run_are_taken() {
        let mut it = Registry::default();
        let slot = start(&mut it, 5).expect("room");
        start(&mut it, 6).expect("room");
        it.forget(slot);
        it.forget_ids();
        assert_eq!(start(&mut it, 6), Err(ExecStep::Refused));
        assert!(start(&mut it, 5).is_ok());
    }

    #[test]
    fn there_are_so_many_sessions_and_no_more() {
        let mut it = Registry::default();
        for id in 0..MAX_SESSIONS as i64 {
            assert!(start(&mut it, id).is_ok());
        }
        assert_eq!(start(&mut it, 99), Err(ExecStep::TooMany));
    }

    #[test]
    fn only_the_last_ids_are_remembered_oldest_first() {
        let mut recent = Recent::default();
        for id in 0..MAX_EXEC_IDS as i64 + 3 {
            recent.add(ExecId(id));
        }
        assert!(!recent.contains(ExecId(2)) && recent.contains(ExecId(3)));
        assert_eq!(recent.bytes().len(), 8 * MAX_EXEC_IDS);
        assert_eq!(recent.bytes()[..8], 3_i64.to_be_bytes());
    }

    #[test]
    fn a_session_nobody_listens_to_gets_hup_then_term_then_kill() {
        let now = Instant::now();
        let mut it = Registry::default();
        let slot = start(&mut it, 1).expect("room");
        let session = it.session(slot).expect("there");
        assert_eq!(session.close(now), Some(Signal::HUP));
        assert_eq!(session.close(now), None);
        assert_eq!(session.overdue(now), None);
        for signal in [Signal::TERM, Signal::KILL, Signal::KILL] {
            let at = session.deadline().expect("it goes on");
            assert_eq!(session.overdue(at), Some(signal));
        }
        session.exit = Some(Exit::SUCCESS);
        assert_eq!(session.deadline(), None);
    }

    #[test]
    fn the_sessions_of_an_agent_that_died_are_ended_and_forgotten() {
        let now = Instant::now();
        let mut it = Registry::default();
        let (one, two) = (start(&mut it, 1).expect("room"), start(&mut it, 2).expect("room"));
        it.ended(one, Exit::SUCCESS);
        let mut sent = Vec::new();
        it.abandon_sessions(now, |pid, signal| sent.push((pid, signal)));
        assert_eq!(sent, [(pid(1002), Signal::HUP)]);
        assert!(it.session(one).is_none() && it.session(two).is_some());
        it.ended(two, Exit::SUCCESS);
        assert!(it.session(two).is_none());
    }

    #[test]
    fn refusals_are_told_in_their_order() {
        let mut it = Registry::default();
        let refusal = |id| Refusal { id: ExecId(id), step: ExecStep::TooMany, errno: Errno(0) };
        it.refuse(refusal(1));
        it.refuse(refusal(2));
        assert_eq!(it.refusal(), Some(refusal(1)));
        it.told(refusal(1));
        assert_eq!(it.refusal(), Some(refusal(2)));
    }
}
