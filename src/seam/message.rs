//! What agent and init tell each other. A packet is one message: version, kind, fields, the end.
//!
//! Both ends are the same file, so the version only refuses what is no message of ours at all.
//! Nothing has two spellings: what decodes encodes to the same bytes again.
mod codec;
#[cfg(test)]
mod tests;

pub(crate) use crate::sys::WindowSize;
use crate::sys::{Errno, Exit, Pid, Signal};
use codec::{Reader, Writer};

/// No packet is longer. The kernel takes some 200 KiB by default. Source: unix(7), SO_SNDBUF.
pub(crate) const MAX_PACKET: usize = 64 * 1024;
/// As many of the last exec sessions as `Hello` names; an id among them never runs twice.
pub(crate) const MAX_EXEC_IDS: usize = 1024;

const VERSION: u8 = 1;

/// An exec session, by the index the server gave it. A restarted server begins at 1 again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ExecId(pub(crate) i64);

/// From the agent to init.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum ToInit {
    /// The agent has given up its privileges and may be told the token: asks for `Hello`.
    Ready,
    /// The link came up or went down: without one nobody waits for a flush at the end.
    Linked(bool),
    /// Run the child with the overrides in the memfd (`block::Env`); those it already has change nothing.
    Launch,
    /// Tell the child that a file of its has changed.
    Signal(Signal),
    /// Start a session: the memfd holds `arguments` strings, then its own variables (`block::Command`).
    Exec { id: ExecId, arguments: u16, terminal: Option<WindowSize> },
    /// Signal a session's process group (a terminal's foreground group).
    ExecSignal { id: ExecId, signal: Signal },
    /// Nobody listens any more: end the session with HUP, TERM, KILL.
    ExecClose { id: ExecId },
    /// A deposit for the next agent, at most 4 MiB: init keeps the memfd and never reads it.
    Keep,
}

/// Which of the child's two outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    Stdout,
    Stderr,
}

/// Why a session could not start: what init was doing, and what the kernel said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExecStep {
    /// Exec is switched off, or its id ran before.
    Refused,
    /// All session slots are taken.
    TooMany,
    /// The packet's memfd did not hold a command.
    Command,
    /// Pipes or a pty.
    Descriptors,
    Fork,
    /// The terminal, the session or the working directory of the forked side.
    Prepare,
    Exec,
    /// Nothing was heard from the forked side for 5 s.
    Deadline,
}

/// What the child is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Child {
    /// Not started yet.
    #[default]
    Waiting,
    Running(Pid),
    /// Told to end, for a restart or for good.
    Stopping(Pid),
    Ended(Exit),
}

/// From init to the agent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum ToAgent<'a> {
    Hello(Hello<'a>),
    Child(Child),
    /// With the session's descriptors: its pty's master, or its stdin, stdout and stderr.
    ExecStarted {
        id: ExecId,
        pid: Pid,
    },
    ExecFailed {
        id: ExecId,
        step: ExecStep,
        errno: Errno,
    },
    ExecExited {
        id: ExecId,
        exit: Exit,
    },
    /// So many bytes of this output, ever, did not fit and are missing from the agent's copy.
    LogGap {
        stream: Stream,
        bytes: u64,
    },
    /// The child has ended; flush and say goodbye within so many milliseconds, then leave.
    Shutdown {
        milliseconds: u32,
    },
}

/// All a new agent needs; its descriptors are the copies of the child's stdout and stderr, then
/// the deposit if there is one. The fields are as in the environment, checked by `init::settings`.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Hello<'a> {
    /// `host:port` of the server.
    pub(crate) server: &'a str,
    pub(crate) tls: bool,
    pub(crate) tls_skip_verify: bool,
    /// A PEM file with the only roots to trust; empty for the usual places.
    pub(crate) tls_ca_file: &'a str,
    /// `SSL_CERT_FILE` and `SSL_CERT_DIR`; empty when unset.
    pub(crate) ssl_cert_file: &'a str,
    pub(crate) ssl_cert_dir: &'a str,
    /// The invite token; empty for none.
    pub(crate) token: &'a str,
    pub(crate) deployment_id: &'a str,
    pub(crate) instance_id: &'a str,
    pub(crate) disable_exec: bool,
    /// Where the app listens.
    pub(crate) port: u16,
    pub(crate) log_level: LogLevel,
    pub(crate) https_proxy: &'a str,
    pub(crate) no_proxy: &'a str,
    pub(crate) child: Child,
    pub(crate) has_deposit: bool,
    /// The last sessions that were started, oldest first: big-endian i64 each.
    pub(crate) exec_ids: ExecIds<'a>,
}

