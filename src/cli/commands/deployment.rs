//! `waypoint deployment`: the rollouts an entrypoint can belong to.
use crate::cli::connect::Client;
use crate::cli::desk::{Desk, Place, print};
use crate::cli::failure::{Failure, Outcome};
use crate::cli::render::timestamp;
use crate::proto::operation::PhysicalState;
use crate::proto::operation_order::Order;
use crate::proto::{
    Component, Deployment, GetDeploymentRequest, ListDeploymentsRequest, OperationOrder, Status,
    UpsertDeploymentRequest, component, r#ref, status,
};
use serde_json::json;
use std::collections::HashMap;
use std::time::SystemTime;

pub(crate) async fn list(desk: &Desk<'_>) -> Outcome {
    let mut client = desk.link().await?.client;
    let place = desk.place(&mut client).await?;
    let deployments = all(&mut client, &place, 0).await?;
    if desk.call.switch("json") {
        let list: Vec<_> = deployments
            .iter()
            .map(|it| json!({"id": it.id, "sequence": it.sequence, "state": state(it), "labels": it.labels}))
            .collect();
        return print(&format!("{}\n", serde_json::Value::Array(list)));
    }
    let rows: Vec<_> = deployments
        .iter()
        .map(|it| {
            let done = it.status.as_ref().and_then(|it| it.complete_time);
            let done = done.map_or_else(String::new, timestamp);
            vec![format!("v{}", it.sequence), it.id.clone(), state(it).into(), done]
        })
        .collect();
    print(&desk.style.table(&["DEPLOYMENT", "ID", "STATE", "COMPLETED"], &rows))
}

pub(crate) async fn create(desk: &Desk<'_>) -> Outcome {
    let mut client = desk.link().await?.client;
    // It may be the first of its application, so there may be nothing to choose from yet.
    let project = desk.call.given("project");
    let place = match (project, desk.call.given("app")) {
        (Some(project), Some(app)) => Place {
            project: project.to_owned(),
            application: app.to_owned(),
            workspace: desk.workspace(),
        },
        _ => desk.place(&mut client).await?,
    };
    let made = make(&mut client, &place, desk.call.pairs("label")).await?;
    print(&format!("{}\n", made.id))
}

/// A deployment that counts as rolled out; project and application come into being with it.
pub(crate) async fn make(
    client: &mut Client,
    place: &Place,
    mut labels: HashMap<String, String>,
) -> Result<Deployment, Failure> {
    labels.insert("waypoint/workspace".into(), place.workspace.clone());
    let now = Some(prost_types::Timestamp::from(SystemTime::now()));
    let deployment = Deployment {
        application: Some(place.application()),
        workspace: Some(place.workspace()),
        state: PhysicalState::Created.into(),
        status: Some(Status {
            state: status::State::Success.into(),
            start_time: now,
            complete_time: now,
            ..Default::default()
        }),
        component: Some(Component {
            r#type: component::Type::Platform.into(),
            name: "waypoint".into(),
        }),
        labels,
        has_entrypoint_config: true,
        ..Default::default()
    };
    let request = UpsertDeploymentRequest { deployment: Some(deployment), ..Default::default() };
    let answer = client.upsert_deployment(request).await?.into_inner();
    answer.deployment.ok_or_else(|| Failure::new("the server returned no deployment"))
}

/// The newest first; at most `limit`, or all.
async fn all(client: &mut Client, place: &Place, limit: u32) -> Result<Vec<Deployment>, Failure> {
    let request = ListDeploymentsRequest {
        application: Some(place.application()),
        workspace: Some(place.workspace()),
        order: Some(OperationOrder { order: Order::CompleteTime.into(), desc: true, limit }),
        physical_state: PhysicalState::Created.into(),
        ..Default::default()
    };
    Ok(client.list_deployments(request).await?.into_inner().deployments)
}

/// The newest one.
pub(crate) async fn newest(client: &mut Client, place: &Place) -> Result<Deployment, Failure> {
    all(client, place, 1).await?.into_iter().next().ok_or_else(|| {
        let Place { project, application, workspace } = place;
        Failure::new(format!(
            "{project}/{application} has no deployment in workspace {workspace:?}"
        ))
    })
}

/// The one with this number.
pub(crate) async fn numbered(
    client: &mut Client,
    place: &Place,
    number: u64,
) -> Result<Deployment, Failure> {
    let sequence = r#ref::OperationSeq { application: Some(place.application()), number };
    let target = Some(r#ref::operation::Target::Sequence(sequence));
    let request =
        GetDeploymentRequest { r#ref: Some(r#ref::Operation { target }), ..Default::default() };
    Ok(client.get_deployment(request).await?.into_inner())
}

fn state(deployment: &Deployment) -> &'static str {
    match deployment.status.as_ref().map(Status::state) {
        Some(status::State::Success) => "success",
        Some(status::State::Running) => "running",
        Some(status::State::Error) => "error",
        Some(status::State::Unknown) | None => "unknown",
    }
}
