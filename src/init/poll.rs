//! What woke init: the only place where it sleeps.
use crate::sys::poll::{For, Set};
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

/// Which of the things waited for is ready.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Wake {
    /// A signal waits.
    Signal,
    /// A process that was forked has exec'd or has failed to: the child, the agent, a session.
    Report(Reporter),
    /// The agent has sent something, or there is room again to send to it.
    Seam,
    /// An output of the child can be moved on.
    Output(usize),
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Reporter {
    Child,
    Agent,
    Session(usize),
}

/// Sleeps until something is ready or the deadline is over; then hands over what is ready, signals
/// first. An interrupted sleep is one that found nothing.
pub(crate) fn sleep<'a>(
    waited_for: impl Iterator<Item = (BorrowedFd<'a>, For, Wake)>,
    deadline: Option<Instant>,
    now: Instant,
) -> Set<Wake> {
    let mut set = Set::new();
    for (fd, what, wake) in waited_for {
        set.add(fd, what, wake);
    }
    let timeout = deadline.map(|it| round_up(it.saturating_duration_since(now)));
    let _ = set.wait(timeout);
    set
}

/// To the next millisecond: a sleep that ends a little too early would be a busy one.
fn round_up(time: Duration) -> Duration {
    if time.is_zero() { time } else { time.saturating_add(Duration::from_millis(1)) }
}