/// How much is said. `Off` is for those who want to hear nothing at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) enum LogLevel {
    Off,
    Error,
    #[default]
    Warn,
    Info,
    Debug,
    Trace,
}

impl LogLevel {
    /// Any case, blanks around it ignored; `None` for a word that is no level.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        Some(match text.trim().to_ascii_lowercase().as_str() {
            "off" => Self::Off,
            "error" => Self::Error,
            "warn" => Self::Warn,
            "info" => Self::Info,
            "debug" => Self::Debug,
            "trace" => Self::Trace,
            _ => return None,
        })
    }
}

/// Exec ids as they lie in a packet.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct ExecIds<'a>(&'a [u8]);

impl<'a> ExecIds<'a> {
    /// `None` unless it is at most `MAX_EXEC_IDS` whole numbers.
    pub(crate) fn new(bytes: &'a [u8]) -> Option<Self> {
        (bytes.len().is_multiple_of(8) && bytes.len() <= MAX_EXEC_IDS.saturating_mul(8))
            .then_some(Self(bytes))
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = ExecId> + 'a {
        self.0.as_chunks::<8>().0.iter().map(|it| ExecId(i64::from_be_bytes(*it)))
    }
}

/// Why a packet was refused: its sender is broken or hostile, and is replaced.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Malformed {
    pub(crate) kind: u8,
    pub(crate) length: usize,
}

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "kind {} in {} bytes is no message", self.kind, self.length)
    }
}

impl std::error::Error for Malformed {}

impl ToInit {
    /// How many descriptors belong to the packet; one more or less is malformed.
    pub(crate) fn descriptors(&self) -> usize {
        match self {
            Self::Launch | Self::Exec { .. } | Self::Keep => 1,
            Self::Ready
            | Self::Linked(_)
            | Self::Signal(_)
            | Self::ExecSignal { .. }
            | Self::ExecClose { .. } => 0,
        }
    }

    /// The packet's bytes, in `into`; all messages to init fit 64 bytes.
    pub(crate) fn encode(self, into: &mut [u8; 64]) -> &[u8] {
        let mut it = Writer::new(into);
        it.u8(VERSION);
        match self {
            Self::Ready => it.u8(1),
            Self::Linked(up) => {
                it.u8(2);
                it.bool(up);
            }
            Self::Launch => it.u8(3),
            Self::Signal(signal) => {
                it.u8(4);
                it.u8(signal.number());
            }
            Self::Exec { id, arguments, terminal } => {
                it.u8(5);
                it.i64(id.0);
                it.u16(arguments);
                it.bool(terminal.is_some());
                if let Some(size) = terminal {
                    it.window_size(size);
                }
            }
            Self::ExecSignal { id, signal } => {
                it.u8(6);
                it.i64(id.0);
                it.u8(signal.number());
            }
            Self::ExecClose { id } => {
                it.u8(7);
                it.i64(id.0);
            }
            Self::Keep => it.u8(8),
        }
        it.finish().unwrap_or_default()
    }

    pub(crate) fn decode(packet: &[u8]) -> Result<Self, Malformed> {
        decode(packet, |kind, it| {
            Some(match kind {
                1 => Self::Ready,
                2 => Self::Linked(it.bool()?),
                3 => Self::Launch,
                4 => Self::Signal(it.signal()?),
                5 => Self::Exec {
                    id: ExecId(it.i64()?),
                    arguments: it.u16()?,
                    terminal: if it.bool()? { Some(it.window_size()?) } else { None },
                },
                6 => Self::ExecSignal { id: ExecId(it.i64()?), signal: it.signal()? },
                7 => Self::ExecClose { id: ExecId(it.i64()?) },
                8 => Self::Keep,
                _ => return None,
            })
        })
    }
}

