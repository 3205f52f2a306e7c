//! Why the server says no, in words for whoever asked; its shape on the wire is gRPC's.
use prost::Message;
use tonic::{Code, Status};

/// A request that was not carried out. The text names the culprit and fits one line.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Refusal {
    code: Code,
    /// The request's field that is wrong, as in the proto; empty for none.
    field: &'static str,
    text: String,
}

impl Refusal {
    /// The request itself is wrong: `field` is missing or holds what it must not.
    pub(crate) fn invalid(field: &'static str, why: impl std::fmt::Display) -> Self {
        Self { code: Code::InvalidArgument, field, text: format!("{field}: {why}") }
    }

    pub(crate) fn missing(field: &'static str) -> Self {
        Self::invalid(field, "is required")
    }

    pub(crate) fn not_found(kind: &str, name: impl std::fmt::Display) -> Self {
        Self::new(Code::NotFound, format!("there is no {kind} \"{name}\""))
    }

    pub(crate) fn new(code: Code, text: impl Into<String>) -> Self {
        Self { code, field: "", text: text.into() }
    }

    pub(crate) fn denied(text: impl Into<String>) -> Self {
        Self::new(Code::PermissionDenied, text)
    }

    pub(crate) fn too_many(text: impl Into<String>) -> Self {
        Self::new(Code::ResourceExhausted, text)
    }

    #[cfg(test)]
    pub(crate) fn code(&self) -> Code {
        self.code
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Refusal {}

/// Wrong fields travel as `google.rpc.BadRequest` too, which the original's CLI prints.
impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        if refusal.field.is_empty() {
            return Self::new(refusal.code, refusal.text);
        }
        let violation =
            FieldViolation { field: refusal.field.into(), description: refusal.text.clone() };
        let detail = prost_types::Any {
            type_url: "type.googleapis.com/google.rpc.BadRequest".into(),
            value: BadRequest { field_violations: vec![violation] }.encode_to_vec(),
        };
        let status = crate::proto::google::rpc::Status {
            code: refusal.code.into(),
            message: refusal.text.clone(),
            details: vec![detail],
        };
        Self::with_details(refusal.code, refusal.text, status.encode_to_vec().into())
    }
}

/// Source: google/rpc/error_details.proto; the only message of that file we need.
#[derive(Clone, PartialEq, Message)]
struct BadRequest {
    #[prost(message, repeated, tag = "1")]
    field_violations: Vec<FieldViolation>,
}

#[derive(Clone, PartialEq, Message)]
struct FieldViolation {
    #[prost(string, tag = "1")]
    field: String,
    #[prost(string, tag = "2")]
    description: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_field_is_named_in_the_text_and_in_the_details() {
        let status = Status::from(Refusal::missing("start.target"));
        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(status.message(), "start.target: is required");
        assert!(status.details().windows(12).any(|it| it == b"start.target"));
    }
}
