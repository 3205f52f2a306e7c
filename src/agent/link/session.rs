//! The life of the link: what happened comes in, the one next thing to do goes out.
//!
//! ```text
//! Waiting -> Dialling -> Converting -> Granting -> Asking -> Registering -> Serving
//!    ^                  (no login yet) (OAuth2)   (version)  (first config)    |
//!    `------------------------ Failed: back off, from any of them -------------'
//! ```
//! No failure is the last one: every way out leads to `Waiting`, and `Waiting` only to `Dialling`.
use super::Lost;
use crate::backoff::Backoff;
use std::time::{Duration, Instant};
use tonic::Code;

/// What this entrypoint speaks, oldest and newest. Source: protocol.md 3.4.
pub(super) const PROTOCOL: (u32, u32) = (1, 1);
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest wait, and the pace for what only a human can mend.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// So long must a connection last for the next failure to count as the first.
const STABLE: Duration = Duration::from_secs(60);

/// What came of an action.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Event {
    /// The wait is over.
    Due,
    Connected,
    /// There is a login token; with OAuth2 credentials inside it is only half of what is needed.
    Converted {
        oauth: bool,
    },
    Granted,
    /// The server's oldest and newest entrypoint protocol.
    Version {
        minimum: u32,
        current: u32,
    },
    /// The first config came: we are registered.
    Configured,
    Failed(Lost),
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Action {
    /// Drop what is left of the connection and wait.
    Wait(Duration),
    Dial,
    /// Exchange the invite for a login token.
    Convert,
    /// Obtain an access token for the OAuth2 credentials of the login token.
    Grant,
    AskVersion,
    /// Open the config stream and wait for the first config.
    Register,
    /// Pass configs on for as long as they come; this ends only with `Failed`.
    Serve,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    Waiting,
    Dialling,
    Converting,
    Granting,
    Asking,
    Registering,
    Serving { since: Instant },
}

/// Which login token there is; the text is the shell's.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Login {
    oauth: bool,
    /// Exchanged on this connection: if it is refused, another exchange will not help.
    fresh: bool,
}

pub(super) struct Session {
    state: State,
    /// There is an invite to exchange.
    invited: bool,
    tls: bool,
    login: Option<Login>,
    backoff: Backoff,
}

impl Session {
    pub(super) fn new(invited: bool, tls: bool) -> Self {
        let backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
        Self { state: State::Waiting, invited, tls, login: None, backoff }
    }

    /// The whole policy. An event that does not belong to the state would be a bug of the shell's;
    /// it too only costs the connection.
    pub(super) fn on(&mut self, event: Event, now: Instant, random: u32) -> Action {
        match (self.state, event) {
            (State::Waiting, Event::Due) => self.go(State::Dialling, Action::Dial),
            (State::Dialling, Event::Connected) if self.invited && self.login.is_none() => {
                self.go(State::Converting, Action::Convert)
            }
            (State::Dialling, Event::Connected) => self.present(random),
            (State::Converting, Event::Converted { oauth }) => {
                self.login = Some(Login { oauth, fresh: true });
                self.present(random)
            }
            (State::Granting, Event::Granted) => self.go(State::Asking, Action::AskVersion),
            (State::Asking, Event::Version { minimum, current }) => match agree(minimum, current) {
                Ok(()) => self.go(State::Registering, Action::Register),
                Err(lost) => self.fail(&lost, random),
            },
            (State::Registering, Event::Configured) => {
                self.go(State::Serving { since: now }, Action::Serve)
            }
            (State::Serving { since }, Event::Failed(lost)) => {
                if now.saturating_duration_since(since) >= STABLE {
                    self.backoff.reset();
                }
                self.fail(&lost, random)
            }
            (_, Event::Failed(lost)) => self.fail(&lost, random),
            (state, event) => {
                self.fail(&Lost::unavailable(format!("{event:?} while {state:?}")), random)
            }
        }
    }