impl<'a> ToAgent<'a> {
    /// How many descriptors belong to the packet; `None` where both 1 (pty) and 3 (pipes) may.
    pub(crate) fn descriptors(&self) -> Option<usize> {
        match self {
            Self::Hello(hello) => Some(if hello.has_deposit { 3 } else { 2 }),
            Self::ExecStarted { .. } => None,
            _ => Some(0),
        }
    }

    /// The packet's bytes, in `into`; `None` if they do not fit.
    pub(crate) fn encode<'b>(&self, into: &'b mut [u8]) -> Option<&'b [u8]> {
        let mut it = Writer::new(into);
        it.u8(VERSION);
        match self {
            Self::Hello(hello) => {
                it.u8(1);
                it.hello(hello);
            }
            Self::Child(child) => {
                it.u8(2);
                it.child(*child);
            }
            Self::ExecStarted { id, pid } => {
                it.u8(3);
                it.i64(id.0);
                it.pid(*pid);
            }
            Self::ExecFailed { id, step, errno } => {
                it.u8(4);
                it.i64(id.0);
                it.u8(step.code());
                it.i32(errno.0);
            }
            Self::ExecExited { id, exit } => {
                it.u8(5);
                it.i64(id.0);
                it.exit(*exit);
            }
            Self::LogGap { stream, bytes } => {
                it.u8(6);
                it.bool(*stream == Stream::Stderr);
                it.u64(*bytes);
            }
            Self::Shutdown { milliseconds } => {
                it.u8(7);
                it.u32(*milliseconds);
            }
        }
        it.finish()
    }

    pub(crate) fn decode(packet: &'a [u8]) -> Result<Self, Malformed> {
        decode(packet, |kind, it| {
            Some(match kind {
                1 => Self::Hello(it.hello()?),
                2 => Self::Child(it.child()?),
                3 => Self::ExecStarted { id: ExecId(it.i64()?), pid: it.pid()? },
                4 => Self::ExecFailed {
                    id: ExecId(it.i64()?),
                    step: ExecStep::from_code(it.u8()?)?,
                    errno: Errno(it.i32()?),
                },
                5 => Self::ExecExited { id: ExecId(it.i64()?), exit: it.exit()? },
                6 => Self::LogGap {
                    stream: if it.bool()? { Stream::Stderr } else { Stream::Stdout },
                    bytes: it.u64()?,
                },
                7 => Self::Shutdown { milliseconds: it.u32()? },
                _ => return None,
            })
        })
    }
}

/// Version and kind, the fields by `body`, and then nothing more.
fn decode<'a, T>(
    packet: &'a [u8],
    body: impl FnOnce(u8, &mut Reader<'a>) -> Option<T>,
) -> Result<T, Malformed> {
    let mut it = Reader::new(packet);
    let message = match (it.u8(), it.u8()) {
        (Some(VERSION), Some(kind)) => body(kind, &mut it),
        _ => None,
    };
    message
        .filter(|_| it.is_empty())
        .ok_or(Malformed { kind: packet.get(1).copied().unwrap_or_default(), length: packet.len() })
}

impl ExecStep {
    const ALL: [Self; 8] = [
        Self::Refused,
        Self::TooMany,
        Self::Command,
        Self::Descriptors,
        Self::Fork,
        Self::Prepare,
        Self::Exec,
        Self::Deadline,
    ];

    fn code(self) -> u8 {
        self as u8
    }

    fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).copied()
    }

    /// What init was doing, for an error text.
    pub(crate) fn describe(self) -> &'static str {
        match self {
            Self::Refused => "exec is disabled for this instance",
            Self::TooMany => "too many exec sessions",
            Self::Command => "the command is malformed",
            Self::Descriptors => "cannot create the session's pipes or terminal",
            Self::Fork => "cannot fork",
            Self::Prepare => "cannot prepare the session",
            Self::Exec => "cannot run the command",
            Self::Deadline => "the session did not start within 5 s",
        }
    }
}
