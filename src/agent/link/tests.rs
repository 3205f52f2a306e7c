use super::testing::{Call, Configs, Obstacle, Server, snapshot, version};
use super::wire::{FromSession, Line, Source, ToSession};
use super::*;
use crate::proto::entrypoint_exec_request::Event;
use crate::proto::{
    ConfigVar, EntrypointConfig, EntrypointConfigResponse, EntrypointExecResponse, TokenTransport,
    config_var, entrypoint_exec_response,
};
use crate::seam::message::{ExecId, Stream};
use std::time::{Duration, SystemTime};
use tokio::sync::mpsc;
use tonic::Status;

fn settings() -> Settings {
    Settings { deployment_id: "dep".into(), instance_id: "me".into(), ..Default::default() }
}

fn one_variable(value: &str) -> EntrypointConfig {
    let variable = ConfigVar {
        name: "GREETING".into(),
        value: Some(config_var::Value::Static(value.into())),
        ..Default::default()
    };
    EntrypointConfig { env_vars: vec![variable], ..Default::default() }
}

fn keepalive() -> EntrypointConfigResponse {
    EntrypointConfigResponse { inline_keepalive: "inline_keepalive".into(), ..Default::default() }
}

fn line(text: &str) -> Line {
    Line { at: SystemTime::UNIX_EPOCH, source: Source::App, text: text.into() }
}

fn greeting(handle: &Handle) -> Option<String> {
    let config = handle.config().borrow().clone()?;
    match &config.variables.first()?.value {
        wire::Value::Static(text) => Some(text.clone()),
        wire::Value::Dynamic { .. } => None,
    }
}

async fn connected(handle: &Handle) -> Connection {
    let mut connection = handle.connection();
    let connection = connection.wait_for(Option::is_some).await.expect("the link is alive");
    connection.clone().expect("waited for")
}

async fn disconnected(handle: &Handle) {
    handle.connection().wait_for(Option::is_none).await.expect("the link is alive");
}

/// A link that is up, without a token.
async fn linked() -> (Server, Handle, Configs, Connection) {
    let mut server = Server::start();
    let handle = server.link(settings());
    let configs = server.register(EntrypointConfig::default()).await;
    let connection = connected(&handle).await;
    (server, handle, configs, connection)
}

#[tokio::test(start_paused = true)]
async fn the_invite_is_exchanged_and_the_login_is_on_every_later_call() {
    let mut server = Server::start();
    let handle = server.link(Settings { token: "invite".into(), ..settings() });
    let Call::Convert { token, answer } = server.next().await else { panic!("no exchange") };
    assert_eq!(token, "invite");
    answer.send(Ok("login".into())).expect("the call waits");
    server.version(version(1, 1, false)).await;
    let Call::Config { request, metadata, answer } = server.next().await else { panic!() };
    assert_eq!((request.deployment_id.as_str(), request.instance_id.as_str()), ("dep", "me"));
    for (name, value) in [
        ("waypoint-token", "login"),
        ("authorization", "login"),
        ("client-api-protocol", "1,1"),
        ("client-entrypoint-protocol", "1,1"),
        ("wp-inline-keepalives", "true"),
    ] {
        let values: Vec<_> = metadata.get_all(name).iter().collect();
        assert_eq!(values, [value], "{name}");
    }
    let (configs, stream) = mpsc::channel(1);
    configs.send(Ok(snapshot(one_variable("hello")))).await.expect("there is room");
    answer.send(Ok(stream)).expect("the call waits");
    connected(&handle).await;
    assert_eq!(greeting(&handle).as_deref(), Some("hello"));
}

#[tokio::test(start_paused = true)]
async fn a_keepalive_is_no_config_and_a_config_that_follows_is_told() {
    let (_server, handle, configs, _) = linked().await;
    let mut config = handle.config();
    config.mark_unchanged();
    for message in [keepalive(), keepalive(), snapshot(one_variable("next"))] {
        configs.send(Ok(message)).await.expect("the stream is open");
    }
    config.changed().await.expect("the link is alive");
    assert_eq!(greeting(&handle).as_deref(), Some("next"));
}