    fn go(&mut self, state: State, action: Action) -> Action {
        self.state = state;
        action
    }

    /// The credential as it is, or what is missing of it.
    fn present(&mut self, random: u32) -> Action {
        match self.login {
            Some(Login { oauth: true, .. }) if !self.tls => {
                // The access token would be on the wire for everybody to read.
                let text = "the token has OAuth2 credentials, which need WAYPOINT_SERVER_TLS=1";
                self.fail(
                    &Lost { code: Code::FailedPrecondition as i32, text: text.into() },
                    random,
                )
            }
            Some(Login { oauth: true, .. }) => self.go(State::Granting, Action::Grant),
            _ => self.go(State::Asking, Action::AskVersion),
        }
    }

    fn fail(&mut self, lost: &Lost, random: u32) -> Action {
        let refused = is_refusal(lost.code);
        // A login from an earlier connection may have been outlived by the server's keys or store:
        // exchange the invite again, and soon; only a fresh one's refusal is somebody's mistake.
        let outlived = refused && self.login.is_some_and(|it| !it.fresh);
        if refused {
            self.login = None;
        } else if let Some(login) = &mut self.login {
            login.fresh = false;
        }
        self.state = State::Waiting;
        let wait = if needs_a_human(lost.code) && !outlived {
            // A tenth of spread, so that a fleet does not come in step.
            LONGEST_WAIT + (LONGEST_WAIT / 10).mul_f64(f64::from(random) / f64::from(u32::MAX))
        } else {
            self.backoff.next(random)
        };
        Action::Wait(wait)
    }
}

impl Action {
    /// How long it may take. Serving is watched by pings, and by the stream's own keepalives.
    pub(super) fn limit(self) -> Option<Duration> {
        match self {
            // Its parts have deadlines of their own, which say more; this one is behind them.
            Self::Dial => Some(Duration::from_secs(60)),
            Self::Convert | Self::AskVersion => Some(Duration::from_secs(10)),
            Self::Grant | Self::Register => Some(Duration::from_secs(20)),
            Self::Wait(_) | Self::Serve => None,
        }
    }

    /// For an error: "X took longer than 10 s".
    pub(super) fn describe(self) -> &'static str {
        match self {
            Self::Wait(_) => "waiting",
            Self::Dial => "connecting to the server",
            Self::Convert => "exchanging the invite token (ConvertInviteToken)",
            Self::Grant => "obtaining an OAuth2 access token",
            Self::AskVersion => "asking for the server's version (GetVersionInfo)",
            Self::Register => "registering (the first answer of EntrypointConfig)",
            Self::Serve => "the config stream",
        }
    }
}

/// Both sides' ranges have to meet. Source: protocol.md 3.4.
fn agree(minimum: u32, current: u32) -> Result<(), Lost> {
    let (ours, newest) = PROTOCOL;
    let who = match () {
        () if newest < minimum => "this entrypoint is too old for the server",
        () if current < ours => "the server is too old for this entrypoint",
        () => return Ok(()),
    };
    let text = format!(
        "{who}: it speaks entrypoint protocol {minimum} to {current}, we {ours} to {newest}"
    );
    Err(Lost { code: Code::FailedPrecondition as i32, text })
}

/// Whether the login may be at fault. The real server says Unknown of a token it cannot verify.
fn is_refusal(code: i32) -> bool {
    [Code::Unknown, Code::PermissionDenied, Code::Unauthenticated]
        .iter()
        .any(|&it| it as i32 == code)
}

/// Whether trying again soon is pointless: a wrong id, token or version stays wrong for a while.
fn needs_a_human(code: i32) -> bool {
    [
        Code::InvalidArgument,
        Code::NotFound,
        Code::PermissionDenied,
        Code::FailedPrecondition,
        Code::Unimplemented,
        Code::Unauthenticated,
    ]
    .iter()
    .any(|&it| it as i32 == code)
}

#[cfg(test)]
mod tests;
