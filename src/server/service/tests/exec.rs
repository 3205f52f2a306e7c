use super::*;
use crate::proto::entrypoint_exec_request as said;
use crate::proto::entrypoint_exec_response::Event as Told;
use crate::proto::exec_stream_request::{self as typed, Event as Typed, start};
use crate::proto::exec_stream_response::{self as shown, Event as Shown};

/// Whoever typed `exec`.
struct Cli {
    type_in: mpsc::Sender<ExecStreamRequest>,
    shown: Streaming<ExecStreamResponse>,
}

/// The entrypoint's side of a session.
struct Session {
    say: mpsc::Sender<EntrypointExecRequest>,
    told: Streaming<EntrypointExecResponse>,
}

impl Cli {
    async fn start(peer: &Peer, target: start::Target) -> Self {
        let (type_in, stream) = writable();
        let args = vec!["sh".into(), "-i".into()];
        let pty = Some(typed::Pty { enable: true, term: "xterm".into(), window_size: None });
        let start = Typed::Start(typed::Start { target: Some(target), args, pty });
        type_in.send(event(start)).await.expect("open");
        let shown = peer.client.clone().start_exec_stream(peer.request(stream)).await;
        Self { type_in, shown: shown.expect("open").into_inner() }
    }

    async fn type_in(&self, it: Typed) {
        self.type_in.send(event(it)).await.expect("open");
    }

    async fn shown(&mut self) -> Result<Option<Shown>, Status> {
        Ok(come(self.shown.message()).await?.and_then(|it| it.event))
    }

    async fn stderr(&mut self) -> String {
        match self.shown().await {
            Ok(Some(Shown::Output(it))) if it.channel == 2 => {
                String::from_utf8(it.data).expect("a text")
            }
            other => panic!("{other:?} is no stderr"),
        }
    }
}

impl Session {
    async fn open(peer: &Peer, instance: &str, index: i64) -> Result<Self, Status> {
        let (say, stream) = writable();
        let keepalive = "inline_keepalive".into();
        say.send(EntrypointExecRequest { inline_keepalive: keepalive, ..Default::default() })
            .await
            .expect("open");
        let open = said::Open { instance_id: instance.into(), index };
        let mut session = {
            say.send(say_it(said::Event::Open(open))).await.expect("open");
            let told = peer.client.clone().entrypoint_exec_stream(peer.request(stream)).await?;
            Self { say, told: told.into_inner() }
        };
        assert_eq!(session.told().await?, Some(Told::Opened(true)));
        Ok(session)
    }

    async fn say(&self, it: said::Event) {
        self.say.send(say_it(it)).await.expect("open");
    }

    async fn told(&mut self) -> Result<Option<Told>, Status> {
        Ok(come(self.told.message()).await?.and_then(|it| it.event))
    }
}

fn event(it: Typed) -> ExecStreamRequest {
    ExecStreamRequest { event: Some(it), ..Default::default() }
}

fn say_it(it: said::Event) -> EntrypointExecRequest {
    EntrypointExecRequest { event: Some(it), ..Default::default() }
}

fn output(channel: i32, data: &str) -> said::Event {
    said::Event::Output(said::Output { channel, data: data.into() })
}

fn any_of(house: &House) -> start::Target {
    start::Target::DeploymentId(house.deployment.clone())
}

/// A session that runs: both sides of it, and the registration it came by.
async fn running(house: &House) -> (Cli, Session, Registered) {
    let entrypoint = house.entrypoint(&house.deployment).await;
    let mut registered = entrypoint.register(&house.deployment, "I").await;
    let mut cli = Cli::start(&house.user, any_of(house)).await;
    assert_eq!(cli.shown().await.expect("fine"), Some(Shown::Open(shown::Open {})));
    let exec = registered.until(|it| !it.exec.is_empty()).await.exec.remove(0);
    assert_eq!(exec.args, ["sh", "-i"]);
    assert_eq!(exec.pty.expect("asked for").term, "xterm");
    let session = Session::open(&entrypoint, "I", exec.index).await.expect("it is ours");
    (cli, session, registered)
}

#[tokio::test]
async fn a_session_carries_both_ways_and_ends_with_its_exit() {
    let house = house().await;
    let (mut cli, mut session, mut registered) = running(&house).await;
    cli.type_in(Typed::Input(typed::Input { data: b"ls".into() })).await;
    let size = typed::WindowSize { rows: 4, cols: 3, width: 2, height: 1 };
    cli.type_in(Typed::Winch(size)).await;
    cli.type_in(Typed::InputEof(())).await;
    for told in [Told::Input(b"ls".into()), Told::Winch(size), Told::InputEof(())] {
        assert_eq!(session.told().await.expect("fine"), Some(told));
    }
    session.say(output(1, "file")).await;
    session.say(output(2, "oops")).await;
    session.say(said::Event::Exit(said::Exit { code: 42 })).await;
    for (channel, data) in [(1, "file"), (2, "oops")] {
        let output = shown::Output { channel, data: data.into() };
        assert_eq!(cli.shown().await.expect("fine"), Some(Shown::Output(output)));
    }
    let exit = Shown::Exit(shown::Exit { code: 42 });
    assert_eq!(cli.shown().await.expect("fine"), Some(exit));
    assert_eq!(cli.shown().await.expect("a clean end"), None);
    assert_eq!(session.told().await.expect("a clean end"), None);
    registered.until(|it| it.exec.is_empty()).await;
}

