//! Descriptors of our own: pipes, reads and writes that answer `Errno` and allocate nothing.
use super::Errno;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// `Err(Errno::last())` for -1. Every call here goes through it.
pub(super) fn check(result: i32) -> Result<i32, Errno> {
    if result == -1 { Err(Errno::last()) } else { Ok(result) }
}

pub(super) fn check_size(result: isize) -> Result<usize, Errno> {
    usize::try_from(result).map_err(|_| Errno::last())
}

/// Takes what a system call has just made.
pub(super) fn owned(raw: i32) -> Result<OwnedFd, Errno> {
    let raw = check(raw)?;
    // SAFETY: the kernel has just handed us this descriptor, and nobody else knows its number.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}

/// A pipe, close-on-exec: the end to read and the end to write. Source: pipe(2).
pub(crate) fn pipe() -> Result<(OwnedFd, OwnedFd), Errno> {
    nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).map_err(Errno::from)
}

/// Makes reads and writes answer EAGAIN instead of waiting. Only for files that are ours alone:
/// the flag belongs to the open file, and others may share it. Source: fcntl(2), F_SETFL.
pub(crate) fn set_nonblocking(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    use nix::fcntl::{FcntlArg, OFlag, fcntl};
    let flags = OFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFL)?);
    fcntl(fd, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
    Ok(())
}

/// One read(2); 0 is the end. Repeated when a signal interrupts.
pub(crate) fn read(fd: BorrowedFd<'_>, into: &mut [u8]) -> Result<usize, Errno> {
    retry(|| nix::unistd::read(fd, into).map_err(Errno::from))
}

/// One write(2). Repeated when a signal interrupts; SIGPIPE is the caller's to have blocked.
pub(crate) fn write(fd: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize, Errno> {
    retry(|| nix::unistd::write(fd, bytes).map_err(Errno::from))
}

/// How much lies in a pipe or socket and has not been read. Source: ioctl(2), FIONREAD.
pub(crate) fn unread(fd: BorrowedFd<'_>) -> usize {
    let mut bytes: i32 = 0;
    // SAFETY: FIONREAD writes one int, and `bytes` outlives the call.
    let result = unsafe { libc::ioctl(fd.as_raw_fd(), libc::FIONREAD, &raw mut bytes) };
    if result == -1 { 0 } else { usize::try_from(bytes).unwrap_or(0) }
}

/// How much the other end of our socket has not taken yet. Source: unix(7), SIOCOUTQ.
pub(crate) fn untaken(socket: BorrowedFd<'_>) -> usize {
    let mut bytes: i32 = 0;
    // SAFETY: SIOCOUTQ (TIOCOUTQ) writes one int, and `bytes` outlives the call.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    if result == -1 { 0 } else { usize::try_from(bytes).unwrap_or(0) }
}

pub(super) fn retry<T>(mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            result => return result,
        }
    }
}
