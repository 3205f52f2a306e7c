//! The end: decided by `ending`, performed here.
use super::{Init, Linked};
use crate::init::ending::{Action, Ending, Event};
use crate::init::log;
use crate::init::pump::Pump;
use crate::sys::process::{self, children, group_exists, kill, kill_everybody, kill_group};
use crate::sys::signals::give_foreground;
use crate::sys::{Exit, Pid, Signal};
use std::ops::ControlFlow::{self, Break, Continue};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

impl Init {
    /// The child has been collected, and no other will be started. Sessions hang up: an
    /// interactive shell would not listen to a TERM.
    pub(super) fn begin_end(&mut self, exit: Exit) -> ControlFlow<Exit> {
        let budget = self.linked.as_ref().map_or(Duration::ZERO, |it| it.link.exit_timeout);
        let (ending, action) = Ending::new(exit, budget, Instant::now());
        self.ending = Some(ending);
        self.hang_up_sessions();
        self.perform_end(action)
    }

    pub(super) fn end_overdue(&mut self, now: Instant) -> ControlFlow<Exit> {
        let due = self.ending.as_ref().and_then(Ending::deadline).is_some_and(|it| it <= now);
        if due { self.on_end(Event::Overdue) } else { Continue(()) }
    }

    fn on_end(&mut self, event: Event) -> ControlFlow<Exit> {
        let action = self.ending.as_mut().and_then(|it| it.on(event, Instant::now()));
        action.map_or(Continue(()), |action| self.perform_end(action))
    }

    fn perform_end(&mut self, action: Action) -> ControlFlow<Exit> {
        match action {
            Action::TermLeftovers => {}
            Action::KillLeftovers => {
                log::warn(format_args!("processes that the app left behind do not end: killed"));
            }
            Action::Drain => {
                if let Some(linked) = &mut self.linked {
                    linked.pumps.iter_mut().for_each(Pump::drain);
                }
            }
            Action::Goodbye(time) => self.goodbye(time),
            Action::Leave(exit) => return Break(exit),
        }
        self.check_end()
    }

    /// Whether what the end waits for has come: the last leftover, the last byte, the helpers' end.
    pub(super) fn check_end(&mut self) -> ControlFlow<Exit> {
        let Some(ending) = &self.ending else { return Continue(()) };
        let Some(awaited) = ending.waits_for() else { return Continue(()) };
        let come = match awaited {
            Event::Alone if ending.is_killing() => !self.kill_leftovers(),
            Event::Alone => !self.term_leftovers(),
            Event::Drained => {
                let drained = |it: &Linked| it.pumps.iter().all(Pump::is_drained);
                self.linked.as_ref().is_none_or(drained)
            }
            Event::AgentGone => {
                let [stdout, stderr] = self.registry.pumps;
                self.registry.agent.or(stdout).or(stderr).is_none()
            }
            Event::Overdue => false,
        };
        if come { self.on_end(awaited) } else { Continue(()) }
    }

    /// Tells those who are left to end, each once; answers whether there are any.
    fn term_leftovers(&mut self) -> bool {
        self.each_leftover(|init, leftover| {
            if init.tell_once(leftover.pid(), true) {
                leftover.signal(Signal::TERM);
                leftover.signal(Signal::CONT);
            }
        })
    }

    fn kill_leftovers(&mut self) -> bool {
        self.each_leftover(|_, leftover| leftover.signal(Signal::KILL))
    }

    /// Our children but for the helpers: whoever lost its parent has become ours. Their own
    /// children come to us when they end. Without /proc only the child's group is known.
    fn each_leftover(&mut self, mut each: impl FnMut(&mut Self, Leftover)) -> bool {
        // The buffer is taken out, so that `each` may have all of us.
        let mut scratch = self.scratch.take();
        let mut any = false;
        match scratch.as_deref_mut().and_then(|it| children(it)) {
            Some(children) => {
                for pid in children {
                    if !self.registry.is_helper(pid) {
                        any = true;
                        each(self, Leftover::Process(pid));
                    }
                }
            }
            None => {
                if let Some(group) = self.group.filter(|it| group_exists(*it)) {
                    any = true;
                    each(self, Leftover::Group(group));
                }
            }
        }
        self.scratch = scratch;
        any
    }

    /// Notes that this process is told to end (or, when it has been collected, that a later one
    /// with its pid is not); answers whether that is new.
    pub(super) fn tell_once(&mut self, pid: Pid, told: bool) -> bool {
        let number = pid.raw().unsigned_abs();
        let bit = 1_u8.wrapping_shl(number & 7);
        let Some(byte) = self.told_to_end.get_mut((number >> 3) as usize) else { return true };
        let before = *byte & bit != 0;
        // Pages that were never written take no memory: they stay so where nothing changes.
        if before != told {
            *byte ^= bit;
        }
        before != told
    }

    /// The agent flushes and leaves; without a link there is nothing to wait for.
    fn goodbye(&mut self, time: Duration) {
        let Some(linked) = &mut self.linked else { return };
        linked.pumps.iter_mut().for_each(|it| it.finish());
        linked.untold.gaps = [true; 2];
        linked.untold.shutdown = u32::try_from(time.as_millis()).ok();
        if !linked.is_up {
            self.kill_agent();
        }
    }

    /// The last thing: nobody stays behind, and the terminal goes back to whoever had it.
    pub(super) fn leave(&mut self) {
        self.kill_agent();
        kill_everybody(Signal::KILL);
        if let (Some(terminal), Some(group)) = (&self.origin.terminal, process::own_group()) {
            give_foreground(terminal.as_fd(), group);
        }
    }
}

/// Who is left: a process, or all of a group where processes cannot be listed.
#[derive(Clone, Copy)]
enum Leftover {
    Process(Pid),
    Group(Pid),
}

impl Leftover {
    fn pid(self) -> Pid {
        match self {
            Self::Process(pid) | Self::Group(pid) => pid,
        }
    }

    fn signal(self, signal: Signal) {
        let _ = match self {
            Self::Process(pid) => kill(pid, signal),
            Self::Group(leader) => kill_group(leader, signal),
        };
    }
}
