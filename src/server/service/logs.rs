//! What readers call: the lines of a deployment or an application, and who is running.
use super::outgoing::Out;
use crate::proto::{
    GetLogStreamRequest, Instance, ListInstancesRequest, LogBatch, get_log_stream_request,
    list_instances_request, r#ref,
};
use crate::server::hub::Hub;
use crate::server::refusal::Refusal;
use crate::server::state::deployments::{is_in, is_up};
use crate::server::state::logs::{Cursors, MAX_LINES};
use crate::server::state::{App, State, fleet, key, shown};
use crate::server::{duration, wire};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::timeout;
use tonic::{Code, Status};

/// For a limit of 0, which is what the original's CLI sends.
const BACKLOG: usize = 100;
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// Whose lines are asked for.
enum Scope {
    Deployment(String),
    Application(App, String),
}

/// What a reader asked for, checked.
pub(super) struct Reading {
    scope: Scope,
    /// Of each instance; `None`: all there is.
    last: Option<usize>,
}

pub(super) fn reading(hub: &Hub, request: GetLogStreamRequest) -> Result<Reading, Status> {
    use get_log_stream_request::Scope as Asked;
    let scope = match request.scope {
        Some(Asked::DeploymentId(id)) => {
            let known = hub.read(|state| state.catalog.deployment(&id).is_some());
            if !known {
                return Err(Refusal::not_found("deployment", shown(&id)).into());
            }
            Scope::Deployment(key(&id))
        }
        Some(Asked::Application(it)) => Scope::Application(
            wire::app(it.application.as_ref(), "application.application").map_err(unprepared)?,
            wire::workspace(it.workspace.as_ref(), "application.workspace").map_err(unprepared)?,
        ),
        None => return Err(unprepared(Refusal::missing("scope"))),
    };
    let last = match request.limit_backlog {
        0 => Some(BACKLOG),
        limit => usize::try_from(limit).ok().map(|it| it.min(MAX_LINES)),
    };
    Ok(Reading { scope, last })
}

/// The original's code for a scope it cannot use.
fn unprepared(refusal: Refusal) -> Status {
    Refusal::new(Code::FailedPrecondition, refusal.to_string()).into()
}

/// The backlog by time of arrival, then what comes; new instances join by themselves.
pub(super) async fn read(hub: Hub, reading: Reading, out: Out<LogBatch>) -> Result<(), Status> {
    let (mut changes, mut lines) = (hub.changes(), hub.lines());
    let mut cursors = Cursors::default();
    loop {
        hub.read(|state| {
            let asked = reading.deployments(state);
            state.logs.follow(&mut cursors, |it| asked.contains(&key(it)), reading.last);
        });
        // Each batch by itself, so that who writes gets in between.
        while let Some(batch) = hub.read(|state| state.logs.next(&mut cursors)) {
            out.send(batch).await?;
        }
        tokio::select! {
            _ = changes.changed() => {}
            _ = lines.changed() => {}
        }
    }
}

impl Reading {
    fn deployments(&self, state: &State) -> BTreeSet<String> {
        match &self.scope {
            Scope::Deployment(id) => [id.clone()].into(),
            Scope::Application(app, workspace) => state
                .catalog
                .deployments_of(app)
                .filter(|it| is_up(it) && is_in(it, workspace))
                .map(|it| key(&it.id))
                .collect(),
        }
    }
}

/// Who runs now; with a `wait_timeout`, once somebody does.
pub(super) async fn instances(
    hub: &Hub,
    request: ListInstancesRequest,
) -> Result<Vec<Instance>, Status> {
    use list_instances_request::Scope as Asked;
    let wait = match request.wait_timeout.as_str() {
        "" => None,
        text => Some(duration::parse(text).ok_or_else(|| {
            let text = format!("wait_timeout: \"{}\" is no duration as 10s or 1m30s", shown(text));
            Status::failed_precondition(text)
        })?),
    };
    match request.scope {
        None => Err(unprepared(Refusal::missing("scope"))),
        Some(Asked::Application(it)) => {
            let app = wire::app(it.application.as_ref(), "application.application")?;
            let workspace = wire::some_workspace(it.workspace.as_ref());
            Ok(list(hub, |it| {
                it.app.key() == app.key()
                    && workspace.as_ref().is_none_or(|here| key(here) == key(&it.workspace))
            }))
        }
        Some(Asked::DeploymentId(id)) => {
            let own = |it: &fleet::Instance| key(&it.deployment) == key(&id);
            let Some(wait) = wait else { return Ok(list(hub, own)) };
            let mut changes = hub.changes();
            let some = async {
                loop {
                    let found = list(hub, own);
                    if !found.is_empty() {
                        return found;
                    }
                    let _ = changes.changed().await;
                }
            };
            tokio::select! {
                found = timeout(wait.min(LONGEST_WAIT), some) => found.map_err(|_| {
                    Status::deadline_exceeded("no instance of the deployment came up in time")
                }),
                status = hub.until(crate::server::hub::Phase::Closing) => Err(status),
            }
        }
    }
}

fn list(hub: &Hub, asked: impl Fn(&fleet::Instance) -> bool) -> Vec<Instance> {
    hub.read(|state| state.fleet.instances().filter(|it| asked(it)).map(instance).collect())
}

fn instance(it: &fleet::Instance) -> Instance {
    Instance {
        id: it.id.clone(),
        deployment_id: it.deployment.clone(),
        application: Some(it.app.reference()),
        workspace: Some(r#ref::Workspace { workspace: it.workspace.clone() }),
        r#type: it.kind.into(),
    }
}
