//! `waypoint dev`: a server of one's own and, linked to it, CMD below a real PID 1.
//! ```text
//! waypoint dev          the server; a context, so that the other commands need no flag
//!  `- waypoint dev-stage    new namespaces, if permitted (`isolate.rs`)
//!      `- waypoint-entrypoint    PID 1 there; else a plain child, which then is a subreaper
//!          `- CMD
//! ```
pub(crate) mod isolate;
mod stay;
#[cfg(test)]
mod tests;

use super::args::Call;
use super::commands::server::listen_address;
use super::desk::{Desk, tell, variable};
use super::failure::{Failure, Outcome};
use crate::server::{Server, Settings};
use isolate::{Isolation, forward};
use stay::Stay;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::process::Command;

/// The invite serves every start of the entrypoint while we run. Source: what deploy plugins ask for.
const INVITE: Duration = Duration::from_secs(87_600 * 3600);
const ENTRYPOINT: &str = "waypoint-entrypoint";

/// Of the entrypoint's settings these are the user's own.
const TUNABLE: [&str; 5] = [
    "WAYPOINT_LOG_LEVEL",
    "WAYPOINT_CEB_START_TIMEOUT",
    "WAYPOINT_CEB_EXIT_TIMEOUT",
    "WAYPOINT_CEB_RESTART_GRACE",
    "WAYPOINT_CEB_AGENT_TIMEOUT",
];

pub(crate) async fn run(desk: &Desk<'_>) -> Outcome {
    let wanted = Wanted::new(desk.call)?;
    let itself = std::env::current_exe()
        .map_err(|error| Failure::new(format!("cannot find our own file: {error}")))?;
    let entrypoint = entrypoint(variable("WAYPOINT_ENTRYPOINT_PATH"), &itself)?;
    let listen = listen_address(desk.call.text("listen-grpc"))?;
    if !listen.ip().is_loopback() {
        return Err(Failure::new(
            "flag -listen-grpc: `dev` serves this machine only; use 127.0.0.1",
        ));
    }
    let failed = |it: crate::server::Error| Failure::new(it.to_string());
    let settings = Settings { listen, tls: None, advertise: None };
    let server = Server::bind(settings).await.map_err(failed)?;
    let address = server.address().to_string();
    let token = server.bootstrap().map_err(failed)?;
    let Wanted { project, application, workspace, .. } = &wanted;
    let deployment = server.deployment(project, application, workspace).map_err(failed)?;
    let invite = server.invite(&deployment, INVITE).map_err(failed)?;

    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(server.serve(async { drop(stopped.await) }));
    let stay = Stay::begin(&address, &token, &wanted)
        .map_err(|wrong| tell(&format!("! no context for the other commands: {wrong}")))
        .ok();
    let isolation = if desk.call.switch("isolate") {
        isolate::possible(&itself).await
    } else {
        Isolation::None
    };
    let mut command = Command::new(&itself);
    // Settings of another entrypoint, one that we may be below, say.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("WAYPOINT_") && !TUNABLE.contains(&text.as_ref()) {
            command.env_remove(&name);
        }
    }
    command
        .args([isolate::STAGE, isolation.word()])
        .arg(&entrypoint)
        .args(&desk.call.rest)
        .env("WAYPOINT_SERVER_ADDR", &address)
        .env("WAYPOINT_DEPLOYMENT_ID", &deployment)
        .env("WAYPOINT_CEB_INVITE_TOKEN", &invite);
    if let Some(port) = wanted.port {
        command.env("PORT", port.to_string());
    }
    greet(&address, &wanted, isolation, stay.is_some());
    let outcome = forward(&mut command).await;
    // In this order: nobody shall find a context whose server is gone.
    if let Some(Err(wrong)) = stay.map(Stay::end) {
        tell(&format!("! {wrong}"));
    }
    drop(stop);
    match serving.await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tell(&format!("! {error}")),
        Err(error) => tell(&format!("! the server ended: {error}")),
    }
    outcome
}

/// What the flags ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wanted {
    project: String,
    application: String,
    workspace: String,
    port: Option<u16>,
}

impl Wanted {
    fn new(call: &Call) -> Result<Self, Failure> {
        let mut ports = Vec::new();
        for text in call.all("port") {
            let port = text.parse::<u16>().ok().filter(|it| *it > 0);
            ports.push(port.ok_or_else(|| Failure::new(format!("flag -p: {text:?} is no port")))?);
        }
        let or = |name, default: &str| call.given(name).unwrap_or(default).to_owned();
        Ok(Self {
            project: or("project", "dev"),
            application: or("app", "app"),
            workspace: or("workspace", "default"),
            port: ports.first().copied(),
        })
    }
}

/// The entrypoint's file: what the variable names, else the one beside ours.
fn entrypoint(named: Option<String>, itself: &Path) -> Result<PathBuf, Failure> {
    let (path, hint) = match named {
        Some(path) => (PathBuf::from(path), "WAYPOINT_ENTRYPOINT_PATH names it"),
        None => (itself.with_file_name(ENTRYPOINT), "WAYPOINT_ENTRYPOINT_PATH may name another"),
    };
    let path = path.canonicalize().map_err(|error| {
        Failure::new(format!("no entrypoint at {}: {error} ({hint})", path.display()))
    })?;
    if path.is_file() {
        Ok(path)
    } else {
        Err(Failure::new(format!("the entrypoint {} is no file ({hint})", path.display())))
    }
}

fn greet(address: &str, wanted: &Wanted, isolation: Isolation, context: bool) {
    let Wanted { project, application, .. } = wanted;
    let plain = match isolation {
        Isolation::None => ", without namespaces",
        Isolation::Root | Isolation::User => "",
    };
    tell(&format!("{project}/{application} runs, linked to a server on {address}{plain}"));
    if context {
        tell("from another terminal:");
        tell("  waypoint exec sh");
        tell("  waypoint logs");
        tell("  waypoint config set GREETING=hello");
    }
}
