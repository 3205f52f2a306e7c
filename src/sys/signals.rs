//! Signals as they reach PID 1: all blocked, and read from a descriptor.
use super::fd::{check, check_size, owned, retry};
use super::{Errno, Pid, Signal};
use std::mem;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// What the one who started us had set, to be set again in what we start.
#[derive(Clone, Copy)]
pub(crate) struct Inherited {
    mask: u64,
    child_ignored: bool,
}

/// A signal that came.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Arrived {
    pub(crate) signal: Signal,
    /// The kernel sent it, for something we did ourselves: a write to a broken pipe or to a
    /// terminal we do not own.
    pub(crate) own_fault: bool,
}

/// Where signals are read.
#[derive(Debug)]
pub(crate) struct Signals(OwnedFd);

impl Signals {
    /// Blocks every signal from now on and opens the descriptor that reads them. SIGCHLD is set to
    /// its default: ignored, the kernel would collect the child and keep its status from us.
    /// Source: signalfd(2), sigprocmask(2), waitpid(2) on ignored SIGCHLD.
    pub(crate) fn block() -> Result<(Self, Inherited), Errno> {
        let mask = set_mask(ALL)?;
        let child_ignored = handling(Signal::CHLD)? == libc::SIG_IGN;
        if child_ignored {
            handle(Signal::CHLD, libc::SIG_DFL)?;
        }
        let flags = libc::SFD_CLOEXEC | libc::SFD_NONBLOCK;
        // SAFETY: `ALL` is a kernel's signal set of the size that is given, which the call only reads.
        let file = check_size(unsafe {
            libc::syscall(libc::SYS_signalfd4, -1, &raw const ALL, size_of_val(&ALL), flags)
                as isize
        })?;
        let file = owned(i32::try_from(file).unwrap_or(-1))?;
        Ok((Self(file), Inherited { mask, child_ignored }))
    }

    /// The next signal that waits; `None` when none does.
    pub(crate) fn next(&self) -> Option<Arrived> {
        // SAFETY: signalfd_siginfo is plain data; all zero is a value of it.
        let mut info: libc::signalfd_siginfo = unsafe { mem::zeroed() };
        let size = size_of_val(&info);
        let got = retry(|| {
            // SAFETY: `info` is ours, and `size` is its size.
            check_size(unsafe { libc::read(self.0.as_raw_fd(), (&raw mut info).cast(), size) })
        });
        if got != Ok(size) {
            return None;
        }
        let signal = Signal::new(u8::try_from(info.ssi_signo).ok()?)?;
        let by_kernel = info.ssi_code == libc::SI_KERNEL;
        let by_us =
            i32::try_from(info.ssi_pid).is_ok_and(|it| it == nix::unistd::getpid().as_raw());
        let own_fault = match signal {
            Signal::TTIN | Signal::TTOU => by_kernel,
            Signal::PIPE => by_kernel || by_us,
            _ => false,
        };
        Some(Arrived { signal, own_fault })
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Inherited {
    /// Gives the forked side the mask and the dispositions we were started with. What was sent to
    /// it meanwhile takes effect here, or after exec.
    pub(crate) fn restore(&self) {
        if self.child_ignored {
            let _ = handle(Signal::CHLD, libc::SIG_IGN);
        }
        let _ = set_mask(self.mask);
    }
}

/// Gives the forked side a clean start: nothing blocked, nothing ignored but SIGPIPE, whose
/// EPIPE our own programs handle.
pub(crate) fn reset_for_own_program() {
    reset_all();
    let _ = handle(Signal::PIPE, libc::SIG_IGN);
}

/// Gives the forked side everything default and unblocked. Source: execve(2): ignored stays
/// ignored, so a session would inherit what the caller of its container happened to ignore.
pub(crate) fn reset_all() {
    for number in 1..=64 {
        if let Some(signal) = Signal::new(number) {
            let _ = handle(signal, libc::SIG_DFL);
        }
    }
    let _ = set_mask(0);
}

/// Every signal, as the kernel counts them: 1 is the lowest bit. The C library's sets leave out 32
/// and 33, which it keeps for its threads; a process may be sent them all the same.
static ALL: u64 = u64::MAX;

/// Blocks these and no others; answers what was blocked before. Source: rt_sigprocmask(2).
fn set_mask(mask: u64) -> Result<u64, Errno> {
    let mut before = 0_u64;
    // SAFETY: two sets of the kernel's size, one read and one filled; we are the only thread.
    let result = unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            libc::SIG_SETMASK,
            &raw const mask,
            &raw mut before,
            size_of::<u64>(),
        )
    };
    check_size(result as isize).map(|_| before)
}

fn handling(signal: Signal) -> Result<libc::sighandler_t, Errno> {
    // SAFETY: sigaction is plain data; all zero is a value of it.
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    // SAFETY: a null new action only asks; `action` is ours.
    check(unsafe { libc::sigaction(signal.raw(), std::ptr::null(), &raw mut action) })?;
    Ok(action.sa_sigaction)
}

fn handle(signal: Signal, disposition: libc::sighandler_t) -> Result<(), Errno> {
    // SAFETY: sigaction is plain data; all zero is a value of it.
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    action.sa_sigaction = disposition;
    // SAFETY: SIG_DFL and SIG_IGN are no code of ours; `action` is whole.
    check(unsafe { libc::sigaction(signal.raw(), &raw const action, std::ptr::null_mut()) })?;
    Ok(())
}

/// Gives a controlling terminal's foreground to the group of `leader`. Source: tcsetpgrp(3);
/// TTOU must be blocked, as it is in init and before exec.
pub(crate) fn give_foreground(terminal: BorrowedFd<'_>, leader: Pid) {
    let _ = nix::unistd::tcsetpgrp(terminal, nix::unistd::Pid::from_raw(leader.raw()));
}

/// Our controlling terminal, if we have one and are in its foreground: then the child shall be.
pub(crate) fn foreground_terminal() -> Option<OwnedFd> {
    let flags = libc::O_RDWR | libc::O_CLOEXEC | libc::O_NONBLOCK | libc::O_NOCTTY;
    // SAFETY: the path is a NUL-terminated literal.
    let terminal = owned(unsafe { libc::open(c"/dev/tty".as_ptr(), flags) }).ok()?;
    let foreground = nix::unistd::tcgetpgrp(&terminal).ok()?;
    (foreground == nix::unistd::getpgrp()).then_some(terminal)
}
