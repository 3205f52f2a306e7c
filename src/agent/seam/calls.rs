//! Who waits for which session's news.
//!
//! ```text
//! begin --> Starting --started--> Running --exited--> gone
//!              `--failed, forgotten--> gone
//! ```
use crate::seam::block::Refused;
use crate::seam::message::{ExecId, ExecStep};
use crate::sys::{Errno, Exit, Pid};
use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// A session that runs.
#[derive(Debug)]
pub(crate) struct Started {
    pub(crate) pid: Pid,
    pub(crate) stdio: Stdio,
    /// How it ended; an error when nobody will ever know.
    pub(crate) exited: oneshot::Receiver<Exit>,
}

/// A session's ends of its input and output; nobody else holds them.
#[derive(Debug)]
pub(crate) enum Stdio {
    /// The master of its terminal, non-blocking.
    Terminal(OwnedFd),
    Pipes {
        stdin: OwnedFd,
        stdout: OwnedFd,
        stderr: OwnedFd,
    },
}

/// Why a session does not run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum ExecFailure {
    /// init tried, and this step failed.
    Step(ExecStep, Errno),
    /// The command could not be given to init.
    HandOver(Errno),
    /// More arguments than any program takes.
    TooLong,
    /// Not a command at all.
    Refused(Refused),
    /// init did not answer.
    Overdue,
}

/// Every session that init has been asked for and has not ended: at most as many as `exec` allows.
#[derive(Debug, Default)]
pub(super) struct Calls(Mutex<HashMap<ExecId, Call>>);

#[derive(Debug)]
enum Call {
    Starting(oneshot::Sender<Result<Started, ExecFailure>>),
    Running(oneshot::Sender<Exit>),
}

impl Calls {
    pub(super) fn begin(&self, id: ExecId) -> oneshot::Receiver<Result<Started, ExecFailure>> {
        let (sender, receiver) = oneshot::channel();
        self.lock().insert(id, Call::Starting(sender));
        receiver
    }

    /// `false` if nobody waits for it any more: then init has to close it.
    pub(super) fn started(&self, id: ExecId, pid: Pid, stdio: Stdio) -> bool {
        let mut calls = self.lock();
        let Some(Call::Starting(waiting)) = calls.remove(&id) else { return false };
        let (exit, exited) = oneshot::channel();
        if waiting.send(Ok(Started { pid, stdio, exited })).is_err() {
            return false;
        }
        calls.insert(id, Call::Running(exit));
        true
    }

    pub(super) fn failed(&self, id: ExecId, step: ExecStep, errno: Errno) {
        if let Some(Call::Starting(waiting)) = self.lock().remove(&id) {
            let _ = waiting.send(Err(ExecFailure::Step(step, errno)));
        }
    }

    pub(super) fn exited(&self, id: ExecId, exit: Exit) {
        if let Some(Call::Running(waiting)) = self.lock().remove(&id) {
            let _ = waiting.send(exit);
        }
    }

    pub(super) fn forget(&self, id: ExecId) {
        self.lock().remove(&id);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ExecId, Call>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
