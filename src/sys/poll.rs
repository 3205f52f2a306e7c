//! The one sleep of PID 1.
use super::Errno;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

/// No more descriptors are waited for at once.
pub(crate) const MAX_POLLED: usize = 64;

/// What is waited for, each with a token of the caller's.
pub(crate) struct Set<T> {
    polled: [libc::pollfd; MAX_POLLED],
    tokens: [Option<T>; MAX_POLLED],
    length: usize,
}

/// What a descriptor is waited for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum For {
    Reading,
    Writing,
}

impl<T: Copy> Set<T> {
    pub(crate) fn new() -> Self {
        let nothing = libc::pollfd { fd: -1, events: 0, revents: 0 };
        Self { polled: [nothing; MAX_POLLED], tokens: [None; MAX_POLLED], length: 0 }
    }

    /// Waits for this one too. Beyond `MAX_POLLED` it is left out: it is polled in a later turn,
    /// when others are done, and the tables of init are smaller than that.
    pub(crate) fn add(&mut self, fd: BorrowedFd<'_>, what: For, token: T) {
        let events = match what {
            For::Reading => libc::POLLIN,
            For::Writing => libc::POLLOUT,
        };
        if let (Some(polled), Some(slot)) =
            (self.polled.get_mut(self.length), self.tokens.get_mut(self.length))
        {
            *polled = libc::pollfd { fd: fd.as_raw_fd(), events, revents: 0 };
            *slot = Some(token);
            self.length = self.length.saturating_add(1);
        }
    }

    /// Sleeps until one of them is ready, has ended or has failed, or the time is over (`None`:
    /// for ever). Source: ppoll(2).
    pub(crate) fn wait(&mut self, timeout: Option<Duration>) -> Result<(), Errno> {
        let timeout = timeout.map(|it| libc::timespec {
            tv_sec: libc::time_t::try_from(it.as_secs()).unwrap_or(libc::time_t::MAX),
            tv_nsec: libc::c_long::from(it.subsec_nanos().cast_signed()),
        });
        let timeout = timeout.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
        let length = self.length as libc::nfds_t;
        // SAFETY: `length` entries of `polled` are filled; `timeout` is null or lives in this frame.
        let result =
            unsafe { libc::ppoll(self.polled.as_mut_ptr(), length, timeout, std::ptr::null()) };
        if result == -1 {
            self.length = 0;
            return Err(Errno::last());
        }
        Ok(())
    }

    /// The tokens of those that are ready, in the order in which they were added.
    pub(crate) fn ready(&self) -> impl Iterator<Item = T> + use<'_, T> {
        let pairs = self.polled.iter().zip(self.tokens.iter()).take(self.length);
        pairs.filter(|(polled, _)| polled.revents != 0).filter_map(|(_, token)| *token)
    }
}
