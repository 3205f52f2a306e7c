//! gRPC: the shell around the state. Each method is a line or two; what is longer has a file.
//!
//! Who calls is settled in `admission.rs`; here is only what the method itself has to know of it.
pub(crate) mod admission;
mod entrypoint;
mod exec;
mod logs;
mod outgoing;
mod runners;
#[cfg(test)]
mod tests;
pub(crate) mod tokens;

use super::hub::{Hub, Phase};
use super::refusal::Refusal;
use super::state::variables::View;
use super::state::{App, catalog};
use super::token::Caller;
use super::wire;
use crate::proto::waypoint_server::Waypoint;
use crate::proto::{self, *};
use outgoing::{Outgoing, answer};
use tonic::{Request, Response, Status, Streaming};

type Answer<T> = Result<Response<T>, Status>;

#[derive(Clone)]
pub(crate) struct Service {
    hub: Hub,
    pipes: exec::Pipes,
}

impl Service {
    pub(crate) fn new(hub: Hub) -> Self {
        Self { hub, pipes: exec::Pipes::default() }
    }

    fn change<T>(
        &self,
        change: impl FnOnce(&mut super::state::State) -> Result<T, Refusal>,
    ) -> Result<T, Status> {
        Ok(self.hub.change(|state, _| change(state))?)
    }
}

/// Whom the call is for; the door let nobody in who has no credential where one is needed.
fn caller<T>(request: &Request<T>) -> Result<Caller, Status> {
    let caller = request.extensions().get::<Option<Caller>>().cloned().flatten();
    caller.ok_or_else(|| Status::unauthenticated("waypoint-token: is required"))
}

/// The one deployment the caller may act for; `None` for any.
fn bound<T>(request: &Request<T>) -> Result<Option<String>, Status> {
    Ok(match caller(request)? {
        Caller::Entrypoint { deployment, .. } => Some(deployment),
        Caller::User(_) | Caller::Runner => None,
    })
}

fn new_token(token: Result<String, Refusal>) -> Answer<NewTokenResponse> {
    Ok(Response::new(NewTokenResponse { token: token? }))
}

fn ok<T>(message: T) -> Answer<T> {
    Ok(Response::new(message))
}

#[tonic::async_trait]
impl Waypoint for Service {
    async fn get_version_info(&self, _: Request<()>) -> Answer<GetVersionInfoResponse> {
        let admission::Protocol { minimum, current } = admission::PROTOCOL;
        let range = Some(version_info::ProtocolVersion { minimum, current });
        let version = format!("v{}", env!("CARGO_PKG_VERSION"));
        let features = vec![server_features::Feature::InlineKeepalives.into()];
        ok(GetVersionInfoResponse {
            info: Some(VersionInfo { api: range, entrypoint: range, version }),
            server_features: Some(ServerFeatures { features }),
        })
    }

    async fn bootstrap_token(&self, _: Request<()>) -> Answer<NewTokenResponse> {
        new_token(tokens::bootstrap(&self.hub))
    }

    async fn decode_token(&self, it: Request<DecodeTokenRequest>) -> Answer<DecodeTokenResponse> {
        ok(tokens::decode(&self.hub, &it.get_ref().token)?)
    }

    async fn convert_invite_token(
        &self,
        it: Request<ConvertInviteTokenRequest>,
    ) -> Answer<NewTokenResponse> {
        new_token(tokens::convert(&self.hub, &it.get_ref().token))
    }

    async fn generate_invite_token(
        &self,
        it: Request<InviteTokenRequest>,
    ) -> Answer<NewTokenResponse> {
        let caller = caller(&it)?;
        new_token(tokens::invite(&self.hub, &caller, it.into_inner()))
    }

    async fn generate_login_token(
        &self,
        it: Request<LoginTokenRequest>,
    ) -> Answer<NewTokenResponse> {
        new_token(tokens::login(&self.hub, &caller(&it)?, it.get_ref()))
    }

    async fn generate_runner_token(
        &self,
        it: Request<GenerateRunnerTokenRequest>,
    ) -> Answer<NewTokenResponse> {
        new_token(tokens::runner(&self.hub, it.into_inner()))
    }

