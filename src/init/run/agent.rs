//! The agent: started, listened to, told, replaced. It can ask for what `ToInit` has and no more.
use super::{Init, Linked};
use crate::init::agent::{Action, Event};
use crate::init::lifecycle::{self, EnvId};
use crate::init::log;
use crate::init::program::same;
use crate::init::spawn::{self, Report, report};
use crate::init::tell::{Facts, Teller, Untold};
use crate::seam::block::{Env, MAX_BLOCK};
use crate::seam::message::ToInit;
use crate::seam::socket::{self, Lost};
use crate::sys::memfd::{self, Mapping};
use crate::sys::process::{kill, kill_group};
use crate::sys::{Errno, Exit, Signal, fd, seqpacket};
use std::ops::ControlFlow::{self, Continue};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

/// A deposit is at most so large.
const MAX_DEPOSIT: usize = 4 << 20;
/// So many packets are heard before signals and outputs have their turn again.
const PACKETS_A_TURN: usize = 16;

impl Init {
    /// Ends the agent, if there is one; it is collected and replaced like one that died.
    pub(super) fn kill_agent(&mut self) -> bool {
        self.registry.agent.is_some_and(|pid| kill(pid, Signal::KILL).is_ok())
    }

    pub(super) fn agent_overdue(&mut self, now: Instant) {
        let due = |it: &Linked| it.supervision.deadline().is_some_and(|at| at <= now);
        if self.ending.is_none() && self.linked.as_ref().is_some_and(due) {
            self.supervise(Event::Overdue);
        }
    }

    fn supervise(&mut self, event: Event) {
        let Some(linked) = &mut self.linked else { return };
        match linked.supervision.on(event, Instant::now()) {
            None => {}
            Some(Action::Spawn) => self.spawn_agent(),
            Some(Action::Check) => {
                let (taken, waits) = linked.takes_what_it_is_sent();
                if !taken {
                    log::warn(format_args!(
                        "the agent does not take what it is sent; does it hang?"
                    ));
                }
                self.supervise(Event::Checked { taken, waits });
            }
            Some(Action::Kill) => {
                self.kill_agent();
            }
        }
    }

    fn spawn_agent(&mut self) {
        let Some(linked) = &mut self.linked else { return };
        let started = seqpacket::pair()
            .and_then(|(ours, theirs)| spawn::agent(&theirs, &self.origin).map(|it| (it, ours)));
        match started {
            Ok((started, ours)) => {
                self.registry.agent = Some(started.pid);
                linked.agent_report = Some(started.report);
                linked.seam = Some(ours);
                self.supervise(Event::Spawned);
            }
            Err(errno) => {
                log::warn(format_args!("cannot start the agent, later again: {errno}"));
                self.supervise(Event::NotSpawned);
            }
        }
    }

    pub(super) fn hear_agent(&mut self) {
        let Some(linked) = &mut self.linked else { return };
        match linked.agent_report.as_ref().map(report) {
            Some(Report::Pending) => return,
            Some(Report::Failed { errno, .. }) => {
                log::warn(format_args!("the agent's program cannot be run: {errno}"));
            }
            Some(Report::Running) | None => {}
        }
        linked.agent_report = None;
    }

    /// It has been collected. The child does not notice; its sessions end, the wire cannot resume
    /// them.
    pub(super) fn agent_ended(&mut self, exit: Exit) -> ControlFlow<Exit> {
        self.registry.agent = None;
        if self.ending.is_none() {
            log::info(format_args!("the agent {exit}: the next one starts, the app goes on"));
        }
        self.hear_last_words()?;
        if let Some(linked) = &mut self.linked {
            linked.forget_agent();
        }
        self.registry.abandon_sessions(Instant::now(), |leader, signal| {
            let _ = kill_group(leader, signal);
        });
        self.supervise(Event::Died);
        self.spawn_again()
    }

    /// Hears what the agent has to say, a few packets a turn.
    pub(super) fn converse(&mut self) -> ControlFlow<Exit> {
        for _ in 0..PACKETS_A_TURN {
            let Some(seam) = self.linked.as_ref().and_then(|it| it.seam.as_ref()) else { break };
            match socket::hear(seam.as_fd()) {
                Ok((message, descriptor)) => match self.obey(message, descriptor) {
                    Ok(flow) => flow?,
                    Err(refused) => self.refuse_agent(&refused),
                },
                Err(Lost::Nothing) => break,
                Err(Lost::Gone) => self.refuse_agent(&"it has closed the seam"),
                Err(Lost::Malformed(malformed)) => self.refuse_agent(&malformed),
                Err(Lost::Failed(errno)) => self.refuse_agent(&errno),
            }
        }
        if let Some(linked) = &mut self.linked {
            linked.is_stuck = false;
        }
        Continue(())
    }

    /// What the agent had said before it died is heard, as far as its successor needs it: what was
    /// wanted, and the deposit.
    fn hear_last_words(&mut self) -> ControlFlow<Exit> {
        while let Some(seam) = self.linked.as_ref().and_then(|it| it.seam.as_ref()) {
            match socket::hear(seam.as_fd()) {
                Ok((message @ (ToInit::Launch | ToInit::Keep), descriptor)) => {
                    if let Ok(flow) = self.obey(message, descriptor) {
                        flow?;
                    }
                }
                Ok(_) => {}
                Err(_) => break,
            }
        }
        Continue(())
    }

    /// A broken or hostile agent: its seam is closed, and it is replaced.
    fn refuse_agent(&mut self, why: &dyn std::fmt::Display) {
        if self.ending.is_none() {
            log::warn(format_args!("agent replaced: {why}"));
        }
        if let Some(linked) = &mut self.linked {
            linked.seam = None;
        }
        self.supervise(Event::Useless);
    }