#[tokio::test(start_paused = true)]
async fn however_it_fails_there_is_another_attempt_and_the_config_is_kept() {
    for end in [
        None, // the clean end
        Some(Status::unavailable("gone")),
        Some(Status::internal("broken")),
        Some(Status::not_found("no such deployment")),
        Some(Status::unauthenticated("who are you")),
        Some(Status::unknown("the signature does not match")),
    ] {
        let mut server = Server::start();
        let handle = server.link(settings());
        let configs = server.register(one_variable("kept")).await;
        connected(&handle).await;
        if let Some(status) = end {
            configs.send(Err(status)).await.expect("the stream is open");
        }
        drop(configs);
        disconnected(&handle).await;
        assert_eq!(greeting(&handle).as_deref(), Some("kept"));
        let _configs = server.register(one_variable("new")).await;
        connected(&handle).await;
        assert_eq!(greeting(&handle).as_deref(), Some("new"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_refuses_or_is_silent_is_tried_again() {
    let mut server = Server::start();
    let obstacles = [Obstacle::Refuses, Obstacle::BlackHole, Obstacle::Refuses];
    server.dialler.obstacles.lock().unwrap().extend(obstacles);
    let handle = server.link(settings());
    let _configs = server.register(EntrypointConfig::default()).await;
    connected(&handle).await;
    assert_eq!(server.dialler.dials.lock().unwrap().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_accepts_and_never_answers_is_left() {
    let mut server = Server::start();
    let handle = server.link(settings());
    // Each call is held unanswered: first the version, then the config, then its first message.
    let _version = server.next().await;
    server.version(version(1, 1, false)).await;
    let _config = server.next().await;
    server.version(version(1, 1, false)).await;
    let Call::Config { answer, .. } = server.next().await else { panic!("no config asked") };
    let (_silent, stream) = mpsc::channel(1);
    answer.send(Ok(stream)).expect("the call waits");
    let _configs = server.register(EntrypointConfig::default()).await;
    connected(&handle).await;
}

#[tokio::test(start_paused = true)]
async fn an_incompatible_version_is_asked_again_once_a_minute() {
    let mut server = Server::start();
    let handle = server.link(settings());
    server.version(version(2, 3, false)).await;
    let _configs = server.register(EntrypointConfig::default()).await;
    connected(&handle).await;
    let dials = server.dialler.dials.lock().unwrap().clone();
    assert!(dials[1] - dials[0] >= Duration::from_secs(60));
}

#[tokio::test(start_paused = true)]
async fn an_unknown_deployment_is_asked_for_once_a_minute() {
    let mut server = Server::start();
    let handle = server.link(settings());
    server.version(version(1, 1, false)).await;
    let Call::Config { answer, .. } = server.next().await else { panic!("no config asked") };
    answer.send(Err(Status::not_found("no such deployment"))).expect("the call waits");
    let _configs = server.register(EntrypointConfig::default()).await;
    connected(&handle).await;
    let dials = server.dialler.dials.lock().unwrap().clone();
    assert!(dials[1] - dials[0] >= Duration::from_secs(60));
}

#[tokio::test(start_paused = true)]
async fn a_login_that_is_refused_is_exchanged_anew() {
    let mut server = Server::start();
    let handle = server.link(Settings { token: "invite".into(), ..settings() });
    for (login, refusal) in [("old", Some(Status::unknown("bad signature"))), ("new", None)] {
        let Call::Convert { answer, .. } = server.next().await else { panic!("no exchange") };
        answer.send(Ok(login.into())).expect("the call waits");
        server.version(version(1, 1, false)).await;
        if let Some(refusal) = refusal {
            let Call::Config { answer, .. } = server.next().await else { panic!("no config") };
            answer.send(Err(refusal)).expect("the call waits");
        }
    }
    let (_configs, metadata) = server.config(EntrypointConfig::default()).await;
    assert_eq!(metadata.get("waypoint-token").expect("a token"), "new");
    connected(&handle).await;
}

#[tokio::test(start_paused = true)]
async fn a_login_lasts_over_connections() {
    let mut server = Server::start();
    let handle = server.link(Settings { token: "invite".into(), ..settings() });
    let Call::Convert { answer, .. } = server.next().await else { panic!("no exchange") };
    answer.send(Ok("login".into())).expect("the call waits");
    for _ in 0..3 {
        let configs = server.register(EntrypointConfig::default()).await;
        connected(&handle).await;
        drop(configs);
        disconnected(&handle).await;
    }
}

#[tokio::test(start_paused = true)]
async fn oauth_credentials_are_never_used_without_tls() {
    let transport = TokenTransport {
        external_creds: Some(crate::proto::token_transport::ExternalCreds::OauthCreds(
            Default::default(),
        )),
        ..Default::default()
    };
    let mut server = Server::start();
    let _handle = server.link(Settings { token: "invite".into(), ..settings() });
    let Call::Convert { answer, .. } = server.next().await else { panic!("no exchange") };
    answer.send(Ok(crate::token::encode(&transport))).expect("the call waits");
    let call = tokio::time::timeout(Duration::from_secs(600), server.next()).await;
    assert!(call.is_err(), "the half of a credential was used");
    // It goes on trying all the same: the token may be replaced on the server.
    assert!(server.dialler.dials.lock().unwrap().len() > 5);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_showed_keepalives_and_falls_silent_is_lost() {
    let (mut server, handle, configs, _) = linked().await;
    let began = tokio::time::Instant::now();
    // Without a keepalive silence says nothing; only HTTP/2's pings would tell.
    let lost = disconnected(&handle);
    tokio::time::timeout(Duration::from_secs(600), lost)
        .await
        .expect_err("an idle link is no loss");
    configs.send(Ok(keepalive())).await.expect("the stream is open");
    disconnected(&handle).await;
    assert_eq!(began.elapsed().as_secs(), 620);
    let _again = server.register(EntrypointConfig::default()).await;
    connected(&handle).await;
}

#[tokio::test(start_paused = true)]
async fn a_network_that_swallows_everything_is_noticed_within_a_minute() {
    let (mut server, handle, _configs, _) = linked().await;
    let began = tokio::time::Instant::now();
    server.dialler.frozen.send_replace(true);
    disconnected(&handle).await;
    assert!(began.elapsed() <= Duration::from_secs(60), "{:?}", began.elapsed());
    server.dialler.frozen.send_replace(false);
    let _again = server.register(EntrypointConfig::default()).await;
    connected(&handle).await;
}

#[tokio::test(start_paused = true)]
async fn lines_arrive_in_order_and_a_finished_log_ends_well() {
    let (mut server, _handle, _configs, connection) = linked().await;
    let mut logs = connection.logs().await.expect("the link is up");
    logs.send(vec![line("one"), line("two")]).await.expect("the link is up");
    logs.send(vec![]).await.expect("the link is up");
    logs.send(vec![line("three")]).await.expect("the link is up");
    let Call::Logs { mut batches, answer, metadata } = server.next().await else { panic!() };
    assert_eq!(metadata.get("wp-inline-keepalives").expect("a header"), "true");
    let finished = tokio::spawn(logs.finish());
    let mut seen = vec![];
    while let Some(batch) = batches.message().await.expect("no error") {
        assert_eq!((batch.instance_id.as_str(), batch.inline_keepalive.as_str()), ("me", ""));
        seen.extend(batch.lines.into_iter().map(|it| it.line));
    }
    assert_eq!(seen, ["one\n", "two\n", "three\n"]);
    // As the real server answers a half-close.
    answer.send(Err(Status::internal("EOF"))).expect("the call waits");
    finished.await.expect("no panic");
}

#[tokio::test(start_paused = true)]
async fn keepalives_go_out_only_to_a_server_that_takes_them() {
    let mut server = Server::start();
    let handle = server.link(settings());
    server.version(version(1, 1, true)).await;
    let (_configs, _) = server.config(EntrypointConfig::default()).await;
    let connection = connected(&handle).await;
    let _logs = connection.logs().await.expect("the link is up");
    let Call::Logs { mut batches, .. } = server.next().await else { panic!("no log stream") };
    let began = tokio::time::Instant::now();
    for _ in 0..3 {
        let batch = batches.message().await.expect("no error").expect("no end");
        assert_eq!((batch.inline_keepalive.as_str(), batch.lines.len()), ("inline_keepalive", 0));
    }
    assert_eq!(began.elapsed().as_secs(), 10); // at once, after 5 s, after 10 s
}

#[tokio::test(start_paused = true)]
async fn a_log_stream_that_the_server_refuses_says_why() {
    let (mut server, _handle, _configs, connection) = linked().await;
    let mut logs = connection.logs().await.expect("the link is up");
    let Call::Logs { answer, .. } = server.next().await else { panic!("no log stream") };
    answer.send(Err(Status::not_found("no such instance"))).expect("the call waits");
    let lost = loop {
        if let Err(lost) = logs.send(vec![line("more")]).await {
            break lost;
        }
    };
    assert_eq!(lost, Lost { code: 5, text: "no such instance".into() });
    assert_eq!(logs.send(vec![line("again")]).await, Err(lost), "and it stays so");
    logs.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_read_makes_the_sender_wait() {
    let (mut server, _handle, _configs, connection) = linked().await;
    let mut logs = connection.logs().await.expect("the link is up");
    let Call::Logs { mut batches, answer: _answer, .. } = server.next().await else { panic!() };
    let much = "x".repeat(64 * 1024);
    let mut sent = 0;
    let blocked = async {
        loop {
            logs.send(vec![line(&much)]).await.expect("the link is up");
            sent += 1;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), blocked).await.expect_err("never full");
    assert!((1..200).contains(&sent), "{sent} batches of 64 KiB were taken unread");
    for _ in 0..sent {
        batches.message().await.expect("no error").expect("no end");
    }
    logs.send(vec![line("and on")]).await.expect("the link is up");
}

fn to_session(event: entrypoint_exec_response::Event) -> EntrypointExecResponse {
    EntrypointExecResponse { event: Some(event), ..Default::default() }
}

#[tokio::test(start_paused = true)]
async fn an_exec_session_is_opened_and_carries_both_ways_to_the_exit() {
    let (mut server, _handle, _configs, connection) = linked().await;
    let opening = tokio::spawn(async move { connection.exec(ExecId(7)).await });
    let Call::Exec { mut events, answer } = server.next().await else { panic!("no session") };
    let open = events.message().await.expect("no error").expect("no end");
    let Some(Event::Open(open)) = open.event else { panic!("{open:?} is not open") };
    assert_eq!((open.instance_id.as_str(), open.index), ("me", 7));
    let (to, stream) = mpsc::channel(8);
    let keepalive = EntrypointExecResponse {
        inline_keepalive: "inline_keepalive".into(),
        ..Default::default()
    };
    to.send(Ok(keepalive.clone())).await.unwrap();
    to.send(Ok(to_session(entrypoint_exec_response::Event::Opened(false)))).await.unwrap();
    to.send(Ok(keepalive)).await.unwrap();
    to.send(Ok(to_session(entrypoint_exec_response::Event::Input(b"ping".into())))).await.unwrap();
    answer.send(Ok(stream)).expect("the call waits");
    let (sender, mut receiver) = opening.await.unwrap().expect("it is opened");
    let input = receiver.next().await.expect("no end").expect("no error");
    assert_eq!(input, ToSession::Input("ping".into()));
    let output = FromSession::Output { stream: Stream::Stderr, data: "pong".into() };
    sender.send(output).await.expect("the session runs");
    sender.send(FromSession::Exit { code: 42 }).await.expect("the session runs");
    drop(sender);
    // The room goes too early; the exit arrives all the same.
    drop(receiver);
    let output = events.message().await.expect("no error").expect("no end");
    let Some(Event::Output(output)) = output.event else { panic!("{output:?} is no output") };
    assert_eq!((output.channel, output.data.as_slice()), (2, b"pong".as_slice()));
    let exit = events.message().await.expect("no error").expect("no end");
    assert!(matches!(exit.event, Some(Event::Exit(it)) if it.code == 42));
    assert!(events.message().await.expect("a half-close, no reset").is_none());
    drop(to);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_refused_or_never_opened_is_an_error() {
    let (mut server, _handle, _configs, connection) = linked().await;
    let again = connection.clone();
    let opening = tokio::spawn(async move { again.exec(ExecId(1)).await.map(drop) });
    let Call::Exec { answer, .. } = server.next().await else { panic!("no session") };
    answer.send(Err(Status::not_found("no such session"))).expect("the call waits");
    assert_eq!(opening.await.unwrap(), Err(Lost { code: 5, text: "no such session".into() }));

    let opening = tokio::spawn(async move { connection.exec(ExecId(2)).await.map(drop) });
    let _silent = server.next().await;
    assert_eq!(opening.await.unwrap().expect_err("never opened").code, 4);
}

#[tokio::test(start_paused = true)]
async fn what_is_open_when_the_link_is_lost_ends_with_an_error() {
    let (mut server, handle, configs, connection) = linked().await;
    let mut logs = connection.logs().await.expect("the link is up");
    let _held = server.next().await;
    drop(configs);
    disconnected(&handle).await;
    let lost = loop {
        if let Err(lost) = logs.send(vec![line("into the void")]).await {
            break lost;
        }
    };
    assert_eq!(lost.code, 14, "{lost}");
    connection.exec(ExecId(1)).await.map(drop).expect_err("the connection is gone");
}

#[tokio::test(start_paused = true)]
async fn closing_ends_the_task_and_the_connection() {
    let (_server, handle, configs, _) = linked().await;
    let mut connection = handle.connection();
    handle.close().await;
    assert!(connection.changed().await.is_ok(), "it went to None");
    assert!(connection.borrow_and_update().is_none());
    assert!(connection.changed().await.is_err(), "and nobody will tell more");
    configs.closed().await;
    handle.close().await; // twice is no harm
}

#[test]
fn a_server_s_words_are_one_short_line_of_ours() {
    let said = format!("two\nlines\u{1b}[2J{}", "x".repeat(9999));
    let lost = Lost::from(Status::not_found(said));
    assert!(lost.text.starts_with("two lines [2Jxx") && lost.text.len() == MAX_TEXT, "{lost}");
    assert_eq!(Lost::from(Status::not_found("")).text, tonic::Code::NotFound.description());
}

#[tokio::test(start_paused = true)]
async fn the_task_ends_with_its_last_handle() {
    let (_server, handle, configs, _) = linked().await;
    let mut connection = handle.connection();
    drop(handle);
    while connection.changed().await.is_ok() {}
    configs.closed().await;
}
