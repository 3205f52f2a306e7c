//! The pillar towards init: what the agent asks of the one who owns the processes.
//!
//! `run` owns the socket; the rooms hold a `Handle`. What init says of sessions goes to the one
//! who asked for that session; what it says of the logs and the end can be watched.
mod calls;
mod run;
#[cfg(test)]
mod tests;

pub(crate) use calls::{ExecFailure, Started, Stdio};
pub(crate) use run::{Ended, Greeting, Socket};

use crate::seam::block::{self, write_command};
use crate::seam::message::{ExecId, Stream, ToInit, WindowSize};
use crate::sys::{Errno, memfd};
use calls::Calls;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// init answers within 5 s; what takes longer than this is lost.
const START_TIMEOUT: Duration = Duration::from_secs(10);

/// The rooms' way to init.
#[derive(Clone)]
pub(crate) struct Handle {
    outgoing: mpsc::Sender<Outgoing>,
    calls: Arc<Calls>,
    gaps: watch::Receiver<Gaps>,
    shutdown: watch::Receiver<Option<Duration>>,
}

/// One packet on its way to init, and the memfd beside it.
#[derive(Debug)]
pub(super) struct Outgoing {
    message: ToInit,
    attachment: Option<OwnedFd>,
}

/// How many bytes of each output never reached us, since the child started.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Gaps {
    pub(crate) stdout: u64,
    pub(crate) stderr: u64,
}

/// What a session shall run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Command {
    pub(crate) arguments: Vec<String>,
    pub(crate) variables: Vec<(String, String)>,
    pub(crate) terminal: Option<WindowSize>,
}

impl Handle {
    /// Asks for the child to run with this block of overrides (`seam::block::write_env`).
    ///
    /// # Errors
    /// The block could not be handed over; without a seam the agent ends anyway.
    pub(crate) async fn launch(&self, env: &[u8]) -> Result<(), Errno> {
        self.send(ToInit::Launch, Some(memfd::create(env)?)).await
    }

    /// Leaves a deposit for the next agent, at most 4 MiB.
    ///
    /// # Errors
    /// As `launch`.
    pub(crate) async fn keep(&self, deposit: &[u8]) -> Result<(), Errno> {
        self.send(ToInit::Keep, Some(memfd::create(deposit)?)).await
    }

    /// Says whether there is a link: without one nobody waits for us at the end.
    pub(crate) async fn linked(&self, up: bool) {
        let _ = self.send(ToInit::Linked(up), None).await;
    }

    /// Starts a session and waits, at most 10 s, until it runs.
    ///
    /// # Errors
    /// It does not run; `ExecFailure` says what was wrong.
    pub(crate) async fn exec(&self, id: ExecId, command: Command) -> Result<Started, ExecFailure> {
        let arguments = u16::try_from(command.arguments.len()).map_err(|_| ExecFailure::TooLong)?;
        let block = write_command(&command.arguments, command.variables);
        block::Command::parse(&block, arguments).map_err(ExecFailure::Refused)?;
        let file = memfd::create(&block).map_err(ExecFailure::HandOver)?;
        let answer = self.calls.begin(id);
        let message = ToInit::Exec { id, arguments, terminal: command.terminal };
        self.send(message, Some(file)).await.map_err(ExecFailure::HandOver)?;
        match tokio::time::timeout(START_TIMEOUT, answer).await {
            Ok(Ok(started)) => started,
            // Should it start after all, nobody is there to take it, and it is closed.
            Ok(Err(_)) | Err(_) => Err(ExecFailure::Overdue),
        }
    }

    /// Nobody listens to this session any more: init ends it.
    pub(crate) async fn exec_close(&self, id: ExecId) {
        self.calls.forget(id);
        let _ = self.send(ToInit::ExecClose { id }, None).await;
    }

    /// How much of the child's output is missing from our copy.
    pub(crate) fn gaps(&self) -> watch::Receiver<Gaps> {
        self.gaps.clone()
    }

    /// `Some` once the child has ended, with the time that is left for goodbyes.
    pub(crate) fn shutdown(&self) -> watch::Receiver<Option<Duration>> {
        self.shutdown.clone()
    }

    async fn send(&self, message: ToInit, attachment: Option<OwnedFd>) -> Result<(), Errno> {
        let outgoing = Outgoing { message, attachment };
        self.outgoing.send(outgoing).await.map_err(|_| Errno::PIPE)
    }
}

impl Gaps {
    fn set(&mut self, stream: Stream, bytes: u64) {
        match stream {
            Stream::Stdout => self.stdout = bytes,
            Stream::Stderr => self.stderr = bytes,
        }
    }
}
