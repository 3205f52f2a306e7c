//! Who ran and how it ended.
use super::Signal;
use std::fmt;

/// A process of ours or below us; never 0 or negative, so never a group by accident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Pid(i32);

impl Pid {
    pub(crate) fn new(raw: i32) -> Option<Self> {
        (0 < raw).then_some(Self(raw))
    }

    pub(crate) fn raw(self) -> i32 {
        self.0
    }
}

impl fmt::Display for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How a process ended. Source: wait(2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Exit {
    /// It left with this status.
    Code(u8),
    /// This signal ended it.
    Signal(Signal),
}

impl Exit {
    pub(crate) const SUCCESS: Self = Self::Code(0);
    pub(crate) const FAILURE: Self = Self::Code(1);
    /// What a shell says of a program that is there and cannot be run. Source: POSIX sh, 2.8.2.
    pub(crate) const NOT_EXECUTABLE: Self = Self::Code(126);
    /// What a shell says of a program that is not there. Source: POSIX sh, 2.8.2.
    pub(crate) const NOT_FOUND: Self = Self::Code(127);

    pub(crate) fn from_wait_status(status: i32) -> Self {
        match u8::try_from(status & 0x7f).ok().and_then(Signal::new) {
            Some(signal) => Self::Signal(signal),
            None => Self::Code(((status >> 8) & 0xff) as u8),
        }
    }

    /// The status to leave with: 128+n for a signal, as shells and container engines say it.
    pub(crate) fn status(self) -> u8 {
        match self {
            Self::Code(code) => code,
            Self::Signal(signal) => 128 + signal.number(),
        }
    }
}

impl From<Signal> for Exit {
    fn from(signal: Signal) -> Self {
        Self::Signal(signal)
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exited with status {code}"),
            Self::Signal(signal) => write!(f, "killed by {signal}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wait_status_becomes_the_status_a_shell_would_say() {
        for code in 0..=255 {
            assert_eq!(Exit::from_wait_status(code << 8).status(), code as u8);
        }
        for number in 1..=64 {
            assert_eq!(Exit::from_wait_status(number).status(), 128 + number as u8);
            assert_eq!(
                Exit::from_wait_status(number | 0x80).status(),
                128 + number as u8,
                "with a core"
            );
        }
    }
}