    /// Does what the agent asks, if it is its to ask.
    fn obey(
        &mut self,
        message: ToInit,
        descriptor: Option<OwnedFd>,
    ) -> Result<ControlFlow<Exit>, &'static str> {
        let Some(linked) = &mut self.linked else { return Ok(Continue(())) };
        if linked.ready == (message == ToInit::Ready) {
            return Err("it spoke before it was ready, or was ready twice");
        }
        match message {
            ToInit::Ready => {
                linked.ready = true;
                linked.untold = Untold { hello: true, ..Untold::default() };
            }
            ToInit::Linked(up) => {
                linked.is_up = up;
                if up {
                    // A new registration lists no session of an old one: its ids are others.
                    self.registry.forget_ids();
                    self.supervise(Event::Linked);
                }
            }
            ToInit::Launch => return self.launch(descriptor),
            ToInit::Signal(signal) => {
                if self.registry.child.is_some() {
                    self.signal(signal);
                }
            }
            ToInit::Exec { id, arguments, terminal } => {
                self.exec(id, arguments, terminal, descriptor)
            }
            ToInit::ExecSignal { id, signal } => self.signal_session(id, signal),
            ToInit::ExecClose { id } => self.close_session(id),
            ToInit::Keep => {
                let deposit = descriptor.ok_or("a deposit without its memfd")?;
                let sealed = memfd::checked_size(deposit.as_fd(), MAX_DEPOSIT);
                sealed.map_err(|_| "a deposit that is too large or not sealed")?;
                linked.deposit = Some(deposit);
            }
        }
        Ok(Continue(()))
    }

    /// A new environment is wanted, or the same one again: by a fresh agent, which cannot know.
    fn launch(&mut self, descriptor: Option<OwnedFd>) -> Result<ControlFlow<Exit>, &'static str> {
        let Some(linked) = &mut self.linked else { return Ok(Continue(())) };
        let file = descriptor.ok_or("an environment without its memfd")?;
        let mapping = Mapping::of(file.as_fd(), MAX_BLOCK)
            .map_err(|_| "an environment that is too large or not sealed")?;
        let env = Env::parse(mapping.bytes()).map_err(|_| "an environment that is no block")?;
        let (known, id) =
            linked.wanted.as_ref().map_or((&[][..], EnvId::BASE), |(it, id)| (it.bytes(), *id));
        let unchanged = same(&self.origin.env, Env::parse(known).unwrap_or(Env::EMPTY), env);
        let id = if unchanged { id } else { linked.newest.next() };
        linked.newest = linked.newest.max(id);
        linked.wanted = Some((mapping, id));
        Ok(self.on(lifecycle::Event::Wanted(id)))
    }

    /// Moves an output of the child on.
    pub(super) fn pump(&mut self, index: usize) -> ControlFlow<Exit> {
        let Some(linked) = &mut self.linked else { return Continue(()) };
        let Some(pump) = linked.pumps.get_mut(index) else { return Continue(()) };
        let before = pump.missing();
        if pump.turn() {
            let missing = pump.missing();
            if let (Some(gap), Some(told)) =
                (linked.untold.gaps.get_mut(index), linked.told_missing.get_mut(index))
                && *told != missing
            {
                (*gap, *told) = (true, missing);
            }
            self.supervise(Event::Sent);
        } else if pump.missing() != before {
            self.supervise(Event::Sent); // it has not taken what there was
        }
        Continue(())
    }

    /// Tells the agent what it does not know yet.
    pub(super) fn tell(&mut self) {
        let Some(linked) = &mut self.linked else { return };
        let Some(socket) = linked.seam.as_ref().filter(|_| linked.ready && !linked.is_stuck) else {
            return;
        };
        let facts = Facts {
            link: &linked.link,
            instance_id: &linked.instance_id,
            log_level: self.settings.log_level,
            child: self.child,
            copies: linked.pumps.each_ref().map(|it| it.copy_end()),
            missing: linked.pumps.each_ref().map(|it| it.missing()),
            deposit: linked.deposit.as_ref(),
        };
        let Some(buffer) = &mut self.scratch else { return };
        let mut teller = Teller { socket, buffer };
        match teller.tell(&mut linked.untold, &mut self.registry, &mut linked.stdio, &facts) {
            Ok(true) => self.supervise(Event::Sent),
            Ok(false) => {}
            Err(Errno::AGAIN) => {
                linked.is_stuck = true;
                self.supervise(Event::Sent);
            }
            Err(errno) => self.refuse_agent(&errno),
        }
    }
}

impl Linked {
    fn forget_agent(&mut self) {
        self.agent_report = None;
        self.seam = None;
        (self.ready, self.is_up, self.is_stuck) = (false, false, false);
        self.untold = Untold::default();
        self.stdio = [const { [const { None }; 3] }; crate::init::registry::MAX_SESSIONS];
    }

    /// Whether the agent is ready and goes on reading (an empty socket, and copies that are empty
    /// or have moved since the last look), and whether anything waits for it.
    fn takes_what_it_is_sent(&mut self) -> (bool, bool) {
        let reads = self.pumps.each_ref().map(|it| it.read_by_agent());
        let read = reads.iter().fold(0_u64, |sum, (read, _)| sum.saturating_add(*read));
        let moved = std::mem::replace(&mut self.seen, read) != read;
        let waits = reads.iter().any(|(_, waits)| *waits);
        let heard = self.seam.as_ref().is_some_and(|it| fd::untaken(it.as_fd()) == 0);
        (self.ready && heard && (moved || !waits), waits || !heard)
    }
}
