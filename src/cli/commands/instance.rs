//! `waypoint instance list`: the entrypoints that are linked now.
use super::deployment::{newest, numbered};
use crate::cli::args::duration;
use crate::cli::desk::{Desk, print};
use crate::cli::failure::{Failure, Outcome};
use crate::proto::list_instances_request::{Application, Scope};
use crate::proto::{Instance, ListInstancesRequest, instance};
use serde_json::json;
use std::time::Duration;
use tonic::Code;

/// What an answer may take beyond the wait that was asked for.
const SLACK: Duration = Duration::from_secs(10);

pub(crate) async fn list(desk: &Desk<'_>) -> Outcome {
    let call = desk.call;
    let number = call.number("deployment-seq")?;
    let wait = call.given("wait").map(|text| {
        duration(text)
            .map(|it| (text, it))
            .ok_or_else(|| Failure::new(format!("flag -wait: {text:?} is no duration like 30s")))
    });
    let wait = wait.transpose()?;
    let mut client = desk.link().await?.client;
    let place = desk.place(&mut client).await?;
    // The server can wait for a deployment's instances only.
    let deployment = match (number, wait) {
        (Some(number), _) => Some(numbered(&mut client, &place, number).await?),
        (None, Some(_)) => Some(newest(&mut client, &place).await?),
        (None, None) => None,
    };
    let scope = match deployment {
        Some(deployment) => Scope::DeploymentId(deployment.id),
        None => Scope::Application(Application {
            application: Some(place.application()),
            workspace: Some(place.workspace()),
        }),
    };
    let request = ListInstancesRequest {
        scope: Some(scope),
        wait_timeout: wait.map(|(text, _)| text.to_owned()).unwrap_or_default(),
    };
    let limit = wait.map_or(SLACK, |(_, it)| it.saturating_add(SLACK));
    let answer = tokio::time::timeout(limit, client.list_instances(request))
        .await
        .map_err(|_| Failure::new(format!("no answer within {} s", limit.as_secs())))?;
    let instances = match answer {
        Ok(answer) => answer.into_inner().instances,
        Err(status) if status.code() == Code::DeadlineExceeded => {
            return Err(Failure::new(format!("no instance within {}", call.text("wait"))));
        }
        Err(status) => return Err(status.into()),
    };
    if call.switch("json") {
        let list: Vec<_> = instances.iter().map(as_json).collect();
        return print(&format!("{}\n", serde_json::Value::Array(list)));
    }
    let rows: Vec<_> = instances
        .iter()
        .map(|it| {
            let workspace = it.workspace.clone().unwrap_or_default().workspace;
            vec![it.id.clone(), it.deployment_id.clone(), workspace, kind(it).into()]
        })
        .collect();
    print(&desk.style.table(&["INSTANCE", "DEPLOYMENT", "WORKSPACE", "TYPE"], &rows))
}

fn as_json(it: &Instance) -> serde_json::Value {
    let application = it.application.clone().unwrap_or_default();
    json!({
        "id": it.id,
        "deployment_id": it.deployment_id,
        "project": application.project,
        "application": application.application,
        "workspace": it.workspace.clone().unwrap_or_default().workspace,
        "type": kind(it),
    })
}

fn kind(it: &Instance) -> &'static str {
    match it.r#type() {
        instance::Type::LongRunning => "long-running",
        instance::Type::OnDemand => "on-demand",
        instance::Type::Virtual => "virtual",
    }
}
