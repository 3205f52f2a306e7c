//! `waypoint exec`: a command beside the app. Two threads do what can block for long, reading
//! standard input and writing standard output (`pipes.rs`); the loop between them (`relay.rs`)
//! never does, so that resizes and signals are always heard.
//! ```text
//! stdin --thread--> requests(8) --\                      /--> output(16) --thread--> stdout, stderr
//!                    SIGWINCH -----+--> server --> relay-+--> the exit status
//! ```
//! Our sending side stays open until the exit arrives: closing it would end the session.
mod pipes;
mod relay;
#[cfg(test)]
mod tests;

use super::deployment::{newest, numbered};
use crate::cli::connect::{Link, streaming};
use crate::cli::desk::{Desk, tell};
use crate::cli::failure::{Failure, Outcome};
use crate::cli::terminal::{Raw, size};
use crate::proto::exec_stream_request::{Event, Pty, Start, start::Target};
use crate::proto::exec_stream_response;
use crate::proto::{ExecStreamRequest, ExecStreamResponse};
use pipes::Ends;
use relay::Relay;
use std::io::{self, IsTerminal};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

/// The server finds an instance at once or says that there is none.
const OPEN: Duration = Duration::from_secs(30);

pub(crate) async fn run(desk: &Desk<'_>) -> Outcome {
    let start = async {
        let mut link = desk.link().await?;
        let target = target(desk, &mut link).await?;
        let terminal = io::stdout().is_terminal();
        let args = desk.call.rest.clone();
        let start = Start { target: Some(target), args, pty: pty(terminal) };
        session(link, start, Ends::standard(terminal)).await
    };
    // Every failure of our own has a status that the command's can hardly have.
    start.await.map_err(|failure| match failure.status {
        1 => failure.transport(),
        _ => failure,
    })
}

async fn target(desk: &Desk<'_>, link: &mut Link) -> Result<Target, Failure> {
    let number = desk.call.number("deployment-seq")?;
    if let Some(id) = desk.call.given("instance") {
        return Ok(Target::InstanceId(id.to_owned()));
    }
    let place = desk.place(&mut link.client).await?;
    let deployment = match number {
        Some(number) => numbered(&mut link.client, &place, number).await?,
        None => newest(&mut link.client, &place).await?,
    };
    if io::stdout().is_terminal() && io::stderr().is_terminal() {
        let (project, app) = (desk.style.text(&place.project), desk.style.text(&place.application));
        let sequence = deployment.sequence;
        tell(&format!("connecting to {project}/{app}, deployment v{sequence}; ~. ends it"));
    }
    Ok(Target::DeploymentId(deployment.id))
}

fn pty(terminal: bool) -> Option<Pty> {
    terminal.then(|| Pty {
        enable: true,
        term: std::env::var("TERM").unwrap_or_default(),
        window_size: size(&io::stdout()),
    })
}

/// From the start to the command's exit: its status.
async fn session(mut link: Link, start: Start, ends: Ends) -> Outcome {
    let terminal = start.pty.is_some();
    let (requests, receiver) = mpsc::channel(8);
    let _ = requests.try_send(event(Event::Start(start)));
    let opening = async {
        let answer = link.client.start_exec_stream(streaming(ReceiverStream::new(receiver)));
        let mut stream = answer.await?.into_inner();
        opened(&mut stream).await.map(|()| stream)
    };
    let mut stream = tokio::time::timeout(OPEN, opening)
        .await
        .map_err(|_| Failure::new(format!("no session within {} s", OPEN.as_secs())))??;

    let raw = if terminal { Raw::enter() } else { None };
    let (escaped, escape) = oneshot::channel();
    let (escaped, escape) = raw.as_ref().map(|_| (escaped, escape)).unzip();
    let Ends { input, out, err } = ends;
    pipes::read_input(input, requests.clone(), escaped)?;
    let (output, written) = pipes::write_output(out, err)?;
    let mut relay = Relay { requests, output, written, escape, raw, terminal };
    let ended = relay.run(&mut stream, link.keepalives).await;
    if ended.as_ref().map_or_else(|it| it.status == 1, |_| true) {
        relay.finish().await?; // what came before a break is shown too
    }
    if terminal && ended.as_ref().is_err_and(|it| !it.text.is_empty()) {
        tell("\r"); // the cursor stands where the command left it
    }
    let code = ended?;
    // A status is the low byte; a death by signal comes as -1 from the original's entrypoint.
    Ok((code & 0xff) as u8)
}

fn event(event: Event) -> ExecStreamRequest {
    ExecStreamRequest { event: Some(event), ..Default::default() }
}

/// Waits for the server's first message but keepalives.
async fn opened(stream: &mut Streaming<ExecStreamResponse>) -> Result<(), Failure> {
    use exec_stream_response::Event;
    loop {
        match stream.message().await?.map(|it| it.event) {
            Some(Some(Event::Open(_))) => return Ok(()),
            Some(None) => {}
            Some(Some(_)) => {
                return Err(Failure::new("the server spoke before it opened the session"));
            }
            None => return Err(Failure::new("the server ended the session before it was opened")),
        }
    }
}
