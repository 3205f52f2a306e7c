//! The running instances and their exec sessions.
//!
//! ```text
//! instance: registered (generation n) --registers again--> n + 1    --left(n)--> n + 1 stays
//! session:  opened: waits --taken--> runs --closed--> gone          waits --instance left--> gone
//! ```
//! A registration is one config stream. What a stream leaves behind when it ends is removed only if
//! it is still that stream's: a later one of the same instance has its own generation.
use super::key;
use super::{App, shown};
use crate::proto::entrypoint_config::Exec;
use crate::proto::exec_stream_request::Pty;
use crate::proto::instance::Type;
use crate::server::moment::Moment;
use crate::server::refusal::Refusal;
use std::collections::BTreeMap;
use tonic::Code;

const MAX_INSTANCES: usize = 50_000;
/// As many as an entrypoint takes, and some that wait.
const MAX_SESSIONS: usize = 64;
/// A command line travels to the entrypoint in every snapshot while its session lasts.
const MAX_ARGUMENTS: usize = 16 * 1024;

#[derive(Default)]
pub(crate) struct Fleet {
    instances: BTreeMap<String, Instance>,
    sessions: BTreeMap<i64, Session>,
    registrations: u64,
    last_index: i64,
}

/// One running entrypoint. Instances of any type may run; only `LongRunning` ones are chosen.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Instance {
    pub(crate) id: String,
    pub(crate) deployment: String,
    pub(crate) app: App,
    pub(crate) workspace: String,
    pub(crate) kind: Type,
    pub(crate) disable_exec: bool,
    pub(crate) generation: u64,
}

struct Session {
    instance: String,
    deployment: String,
    arguments: Vec<String>,
    terminal: Option<Pty>,
    taken: bool,
}

