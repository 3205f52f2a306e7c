//! Signals by number, and their names.
use std::fmt;
use std::num::NonZeroU8;

/// A signal that exists, 1 to 64. Source: signal(7).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Signal(NonZeroU8);

/// The names of 1 to 31 on every architecture we build for. Source: signal(7), "Standard signals".
const NAMES: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2",
    "PIPE", "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG",
    "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];

impl Signal {
    pub(crate) const HUP: Self = Self::standard(libc::SIGHUP);
    pub(crate) const INT: Self = Self::standard(libc::SIGINT);
    pub(crate) const KILL: Self = Self::standard(libc::SIGKILL);
    pub(crate) const PIPE: Self = Self::standard(libc::SIGPIPE);
    pub(crate) const TERM: Self = Self::standard(libc::SIGTERM);
    pub(crate) const CHLD: Self = Self::standard(libc::SIGCHLD);
    pub(crate) const CONT: Self = Self::standard(libc::SIGCONT);
    pub(crate) const TTIN: Self = Self::standard(libc::SIGTTIN);
    pub(crate) const TTOU: Self = Self::standard(libc::SIGTTOU);

    const fn standard(number: i32) -> Self {
        match NonZeroU8::new(number as u8) {
            Some(number) => Self(number),
            None => panic!("no signal is 0"),
        }
    }

    /// `None` for what is no signal: 0 and beyond 64.
    pub(crate) const fn new(number: u8) -> Option<Self> {
        match NonZeroU8::new(number) {
            Some(number) if number.get() <= 64 => Some(Self(number)),
            _ => None,
        }
    }

    pub(crate) const fn number(self) -> u8 {
        self.0.get()
    }

    pub(crate) fn raw(self) -> i32 {
        i32::from(self.number())
    }

    /// A request to end. HUP (reload) and QUIT (a thread dump) mean other things to many apps.
    pub(crate) fn is_stop(self) -> bool {
        matches!(self, Self::TERM | Self::INT)
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.get(usize::from(self.number()) - 1) {
            Some(name) => write!(f, "SIG{name}"),
            None => write!(f, "signal {}", self.number()),
        }
    }
}

impl fmt::Debug for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_signal_has_a_printable_name() {
        assert_eq!(Signal::TERM.to_string(), "SIGTERM");
        assert_eq!(Signal::new(34).map(|it| it.to_string()).as_deref(), Some("signal 34"));
    }
}
