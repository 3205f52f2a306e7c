//! Against the other end of a real socketpair, played by the test.
use super::*;
use crate::agent::first::{First, first};
use crate::seam::block::Env;
use crate::seam::message::{Child, ExecIds, ExecStep, Hello, ToAgent};
use crate::sys::{Exit, Pid, fd, seqpacket};
use std::os::fd::{AsFd, BorrowedFd};
use tokio::io::Interest;
use tokio::net::UnixDatagram;

/// init, as far as the agent can see it.
struct Init(UnixDatagram);

fn pair() -> (Socket, Init) {
    let (ours, theirs) = seqpacket::pair().expect("a pair");
    (
        Socket::new(ours).expect("watched"),
        Init(UnixDatagram::from_std(theirs.into()).expect("watched")),
    )
}

impl Init {
    fn tell(&self, message: ToAgent<'_>, descriptors: &[BorrowedFd<'_>]) {
        let mut buffer = vec![0; 64 << 10];
        let packet = message.encode(&mut buffer).expect("it fits");
        seqpacket::send(self.0.as_fd(), packet, descriptors).expect("sent");
    }

    async fn hear(&self) -> (ToInit, Option<OwnedFd>) {
        let mut buffer = [0; 64];
        let received = self
            .0
            .async_io(Interest::READABLE, || Ok(seqpacket::receive(self.0.as_fd(), &mut buffer)?))
            .await
            .expect("received");
        let message = ToInit::decode(&buffer[..received.length]).expect("a message");
        assert_eq!(message.descriptors(), received.count());
        (message, received.single())
    }
}

fn command(arguments: &[&str]) -> Command {
    let arguments = arguments.iter().map(|it| (*it).to_owned()).collect();
    Command { arguments, variables: vec![("TERM".into(), "xterm".into())], terminal: None }
}

/// Serves the agent's end while `play` runs.
async fn while_served<T>(play: impl AsyncFnOnce(Handle, Init) -> T) -> T {
    let (socket, init) = pair();
    let (handle, serving) = socket.serve();
    match first(serving, play(handle, init)).await {
        First::Left(ended) => panic!("the seam ended: {ended}"),
        First::Right(result) => result,
    }
}

#[tokio::test]
async fn hello_brings_settings_pipes_and_the_deposit() {
    let (socket, init) = pair();
    let (read, _write) = fd::pipe().expect("a pipe");
    let deposit = memfd::create(b"kept").expect("a memfd");
    let ids = [7_i64.to_be_bytes(), 8_i64.to_be_bytes()].concat();
    let greeting = async {
        assert_eq!(init.hear().await.0, ToInit::Ready, "the token is told to nobody before");
        let hello = Hello {
            server: "a:1",
            token: "secret",
            has_deposit: true,
            exec_ids: ExecIds::new(&ids).expect("whole"),
            ..Hello::default()
        };
        init.tell(ToAgent::Hello(hello), &[read.as_fd(), read.as_fd(), deposit.as_fd()]);
        std::future::pending::<()>().await;
    };
    let First::Left(Ok(greeting)) = first(socket.greet(), greeting).await else {
        panic!("not greeted")
    };
    assert_eq!(greeting.settings.link.server, "a:1");
    assert_eq!(greeting.settings.exec_ids, [ExecId(7), ExecId(8)]);
    assert_eq!(greeting.deposit.as_ref().map(memfd::Mapping::bytes), Some(&b"kept"[..]));
    assert!(!format!("{greeting:?}").contains("secret"));
}

#[tokio::test]
async fn anything_else_for_a_greeting_is_the_end() {
    let (read, _write) = fd::pipe().expect("a pipe");
    let hello = ToAgent::Hello(Hello::default());
    for (message, descriptors) in
        [(ToAgent::Child(Child::Waiting), 0), (hello, 0), (hello, 1), (hello, 3)]
    {
        let (socket, init) = pair();
        init.tell(message, &vec![read.as_fd(); descriptors]);
        let ended = socket.greet().await.expect_err("refused");
        assert!(matches!(ended, Ended::Malformed(_) | Ended::Descriptors(_)), "{ended}");
    }
    let (socket, init) = pair();
    drop(init);
    assert_eq!(socket.greet().await.map(|_| ()), Err(Ended::Closed));
}

#[tokio::test]
async fn a_launch_and_a_deposit_arrive_sealed() {
    while_served(async |handle, init| {
        handle.launch(b"A=1\0").await.expect("sent");
        handle.keep(b"kept").await.expect("sent");
        handle.linked(true).await;
        let (message, file) = init.hear().await;
        assert_eq!(message, ToInit::Launch);
        let block = memfd::Mapping::of(file.expect("a memfd").as_fd(), 100).expect("sealed");
        assert!(Env::parse(block.bytes()).is_ok());
        assert_eq!(init.hear().await.0, ToInit::Keep);
        assert_eq!(init.hear().await.0, ToInit::Linked(true));
    })
    .await;
}

