//! The wire's messages as the rooms know them. Generated types stop here.
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
