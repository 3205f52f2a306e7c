//! PID 1's one thread: wait, decide, perform. What fails is the next fact, or a line in the log.
mod agent;
mod child;
mod end;
mod session;

use super::agent::Supervision;
use super::ending::Ending;
use super::lifecycle::{EnvId, Life};
use super::log;
use super::poll::{Reporter, Wake, sleep};
use super::pump::Pump;
use super::registry::{MAX_SESSIONS, Registry, Who};
use super::settings::{Link, Settings};
use super::signals::{Kept, for_child};
use super::spawn::Origin;
use super::tell::Untold;
use crate::seam::message::{Child, MAX_PACKET};
use crate::sys::memfd::Mapping;
use crate::sys::poll::For;
use crate::sys::process::{self, reap};
use crate::sys::signals::{Signals, foreground_terminal};
use crate::sys::{Errno, Exit, Pid, Signal, entry, memory};
use std::ops::ControlFlow::{self, Break, Continue};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// A bit for each pid there can be; the pages that are not used take no memory. Source: proc(5),
/// pid_max.
const PIDS: usize = (4 << 20) / 8;
/// So often a group that is to be gone is looked at.
const LOOK_AT_GROUP: Duration = Duration::from_millis(100);
/// After so long without anything to do, init gives back the pages of its file that it used.
const QUIET: Duration = Duration::from_secs(2);

/// Everything PID 1 knows. All of it is reserved before the child runs.
struct Init {
    signals: Signals,
    origin: Origin,
    settings: Settings,
    life: Life,
    registry: Registry,
    kept: Kept,
    child: Child,
    /// The group of the child that runs or ran last.
    group: Option<Pid>,
    /// How the child's own process is getting to its exec.
    child_report: Option<(OwnedFd, Instant)>,
    /// A fork failed: again when the agent, which we have ended for that, is gone.
    spawn_again: Option<EnvId>,
    ending: Option<Ending>,
    /// The leftovers that have been told to end: each once.
    told_to_end: Box<[u8; PIDS]>,
    /// Room for a packet or a list; taken out while it is in use.
    scratch: Option<Box<[u8; MAX_PACKET]>>,
    /// When it will have been quiet; once, then it sleeps for ever.
    quiet_at: Option<Instant>,
    linked: Option<Linked>,
}

/// What there is besides when a server is configured.
struct Linked {
    link: Link,
    instance_id: String,
    supervision: Supervision,
    agent_report: Option<OwnedFd>,
    seam: Option<OwnedFd>,
    /// It has given up its privileges and has been told everything.
    ready: bool,
    is_up: bool,
    /// The seam was full: what is untold goes when there is room.
    is_stuck: bool,
    untold: Untold,
    pumps: [Pump; 2],
    /// The newest environment a server wanted, and its number.
    wanted: Option<(Mapping, EnvId)>,
    newest: EnvId,
    deposit: Option<OwnedFd>,
    stdio: [[Option<OwnedFd>; 3]; MAX_SESSIONS],
    reports: [Option<(OwnedFd, Instant)>; MAX_SESSIONS],
    /// What the agent had read of the copies when it was last looked at.
    seen: u64,
    /// What it was last told to be missing from them.
    told_missing: [u64; 2],
}

/// Runs the child until it and all it left behind are gone; our exit is its exit.
pub(crate) fn run(settings: Settings) -> Exit {
    match Init::new(settings, Instant::now()) {
        Ok(mut init) => init.live(),
        Err((what, errno)) => {
            log::error(format_args!("cannot {what}: {errno}"));
            Exit::FAILURE
        }
    }
}

impl Init {
    fn new(mut settings: Settings, now: Instant) -> Result<Self, (&'static str, Errno)> {
        let (signals, inherited) = Signals::block().map_err(|it| ("read signals", it))?;
        let own_file = entry::own_file();
        let origin = Origin {
            env: std::mem::take(&mut settings.env),
            directory: entry::leave_directory(),
            signals: inherited,
            terminal: foreground_terminal(),
            own_file,
        };
        if process::own_pid().map(Pid::raw) != Some(1)
            && let Err(errno) = process::adopt_orphans()
        {
            log::warn(format_args!("cannot adopt orphans, they go to somebody else: {errno}"));
        }
        let mut registry = Registry::default();
        let linked = match settings.link.take() {
            Some(link) => Some(Linked::new(link, &mut registry, now)?),
            None => None,
        };
        let wait = linked.as_ref().map_or(Some(Duration::ZERO), |it| it.link.start_timeout);
        let grace = linked.as_ref().map_or(Duration::ZERO, |it| it.link.restart_grace);
        Ok(Self {
            signals,
            origin,
            settings,
            life: Life::new(wait.and_then(|it| now.checked_add(it)), grace),
            registry,
            kept: Kept::default(),
            child: Child::Waiting,
            group: None,
            child_report: None,
            spawn_again: None,
            ending: None,
            told_to_end: memory::zeroed(),
            scratch: Some(memory::zeroed()),
            quiet_at: None,
            linked,
        })
    }

    fn live(&mut self) -> Exit {
        loop {
            if let Break(exit) = self.turn() {
                self.leave();
                return exit;
            }
        }
    }