/// What a session is for: one instance, or any of a deployment.
pub(crate) enum Target<'a> {
    Instance(&'a str),
    Deployment(&'a str),
}

impl Fleet {
    /// The instance is there, and is replaced if it was. Returns the registration's generation.
    pub(crate) fn register(&mut self, instance: Instance) -> Result<u64, Refusal> {
        let id = key(&instance.id);
        match self.instances.get(&id) {
            Some(old) if key(&old.deployment) != key(&instance.deployment) => {
                return Err(Refusal::denied("this instance belongs to another deployment"));
            }
            None if self.instances.len() >= MAX_INSTANCES => {
                return Err(Refusal::too_many(format!("{MAX_INSTANCES} instances are running")));
            }
            _ => {}
        }
        self.registrations += 1;
        let generation = self.registrations;
        self.instances.insert(id, Instance { generation, ..instance });
        Ok(generation)
    }

    /// A registration has ended. Whether the instance has gone with it; its sessions that nobody
    /// took up are gone then, too.
    pub(crate) fn leave(&mut self, id: &str, generation: u64) -> bool {
        let id = key(id);
        if self.instances.get(&id).is_none_or(|it| it.generation != generation) {
            return false;
        }
        self.instances.remove(&id);
        self.sessions.retain(|_, it| it.taken || it.instance != id);
        true
    }

    /// `None` once the instance has registered again or has left.
    pub(crate) fn is_current(&self, id: &str, generation: u64) -> bool {
        self.instances.get(&key(id)).is_some_and(|it| it.generation == generation)
    }

    pub(crate) fn instance(&self, id: &str) -> Option<&Instance> {
        self.instances.get(&key(id))
    }

    /// By id.
    pub(crate) fn instances(&self) -> impl Iterator<Item = &Instance> {
        self.instances.values()
    }

    /// All sessions of an instance, as it is told of them.
    pub(crate) fn sessions(&self, id: &str) -> Vec<Exec> {
        let id = key(id);
        let own = self.sessions.iter().filter(|(_, it)| it.instance == id);
        own.map(|(index, it)| Exec {
            index: *index,
            args: it.arguments.clone(),
            pty: it.terminal.clone(),
        })
        .collect()
    }

    /// Chooses an instance and leaves the session with it. Indexes only grow, over restarts of the
    /// server too, since an entrypoint ignores what is not above all it saw; and none can be
    /// guessed.
    pub(crate) fn open(
        &mut self,
        target: &Target<'_>,
        arguments: Vec<String>,
        terminal: Option<Pty>,
        moment: &Moment,
    ) -> Result<i64, Refusal> {
        check_command(&arguments, terminal.as_ref())?;
        let instance = match target {
            Target::Instance(id) => self.named(id)?,
            Target::Deployment(id) => self.choose(id, moment)?,
        };
        let (instance, deployment) = (key(&instance.id), instance.deployment.clone());
        if self.load(&instance) >= MAX_SESSIONS {
            let text = format!("the instance has {MAX_SESSIONS} exec sessions already");
            return Err(Refusal::too_many(text));
        }
        let index = next_index(self.last_index, moment);
        self.last_index = index;
        let session = Session { instance, deployment, arguments, terminal, taken: false };
        self.sessions.insert(index, session);
        Ok(index)
    }

    /// An entrypoint takes a session up; `deployment` is all it may take from, if it is bound.
    pub(crate) fn take(
        &mut self,
        index: i64,
        instance: &str,
        deployment: Option<&str>,
    ) -> Result<(), Refusal> {
        let session = self.sessions.get_mut(&index).filter(|it| {
            // Whose session it is not does not learn that there is one.
            it.instance == key(instance)
                && deployment.is_none_or(|bound| key(bound) == key(&it.deployment))
        });
        let session = session.ok_or_else(|| Refusal::not_found("exec session", index))?;
        if session.taken {
            let text = format!("exec session {index} was taken up before");
            return Err(Refusal::new(Code::FailedPrecondition, text));
        }
        session.taken = true;
        Ok(())
    }

    pub(crate) fn waits(&self, index: i64) -> bool {
        self.sessions.get(&index).is_some_and(|it| !it.taken)
    }

    pub(crate) fn close(&mut self, index: i64) {
        self.sessions.remove(&index);
    }

    fn named(&self, id: &str) -> Result<&Instance, Refusal> {
        let instance =
            self.instance(id).ok_or_else(|| Refusal::not_found("instance", shown(id)))?;
        if instance.disable_exec {
            return Err(Refusal::denied("exec is disabled on this instance"));
        }
        Ok(instance)
    }

    /// The one with the fewest sessions; among equals by luck, so that not one gets all.
    fn choose(&self, deployment: &str, moment: &Moment) -> Result<&Instance, Refusal> {
        let own =
            |it: &&Instance| key(&it.deployment) == key(deployment) && it.kind == Type::LongRunning;
        let mut all = self.instances.values().filter(own).peekable();
        if all.peek().is_none() {
            let text = "the deployment has no running instance; it may still be starting";
            return Err(Refusal::too_many(text));
        }
        let open: Vec<_> = all.filter(|it| !it.disable_exec).collect();
        let fewest = open.iter().map(|it| self.load(&key(&it.id))).min();
        let idle: Vec<_> =
            open.into_iter().filter(|it| Some(self.load(&key(&it.id))) == fewest).collect();
        let luck = usize::from(moment.random[31]) * idle.len() / 256;
        let chosen = idle.get(luck).copied();
        chosen.ok_or_else(|| {
            Refusal::too_many("exec is disabled on all running instances of the deployment")
        })
    }

    fn load(&self, instance: &str) -> usize {
        self.sessions.values().filter(|it| it.instance == instance).count()
    }
}

/// The milliseconds since 1970 above 20 random bits; one more than the last if time stood still.
fn next_index(last: i64, moment: &Moment) -> i64 {
    let [.., a, b, c] = moment.random;
    let luck = (i64::from(a) << 16 | i64::from(b) << 8 | i64::from(c)) & 0xf_ffff;
    let time = i64::try_from(moment.milliseconds() & 0x7ff_ffff_ffff).unwrap_or(0);
    (time << 20 | luck).max(last.saturating_add(1 + (luck & 0xffff)))
}

fn check_command(arguments: &[String], terminal: Option<&Pty>) -> Result<(), Refusal> {
    if arguments.first().is_none_or(String::is_empty) {
        return Err(Refusal::invalid("start.args", "needs a program to run"));
    }
    let bytes: usize = arguments.iter().map(|it| it.len() + 1).sum();
    if bytes > MAX_ARGUMENTS || arguments.len() > 1024 {
        let why = format!("has at most 1024 arguments, {MAX_ARGUMENTS} bytes");
        return Err(Refusal::invalid("start.args", why));
    }
    if arguments.iter().any(|it| it.contains('\0')) {
        return Err(Refusal::invalid("start.args", "has a NUL, which no command line may have"));
    }
    if terminal.is_some_and(|it| it.term.len() > 256 || it.term.contains('\0')) {
        return Err(Refusal::invalid("start.pty.term", "is no name of a terminal"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
