//! Exec sessions: started and ended here, relayed by the agent. The policy is init's own, so that
//! an agent that was taken over cannot pass it.
use super::Init;
use crate::init::registry::{Refusal, START_TIMEOUT};
use crate::init::spawn::{self, Report, Stdio, report};
use crate::seam::block::{Command, Env, MAX_BLOCK};
use crate::seam::message::{ExecId, ExecStep, WindowSize};
use crate::sys::memfd::Mapping;
use crate::sys::process::kill_group;
use crate::sys::{Errno, Exit, Pid, Signal};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

impl Init {
    /// Starts a session, or says why not.
    pub(super) fn exec(
        &mut self,
        id: ExecId,
        arguments: u16,
        terminal: Option<WindowSize>,
        command: Option<OwnedFd>,
    ) {
        if let Err((step, errno)) = self.try_exec(id, arguments, terminal, command) {
            self.registry.refuse(Refusal { id, step, errno });
        }
    }

    fn try_exec(
        &mut self,
        id: ExecId,
        arguments: u16,
        terminal: Option<WindowSize>,
        command: Option<OwnedFd>,
    ) -> Result<(), (ExecStep, Errno)> {
        let Some(linked) = &mut self.linked else { return Err((ExecStep::Refused, Errno(0))) };
        let disabled = linked.link.disable_exec || self.ending.is_some();
        let slot = self.registry.admit(id, disabled).map_err(|step| (step, Errno(0)))?;
        let malformed = (ExecStep::Command, Errno::INVALID);
        let mapping = Mapping::of(command.ok_or(malformed)?.as_fd(), MAX_BLOCK)
            .map_err(|errno| (ExecStep::Command, errno))?;
        let command = Command::parse(mapping.bytes(), arguments).map_err(|_| malformed)?;
        let newest = linked.wanted.as_ref().map_or(&[][..], |(it, _)| it.bytes());
        let env = Env::parse(newest).unwrap_or(Env::EMPTY);
        let stdio = Stdio::new(terminal).map_err(|errno| (ExecStep::Descriptors, errno))?;
        let started = spawn::session(command, env, &self.origin, &stdio)
            .map_err(|errno| (ExecStep::Fork, errno))?;
        self.registry.started(slot, id, started.pid);
        if let (Some(ends), Some(report)) =
            (linked.stdio.get_mut(slot), linked.reports.get_mut(slot))
        {
            *ends = stdio.agent;
            *report = Instant::now().checked_add(START_TIMEOUT).map(|it| (started.report, it));
        }
        Ok(())
    }

    /// Whether a session's forked side got to its program: only then its start is told.
    pub(super) fn hear_session(&mut self, slot: usize) {
        let Some(linked) = &mut self.linked else { return };
        let Some(it) = linked.reports.get_mut(slot) else { return };
        let Some((pipe, _)) = it else { return };
        match report(pipe) {
            Report::Pending => {}
            Report::Running => {
                if let Some(session) = self.registry.session(slot) {
                    session.running = true;
                }
                *it = None;
            }
            Report::Failed { step, errno } => self.fail_session(slot, step, errno),
        }
    }

    pub(super) fn session_ended(&mut self, slot: usize, exit: Exit) {
        self.hear_session(slot);
        self.registry.ended(slot, exit);
    }

    pub(super) fn sessions_overdue(&mut self, now: Instant) {
        for slot in 0..crate::init::registry::MAX_SESSIONS {
            let report = self.linked.as_ref().and_then(|it| it.reports.get(slot)?.as_ref());
            if report.is_some_and(|(_, at)| *at <= now) {
                let leader = self.registry.session(slot).map(|it| it.pid);
                self.fail_session(slot, ExecStep::Deadline, Errno::TIMED_OUT);
                leader.into_iter().for_each(|it| end(it, Signal::KILL));
            }
            let due = self.registry.session(slot).and_then(|it| Some((it.pid, it.overdue(now)?)));
            if let Some((leader, signal)) = due {
                end(leader, signal);
            }
        }
    }

    /// We are about to end: every session hangs up.
    pub(super) fn hang_up_sessions(&mut self) {
        self.registry.close_sessions(Instant::now(), end);
    }

    /// It never became the command: its process, when it is collected, is nobody's.
    fn fail_session(&mut self, slot: usize, step: ExecStep, errno: Errno) {
        if let Some(session) = self.registry.session(slot).map(|it| *it) {
            self.registry.forget(slot);
            if !session.is_abandoned() {
                self.registry.refuse(Refusal { id: session.id, step, errno });
            }
        }
        if let Some(linked) = &mut self.linked
            && let (Some(ends), Some(report)) =
                (linked.stdio.get_mut(slot), linked.reports.get_mut(slot))
        {
            *ends = [const { None }; 3];
            *report = None;
        }
    }

    pub(super) fn signal_session(&mut self, id: ExecId, signal: Signal) {
        if let Some(session) = self.registry.by_id(id) {
            let _ = kill_group(session.pid, signal);
        }
    }

    /// Nobody listens any more: HUP now, TERM and KILL when it is time.
    pub(super) fn close_session(&mut self, id: ExecId) {
        if let Some(session) = self.registry.by_id(id)
            && let Some(signal) = session.close(Instant::now())
        {
            end(session.pid, signal);
        }
    }
}

/// To a session's group; CONT after it, for one that is stopped could not end.
fn end(leader: Pid, signal: Signal) {
    let _ = kill_group(leader, signal);
    let _ = kill_group(leader, Signal::CONT);
}