#[tokio::test]
async fn a_session_is_told_its_own_start_and_exit() {
    while_served(async |handle, init| {
        let (read, write) = fd::pipe().expect("a pipe");
        let play = async {
            let (message, file) = init.hear().await;
            let id = ExecId(5);
            assert_eq!(message, ToInit::Exec { id, arguments: 2, terminal: None });
            let block = memfd::Mapping::of(file.expect("a memfd").as_fd(), 100).expect("sealed");
            assert_eq!(block.bytes(), b"sh\0-c\0TERM=xterm\0");
            let pid = Pid::new(9).expect("a pid");
            init.tell(ToAgent::ExecExited { id: ExecId(4), exit: Exit::FAILURE }, &[]);
            let stdio = [write.as_fd(), read.as_fd(), read.as_fd()];
            init.tell(ToAgent::ExecStarted { id, pid }, &stdio);
            init.tell(ToAgent::ExecExited { id, exit: Exit::Code(3) }, &[]);
            std::future::pending::<()>().await;
        };
        let session = async {
            let started = handle.exec(ExecId(5), command(&["sh", "-c"])).await.expect("started");
            assert!(matches!(started.stdio, Stdio::Pipes { .. }));
            assert_eq!(started.exited.await, Ok(Exit::Code(3)));
        };
        first(play, session).await;
    })
    .await;
}

#[tokio::test]
async fn a_session_that_cannot_start_is_told_why() {
    while_served(async |handle, init| {
        let play = async {
            init.hear().await;
            let (step, errno) = (ExecStep::Fork, Errno::AGAIN);
            init.tell(ToAgent::ExecFailed { id: ExecId(1), step, errno }, &[]);
            std::future::pending::<()>().await;
        };
        let failed = first(play, handle.exec(ExecId(1), command(&["sh"]))).await;
        let First::Right(Err(failure)) = failed else { panic!("{failed:?}") };
        assert_eq!(failure, ExecFailure::Step(ExecStep::Fork, Errno::AGAIN));
        let none = handle.exec(ExecId(2), command(&[])).await.map(|_| ());
        assert!(matches!(none, Err(ExecFailure::Refused(_))), "{none:?}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_session_that_starts_too_late_is_closed() {
    while_served(async |handle, init| {
        let (master, _slave) = fd::pipe().expect("a pipe");
        let id = ExecId(1);
        let overdue = handle.exec(id, command(&["sh"])).await.map(|_| ());
        assert_eq!(overdue, Err(ExecFailure::Overdue));
        assert!(matches!(init.hear().await.0, ToInit::Exec { .. }));
        init.tell(ToAgent::ExecStarted { id, pid: Pid::new(9).expect("a pid") }, &[master.as_fd()]);
        assert_eq!(init.hear().await.0, ToInit::ExecClose { id });
    })
    .await;
}

#[tokio::test]
async fn what_init_says_of_the_log_and_the_end_can_be_watched() {
    while_served(async |handle, init| {
        let running = Child::Running(Pid::new(2).expect("a pid"));
        init.tell(ToAgent::Child(running), &[]);
        init.tell(ToAgent::LogGap { stream: Stream::Stderr, bytes: 7 }, &[]);
        init.tell(ToAgent::Shutdown { milliseconds: 1500 }, &[]);
        let mut shutdown = handle.shutdown();
        let time = *shutdown.wait_for(Option::is_some).await.expect("told");
        assert_eq!(time, Some(Duration::from_millis(1500)));
        assert_eq!(*handle.gaps().borrow(), Gaps { stdout: 0, stderr: 7 });
    })
    .await;
}

#[tokio::test]
async fn a_message_that_is_none_ends_the_agent() {
    let (read, _write) = fd::pipe().expect("a pipe");
    let started = ToAgent::ExecStarted { id: ExecId(1), pid: Pid::new(9).expect("a pid") };
    for (message, descriptors) in [
        (started, 0),
        (started, 2),
        (ToAgent::Shutdown { milliseconds: 1 }, 1),
        (ToAgent::Hello(Hello::default()), 2),
    ] {
        let (socket, init) = pair();
        let (_handle, serving) = socket.serve();
        init.tell(message, &vec![read.as_fd(); descriptors]);
        let ended = serving.await;
        assert!(matches!(ended, Ended::Malformed(_) | Ended::Descriptors(_)), "{ended}");
    }
    let (socket, init) = pair();
    let (_handle, serving) = socket.serve();
    drop(init);
    assert_eq!(serving.await, Ended::Closed);
}
