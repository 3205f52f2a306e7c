//! Why a session does not run, as the one who asked for it will read it.
use crate::agent::link::wire::FromSession;
use crate::agent::seam::ExecFailure;
use crate::seam::message::{ExecStep, Stream};
use crate::sys::{Errno, Kind};

/// Source: gRPC's status codes, exec.md 2.12.
mod code {
    pub(super) const INVALID_ARGUMENT: i32 = 3;
    pub(super) const DEADLINE_EXCEEDED: i32 = 4;
    pub(super) const NOT_FOUND: i32 = 5;
    pub(super) const PERMISSION_DENIED: i32 = 7;
    pub(super) const RESOURCE_EXHAUSTED: i32 = 8;
    pub(super) const FAILED_PRECONDITION: i32 = 9;
    pub(super) const INTERNAL: i32 = 13;
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Refusal {
    pub(super) code: i32,
    pub(super) text: String,
}

impl Refusal {
    pub(super) fn invalid(text: &str) -> Self {
        Self { code: code::INVALID_ARGUMENT, text: text.into() }
    }

    pub(super) fn disabled() -> Self {
        Self::at(code::PERMISSION_DENIED, ExecStep::Refused.describe())
    }

    pub(super) fn too_many() -> Self {
        Self::at(code::RESOURCE_EXHAUSTED, ExecStep::TooMany.describe())
    }

    /// What stopped `program`.
    pub(super) fn of(failure: &ExecFailure, program: &str) -> Self {
        match failure {
            ExecFailure::Step(ExecStep::Exec, errno) => {
                Self { code: exec_code(*errno), text: format!("cannot run {program}: {errno}") }
            }
            ExecFailure::Step(step, errno) => Self::at_step(*step, *errno),
            ExecFailure::HandOver(errno) => Self {
                code: code::RESOURCE_EXHAUSTED,
                text: format!("cannot hand the command to init: {errno}"),
            },
            ExecFailure::TooLong => Self::invalid("the command has too many arguments"),
            ExecFailure::Refused(refused) => Self::invalid(&refused.to_string()),
            ExecFailure::Overdue => Self::at(code::DEADLINE_EXCEEDED, "init did not answer"),
        }
    }

    fn at_step(step: ExecStep, errno: Errno) -> Self {
        let (code, caused) = match step {
            ExecStep::Refused => (code::PERMISSION_DENIED, false),
            ExecStep::TooMany => (code::RESOURCE_EXHAUSTED, false),
            ExecStep::Command => (code::INVALID_ARGUMENT, false),
            ExecStep::Deadline => (code::DEADLINE_EXCEEDED, false),
            ExecStep::Descriptors | ExecStep::Fork => (code::RESOURCE_EXHAUSTED, true),
            ExecStep::Prepare => (code::FAILED_PRECONDITION, true),
            ExecStep::Exec => (code::INTERNAL, true),
        };
        let text = match caused {
            true => format!("{}: {errno}", step.describe()),
            false => step.describe().to_owned(),
        };
        Self { code, text }
    }

    fn at(code: i32, text: &str) -> Self {
        Self { code, text: text.into() }
    }

    /// All that the session says. A server that makes a bare number of the error still shows the
    /// text, which came before as output.
    pub(super) fn events(self) -> [FromSession; 2] {
        let line = format!("waypoint: {}\r\n", self.text).into();
        [
            FromSession::Output { stream: Stream::Stderr, data: line },
            FromSession::Error { code: self.code, text: self.text },
        ]
    }
}

fn exec_code(errno: Errno) -> i32 {
    match errno.kind() {
        Kind::NotFound => code::NOT_FOUND,
        Kind::Invalid => code::INVALID_ARGUMENT,
        // The server makes 126 of it.
        Kind::NotExecutable => code::PERMISSION_DENIED,
        Kind::Exhausted => code::RESOURCE_EXHAUSTED,
        Kind::Other => code::FAILED_PRECONDITION,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_names_the_program_and_has_the_code_it_deserves() {
        use ExecFailure::{Overdue, Step};
        for (failure, code, text) in [
            (
                Step(ExecStep::Exec, Errno::NOT_FOUND),
                5,
                "cannot run nope: no such file or directory",
            ),
            (Step(ExecStep::Exec, Errno::ACCESS), 7, "cannot run nope: permission denied"),
            (Step(ExecStep::Exec, Errno::EXEC_FORMAT), 7, "cannot run nope: exec format error"),
            (
                Step(ExecStep::Exec, Errno::TOO_BIG),
                3,
                "cannot run nope: argument list or environment too long",
            ),
            (
                Step(ExecStep::Fork, Errno::AGAIN),
                8,
                "cannot fork: resource temporarily unavailable",
            ),
            (Step(ExecStep::Refused, Errno(0)), 7, "exec is disabled for this instance"),
            (Step(ExecStep::TooMany, Errno(0)), 8, "too many exec sessions"),
            (Overdue, 4, "init did not answer"),
        ] {
            assert_eq!(Refusal::of(&failure, "nope"), Refusal { code, text: text.into() });
        }
    }

    #[test]
    fn the_text_comes_as_output_before_the_error() {
        let [output, error] = Refusal::too_many().events();
        let data = "waypoint: too many exec sessions\r\n".into();
        assert_eq!(output, FromSession::Output { stream: Stream::Stderr, data });
        assert_eq!(error, FromSession::Error { code: 8, text: "too many exec sessions".into() });
    }
}
