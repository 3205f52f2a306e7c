//! Starts each session of the snapshots once, and owns those that run.
use super::command::command;
use super::refusal::Refusal;
use super::relay::{Ending, relay};
use crate::agent::first::{First, first};
use crate::agent::link::wire::{Config, Session};
use crate::agent::link::{Connection, ExecSender};
use crate::agent::seam;
use crate::seam::message::{ExecId, MAX_EXEC_IDS};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// As many run at once; the next is refused.
const MAX_SESSIONS: usize = 16;
/// Sessions and refusals under way; what is beyond waits for the next snapshot.
const MAX_TASKS: usize = 32;
/// Ids that are remembered: all that init names, and as many again.
const MAX_SEEN: usize = 2 * MAX_EXEC_IDS;
/// A snapshot says that there is a connection, and this is how long it may take to be seen.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(5);

/// What the room has to know at its start.
pub(crate) struct Settings {
    pub(crate) disabled: bool,
    /// Sessions that have run before.
    pub(crate) ran: Vec<ExecId>,
}

/// Until `ending` has come and every session has said how it ended, or until the link ends.
pub(crate) async fn run(
    settings: Settings,
    mut config: watch::Receiver<Option<Arc<Config>>>,
    connection: watch::Receiver<Option<Connection>>,
    seam: seam::Handle,
) {
    let mut ending = seam.shutdown();
    let mut room = Room {
        disabled: settings.disabled,
        seen: Seen(settings.ran.into()),
        tasks: JoinSet::new(),
        connection,
        seam,
    };
    loop {
        let snapshot = config.borrow_and_update().clone();
        if let Some(snapshot) = snapshot {
            room.seen.keep_listed(&snapshot.sessions);
            for session in &snapshot.sessions {
                room.begin(session, &config);
            }
        }
        let news = first(config.changed(), ending.wait_for(Option::is_some));
        match first(news, room.bury()).await {
            First::Left(First::Left(Ok(()))) => {}
            First::Left(_) | First::Right(()) => break,
        }
    }
    while room.tasks.join_next().await.is_some() {}
}

struct Room {
    disabled: bool,
    seen: Seen,
    tasks: JoinSet<Outcome>,
    connection: watch::Receiver<Option<Connection>>,
    seam: seam::Handle,
}

impl Room {
    /// Begins what has not begun yet.
    fn begin(&mut self, session: &Session, config: &watch::Receiver<Option<Arc<Config>>>) {
        if self.tasks.len() >= MAX_TASKS || !self.seen.insert(session.id) {
            return;
        }
        let refusal = match () {
            () if self.disabled => Some(Refusal::disabled()),
            () if self.tasks.len() >= MAX_SESSIONS => Some(Refusal::too_many()),
            () => None,
        };
        let task = Task {
            session: session.clone(),
            refusal,
            config: config.clone(),
            connection: self.connection.clone(),
            seam: self.seam.clone(),
        };
        self.tasks.spawn(task.run());
    }

    /// Lets go of sessions that have ended; never returns.
    async fn bury(&mut self) {
        loop {
            match self.tasks.join_next().await {
                // The next snapshot may have it again; this one does not start it twice.
                Some(Ok(Outcome::NotOpened(id))) => self.seen.remove(id),
                Some(_) => {}
                None => std::future::pending().await,
            }
        }
    }
}

/// Sessions that are not to be started again, oldest first.
struct Seen(VecDeque<ExecId>);

impl Seen {
    /// `false` if it was there.
    fn insert(&mut self, id: ExecId) -> bool {
        if self.0.contains(&id) {
            return false;
        }
        if self.0.len() >= MAX_SEEN {
            self.0.pop_front();
        }
        self.0.push_back(id);
        true
    }

    /// Within a server's life an id that is no longer listed never comes again; after it, one that
    /// does is another session: an original that restarts counts from 1.
    fn keep_listed(&mut self, sessions: &[Session]) {
        self.0.retain(|id| sessions.iter().any(|it| it.id == *id));
    }

    fn remove(&mut self, id: ExecId) {
        self.0.retain(|it| *it != id);
    }
}

/// Whether the server has heard of us.
enum Outcome {
    Opened,
    NotOpened(ExecId),
}

/// One session, from its announcement to its end.
struct Task {
    session: Session,
    refusal: Option<Refusal>,
    config: watch::Receiver<Option<Arc<Config>>>,
    connection: watch::Receiver<Option<Connection>>,
    seam: seam::Handle,
}

impl Task {
    async fn run(mut self) -> Outcome {
        let id = self.session.id;
        let Some(connection) = self.connection().await else { return Outcome::NotOpened(id) };
        if !self.is_wanted() {
            return Outcome::NotOpened(id);
        }
        // The command runs only once the server has opened the session: who asked is still there.
        let (to, mut from) = match connection.exec(id).await {
            Ok(opened) => opened,
            Err(lost) => {
                tracing::info!(session = id.0, "an exec session was not opened: {lost}");
                return Outcome::NotOpened(id);
            }
        };
        let started = match self.start().await {
            Ok(started) => started,
            Err(refusal) => {
                tracing::info!(session = id.0, "an exec session was refused: {}", refusal.text);
                refuse(refusal, &to).await;
                return Outcome::Opened;
            }
        };
        let (arguments, pid) = (&self.session.arguments, started.pid);
        // Arguments may hold secrets, and INFO goes to the server's log.
        let (program, more) = (arguments.first(), arguments.len().saturating_sub(1));
        tracing::info!(session = id.0, %pid, "an exec session runs {program:?} and {more} arguments");
        tracing::debug!(session = id.0, "its command is {arguments:?}");
        match relay(started, &to, &mut from).await {
            Ending::Exited(exit) => tracing::info!(session = id.0, "the exec session {exit}"),
            Ending::Abandoned => {
                tracing::info!(
                    session = id.0,
                    "the exec session is ended: nobody listens any more"
                );
                self.seam.exec_close(id).await;
            }
            Ending::Unusable(errno) => {
                tracing::warn!(session = id.0, "the exec session cannot be watched: {errno}");
                self.seam.exec_close(id).await;
                let failure = seam::ExecFailure::HandOver(errno);
                refuse(Refusal::of(&failure, ""), &to).await;
            }
        }
        Outcome::Opened
    }

    async fn connection(&mut self) -> Option<Connection> {
        let there = timeout(CONNECTION_TIMEOUT, self.connection.wait_for(Option::is_some)).await;
        there.ok()?.ok()?.clone()
    }

    /// Whether the newest snapshot still has it.
    fn is_wanted(&self) -> bool {
        let snapshot = self.config.borrow();
        snapshot.iter().any(|it| it.sessions.iter().any(|it| it.id == self.session.id))
    }

    async fn start(&mut self) -> Result<seam::Started, Refusal> {
        if let Some(refusal) = self.refusal.take() {
            return Err(refusal);
        }
        let command = command(&self.session)?;
        let program = command.arguments.first().cloned().unwrap_or_default();
        let started = self.seam.exec(self.session.id, command).await;
        started.map_err(|failure| Refusal::of(&failure, &program))
    }
}

/// Says why; who does not listen need not know.
async fn refuse(refusal: Refusal, to: &ExecSender) {
    for event in refusal.events() {
        if to.send(event).await.is_err() {
            return;
        }
    }
}
