//! The wire's messages as the rooms know them. Generated types stop here.
use crate::proto::entrypoint_exec_request::output::Channel;
use crate::proto::entrypoint_exec_request::{Event, Exit, Open, Output};
use crate::proto::{
    ConfigVar, EntrypointConfigResponse, EntrypointExecRequest, EntrypointExecResponse,
    EntrypointLogBatch, GetVersionInfoResponse, config_var, entrypoint_config,
    entrypoint_exec_request, entrypoint_exec_response, exec_stream_request, log_batch,
    server_features,
};
use crate::seam::message::{ExecId, Stream, WindowSize};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::time::SystemTime;

/// All the server says of this instance, whole each time.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Config {
    pub(crate) variables: Vec<Variable>,
    /// Every session that is open now, old and new.
    pub(crate) sessions: Vec<Session>,
    /// The signal's name as it was written; empty for none.
    pub(crate) file_change_signal: String,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Variable {
    pub(crate) name: String,
    pub(crate) value: Value,
    pub(crate) internal: bool,
    pub(crate) is_path: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Static(String),
    Dynamic { source: String, parameters: BTreeMap<String, String> },
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Session {
    pub(crate) id: ExecId,
    pub(crate) arguments: Vec<String>,
    pub(crate) terminal: Option<Terminal>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Terminal {
    /// For TERM; empty for none.
    pub(crate) kind: String,
    pub(crate) size: WindowSize,
}

/// A line of a log, without its newline.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Line {
    pub(crate) at: SystemTime,
    pub(crate) source: Source,
    pub(crate) text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    App,
    Entrypoint,
}

/// From a session to whoever typed it; `Exit` and `Error` are last.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum FromSession {
    Output {
        stream: Stream,
        data: Bytes,
    },
    Exit {
        code: i32,
    },
    /// It could not be started; `code` is gRPC's.
    Error {
        code: i32,
        text: String,
    },
}

/// From whoever types to the session.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum ToSession {
    Input(Bytes),
    InputEnd,
    Resize(WindowSize),
}

/// What a keepalive inside a stream says. Source: protocol.md 3.5.
const KEEPALIVE: &str = "inline_keepalive";
/// As much text goes into one message, far below the 4 MiB that a peer accepts.
const MAX_BATCH: usize = 256 * 1024;

/// A snapshot; `None` for a keepalive. An answer without a config is a keepalive of a peer whose
/// field we do not see, never "no variables": that would restart the app.
pub(super) fn config(response: EntrypointConfigResponse) -> Option<Config> {
    let config = response.config.filter(|_| response.inline_keepalive != KEEPALIVE)?;
    Some(Config {
        variables: config.env_vars.into_iter().filter_map(variable).collect(),
        sessions: config.exec.into_iter().map(session).collect(),
        file_change_signal: config.file_change_signal,
    })
}

/// Whether the server understands keepalives inside streams.
pub(super) fn takes_keepalives(info: &GetVersionInfoResponse) -> bool {
    let feature = server_features::Feature::InlineKeepalives as i32;
    info.server_features.as_ref().is_some_and(|it| it.features.contains(&feature))
}

/// The server's oldest and newest entrypoint protocol; one that says nothing speaks the first.
pub(super) fn entrypoint_protocol(info: &GetVersionInfoResponse) -> (u32, u32) {
    let protocol = info.info.as_ref().and_then(|it| it.entrypoint.as_ref());
    protocol.map_or((1, 1), |it| (it.minimum, it.current))
}

pub(super) fn log_keepalive() -> EntrypointLogBatch {
    EntrypointLogBatch { inline_keepalive: KEEPALIVE.into(), ..Default::default() }
}

pub(super) fn exec_keepalive() -> EntrypointExecRequest {
    EntrypointExecRequest { inline_keepalive: KEEPALIVE.into(), ..Default::default() }
}

