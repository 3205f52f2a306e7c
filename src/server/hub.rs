//! The one place where the state lives, and where those who wait for a change of it are woken.
//!
//! Nothing is awaited while the state is locked. Wakes carry no content and coalesce: whoever is
//! woken looks at the state as it is then. That costs every waiting stream a look for every change
//! anywhere; changes are a human's doing and rare. Lines of logs, which are not, have their own.
use super::moment::Moment;
use super::refusal::Refusal;
use super::state::State;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;
use tokio::sync::watch;
use tonic::{Code, Status};

#[derive(Clone)]
pub(crate) struct Hub(Arc<Inner>);

struct Inner {
    state: Mutex<State>,
    changes: watch::Sender<()>,
    lines: watch::Sender<()>,
    phase: watch::Sender<Phase>,
}

/// How far the server's end has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    Open,
    /// Streams that would never end by themselves end now; sessions may still finish.
    Closing,
    Closed,
}

impl Hub {
    pub(crate) fn new() -> Result<Self, Refusal> {
        let (changes, lines) = (watch::Sender::new(()), watch::Sender::new(()));
        let state = Mutex::new(State::new(&moment()?));
        Ok(Self(Arc::new(Inner { state, changes, lines, phase: watch::Sender::new(Phase::Open) })))
    }

    pub(crate) fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.state())
    }

    /// Changes the state and wakes everybody who watches `changes`.
    pub(crate) fn change<T>(
        &self,
        change: impl FnOnce(&mut State, &Moment) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let moment = moment()?;
        let done = change(&mut self.state(), &moment)?;
        self.0.changes.send_replace(());
        Ok(done)
    }

    /// Changes the state in what nobody waits for, or what `wake_readers` is for.
    pub(crate) fn quietly<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state())
    }

    /// For changes that cannot fail, as the end of a stream.
    pub(crate) fn clean_up(&self, change: impl FnOnce(&mut State, SystemTime)) {
        change(&mut self.state(), SystemTime::now());
        self.0.changes.send_replace(());
    }

    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.0.changes.subscribe()
    }

    pub(crate) fn wake_readers(&self) {
        self.0.lines.send_replace(());
    }

    pub(crate) fn lines(&self) -> watch::Receiver<()> {
        self.0.lines.subscribe()
    }

    pub(crate) fn enter(&self, phase: Phase) {
        self.0.phase.send_replace(phase);
    }

    /// Returns once the server's end has come this far, with what to tell the peer.
    pub(crate) async fn until(&self, phase: Phase) -> Status {
        // The sender is ours, so waiting fails never.
        let _ = self.0.phase.subscribe().wait_for(|now| phase <= *now).await;
        Status::unavailable("the server is shutting down")
    }

    /// A panic elsewhere must not take the server with it: changes are whole or refused before.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Now, and fresh random bytes from the kernel.
pub(crate) fn moment() -> Result<Moment, Refusal> {
    let mut random = [0; 32];
    let source = tokio_rustls::rustls::crypto::ring::default_provider().secure_random;
    let filled = source.fill(&mut random);
    filled.map_err(|_| Refusal::new(Code::Internal, "the kernel gives no random bytes"))?;
    Ok(Moment { now: SystemTime::now(), random })
}
