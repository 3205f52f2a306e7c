//! The child: decided by `lifecycle`, performed here.
use super::Init;
use crate::init::lifecycle::{Action, EnvId, Event};
use crate::init::log;
use crate::init::registry::START_TIMEOUT;
use crate::init::spawn::{self, Report, report};
use crate::seam::block::Env;
use crate::seam::message::{Child, ExecStep};
use crate::sys::process::{self, group_exists, kill, kill_group};
use crate::sys::{Errno, Exit, Signal, heap};
use std::ops::ControlFlow::{self, Continue};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Instant;

impl Init {
    /// A signal that came to us and is the child's.
    pub(super) fn pass_on(&mut self, signal: Signal) -> ControlFlow<Exit> {
        let no_child = self.life.is_waiting() || self.life.is_clearing();
        if no_child && !signal.is_stop() {
            self.kept.keep(signal);
        }
        self.on(Event::Signalled(signal))
    }

    /// Decides and performs.
    pub(super) fn on(&mut self, event: Event) -> ControlFlow<Exit> {
        match self.life.on(event, Instant::now()) {
            None => Continue(()),
            Some(Action::Spawn(env)) => self.spawn(env),
            Some(Action::Kill(signal)) => {
                self.signal(signal);
                Continue(())
            }
            Some(Action::EndGroup) => {
                log::info(format_args!("the configuration has changed: the app is restarted"));
                self.signal_group(Signal::TERM);
                self.signal_group(Signal::CONT);
                self.set_stopping();
                Continue(())
            }
            Some(Action::KillGroup) => {
                log::warn(format_args!("the app does not end: its group is killed"));
                self.signal_group(Signal::KILL);
                self.check_group()
            }
            Some(Action::Finish(exit)) => self.begin_end(exit),
        }
    }

    /// To the child alone; kept for it while it has no process.
    pub(super) fn signal(&mut self, signal: Signal) {
        let Some(pid) = self.registry.child else { return self.kept.keep(signal) };
        if let Err(errno) = kill(pid, signal)
            && errno != Errno::NO_PROCESS
        {
            log::warn(format_args!("cannot pass {signal} on to the app: {errno}"));
        }
        if signal.is_stop() {
            // A child that is stopped could not end.
            let _ = kill(pid, Signal::CONT);
            self.set_stopping();
        }
    }

    fn signal_group(&self, signal: Signal) {
        if let Some(leader) = self.group {
            let _ = kill_group(leader, signal);
        }
    }

    fn spawn(&mut self, env: EnvId) -> ControlFlow<Exit> {
        let wanted = self.linked.as_ref().and_then(|it| it.wanted.as_ref());
        let block =
            wanted.filter(|_| env != EnvId::BASE).map_or(&[][..], |(mapping, _)| mapping.bytes());
        // It was checked when it came; an empty one is valid.
        let variables = Env::parse(block).unwrap_or(Env::EMPTY);
        let outputs =
            self.linked.as_ref().map(|it| it.pumps.each_ref().map(|pump| pump.child_end()));
        match spawn::child(&self.settings.command, variables, &self.origin, outputs) {
            Ok(started) => {
                self.registry.child = Some(started.pid);
                self.group = Some(started.pid);
                let deadline = Instant::now().checked_add(START_TIMEOUT);
                self.child_report = deadline.map(|it| (started.report, it));
                self.set_child(Child::Running(started.pid));
                self.give_descriptors_away();
                heap::seal();
                while let Some(signal) = self.kept.take() {
                    self.signal(signal);
                }
                Continue(())
            }
            // No process to be had. The app is worth more than its link.
            Err(errno) if self.kill_agent() => {
                log::warn(format_args!("cannot fork for the app ({errno}): the agent makes room"));
                self.spawn_again = Some(env);
                Continue(())
            }
            Err(errno) => {
                log::error(format_args!("cannot fork for the app: {errno}"));
                self.on(Event::Exited(Exit::FAILURE))
            }
        }
    }

    /// Further descriptors of the caller's are the child's now, and ours no more: it may wait for
    /// the last holder of a pipe to go. A linked child may be started again, and needs them then.
    fn give_descriptors_away(&self) {
        if self.linked.is_none() {
            let raw = |it: Option<&OwnedFd>| it.map_or(-1, AsRawFd::as_raw_fd);
            process::close_others([
                self.signals.as_fd().as_raw_fd(),
                raw(self.origin.directory.as_ref()),
                raw(self.origin.terminal.as_ref()),
                raw(self.origin.own_file.as_ref().ok()),
                raw(self.child_report.as_ref().map(|(it, _)| it)),
            ]);
        }
    }

    /// The agent that was in the way has gone.
    pub(super) fn spawn_again(&mut self) -> ControlFlow<Exit> {
        self.spawn_again.take().map_or(Continue(()), |env| self.spawn(env))
    }

    pub(super) fn child_ended(&mut self, exit: Exit) -> ControlFlow<Exit> {
        self.hear_child();
        self.registry.child = None;
        self.set_child(Child::Ended(exit));
        self.on(Event::Exited(exit))
    }

    /// Whether the child's forked side got to its program.
    pub(super) fn hear_child(&mut self) {
        let Some((pipe, _)) = &self.child_report else { return };
        match report(pipe) {
            Report::Pending => return,
            Report::Running => {}
            Report::Failed { step, errno } => {
                let program = self.settings.command.first().map_or(&b""[..], |it| it.to_bytes());
                let program = program.escape_ascii();
                match step {
                    ExecStep::Exec => log::error(format_args!("cannot run {program}: {errno}")),
                    _ => log::error(format_args!(
                        "cannot run {program}: {}: {errno}",
                        step.describe()
                    )),
                }
            }
        }
        self.child_report = None;
    }

    /// A forked side that hangs, in a slow file system on PATH, say.
    pub(super) fn child_overdue(&mut self, now: Instant) {
        if self.child_report.as_ref().is_some_and(|(_, at)| *at <= now) {
            // It may start yet, from a slow disk; init waits for nothing meanwhile.
            log::warn(format_args!("the app's program has not started within 5 s"));
            self.child_report = None;
        }
    }

    /// In a restart: whether the last one of the old child's group has gone.
    pub(super) fn check_group(&mut self) -> ControlFlow<Exit> {
        if self.life.is_clearing() && !self.group.is_some_and(group_exists) {
            return self.on(Event::Cleared);
        }
        Continue(())
    }

    fn set_stopping(&mut self) {
        if let Some(pid) = self.registry.child {
            self.set_child(Child::Stopping(pid));
        }
    }

    fn set_child(&mut self, child: Child) {
        self.child = child;
        if let Some(linked) = &mut self.linked {
            linked.untold.child = true;
        }
    }
}