/// Lines as messages, in order, each of bounded size; none for no lines.
pub(super) fn log_batches(
    instance_id: &str,
    lines: Vec<Line>,
) -> impl Iterator<Item = EntrypointLogBatch> {
    let mut lines = lines.into_iter().peekable();
    std::iter::from_fn(move || {
        lines.peek()?;
        let mut batch =
            EntrypointLogBatch { instance_id: instance_id.into(), ..Default::default() };
        let mut size = 0;
        while let Some(line) = lines.next_if(|it| size == 0 || size + it.text.len() <= MAX_BATCH) {
            size += line.text.len() + 1;
            batch.lines.push(entry(line));
        }
        Some(batch)
    })
}

pub(super) fn exec_open(instance_id: &str, id: ExecId) -> EntrypointExecRequest {
    request(Event::Open(Open { instance_id: instance_id.into(), index: id.0 }))
}

/// Only that the field is there says something, not its value.
pub(super) fn is_opened(response: &EntrypointExecResponse) -> bool {
    matches!(response.event, Some(entrypoint_exec_response::Event::Opened(_)))
}

pub(super) fn from_session(event: FromSession) -> EntrypointExecRequest {
    request(match event {
        FromSession::Output { stream, data } => {
            let channel = match stream {
                Stream::Stdout => Channel::Stdout,
                Stream::Stderr => Channel::Stderr,
            };
            Event::Output(Output { channel: channel as i32, data: data.into() })
        }
        FromSession::Exit { code } => Event::Exit(Exit { code }),
        FromSession::Error { code, text } => {
            let status = crate::proto::google::rpc::Status { code, message: text, details: vec![] };
            Event::Error(entrypoint_exec_request::Error { error: Some(status) })
        }
    })
}

/// `None` for a keepalive, and for what says nothing that we know.
pub(super) fn to_session(response: EntrypointExecResponse) -> Option<ToSession> {
    use entrypoint_exec_response::Event;
    match response.event? {
        Event::Input(data) => Some(ToSession::Input(data.into())),
        Event::InputEof(()) => Some(ToSession::InputEnd),
        Event::Winch(size) => Some(ToSession::Resize(window_size(&size))),
        Event::Opened(_) => None,
    }
}

fn request(event: Event) -> EntrypointExecRequest {
    EntrypointExecRequest { event: Some(event), ..Default::default() }
}

/// `None` for a variable that is unset here: a wider scope's value is not for us.
fn variable(variable: ConfigVar) -> Option<Variable> {
    let value = match variable.value? {
        config_var::Value::Unset(()) => return None,
        config_var::Value::Static(text) => Value::Static(text),
        config_var::Value::Dynamic(it) => {
            Value::Dynamic { source: it.from, parameters: it.config.into_iter().collect() }
        }
    };
    let (internal, is_path) = (variable.internal, variable.name_is_path);
    Some(Variable { name: variable.name, value, internal, is_path })
}

fn session(exec: entrypoint_config::Exec) -> Session {
    let terminal = exec.pty.filter(|it| it.enable).map(|pty| Terminal {
        kind: pty.term,
        size: pty.window_size.as_ref().map_or(DEFAULT_SIZE, window_size),
    });
    Session { id: ExecId(exec.index), arguments: exec.args, terminal }
}

/// A terminal whose size nobody told is one of the classic kind.
const DEFAULT_SIZE: WindowSize = WindowSize { rows: 24, columns: 80, x_pixels: 0, y_pixels: 0 };

/// What does not fit the kernel's 16 bits is the nearest that does.
fn window_size(size: &exec_stream_request::WindowSize) -> WindowSize {
    let fit = |it: i32| u16::try_from(it.max(0)).unwrap_or(u16::MAX);
    WindowSize {
        rows: fit(size.rows),
        columns: fit(size.cols),
        x_pixels: fit(size.width),
        y_pixels: fit(size.height),
    }
}

fn entry(line: Line) -> log_batch::Entry {
    let Line { at, source, mut text } = line;
    text.push('\n'); // as real entrypoints do; the server takes one away
    let source = match source {
        Source::App => log_batch::entry::Source::App,
        Source::Entrypoint => log_batch::entry::Source::Entrypoint,
    };
    log_batch::Entry { source: source as i32, timestamp: Some(at.into()), line: text }
}

#[cfg(test)]
mod tests;