    async fn get_user(&self, it: Request<GetUserRequest>) -> Answer<GetUserResponse> {
        let caller = tokens::user(&caller(&it)?)?;
        let caller = r#ref::user::Ref::Id(r#ref::UserId { id: caller });
        let user = it.into_inner().user.unwrap_or(r#ref::User { r#ref: Some(caller) });
        let user = self.hub.read(|state| state.users.find(&user).cloned())?;
        ok(GetUserResponse { user: Some(user) })
    }

    async fn update_user(&self, it: Request<UpdateUserRequest>) -> Answer<UpdateUserResponse> {
        let user = it.into_inner().user.ok_or_else(|| Refusal::missing("user"))?;
        ok(UpdateUserResponse { user: Some(self.change(|state| state.users.update(&user))?) })
    }

    async fn list_users(&self, _: Request<()>) -> Answer<ListUsersResponse> {
        ok(ListUsersResponse { users: self.hub.read(|state| state.users.list()) })
    }

    async fn delete_user(&self, it: Request<DeleteUserRequest>) -> Answer<()> {
        let user = it.into_inner().user.ok_or_else(|| Refusal::missing("user"))?;
        ok(self.change(|state| state.users.delete(&user))?)
    }

    type EntrypointConfigStream = Outgoing<EntrypointConfigResponse>;

    async fn entrypoint_config(
        &self,
        it: Request<EntrypointConfigRequest>,
    ) -> Answer<Self::EntrypointConfigStream> {
        let (bound, metadata) = (bound(&it)?, it.metadata().clone());
        let registered = entrypoint::register(&self.hub, bound.as_deref(), it.into_inner())?;
        Ok(answer(&self.hub, &metadata, Phase::Closing, |out| entrypoint::config(registered, out)))
    }

    async fn entrypoint_log_stream(
        &self,
        it: Request<Streaming<EntrypointLogBatch>>,
    ) -> Answer<()> {
        let bound = bound(&it)?;
        tokio::select! {
            done = entrypoint::logs(self, bound.as_deref(), it.into_inner()) => ok(done?),
            status = self.hub.until(Phase::Closed) => Err(status),
        }
    }

    type EntrypointExecStreamStream = Outgoing<EntrypointExecResponse>;

    async fn entrypoint_exec_stream(
        &self,
        it: Request<Streaming<EntrypointExecRequest>>,
    ) -> Answer<Self::EntrypointExecStreamStream> {
        let (bound, metadata, service) = (bound(&it)?, it.metadata().clone(), self.clone());
        let incoming = it.into_inner();
        Ok(answer(&self.hub, &metadata, Phase::Closed, |out| {
            exec::serve(service, bound, incoming, out)
        }))
    }

    type StartExecStreamStream = Outgoing<ExecStreamResponse>;

    async fn start_exec_stream(
        &self,
        it: Request<Streaming<ExecStreamRequest>>,
    ) -> Answer<Self::StartExecStreamStream> {
        let (metadata, service) = (it.metadata().clone(), self.clone());
        let incoming = it.into_inner();
        Ok(answer(&self.hub, &metadata, Phase::Closed, |out| exec::start(service, incoming, out)))
    }

    type GetLogStreamStream = Outgoing<LogBatch>;

    async fn get_log_stream(
        &self,
        it: Request<GetLogStreamRequest>,
    ) -> Answer<Self::GetLogStreamStream> {
        let (metadata, hub) = (it.metadata().clone(), self.hub.clone());
        let reading = logs::reading(&hub, it.into_inner())?;
        Ok(answer(&self.hub, &metadata, Phase::Closing, |out| logs::read(hub, reading, out)))
    }

    async fn list_instances(
        &self,
        it: Request<ListInstancesRequest>,
    ) -> Answer<ListInstancesResponse> {
        let instances = logs::instances(&self.hub, it.into_inner()).await?;
        ok(ListInstancesResponse { instances })
    }

    async fn set_config(&self, it: Request<ConfigSetRequest>) -> Answer<ConfigSetResponse> {
        let variables = it.into_inner().variables;
        self.change(|state| state.variables.set(variables))?;
        ok(ConfigSetResponse {})
    }

    async fn get_config(&self, it: Request<ConfigGetRequest>) -> Answer<ConfigGetResponse> {
        let view = View::of_request(it.into_inner())?;
        ok(ConfigGetResponse { variables: self.hub.read(|state| state.variables.resolve(&view)) })
    }

    async fn delete_config(
        &self,
        it: Request<ConfigDeleteRequest>,
    ) -> Answer<ConfigDeleteResponse> {
        let variables = it.into_inner().variables;
        self.change(|state| state.variables.delete(variables))?;
        ok(ConfigDeleteResponse {})
    }

    async fn set_config_source(&self, it: Request<SetConfigSourceRequest>) -> Answer<()> {
        ok(self.change(|state| state.sources.set(it.into_inner().config_source))?)
    }

    async fn delete_config_source(&self, it: Request<DeleteConfigSourceRequest>) -> Answer<()> {
        ok(self.change(|state| state.sources.delete(it.into_inner().config_source))?)
    }

    async fn get_config_source(
        &self,
        it: Request<GetConfigSourceRequest>,
    ) -> Answer<GetConfigSourceResponse> {
        let config_sources = self.hub.read(|state| state.sources.get(it.get_ref()))?;
        ok(GetConfigSourceResponse { config_sources })
    }

    async fn list_workspaces(
        &self,
        it: Request<ListWorkspacesRequest>,
    ) -> Answer<ListWorkspacesResponse> {
        use list_workspaces_request::Scope as Asked;
        let scope = match &it.get_ref().scope {
            None | Some(Asked::Global(())) => catalog::Scope::Global,
            Some(Asked::Project(it)) => {
                catalog::Scope::Project(wire::project(Some(it), "project")?)
            }
            Some(Asked::Application(it)) => {
                catalog::Scope::Application(wire::app(Some(it), "application")?)
            }
        };
        let workspaces = self.hub.read(|state| state.catalog.workspaces(&scope));
        ok(ListWorkspacesResponse { workspaces })
    }

    async fn get_workspace(
        &self,
        it: Request<GetWorkspaceRequest>,
    ) -> Answer<GetWorkspaceResponse> {
        let name = wire::workspace(it.get_ref().workspace.as_ref(), "workspace")?;
        let workspace = self.hub.read(|state| state.catalog.workspace(&name))?;
        ok(GetWorkspaceResponse { workspace: Some(workspace) })
    }

    async fn upsert_workspace(
        &self,
        it: Request<UpsertWorkspaceRequest>,
    ) -> Answer<UpsertWorkspaceResponse> {
        let wanted = it.into_inner().workspace.ok_or_else(|| Refusal::missing("workspace"))?;
        let workspace = self.change(|state| state.catalog.upsert_workspace(&wanted.name))?;
        ok(UpsertWorkspaceResponse { workspace: Some(workspace) })
    }

    async fn upsert_project(
        &self,
        it: Request<UpsertProjectRequest>,
    ) -> Answer<UpsertProjectResponse> {
        let wanted = it.into_inner().project.ok_or_else(|| Refusal::missing("project"))?;
        let project = self.change(|state| state.catalog.upsert_project(wanted))?;
        ok(UpsertProjectResponse { project: Some(project) })
    }

    async fn get_project(&self, it: Request<GetProjectRequest>) -> Answer<GetProjectResponse> {
        let name = wire::project(it.get_ref().project.as_ref(), "project")?;
        let (project, workspaces) = self.hub.read(|state| {
            Ok::<_, Refusal>((state.catalog.project(&name)?, state.catalog.workspaces_of(&name)))
        })?;
        ok(GetProjectResponse { project: Some(runners::as_remote(project)), workspaces })
    }

    async fn list_projects(&self, _: Request<ListProjectsRequest>) -> Answer<ListProjectsResponse> {
        let projects = self.hub.read(|state| state.catalog.projects());
        let total_count = projects.len() as u64;
        let pagination = Some(PaginationResponse::default());
        ok(ListProjectsResponse { projects, pagination, total_count })
    }

    async fn destroy_project(&self, it: Request<DestroyProjectRequest>) -> Answer<()> {
        let name = wire::project(it.get_ref().project.as_ref(), "project")?;
        ok(self.change(|state| state.destroy_project(&name))?)
    }

    async fn get_application(
        &self,
        it: Request<GetApplicationRequest>,
    ) -> Answer<GetApplicationResponse> {
        let app = wire::app(it.get_ref().application.as_ref(), "application")?;
        let application = self.hub.read(|state| state.catalog.application(&app))?;
        ok(GetApplicationResponse { application: Some(application) })
    }

    async fn upsert_application(
        &self,
        it: Request<UpsertApplicationRequest>,
    ) -> Answer<UpsertApplicationResponse> {
        let it = it.into_inner();
        let project = wire::project(it.project.as_ref(), "project")?;
        let app = App { project, name: it.name };
        let signal = it.file_change_signal;
        let application = self.change(|state| state.catalog.upsert_application(&app, &signal))?;
        ok(UpsertApplicationResponse { application: Some(application) })
    }

    async fn upsert_deployment(
        &self,
        it: Request<UpsertDeploymentRequest>,
    ) -> Answer<UpsertDeploymentResponse> {
        let wanted = it.into_inner().deployment.ok_or_else(|| Refusal::missing("deployment"))?;
        let deployment =
            self.hub.change(|state, moment| state.catalog.upsert_deployment(wanted, moment))?;
        ok(UpsertDeploymentResponse { deployment: Some(deployment) })
    }

    async fn list_deployments(
        &self,
        it: Request<ListDeploymentsRequest>,
    ) -> Answer<ListDeploymentsResponse> {
        let deployments = self.hub.read(|state| state.catalog.list_deployments(it.get_ref()))?;
        ok(ListDeploymentsResponse { deployments })
    }

    async fn get_deployment(&self, it: Request<GetDeploymentRequest>) -> Answer<proto::Deployment> {
        let target = it.get_ref().r#ref.as_ref();
        ok(self.hub.read(|state| state.catalog.find_deployment(target).cloned())?)
    }

    async fn get_latest_deployment(
        &self,
        it: Request<GetLatestDeploymentRequest>,
    ) -> Answer<GetDeploymentResponse> {
        let app = wire::app(it.get_ref().application.as_ref(), "application")?;
        let workspace = wire::some_workspace(it.get_ref().workspace.as_ref());
        let found = self
            .hub
            .read(|state| state.catalog.latest_deployment(&app, workspace.as_deref()).cloned())?;
        ok(GetDeploymentResponse { deployment: Some(found) })
    }

    async fn get_server_config(&self, _: Request<()>) -> Answer<GetServerConfigResponse> {
        let config = self.hub.read(|state| state.settings.clone());
        ok(GetServerConfigResponse { config: Some(config) })
    }

    async fn set_server_config(&self, it: Request<SetServerConfigRequest>) -> Answer<()> {
        let wanted = it.into_inner().config.ok_or_else(|| Refusal::missing("config"))?;
        ok(self.change(|state| state.configure(wanted))?)
    }

    async fn list_runners(&self, _: Request<ListRunnersRequest>) -> Answer<ListRunnersResponse> {
        ok(ListRunnersResponse { runners: runners::list() })
    }

    async fn list_on_demand_runner_configs(
        &self,
        _: Request<()>,
    ) -> Answer<ListOnDemandRunnerConfigsResponse> {
        ok(ListOnDemandRunnerConfigsResponse { configs: runners::profiles() })
    }

    type RunnerConfigStream = Outgoing<RunnerConfigResponse>;

    async fn runner_config(
        &self,
        it: Request<Streaming<RunnerConfigRequest>>,
    ) -> Answer<Self::RunnerConfigStream> {
        let (metadata, incoming) = (it.metadata().clone(), it.into_inner());
        Ok(answer(&self.hub, &metadata, Phase::Closing, |out| runners::config(incoming, out)))
    }

    type RunnerJobStreamStream = Outgoing<RunnerJobStreamResponse>;

    async fn runner_job_stream(
        &self,
        it: Request<Streaming<RunnerJobStreamRequest>>,
    ) -> Answer<Self::RunnerJobStreamStream> {
        let (metadata, incoming) = (it.metadata().clone(), it.into_inner());
        Ok(answer(&self.hub, &metadata, Phase::Closing, |out| runners::jobs(incoming, out)))
    }

    async fn list_oidc_auth_methods(&self, _: Request<()>) -> Answer<ListOidcAuthMethodsResponse> {
        ok(ListOidcAuthMethodsResponse {})
    }
}
