//! Signals by number and by name.
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

/// Real-time signals as the C library numbers them: it keeps 32 and 33. Source: signal(7).
const RTMIN: u8 = 34;
const RTMAX: u8 = 64;

impl Signal {
    pub(crate) const HUP: Self = Self::standard(libc::SIGHUP);
    pub(crate) const INT: Self = Self::standard(libc::SIGINT);
    pub(crate) const QUIT: Self = Self::standard(libc::SIGQUIT);
    pub(crate) const KILL: Self = Self::standard(libc::SIGKILL);
    pub(crate) const PIPE: Self = Self::standard(libc::SIGPIPE);
    pub(crate) const TERM: Self = Self::standard(libc::SIGTERM);
    pub(crate) const CHLD: Self = Self::standard(libc::SIGCHLD);
    pub(crate) const CONT: Self = Self::standard(libc::SIGCONT);
    pub(crate) const STOP: Self = Self::standard(libc::SIGSTOP);
    pub(crate) const TTIN: Self = Self::standard(libc::SIGTTIN);
    pub(crate) const TTOU: Self = Self::standard(libc::SIGTTOU);
    pub(crate) const WINCH: Self = Self::standard(libc::SIGWINCH);

    const fn standard(number: i32) -> Self {
        match NonZeroU8::new(number as u8) {
            Some(number) => Self(number),
            None => panic!("no signal is 0"),
        }
    }

    /// `None` for what is no signal: 0 and beyond 64.
    pub(crate) const fn new(number: u8) -> Option<Self> {
        match NonZeroU8::new(number) {
            Some(number) if number.get() <= RTMAX => Some(Self(number)),
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

    /// By number, or by name in any case, with or without SIG, RTMIN+n and RTMAX-n included.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if let Ok(number) = text.parse() {
            return Self::new(number);
        }
        let name = text.to_ascii_uppercase();
        let name = name.strip_prefix("SIG").unwrap_or(&name);
        let real_time = |base: u8, rest: &str| -> Option<u8> {
            if rest.is_empty() {
                return Some(base);
            }
            base.checked_add_signed(rest.parse::<i8>().ok()?)
        };
        let number = if let Some(rest) = name.strip_prefix("RTMIN") {
            real_time(RTMIN, rest)?
        } else if let Some(rest) = name.strip_prefix("RTMAX") {
            real_time(RTMAX, rest)?
        } else {
            let alias = match name {
                "POLL" => "IO",
                "IOT" => "ABRT",
                "CLD" => "CHLD",
                other => other,
            };
            u8::try_from(NAMES.iter().position(|known| *known == alias)?).ok()? + 1
        };
        Self::new(number).filter(|_| !(32..RTMIN).contains(&number))
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
    fn a_signal_is_known_by_number_and_by_any_spelling_of_its_name() {
        for (text, number) in [
            ("15", Some(15)),
            ("TERM", Some(15)),
            ("SIGTERM", Some(15)),
            ("sigusr1", Some(10)),
            ("Poll", Some(29)),
            ("RTMIN", Some(34)),
            ("SIGRTMIN+3", Some(37)),
            ("RTMAX-1", Some(63)),
            ("64", Some(64)),
            ("RTMAX+1", None),
            ("RTMIN-1", None),
            ("0", None),
            ("65", None),
            ("", None),
            ("SIG", None),
            ("TERMINATE", None),
        ] {
            assert_eq!(Signal::parse(text).map(Signal::number), number, "{text}");
        }
    }

    #[test]
    fn every_signal_has_a_printable_name() {
        assert_eq!(Signal::TERM.to_string(), "SIGTERM");
        assert_eq!(Signal::new(34).map(|it| it.to_string()).as_deref(), Some("signal 34"));
    }
}
