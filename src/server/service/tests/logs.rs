use super::*;
use crate::proto::log_batch::Entry;

pub(super) fn batch(instance: &str, lines: &[&str]) -> EntrypointLogBatch {
    let entry = |it: &&str| Entry { line: format!("{it}\n"), ..Default::default() };
    EntrypointLogBatch {
        instance_id: instance.into(),
        lines: lines.iter().map(entry).collect(),
        ..Default::default()
    }
}

/// Writes and half-closes; the answer means that all of it is there.
async fn write(peer: &Peer, instance: &str, lines: &[&str]) -> Result<(), Status> {
    let stream = tokio_stream::iter([batch(instance, lines)]);
    come(peer.client.clone().entrypoint_log_stream(peer.request(stream))).await.map(|_| ())
}

async fn read(peer: &Peer, request: GetLogStreamRequest) -> Streaming<LogBatch> {
    let stream = peer.client.clone().get_log_stream(peer.request(request)).await;
    stream.expect("open").into_inner()
}

/// The next `count` lines, each with its instance.
async fn lines(stream: &mut Streaming<LogBatch>, count: usize) -> Vec<String> {
    let mut found = Vec::new();
    while found.len() < count {
        let batch = come(stream.message()).await.expect("fine").expect("not the end");
        assert!(!batch.lines.is_empty(), "an empty batch ends the original's logs");
        found
            .extend(batch.lines.into_iter().map(|it| format!("{} {}", batch.instance_id, it.line)));
    }
    found
}

fn of_deployment(id: &str, limit_backlog: i32) -> GetLogStreamRequest {
    let scope = Some(get_log_stream_request::Scope::DeploymentId(id.into()));
    GetLogStreamRequest { scope, limit_backlog }
}

#[tokio::test]
async fn a_reader_gets_the_backlog_and_then_what_comes() {
    let house = house().await;
    let entrypoint = house.entrypoint(&house.deployment).await;
    let _registered = entrypoint.register(&house.deployment, "I").await;
    write(&entrypoint, "I", &["1", "2", "3"]).await.expect("a half-close is answered");
    let mut last = read(&house.user, of_deployment(&house.deployment, 2)).await;
    assert_eq!(lines(&mut last, 2).await, ["I 2", "I 3"]);
    let mut all = read(&house.user, of_deployment(&house.deployment, -1)).await;
    assert_eq!(lines(&mut all, 3).await, ["I 1", "I 2", "I 3"]);
    write(&entrypoint, "I", &["4"]).await.expect("written");
    assert_eq!(lines(&mut last, 1).await, ["I 4"]);
    assert_eq!(lines(&mut all, 1).await, ["I 4"]);
}

#[tokio::test]
async fn new_instances_and_deployments_join_by_themselves() {
    let house = house().await;
    let application = get_log_stream_request::Application {
        application: Some(house.web()),
        workspace: Some(r#ref::Workspace { workspace: "DEFAULT".into() }),
    };
    let scope = Some(get_log_stream_request::Scope::Application(application));
    let mut stream = read(&house.user, GetLogStreamRequest { scope, limit_backlog: 0 }).await;
    let _one = house.user.register(&house.deployment, "I").await;
    write(&house.user, "I", &["1"]).await.expect("written");
    assert_eq!(lines(&mut stream, 1).await, ["I 1"]);
    let later = house.another_deployment("web").await;
    let _two = house.user.register(&later, "J").await;
    write(&house.user, "J", &["2"]).await.expect("written");
    assert_eq!(lines(&mut stream, 1).await, ["J 2"]);
    let foreign = house.another_deployment("other").await;
    let _three = house.user.register(&foreign, "K").await;
    write(&house.user, "K", &["not ours"]).await.expect("written");
    write(&house.user, "I", &["3"]).await.expect("written");
    assert_eq!(lines(&mut stream, 1).await, ["I 3"]);
}

#[tokio::test]
async fn the_last_words_of_an_instance_outlive_it() {
    let house = house().await;
    let registered = house.user.register(&house.deployment, "I").await;
    drop(registered);
    while !house.user.instances(&house.deployment).await.is_empty() {}
    write(&house.user, "I", &["panicked"]).await.expect("late, and welcome");
    let _again = house.user.register(&house.deployment, "I").await;
    write(&house.user, "I", &["restarted"]).await.expect("written");
    let mut stream = read(&house.user, of_deployment(&house.deployment, 0)).await;
    assert_eq!(lines(&mut stream, 2).await, ["I panicked", "I restarted"]);
}

#[tokio::test]
async fn a_writer_that_nobody_knows_is_refused_and_keepalives_are_not() {
    let house = house().await;
    let unknown = write(&house.user, "I", &["1"]).await;
    assert_eq!(code(unknown), Some(Code::NotFound));
    let _registered = house.user.register(&house.deployment, "I").await;
    let keepalive =
        EntrypointLogBatch { inline_keepalive: "inline_keepalive".into(), ..Default::default() };
    let stream =
        tokio_stream::iter([keepalive.clone(), batch("I", &["1"]), keepalive, batch("", &["2"])]);
    let written = house.user.client.clone().entrypoint_log_stream(house.user.request(stream)).await;
    written.expect("written");
    let mut stream = read(&house.user, of_deployment(&house.deployment, 0)).await;
    assert_eq!(lines(&mut stream, 2).await, ["I 1", "I 2"]);
    let unknown = of_deployment("nobody", 0);
    let refused = house.user.client.clone().get_log_stream(house.user.request(unknown)).await;
    assert_eq!(code(refused), Some(Code::NotFound));
}

#[tokio::test]
async fn a_reader_that_reads_nothing_holds_up_nobody() {
    let house = house().await;
    let _registered = house.user.register(&house.deployment, "I").await;
    let mut lazy = read(&house.user, of_deployment(&house.deployment, 0)).await;
    let line = "x".repeat(1000);
    for _ in 0..200 {
        write(&house.user, "I", &[line.as_str(); 100]).await.expect("written");
    }
    // 20 MB were written, a ring holds 8 MiB: the reader is told what passed by.
    let mut told = false;
    while !told {
        let batch = come(lazy.message()).await.expect("fine").expect("not the end");
        told = batch.lines.iter().any(|it| it.line.contains("lines passed by unread"));
    }
}
