//! What entrypoints call: their config, which is their registration too, and their logs.
use super::Service;
use super::outgoing::{Out, next};
use crate::proto::instance::Type;
use crate::proto::{EntrypointConfigRequest, EntrypointConfigResponse, EntrypointLogBatch, r#ref};
use crate::server::hub::Hub;
use crate::server::refusal::Refusal;
use crate::server::state::fleet::Instance;
use crate::server::state::{App, State, key, shown};
use crate::server::wire;
use tonic::{Status, Streaming};

const MAX_ID: usize = 128;

/// A registered instance; its end is the registration's.
pub(super) struct Registration {
    hub: Hub,
    instance: Instance,
}

impl Drop for Registration {
    fn drop(&mut self) {
        let Instance { id, generation, .. } = &self.instance;
        self.hub.clean_up(|state, now| {
            if state.fleet.leave(id, *generation) {
                state.logs.leave(id, now);
            }
        });
    }
}

/// Registers the instance. `bound`: the one deployment it may be of.
pub(super) fn register(
    hub: &Hub,
    bound: Option<&str>,
    request: EntrypointConfigRequest,
) -> Result<Registration, Status> {
    let deployment = &request.deployment_id;
    if deployment.is_empty() {
        return Err(Refusal::missing("deployment_id").into());
    }
    if bound.is_some_and(|only| key(only) != key(deployment)) {
        return Err(Status::permission_denied("the token is for another deployment"));
    }
    let id = &request.instance_id;
    if id.is_empty() || id.len() > MAX_ID || !id.bytes().all(|it| it.is_ascii_graphic()) {
        let why = format!("must be 1 to {MAX_ID} printable characters, not \"{}\"", shown(id));
        return Err(Refusal::invalid("instance_id", why).into());
    }
    let kind = Type::try_from(request.r#type)
        .map_err(|_| Refusal::invalid("type", format!("{} is no type", request.r#type)))?;
    let instance = hub.change(|state, _| {
        let (app, workspace) = place(state, deployment)?;
        let mut instance = Instance {
            id: id.clone(),
            deployment: deployment.clone(),
            app,
            workspace,
            kind,
            disable_exec: request.disable_exec,
            generation: 0,
        };
        // The logs first: they refuse an instance of another deployment that left lately, too.
        state.logs.begin(&instance.id, deployment)?;
        instance.generation = state.fleet.register(instance.clone())?;
        Ok(instance)
    })?;
    Ok(Registration { hub: hub.clone(), instance })
}

fn place(state: &State, deployment: &str) -> Result<(App, String), Refusal> {
    let found = state.catalog.deployment(deployment);
    let found = found.ok_or_else(|| Refusal::not_found("deployment", shown(deployment)))?;
    let app = wire::app(found.application.as_ref(), "deployment.application")?;
    let workspace =
        found.workspace.clone().unwrap_or_else(|| r#ref::Workspace { workspace: "default".into() });
    Ok((app, workspace.workspace))
}

/// A whole snapshot at once, and one for each change of it.
pub(super) async fn config(
    registration: Registration,
    out: Out<EntrypointConfigResponse>,
) -> Result<(), Status> {
    let Registration { hub, instance } = &registration;
    let mut changes = hub.changes();
    let mut sent = None;
    loop {
        let (current, snapshot) = hub.read(|state| {
            let current = state.fleet.is_current(&instance.id, instance.generation);
            (current, state.snapshot(instance))
        });
        if !current {
            return Err(Status::aborted("the instance has registered again on another stream"));
        }
        // Not NotFound, after which entrypoints of the original never come back.
        let snapshot =
            snapshot.ok_or_else(|| Status::unavailable("the deployment has been destroyed"))?;
        if sent.as_ref() != Some(&snapshot) {
            let config = Some(snapshot.clone());
            out.send(EntrypointConfigResponse { config, ..Default::default() }).await?;
            sent = Some(snapshot);
        }
        // Many changes while a snapshot was on its way are one.
        let _ = changes.changed().await;
    }
}

/// Takes lines until the half-close. The instance is looked up for every batch: it may register
/// again meanwhile.
pub(super) async fn logs(
    service: &Service,
    bound: Option<&str>,
    mut incoming: Streaming<EntrypointLogBatch>,
) -> Result<(), Status> {
    let mut instance = String::new();
    while let Some(batch) = next(&mut incoming).await? {
        if !batch.instance_id.is_empty() {
            instance = batch.instance_id;
        }
        if batch.lines.is_empty() {
            continue;
        }
        if instance.is_empty() {
            return Err(Refusal::missing("instance_id").into());
        }
        service.hub.quietly(|state| state.logs.append(&instance, batch.lines, bound))?;
        service.hub.wake_readers();
    }
    Ok(())
}
