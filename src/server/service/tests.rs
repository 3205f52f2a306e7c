//! The whole server over loopback, with the generated client on the other side.
mod config;
mod entrance;
mod exec;
mod logs;

use crate::proto::waypoint_client::WaypointClient;
use crate::proto::*;
use crate::server::{Server, Settings};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status, Streaming};

/// Nothing here takes as long, unless it never comes.
const GENEROUS: Duration = Duration::from_secs(60);

/// A server, its first user, and a deployment.
struct House {
    user: Peer,
    deployment: String,
    end: oneshot::Sender<()>,
    serving: JoinHandle<Result<(), String>>,
}

/// Whoever calls, with all a well-behaved client sends along.
#[derive(Clone)]
struct Peer {
    client: WaypointClient<Channel>,
    token: Option<String>,
    keepalives: bool,
}

async fn house() -> House {
    let listen = "127.0.0.1:0".parse().expect("an address");
    let server =
        Server::bind(Settings { listen, tls: None, advertise: None }).await.expect("bound");
    let token = server.bootstrap().expect("the first time");
    let deployment = server.deployment("shop", "web", "default").expect("made");
    let endpoint = Endpoint::from_shared(format!("http://{}", server.address())).expect("a URL");
    let (end, told) = oneshot::channel::<()>();
    let serving = tokio::spawn(async move {
        server.serve(async { drop(told.await) }).await.map_err(|it| it.to_string())
    });
    let client = WaypointClient::new(endpoint.connect().await.expect("it listens"));
    let user = Peer { client, token: Some(token), keepalives: false };
    House { user, deployment, end, serving }
}

impl House {
    /// Who holds the token that an entrypoint of the deployment converts its invite to.
    async fn entrypoint(&self, deployment: &str) -> Peer {
        let invite = InviteTokenRequest {
            duration: "1h".into(),
            unused_entrypoint: Some(token::Entrypoint { deployment_id: deployment.into() }),
            ..Default::default()
        };
        let mut user = self.user.clone();
        let invite = user.client.generate_invite_token(self.user.request(invite)).await;
        let token = invite.expect("invited").into_inner().token;
        let mut guest = self.user.with_token(None);
        let request = guest.request(ConvertInviteTokenRequest { token });
        let login = guest.client.convert_invite_token(request).await.expect("converted");
        self.user.with_token(Some(login.into_inner().token))
    }

    async fn another_deployment(&self, application: &str) -> String {
        let application =
            r#ref::Application { project: "shop".into(), application: application.into() };
        let deployment = Deployment {
            application: Some(application),
            workspace: Some(r#ref::Workspace { workspace: "default".into() }),
            state: operation::PhysicalState::Created.into(),
            status: Some(crate::proto::Status {
                state: status::State::Success.into(),
                ..Default::default()
            }),
            ..Default::default()
        };
        let request =
            UpsertDeploymentRequest { deployment: Some(deployment), ..Default::default() };
        let made = self.user.client.clone().upsert_deployment(self.user.request(request)).await;
        made.expect("made").into_inner().deployment.expect("it").id
    }

    fn web(&self) -> r#ref::Application {
        r#ref::Application { project: "shop".into(), application: "web".into() }
    }
}

impl Peer {
    fn with_token(&self, token: Option<String>) -> Self {
        Self { token, ..self.clone() }
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        for (name, value) in
            [("client-api-protocol", Some("1,1")), ("client-entrypoint-protocol", Some("1,1"))]
                .into_iter()
                .chain([("waypoint-token", self.token.as_deref())])
                .chain([("wp-inline-keepalives", self.keepalives.then_some("true"))])
        {
            if let Some(value) = value {
                request.metadata_mut().insert(name, value.parse().expect("ASCII"));
            }
        }
        request
    }

    /// Registers an instance, and has got its first snapshot.
    async fn register(&self, deployment: &str, instance: &str) -> Registered {
        let stream = self.config_stream(deployment, instance).await.expect("registered");
        let mut registered = Registered { stream };
        registered.snapshot().await.expect("the first one");
        registered
    }

    async fn config_stream(
        &self,
        deployment: &str,
        instance: &str,
    ) -> Result<Streaming<EntrypointConfigResponse>, Status> {
        let request = EntrypointConfigRequest {
            deployment_id: deployment.into(),
            instance_id: instance.into(),
            ..Default::default()
        };
        let stream = self.client.clone().entrypoint_config(self.request(request)).await;
        stream.map(tonic::Response::into_inner)
    }

    async fn instances(&self, deployment: &str) -> Vec<String> {
        let request = ListInstancesRequest {
            scope: Some(list_instances_request::Scope::DeploymentId(deployment.into())),
            wait_timeout: String::new(),
        };
        let listed = self.client.clone().list_instances(self.request(request)).await;
        listed.expect("listed").into_inner().instances.into_iter().map(|it| it.id).collect()
    }

    async fn set(&self, name: &str, value: &str) {
        let variable = ConfigVar {
            name: name.into(),
            value: Some(config_var::Value::Static(value.into())),
            ..Default::default()
        };
        let request = self.request(ConfigSetRequest { variables: vec![variable] });
        self.client.clone().set_config(request).await.expect("set");
    }
}

struct Registered {
    stream: Streaming<EntrypointConfigResponse>,
}

impl Registered {
    async fn snapshot(&mut self) -> Result<EntrypointConfig, Status> {
        let message = come(self.stream.message()).await?;
        Ok(message.expect("not the end").config.expect("no keepalive was asked for"))
    }

    /// The first snapshot that is as wanted; those before it are passed over.
    async fn until(&mut self, wanted: impl Fn(&EntrypointConfig) -> bool) -> EntrypointConfig {
        loop {
            let snapshot = self.snapshot().await.expect("a snapshot");
            if wanted(&snapshot) {
                return snapshot;
            }
        }
    }
}

/// A request stream one can write to, and end.
fn writable<T: Send + 'static>() -> (mpsc::Sender<T>, ReceiverStream<T>) {
    let (sender, receiver) = mpsc::channel(16);
    (sender, ReceiverStream::new(receiver))
}

async fn come<T>(what: impl Future<Output = T>) -> T {
    timeout(GENEROUS, what).await.expect("it came in time")
}

fn code<T>(answer: Result<T, Status>) -> Option<Code> {
    answer.err().map(|it| it.code())
}