    /// One turn: sleeps here only; then the most urgent first. Breaks with our exit.
    fn turn(&mut self) -> ControlFlow<Exit> {
        let ready = sleep(self.waited_for(), self.deadline(), Instant::now());
        let now = Instant::now();
        self.quieten(ready.ready().next().is_some(), now);
        ready.ready().try_for_each(|wake| match wake {
            // One SIGCHLD may stand for many deaths, most of them of orphans we adopted.
            Wake::Signal => {
                while let Some(arrived) = self.signals.next() {
                    if arrived.signal == Signal::CHLD {
                        std::iter::from_fn(reap)
                            .try_for_each(|(pid, exit)| self.bury(pid, exit))?;
                    } else if let Some(signal) = for_child(arrived) {
                        self.pass_on(signal)?;
                    }
                }
                Continue(())
            }
            Wake::Report(reporter) => self.hear_report(reporter),
            Wake::Seam => self.converse(),
            Wake::Output(index) => self.pump(index),
        })?;
        self.overdue(now)?;
        // Once a turn and not for each who died: there may be thousands.
        self.check_group()?;
        self.check_end()?;
        self.tell();
        Continue(())
    }

    /// Idle, only what a sleep needs stays in memory: one timer after the last event sees to it.
    fn quieten(&mut self, busy: bool, now: Instant) {
        if busy {
            self.quiet_at = now.checked_add(QUIET);
        } else if self.quiet_at.is_some_and(|it| it <= now) {
            self.quiet_at = None;
            memory::drop_clean_pages();
        }
    }

    fn waited_for(&self) -> impl Iterator<Item = (BorrowedFd<'_>, For, Wake)> {
        let signals = (self.signals.as_fd(), For::Reading, Wake::Signal);
        let child = self.child_report.iter().map(|(it, _)| (it, Reporter::Child));
        let linked = self.linked.iter();
        let agent =
            linked.clone().flat_map(|it| it.agent_report.iter().map(|it| (it, Reporter::Agent)));
        let sessions = linked.clone().flat_map(|it| {
            let reports = it.reports.iter().enumerate();
            reports.filter_map(|(slot, it)| Some((&it.as_ref()?.0, Reporter::Session(slot))))
        });
        let reports = child.chain(agent).chain(sessions);
        let seams = linked.clone().flat_map(|it| {
            let write = it.is_stuck.then_some(For::Writing);
            let both = [Some(For::Reading), write].into_iter().flatten();
            it.seam.iter().flat_map(move |seam| {
                both.clone().map(move |what| (seam.as_fd(), what, Wake::Seam))
            })
        });
        let outputs = linked.flat_map(|it| {
            it.pumps.iter().enumerate().map(|(index, pump)| {
                let (fd, what) = pump.waits_for();
                (fd, what, Wake::Output(index))
            })
        });
        std::iter::once(signals)
            .chain(reports.map(|(fd, who)| (fd.as_fd(), For::Reading, Wake::Report(who))))
            .chain(seams)
            .chain(outputs)
    }

    /// The next moment at which something is due.
    fn deadline(&self) -> Option<Instant> {
        let linked = self.linked.as_ref();
        [
            self.quiet_at,
            // Its last member may be collected by somebody else, and we are not told.
            self.life.is_clearing().then(|| Instant::now().checked_add(LOOK_AT_GROUP)).flatten(),
            self.life.deadline(),
            self.ending.as_ref().and_then(Ending::deadline),
            self.child_report.as_ref().map(|(_, at)| *at),
            linked.and_then(|it| it.supervision.deadline()).filter(|_| self.ending.is_none()),
            linked.and_then(|it| it.reports.iter().flatten().map(|(_, at)| *at).min()),
            self.registry.sessions().filter_map(|(_, it)| it.deadline()).min(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// A process has been collected.
    fn bury(&mut self, pid: Pid, exit: Exit) -> ControlFlow<Exit> {
        match self.registry.who(pid) {
            Who::Child => self.child_ended(exit)?,
            Who::Agent => self.agent_ended(exit)?,
            Who::Session(slot) => self.session_ended(slot, exit),
            Who::Pump => self.registry.forget_pump(pid),
            Who::Orphan => {}
        }
        self.tell_once(pid, false);
        Continue(())
    }

    fn hear_report(&mut self, reporter: Reporter) -> ControlFlow<Exit> {
        match reporter {
            Reporter::Child => self.hear_child(),
            Reporter::Agent => self.hear_agent(),
            Reporter::Session(slot) => self.hear_session(slot),
        }
        Continue(())
    }

    /// Whatever is due now.
    fn overdue(&mut self, now: Instant) -> ControlFlow<Exit> {
        if self.life.deadline().is_some_and(|it| it <= now) {
            self.on(super::lifecycle::Event::Overdue)?;
        }
        self.child_overdue(now);
        self.sessions_overdue(now);
        self.agent_overdue(now);
        self.end_overdue(now)
    }
}

impl Linked {
    fn new(
        link: Link,
        registry: &mut Registry,
        now: Instant,
    ) -> Result<Self, (&'static str, Errno)> {
        let mut pump = |number: i32, index: usize| {
            let (pump, writer) =
                Pump::new(entry::standard(number)).map_err(|it| ("make a pipe", it))?;
            if let Some(slot) = registry.pumps.get_mut(index) {
                *slot = writer;
            }
            Ok(pump)
        };
        let pumps = [pump(1, 0)?, pump(2, 1)?];
        Ok(Self {
            supervision: Supervision::new(link.agent_timeout, now),
            instance_id: super::ulid::new_ulid(),
            link,
            agent_report: None,
            seam: None,
            ready: false,
            is_up: false,
            is_stuck: false,
            untold: Untold::default(),
            pumps,
            wanted: None,
            newest: EnvId::BASE,
            deposit: None,
            stdio: [const { [const { None }; 3] }; MAX_SESSIONS],
            reports: [const { None }; MAX_SESSIONS],
            seen: 0,
            told_missing: [0; 2],
        })
    }
}
