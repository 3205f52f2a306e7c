//! The commands' calls against our own server, in this process; what they print is tried with the
//! real program.
use super::{deployment, login};
use crate::cli::connect::{Link, dial};
use crate::cli::desk::{Desk, Place};
use crate::cli::target::{Target, Tls, parse_address};
use crate::proto::entrypoint_config::Exec;
use crate::proto::{ConvertInviteTokenRequest, EntrypointConfigRequest, GetUserRequest};
use crate::server::{Server, Settings};
use std::collections::HashMap;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// A server, a link to it, and a deployment on it.
pub(super) struct Bench {
    pub(super) link: Link,
    pub(super) target: Target,
    pub(super) place: Place,
    pub(super) deployment: String,
    invite: String,
    _stop: oneshot::Sender<()>,
}

impl Bench {
    pub(super) async fn new() -> Self {
        let listen = "127.0.0.1:0".parse().expect("an address");
        let server = Server::bind(Settings { listen, tls: None, advertise: None }).await;
        let server = server.expect("a server");
        let place = Place {
            project: "shop".into(),
            application: "web".into(),
            workspace: "default".into(),
        };
        let token = server.bootstrap().expect("a token");
        let deployment = server.deployment("shop", "web", "default").expect("a deployment");
        let invite = server.invite(&deployment, Duration::from_secs(60)).expect("an invite");
        let address = parse_address(&server.address().to_string()).expect("an address");
        let (_stop, stopped) = oneshot::channel::<()>();
        tokio::spawn(server.serve(async { drop(stopped.await) }));
        let target = Target { address, tls: Tls::Off, token: Some(token) };
        let link = dial(&target).await.expect("a link");
        Self { link, target, place, deployment, invite, _stop }
    }

    /// An entrypoint that is linked: its link, its id, and the sessions it is told of.
    pub(super) async fn entrypoint(&self) -> (Link, String, mpsc::Receiver<Exec>) {
        let mut client = self.link.client.clone();
        let request = ConvertInviteTokenRequest { token: self.invite.clone() };
        let token = client.convert_invite_token(request).await.expect("a login").into_inner().token;
        let mut link =
            dial(&Target { token: Some(token), ..self.target.clone() }).await.expect("a link");
        let instance_id = "01HF2QABCDEFGHJKMNPQRSTVWX".to_owned();
        let request = EntrypointConfigRequest {
            deployment_id: self.deployment.clone(),
            instance_id: instance_id.clone(),
            ..Default::default()
        };
        let answer = link.client.entrypoint_config(request).await.expect("a stream");
        let mut configs = answer.into_inner();
        let first = configs.message().await.expect("a config");
        assert!(first.is_some(), "a config comes at once");
        let (sessions, receiver) = mpsc::channel(8);
        tokio::spawn(async move {
            while let Ok(Some(message)) = configs.message().await {
                for exec in message.config.unwrap_or_default().exec {
                    let _ = sessions.send(exec).await;
                }
            }
        });
        (link, instance_id, receiver)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_made_here_is_the_newest_and_has_the_next_number() {
    let mut bench = Bench::new().await;
    let client = &mut bench.link.client;
    let labels = HashMap::from([("a".into(), "b".into())]);
    let made = deployment::make(client, &bench.place, labels).await.expect("made");
    assert_eq!(made.sequence, 2);
    let newest = deployment::newest(client, &bench.place).await.expect("newest");
    assert_eq!(newest.id, made.id);
    assert_eq!(newest.labels["waypoint/workspace"], "default");
    let first = deployment::numbered(client, &bench.place, 1).await.expect("the first");
    assert_eq!(first.id, bench.deployment);
    let nowhere = Place { workspace: "empty".into(), ..bench.place.clone() };
    let said = deployment::newest(client, &nowhere).await.expect_err("none").text;
    assert!(said.contains("shop/web") && said.contains("\"empty\""), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_only_application_of_a_named_project_needs_no_name() {
    let mut bench = Bench::new().await;
    let words: Vec<_> = ["logs", "-p", "shop", "-w", "default"].map(str::to_owned).into();
    let Ok(crate::cli::args::Request::Run(call)) = crate::cli::args::parse(&words) else {
        panic!("no call");
    };
    let desk = Desk::new(&call).expect("a desk");
    assert_eq!(desk.place(&mut bench.link.client).await, Ok(bench.place.clone()));
    let other = Place { application: "api".into(), ..bench.place.clone() };
    let made = deployment::make(&mut bench.link.client, &other, HashMap::new()).await;
    made.expect("a second application");
    let said = desk.place(&mut bench.link.client).await.expect_err("two").text;
    assert!(said.ends_with("-app names one: api, web"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_goes_with_every_call_and_its_lack_is_said() {
    let bench = Bench::new().await;
    let request = || GetUserRequest { user: None };
    bench.link.client.clone().get_user(request()).await.expect("with a token");
    let guest = Target { token: None, ..bench.target.clone() };
    let mut client = dial(&guest).await.expect("a link").client;
    let status = client.get_user(request()).await.expect_err("without one");
    let said = crate::cli::failure::said(&status);
    assert!(said.contains("waypoint login"), "{said}");
    assert!(!login::context_of(&guest).server.require_auth);
}
