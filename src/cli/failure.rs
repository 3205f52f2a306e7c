//! Why a command failed: one line for a person, and the exit status.
use crate::proto::ErrorDetail;
use prost::Message;
use std::error::Error;
use tonic::{Code, Status};

/// What the remote command of `exec` can hardly mean; ssh says it too.
pub(crate) const TRANSPORT: u8 = 255;

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Failure {
    pub(crate) text: String,
    pub(crate) status: u8,
}

/// The exit status, or why there is none of its own.
pub(crate) type Outcome = Result<u8, Failure>;

impl Failure {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), status: 1 }
    }

    pub(crate) fn transport(self) -> Self {
        Self { status: TRANSPORT, ..self }
    }
}

impl From<String> for Failure {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        Self::new(said(&status))
    }
}

/// A server's refusal in one line: its sentence, its details, and the code only if that says more.
pub(crate) fn said(status: &Status) -> String {
    let mut text = match status.source() {
        // Our own side made this status, from an error of the connection.
        Some(source) => format!("the connection to the server failed: {}", cause(source)),
        None if status.message().is_empty() => String::from(status.code().description()),
        None => status.message().to_owned(),
    };
    for (key, value) in details(status) {
        text = format!("{text}; {key}: {value}");
    }
    if status.code() == Code::Unauthenticated {
        text.push_str(" (log in: `waypoint login -token T ADDRESS`, or set WAYPOINT_SERVER_TOKEN)");
    }
    text.replace(['\n', '\r'], " ")
}

/// Key and value of each `ErrorDetail`; other details are for programs.
fn details(status: &Status) -> Vec<(String, String)> {
    crate::proto::google::rpc::Status::decode(status.details())
        .map(|it| it.details)
        .unwrap_or_default()
        .iter()
        .filter(|it| it.type_url.ends_with("/hashicorp.waypoint.ErrorDetail"))
        .filter_map(|it| ErrorDetail::decode(it.value.as_slice()).ok())
        .map(|it| (it.key, it.value))
        .collect()
}

/// The innermost error: the outer ones say "transport error" and the like.
pub(crate) fn cause(error: &(dyn Error + 'static)) -> String {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost_types::Any;

    #[test]
    fn a_refusal_is_one_line_with_its_details() {
        let detail = ErrorDetail { key: "app".into(), value: "web".into() };
        let any = |type_url: &str| Any { type_url: type_url.into(), value: detail.encode_to_vec() };
        let status = crate::proto::google::rpc::Status {
            details: vec![
                any("type.googleapis.com/google.rpc.BadRequest"),
                any("type.googleapis.com/hashicorp.waypoint.ErrorDetail"),
            ],
            ..Default::default()
        };
        let details = status.encode_to_vec().into();
        let status = Status::with_details(Code::NotFound, "no such\nthing", details);
        assert_eq!(Failure::from(status), Failure::new("no such thing; app: web"));
    }

    #[test]
    fn a_missing_token_says_what_to_do() {
        assert!(said(&Status::unauthenticated("no token")).contains("waypoint login"));
    }

    #[test]
    fn a_refusal_without_a_sentence_says_its_code() {
        assert_eq!(said(&Status::new(Code::Aborted, "")), Code::Aborted.description());
    }

    #[test]
    fn a_broken_connection_says_its_innermost_cause() {
        let refused = std::io::Error::other("connection refused");
        let status = Status::from_error(Box::new(std::io::Error::other(refused)));
        assert!(said(&status).contains("connection refused"), "{}", said(&status));
    }
}
