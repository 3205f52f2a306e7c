use super::*;
use crate::cli::escape::Escape;
use crate::proto::exec_stream_request::Input;

/// What is sent for an input, and whether it was the escape.
fn check(input: &[u8], escape: bool) -> (Vec<Vec<u8>>, bool) {
    let (sender, mut receiver) = mpsc::channel(64);
    let ended = pipes::copy_input(input, &sender, escape.then(Escape::default).as_mut());
    drop(sender);
    let mut sent = Vec::new();
    while let Some(request) = receiver.blocking_recv() {
        let Some(Event::Input(Input { data })) = request.event else { panic!("{request:?}") };
        sent.push(data);
    }
    (sent, ended)
}

#[test]
fn input_that_is_no_terminal_passes_whole_and_knows_no_escape() {
    assert_eq!(check(b"~.", false), (vec![b"~.".to_vec()], false));
    let long = vec![b'x'; pipes::CHUNK + 1];
    let (sent, _) = check(&long, false);
    assert_eq!(sent.iter().map(Vec::len).collect::<Vec<_>>(), [pipes::CHUNK, 1]);
    assert_eq!(check(b"", false), (vec![], false));
}

#[test]
fn the_escape_ends_what_a_terminal_types_and_is_not_sent() {
    assert_eq!(check(b"ls\r~.more", true), (vec![b"ls\r".to_vec()], true));
    assert_eq!(check(b"~", true), (vec![b"~".to_vec()], false), "half an escape at the end");
}

#[test]
fn input_ends_when_the_session_does() {
    let (sender, receiver) = mpsc::channel(1);
    drop(receiver);
    assert!(!pipes::copy_input(io::repeat(b'x'), &sender, None));
}

use crate::cli::commands::tests::Bench;
use crate::proto::entrypoint_exec_request::{Event as Said, Exit, Open, Output as Shown};
use crate::proto::entrypoint_exec_response::Event as Heard;
use crate::proto::{EntrypointExecRequest, EntrypointExecResponse};
use std::io::{Read, Write};
use std::sync::{Arc, Mutex};

/// What was written, also after the writer was given away.
#[derive(Clone, Default)]
struct Page(Arc<Mutex<Vec<u8>>>);

impl Write for Page {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic").extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Page {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("no panic").clone()).expect("text")
    }
}

/// The entrypoint's side of the next session, opened.
struct Peer {
    requests: mpsc::Sender<EntrypointExecRequest>,
    heard: Streaming<EntrypointExecResponse>,
    args: Vec<String>,
}

impl Peer {
    async fn next(
        link: &mut Link,
        instance_id: &str,
        sessions: &mut mpsc::Receiver<crate::proto::entrypoint_config::Exec>,
    ) -> Self {
        let session = sessions.recv().await.expect("a session");
        let (requests, receiver) = mpsc::channel(4);
        let open = Open { instance_id: instance_id.to_owned(), index: session.index };
        let request = EntrypointExecRequest { event: Some(Said::Open(open)), ..Default::default() };
        requests.send(request).await.expect("sent");
        let answer = link.client.entrypoint_exec_stream(ReceiverStream::new(receiver)).await;
        let heard = answer.expect("a stream").into_inner();
        Self { requests, heard, args: session.args }
    }

    async fn say(&self, event: Said) {
        let request = EntrypointExecRequest { event: Some(event), ..Default::default() };
        self.requests.send(request).await.expect("sent");
    }

    async fn print(&self, channel: i32, data: &str) {
        self.say(Said::Output(Shown { channel, data: data.into() })).await;
    }

    /// Says it and stays until the server has heard: who resets a stream takes back what it said.
    async fn exit(mut self, code: i32) {
        self.say(Said::Exit(Exit { code })).await;
        drop(self.requests);
        while let Ok(Some(_)) = self.heard.message().await {}
    }

    /// All that is typed, up to its end.
    async fn typed(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        loop {
            match self.heard.message().await.expect("the session goes on").and_then(|it| it.event) {
                Some(Heard::Input(data)) => all.extend(data),
                Some(Heard::InputEof(())) => return all,
                Some(_) | None => {}
            }
        }
    }
}

/// Runs a session with this input beside what the entrypoint does: outcome, output, errors.
async fn run_session<F>(
    input: impl Read + Send + 'static,
    play: impl FnOnce(Peer) -> F,
) -> (Outcome, String, String)
where
    F: Future<Output = ()>,
{
    let bench = Bench::new().await;
    let (mut entrypoint, id, mut sessions) = bench.entrypoint().await;
    let (out, err) = (Page::default(), Page::default());
    let ends = Ends {
        input: Some(Box::new(input)),
        out: Box::new(out.clone()),
        err: Box::new(err.clone()),
    };
    let target = Some(Target::DeploymentId(bench.deployment.clone()));
    let start = Start { target, args: vec!["cat".into(), "-u".into()], pty: None };
    let ours = session(bench.link.clone(), start, ends);
    let theirs = async { play(Peer::next(&mut entrypoint, &id, &mut sessions).await).await };
    let limit = Duration::from_secs(20);
    let both = tokio::time::timeout(limit, async { tokio::join!(ours, theirs).0 }).await;
    (both.expect("an end within 20 s"), out.text(), err.text())
}

#[tokio::test(flavor = "multi_thread")]
async fn input_arrives_whole_and_then_its_end() {
    let input = "line\n".repeat(30_000);
    let expected = input.clone();
    let (outcome, ..) =
        run_session(io::Cursor::new(input.into_bytes()), async move |mut peer: Peer| {
            assert_eq!(peer.args, ["cat", "-u"]);
            assert_eq!(peer.typed().await, expected.into_bytes());
            peer.exit(0).await;
        })
        .await;
    assert_eq!(outcome, Ok(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn all_output_is_written_before_the_status_is_returned() {
    let (outcome, out, err) = run_session(io::empty(), async |peer: Peer| {
        for _ in 0..200 {
            peer.print(1, &"x".repeat(10_000)).await;
        }
        peer.print(2, "100% %d wrong\n").await;
        peer.exit(3).await;
    })
    .await;
    assert_eq!((outcome, out.len()), (Ok(3), 2_000_000));
    assert_eq!(err, "100% %d wrong\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_death_that_comes_as_minus_one_is_255() {
    let (outcome, ..) = run_session(io::empty(), async |peer: Peer| {
        peer.exit(-1).await;
    })
    .await;
    assert_eq!(outcome, Ok(255));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_instance_the_refusal_is_said() {
    let bench = Bench::new().await;
    let ends = Ends { input: None, out: Box::new(Page::default()), err: Box::new(Page::default()) };
    let target = Some(Target::DeploymentId(bench.deployment.clone()));
    let start = Start { target, args: vec!["true".into()], pty: None };
    let failure = session(bench.link.clone(), start, ends).await.expect_err("nobody there");
    assert!(failure.text.contains("instance"), "{failure:?}");
}
