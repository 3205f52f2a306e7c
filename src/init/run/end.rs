//! The end: decided by `ending`, performed here.
use super::Init;
use crate::init::ending::{Action, Ending, Event};
use crate::init::log;
use crate::sys::process::{self, children, group_exists, kill, kill_everybody, kill_group};
use crate::sys::signals::give_foreground;
use crate::sys::{Exit, Pid, Signal};
use std::ops::ControlFlow::{self, Break, Continue};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

impl Init {
    /// The child has been collected, and no other will be started.
    pub(super) fn begin_end(&mut self, exit: Exit) -> ControlFlow<Exit> {
        let budget = self.linked.as_ref().map_or(Duration::ZERO, |it| it.link.exit_timeout);
        let (ending, action) = Ending::new(exit, budget, Instant::now());
        self.ending = Some(ending);
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
                self.each_leftover(|pid| {
                    let _ = kill(pid, Signal::KILL);
                });
            }
            Action::Drain => {}
            Action::Goodbye(time) => self.goodbye(time),
            Action::Leave(exit) => return Break(exit),
        }
        self.check_end()
    }

    /// Whether what the end waits for has come: the last leftover, the last byte, the helpers' end.
    pub(super) fn check_end(&mut self) -> ControlFlow<Exit> {
        let Some(ending) = &self.ending else { return Continue(()) };
        match ending.waits_for() {
            Some(Event::Alone) => {
                if self.term_leftovers() {
                    return Continue(());
                }
                self.on_end(Event::Alone)
            }
            Some(Event::Drained) => {
                let drained = |it: &super::Linked| it.pumps.iter().all(|it| it.is_drained());
                if self.linked.as_ref().is_none_or(drained) {
                    self.on_end(Event::Drained)
                } else {
                    Continue(())
                }
            }
            Some(Event::AgentGone) => {
                let helpers =
                    self.registry.agent.or(self.registry.pumps[0]).or(self.registry.pumps[1]);
                if helpers.is_none() { self.on_end(Event::AgentGone) } else { Continue(()) }
            }
            Some(Event::Overdue) | None => Continue(()),
        }
    }

    /// Tells those who are left to end, each once; answers whether there are any.
    fn term_leftovers(&mut self) -> bool {
        let mut told = std::mem::replace(&mut self.told_to_end, [None; super::MAX_TOLD]);
        let any = self.each_leftover(|pid| {
            if !told.contains(&Some(pid)) {
                told.rotate_right(1);
                told[0] = Some(pid);
                let _ = kill(pid, Signal::TERM);
                let _ = kill(pid, Signal::CONT);
            }
        });
        self.told_to_end = told;
        any
    }

    /// Our children but for the helpers: whoever lost its parent has become ours. Their own
    /// children come to us when they end. Without /proc only the child's group is known.
    fn each_leftover(&mut self, mut each: impl FnMut(Pid)) -> bool {
        let registry = &self.registry;
        let Some(children) = children(self.scratch.as_mut_slice()) else {
            let group = self.group.filter(|it| group_exists(*it));
            return group.is_some_and(|it| kill_group(it, Signal::TERM).is_ok());
        };
        let leftovers = children.filter(|it| !registry.is_helper(*it));
        leftovers.fold(false, |_, pid| {
            each(pid);
            true
        })
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
