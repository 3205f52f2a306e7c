//! Takes the server's snapshots and asks init for the environment they mean.
use super::change::Change;
use super::deposit;
use super::resolve::{Complaint, Overrides, View, resolve};
use crate::agent::first::{First, first};
use crate::agent::link::wire::Config;
use crate::agent::log::Log;
use crate::agent::seam;
use crate::seam::block::write_env;
use crate::seam::message::{Child, LogLevel};
use crate::sys::memfd::Mapping;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// What the room has to know at its start.
pub(crate) struct Settings {
    /// Our own level while the application's configuration does not name one.
    pub(crate) log_level: LogLevel,
    /// What the child was doing: one that does not run yet waits for us, whatever was deposited.
    pub(crate) child: Child,
}

/// Until the link ends.
pub(crate) async fn run(
    settings: Settings,
    left_to_us: Option<Mapping>,
    mut config: watch::Receiver<Option<Arc<Config>>>,
    seam: seam::Handle,
    log: Log,
) {
    let settled = left_to_us.filter(|_| settings.child != Child::Waiting);
    let settled = settled.and_then(|it| deposit::read(it.bytes()));
    let mut room = Room { settings, seam, log, change: Change::new(settled), complained: vec![] };
    loop {
        let snapshot = config.borrow_and_update().clone();
        if let Some(snapshot) = snapshot {
            room.hear(&snapshot);
        }
        // Until the next snapshot, or until what it asked for is due.
        loop {
            room.act().await;
            let due = room.change.due();
            let pause = async {
                match due {
                    Some(due) => sleep_until(Instant::from_std(due)).await,
                    None => std::future::pending().await,
                }
            };
            match first(config.changed(), pause).await {
                First::Left(Ok(())) => break,
                First::Left(Err(_)) => return,
                First::Right(()) => {}
            }
        }
    }
}

struct Room {
    settings: Settings,
    seam: seam::Handle,
    log: Log,
    change: Change<Overrides>,
    /// What was wrong with the last snapshot: said once, not with each one after it.
    complained: Vec<Complaint>,
}

impl Room {
    fn hear(&mut self, config: &Config) {
        let View { overrides, log_level, complaints } = resolve(&config.variables);
        for complaint in complaints.iter().filter(|it| !self.complained.contains(it)) {
            tracing::warn!("{complaint}");
        }
        self.complained = complaints;
        self.log.set_level(log_level.unwrap_or(self.settings.log_level));
        self.change.wanted(overrides, Instant::now().into_std());
    }

    async fn act(&mut self) {
        let before = self.change.settled();
        let Some(overrides) = self.change.take(Instant::now().into_std()) else { return };
        tracing::debug!(variables = overrides.len(), "the child is asked to run with");
        let kept = deposit::write(&overrides);
        // In this order: a deposit says what init has been asked for, never what it has not.
        if let Err(error) = self.seam.launch(&write_env(overrides.clone())).await {
            tracing::error!("cannot hand the configuration to init, trying again: {error}");
            self.change.failed(overrides, before, Instant::now().into_std());
            return;
        }
        if let Err(error) = self.seam.keep(&kept).await {
            tracing::error!("cannot leave a deposit with init: {error}");
        }
    }
}
