//! Exec: a stream of whoever types and a stream of the entrypoint, and between them a pipe.
//!
//! ```text
//! CLI --StartExecStream--> [input, bounded]  --> EntrypointExecStream --> entrypoint
//!     <------------------- [output, bounded] <--
//! ```
//! The server copies and neither keeps nor reads. A pipe waits under its session's index until the
//! entrypoint takes it; whichever side ends first, the other one sees its end of the pipe closed.
//! What is typed is never logged.
use super::Service;
use super::outgoing::{Out, next};
use crate::proto::entrypoint_exec_request::{Event as FromEntrypoint, Output as Said};
use crate::proto::entrypoint_exec_response::Event as ToEntrypoint;
use crate::proto::exec_stream_request::{Event as Typed, start};
use crate::proto::exec_stream_response::output::Channel;
use crate::proto::exec_stream_response::{Event as Shown, Exit, Open, Output};
use crate::proto::{
    EntrypointExecRequest, EntrypointExecResponse, ExecStreamRequest, ExecStreamResponse,
};
use crate::server::hub::Hub;
use crate::server::refusal::Refusal;
use crate::server::state::fleet::Target;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};
use tonic::{Code, Status, Streaming};

/// For the entrypoint to take a session up.
const PICK_UP: Duration = Duration::from_secs(15);
/// For the first message of a stream.
const FIRST: Duration = Duration::from_secs(10);
/// Messages under way in each direction; then whoever sends waits.
const PIPE: usize = 4;

/// Pipes that no entrypoint has taken yet, by their session's index.
#[derive(Clone, Default)]
pub(crate) struct Pipes(Arc<Mutex<HashMap<i64, Pipe>>>);

/// The entrypoint's end.
struct Pipe {
    input: mpsc::Receiver<ToEntrypoint>,
    output: mpsc::Sender<FromEntrypoint>,
    taken: oneshot::Sender<()>,
}

/// A session for as long as its CLI is there.
struct Lease {
    hub: Hub,
    pipes: Pipes,
    index: i64,
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.pipes.lock().remove(&self.index);
        self.hub.clean_up(|state, _| state.fleet.close(self.index));
    }
}

