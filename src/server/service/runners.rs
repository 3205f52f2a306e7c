//! Runners, of which there are none: what the original's CLI has to be told, and no more.
//!
//! Before `exec` and `logs` it looks for somebody to run its jobs. It is shown a remote runner with
//! a default profile, which lets it go on at once; should it begin a runner of its own instead,
//! that one is welcome and never gets a job. Source: protocol, section "Runner stubs".
use super::outgoing::Out;
use crate::proto::job::data_source::Source;
use crate::proto::{
    OnDemandRunnerConfig, Project, Runner, RunnerConfig, RunnerConfigRequest, RunnerConfigResponse,
    RunnerJobStreamRequest, RunnerJobStreamResponse, job, runner, runner_config_request,
};
use crate::server::refusal::Refusal;
use tonic::{Status, Streaming};

const ID: &str = "00000000000000000000000002";

pub(super) fn list() -> Vec<Runner> {
    vec![Runner {
        id: ID.into(),
        kind: Some(runner::Kind::Remote(runner::Remote {})),
        online: true,
        adoption_state: runner::AdoptionState::Adopted.into(),
        ..Default::default()
    }]
}

pub(super) fn profiles() -> Vec<OnDemandRunnerConfig> {
    let name = "none".to_owned();
    vec![OnDemandRunnerConfig { id: ID.into(), name, default: true, ..Default::default() }]
}

/// A project as it is shown: with a remote source, or the CLI would begin a runner of its own.
pub(super) fn as_remote(mut project: Project) -> Project {
    let local = |it: &Option<Source>| matches!(it, None | Some(Source::Local(_)));
    if project.data_source.as_ref().is_none_or(|it| local(&it.source)) {
        let git = job::Git { url: "https://waypoint.invalid/".into(), ..Default::default() };
        project.data_source = Some(job::DataSource { source: Some(Source::Git(git)) });
    }
    project.remote_enabled = true;
    project
}

/// One empty config, and then nothing for as long as the runner is there.
pub(super) async fn config(
    mut incoming: Streaming<RunnerConfigRequest>,
    out: Out<RunnerConfigResponse>,
) -> Result<(), Status> {
    let first = incoming.message().await?.and_then(|it| it.event);
    let Some(runner_config_request::Event::Open(_)) = first else {
        return Err(Refusal::missing("open").into());
    };
    out.send(RunnerConfigResponse { config: Some(RunnerConfig::default()) }).await?;
    while incoming.message().await?.is_some() {}
    Ok(())
}

/// No job, for as long as the runner waits for one.
pub(super) async fn jobs(
    mut incoming: Streaming<RunnerJobStreamRequest>,
    _out: Out<RunnerJobStreamResponse>,
) -> Result<(), Status> {
    while incoming.message().await?.is_some() {}
    Ok(())
}