#[tokio::test]
async fn a_command_that_cannot_start_says_why_and_exits_as_in_a_shell() {
    let house = house().await;
    for (code, exit) in [(3, 127), (5, 127), (7, 126), (2, 1)] {
        let (mut cli, session, _registered) = running(&house).await;
        let message = "sh: not found".to_owned();
        let error = google::rpc::Status { code, message, details: vec![] };
        session.say(said::Event::Error(said::Error { error: Some(error) })).await;
        assert_eq!(cli.stderr().await, "sh: not found\n");
        let exit = Shown::Exit(shown::Exit { code: exit });
        assert_eq!(cli.shown().await.expect("fine"), Some(exit));
    }
}

#[tokio::test]
async fn an_entrypoint_that_goes_without_an_exit_is_noticed() {
    let house = house().await;
    let (mut cli, session, _registered) = running(&house).await;
    drop(session);
    assert_eq!(cli.stderr().await, "the instance was lost, and the session with it\n");
    let exit = Shown::Exit(shown::Exit { code: 1 });
    assert_eq!(cli.shown().await.expect("fine"), Some(exit));
}

#[tokio::test]
async fn a_command_line_that_goes_ends_the_session() {
    let house = house().await;
    let (Cli { type_in, shown }, mut session, mut registered) = running(&house).await;
    drop(type_in); // a half-close is enough
    assert_eq!(session.told().await.expect("a clean end"), None);
    registered.until(|it| it.exec.is_empty()).await;
    drop(shown);
}

#[tokio::test]
async fn an_instance_that_leaves_takes_its_waiting_sessions_with_it() {
    let house = house().await;
    let registered = house.user.register(&house.deployment, "I").await;
    let mut cli = Cli::start(&house.user, start::Target::InstanceId("i".into())).await;
    assert!(matches!(cli.shown().await, Ok(Some(Shown::Open(_)))));
    drop(registered);
    let end = cli.shown().await.expect_err("nobody is left");
    assert_eq!(
        (end.code(), end.message()),
        (Code::Unavailable, "the instance has gone before it took the session up",)
    );
}

#[tokio::test]
async fn nobody_else_can_take_a_session() {
    let house = house().await;
    let other = house.another_deployment("other").await;
    let stranger = house.entrypoint(&other).await;
    let sibling = house.entrypoint(&house.deployment).await;
    let mut registered = sibling.register(&house.deployment, "I").await;
    let mut cli = Cli::start(&house.user, any_of(&house)).await;
    assert!(matches!(cli.shown().await, Ok(Some(Shown::Open(_)))));
    let index = registered.until(|it| !it.exec.is_empty()).await.exec[0].index;
    for (peer, instance, index) in
        [(&stranger, "I", index), (&sibling, "J", index), (&sibling, "I", index + 1)]
    {
        let refused = Session::open(peer, instance, index).await.map(|_| ());
        assert_eq!(code(refused), Some(Code::NotFound));
    }
    let _session = Session::open(&sibling, "I", index).await.expect("it is ours");
    let again = Session::open(&sibling, "I", index).await.map(|_| ());
    assert_eq!(code(again), Some(Code::FailedPrecondition));
}

#[tokio::test]
async fn what_cannot_be_a_session_is_refused_at_once() {
    let house = house().await;
    let nobody = start::Target::InstanceId("nobody".into());
    let unknown = start::Target::DeploymentId("unknown".into());
    for (target, refused) in [
        (any_of(&house), Code::ResourceExhausted),
        (nobody, Code::NotFound),
        (unknown, Code::NotFound),
    ] {
        let mut cli = Cli::start(&house.user, target).await;
        assert_eq!(code(cli.shown().await), Some(refused));
    }
    for (first, field) in [
        (event(Typed::Start(typed::Start::default())), "start.target: is required"),
        (event(Typed::InputEof(())), "the first message must be start"),
    ] {
        let stream = tokio_stream::iter([first]);
        let user = &house.user;
        let mut shown = user
            .client
            .clone()
            .start_exec_stream(user.request(stream))
            .await
            .expect("open")
            .into_inner();
        assert_eq!(come(shown.message()).await.expect_err("refused").message(), field);
    }
}

#[tokio::test]
async fn who_does_not_read_is_waited_for_and_loses_nothing() {
    let house = house().await;
    let (mut cli, session, _registered) = running(&house).await;
    let writer = tokio::spawn(async move {
        for number in 0..500 {
            session.say(output(1, &format!("{number:032768}"))).await;
        }
        session.say(said::Event::Exit(said::Exit { code: 0 })).await;
        session
    });
    for number in 0..500 {
        match cli.shown().await {
            Ok(Some(Shown::Output(it))) => {
                assert_eq!(it.data, format!("{number:032768}").into_bytes())
            }
            other => panic!("{other:?} instead of chunk {number}"),
        }
    }
    assert!(matches!(cli.shown().await, Ok(Some(Shown::Exit(_)))));
    drop(come(writer).await.expect("no panic"));
}