impl Pipes {
    fn lock(&self) -> MutexGuard<'_, HashMap<i64, Pipe>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The stream of whoever types.
pub(super) async fn start(
    service: Service,
    mut incoming: Streaming<ExecStreamRequest>,
    out: Out<ExecStreamResponse>,
) -> Result<(), Status> {
    let first = timeout(FIRST, next(&mut incoming)).await;
    let first =
        first.map_err(|_| Status::deadline_exceeded("start did not come within 10 s"))??;
    let Some(Typed::Start(start)) = first.and_then(|it| it.event) else {
        return Err(Status::failed_precondition("the first message must be start"));
    };
    let (to_entrypoint, input) = mpsc::channel(PIPE);
    let (output, mut from_entrypoint) = mpsc::channel(PIPE);
    let (taken, mut picked_up) = oneshot::channel();
    let lease = open(&service, start, Pipe { input, output, taken })?;
    show(&out, Shown::Open(Open {})).await?;
    tokio::select! {
        status = not_picked_up(&lease, &mut picked_up) => Err(status),
        done = type_in(incoming, to_entrypoint) => done,
        done = show_all(&mut from_entrypoint, &out) => done,
    }
}

/// Chooses the instance and leaves pipe and session for it.
fn open(
    service: &Service,
    start: crate::proto::exec_stream_request::Start,
    pipe: Pipe,
) -> Result<Lease, Status> {
    let target = start.target.ok_or_else(|| Refusal::missing("start.target"))?;
    // The pipe first: once the session is known, the entrypoint may be there at once.
    let mut pipes = service.pipes.lock();
    let index = service.hub.change(|state, moment| {
        let target = match &target {
            start::Target::InstanceId(id) => Target::Instance(id),
            start::Target::DeploymentId(id) => {
                let known = state.catalog.deployment(id);
                known.ok_or_else(|| {
                    Refusal::not_found("deployment", crate::server::state::shown(id))
                })?;
                Target::Deployment(id)
            }
        };
        state.fleet.open(&target, start.args, start.pty, moment)
    })?;
    pipes.insert(index, pipe);
    drop(pipes);
    Ok(Lease { hub: service.hub.clone(), pipes: service.pipes.clone(), index })
}

/// Returns why nobody took the session up; never once somebody has.
async fn not_picked_up(lease: &Lease, taken: &mut oneshot::Receiver<()>) -> Status {
    let mut changes = lease.hub.changes();
    let left = async {
        while lease.hub.read(|state| state.fleet.waits(lease.index)) {
            let _ = changes.changed().await;
        }
    };
    tokio::select! {
        biased;
        Ok(()) = taken => std::future::pending().await,
        () = left => {
            if lease.pipes.lock().contains_key(&lease.index) {
                let text = "the instance has gone before it took the session up";
                return Status::unavailable(text);
            }
            std::future::pending().await
        }
        () = sleep(PICK_UP) => {
            Status::deadline_exceeded("the instance did not take the session up within 15 s")
        }
    }
}

/// No reason for a command that cannot be started is longer.
const LONGEST_REASON: usize = 4096;

/// What is typed, until its stream ends; a half-close ends the session as a break does.
async fn type_in(
    mut incoming: Streaming<ExecStreamRequest>,
    to_entrypoint: mpsc::Sender<ToEntrypoint>,
) -> Result<(), Status> {
    while let Some(message) = next(&mut incoming).await? {
        let event = match message.event {
            Some(Typed::Input(it)) => ToEntrypoint::Input(it.data),
            Some(Typed::InputEof(())) => ToEntrypoint::InputEof(()),
            Some(Typed::Winch(size)) => ToEntrypoint::Winch(size),
            Some(Typed::Start(_)) => {
                return Err(Refusal::invalid("start", "is the first message only").into());
            }
            None => continue,
        };
        if to_entrypoint.send(event).await.is_err() {
            // The entrypoint has gone; what it said last is still on its way to the CLI.
            std::future::pending::<()>().await;
        }
    }
    Ok(())
}

/// What the command says, up to its exit.
async fn show_all(
    from_entrypoint: &mut mpsc::Receiver<FromEntrypoint>,
    out: &Out<ExecStreamResponse>,
) -> Result<(), Status> {
    let mut last = Vec::new();
    loop {
        let (text, code) = match from_entrypoint.recv().await {
            Some(FromEntrypoint::Output(it)) => {
                last.clear();
                if it.data.len() <= LONGEST_REASON && it.channel == i32::from(Channel::Stderr) {
                    last.extend_from_slice(&it.data);
                }
                // The channels' numbers are the same on both sides.
                show(out, Shown::Output(Output { channel: it.channel, data: it.data })).await?;
                continue;
            }
            Some(FromEntrypoint::Exit(it)) => {
                return show(out, Shown::Exit(Exit { code: it.code })).await;
            }
            Some(FromEntrypoint::Error(it)) => failure(it.error.unwrap_or_default()),
            Some(FromEntrypoint::Open(_)) => continue,
            None => ("the instance was lost, and the session with it".into(), 1),
        };
        // Our entrypoint has said it as output, for the sake of servers that would only log it.
        if !String::from_utf8_lossy(&last).contains(&text) {
            let data = format!("{text}\n").into_bytes();
            show(out, Shown::Output(Output { channel: Channel::Stderr.into(), data })).await?;
        }
        return show(out, Shown::Exit(Exit { code })).await;
    }
}

/// What a shell would say and exit with when a command cannot be started.
fn failure(status: crate::proto::google::rpc::Status) -> (String, i32) {
    let code = match Code::from(status.code) {
        // The original says InvalidArgument for a program that is not on the PATH.
        Code::NotFound | Code::InvalidArgument => 127,
        Code::PermissionDenied => 126,
        _ => 1,
    };
    (status.message, code)
}

async fn show(out: &Out<ExecStreamResponse>, event: Shown) -> Result<(), Status> {
    out.send(ExecStreamResponse { event: Some(event), ..Default::default() }).await
}

/// The stream of the entrypoint. `bound`: the one deployment it may take sessions of.
pub(super) async fn serve(
    service: Service,
    bound: Option<String>,
    mut incoming: Streaming<EntrypointExecRequest>,
    out: Out<EntrypointExecResponse>,
) -> Result<(), Status> {
    let first = timeout(FIRST, next(&mut incoming)).await;
    let first = first.map_err(|_| Status::deadline_exceeded("open did not come within 10 s"))??;
    let Some(FromEntrypoint::Open(open)) = first.and_then(|it| it.event) else {
        return Err(Status::failed_precondition("the first message must be open"));
    };
    let mut pipe = take(&service, open.index, &open.instance_id, bound.as_deref())?;
    tell(&out, ToEntrypoint::Opened(true)).await?;
    let input = async {
        while let Some(event) = pipe.input.recv().await {
            tell(&out, event).await?;
        }
        Ok(()) // the CLI has gone, or has got its exit
    };
    tokio::select! {
        done = input => done,
        done = pass_on(&mut incoming, pipe.output) => done,
    }
}

/// Pipe and session together, or neither.
fn take(
    service: &Service,
    index: i64,
    instance: &str,
    bound: Option<&str>,
) -> Result<TakenPipe, Status> {
    let mut pipes = service.pipes.lock();
    service.hub.quietly(|state| state.fleet.take(index, instance, bound))?;
    let pipe = pipes.remove(&index).ok_or_else(|| Refusal::not_found("exec session", index))?;
    let Pipe { input, output, taken } = pipe;
    // Nobody listens if the CLI has gone in this very moment; the pipe's other end says so too.
    let _ = taken.send(());
    Ok(TakenPipe { input, output })
}

struct TakenPipe {
    input: mpsc::Receiver<ToEntrypoint>,
    output: mpsc::Sender<FromEntrypoint>,
}

/// What the entrypoint says, up to an exit, an error or its half-close; each ends the session.
async fn pass_on(
    incoming: &mut Streaming<EntrypointExecRequest>,
    output: mpsc::Sender<FromEntrypoint>,
) -> Result<(), Status> {
    while let Some(message) = next(incoming).await? {
        let Some(event) = message.event else { continue };
        if let FromEntrypoint::Output(Said { data, .. }) = &event
            && data.is_empty()
        {
            continue;
        }
        let last = matches!(event, FromEntrypoint::Exit(_) | FromEntrypoint::Error(_));
        if output.send(event).await.is_err() || last {
            break;
        }
    }
    Ok(())
}

async fn tell(out: &Out<EntrypointExecResponse>, event: ToEntrypoint) -> Result<(), Status> {
    out.send(EntrypointExecResponse { event: Some(event), ..Default::default() }).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::exec_stream_request::Start;
    use crate::proto::instance::Type;
    use crate::server::state::{App, fleet::Instance};

    fn waiting() -> (Lease, oneshot::Receiver<()>) {
        let service = Service::new(Hub::new().expect("a hub"));
        let app = App { project: "p".into(), name: "a".into() };
        let instance = Instance {
            id: "I".into(),
            deployment: "D".into(),
            app,
            workspace: "default".into(),
            kind: Type::LongRunning,
            disable_exec: false,
            generation: 0,
        };
        service.hub.change(|state, _| state.fleet.register(instance)).expect("registered");
        let target = Some(start::Target::InstanceId("I".into()));
        let start = Start { target, args: vec!["sh".into()], pty: None };
        let (_, input) = mpsc::channel(1);
        let (output, _) = mpsc::channel(1);
        let (taken, picked_up) = oneshot::channel();
        (open(&service, start, Pipe { input, output, taken }).expect("open"), picked_up)
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_that_is_not_taken_up_ends_after_fifteen_seconds() {
        let (lease, mut picked_up) = waiting();
        let began = tokio::time::Instant::now();
        let end = not_picked_up(&lease, &mut picked_up).await;
        assert_eq!((end.code(), began.elapsed()), (Code::DeadlineExceeded, PICK_UP));
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_that_was_taken_up_may_last() {
        let (lease, mut picked_up) = waiting();
        lease.hub.quietly(|state| state.fleet.take(lease.index, "I", None)).expect("ours");
        let pipe = lease.pipes.lock().remove(&lease.index).expect("it waits");
        pipe.taken.send(()).expect("somebody waits");
        let hour = Duration::from_secs(3600);
        timeout(hour, not_picked_up(&lease, &mut picked_up)).await.expect_err("no end");
    }
}
