//! Writing to a descriptor that others share, at once or not at all.
//!
//! O_NONBLOCK belongs to the open file, not to the descriptor: setting it on our stdout would set
//! it for the app and for whoever gave it to us. So each kind of file has a way of its own.
use super::Errno;
use super::fd::{check_size, owned, retry};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// A place to write to that never makes us wait.
#[derive(Debug)]
pub(crate) enum Output {
    /// A pipe, by pwritev2(2) with RWF_NOWAIT (Linux 6.4 for pipes, and no seccomp filter before it).
    Pipe(OwnedFd),
    /// A pipe on an older kernel: into a pipe of ours, and on by splice(2) with SPLICE_F_NONBLOCK.
    Spliced { to: OwnedFd, inner: (OwnedFd, OwnedFd) },
    /// A socket, by send(2) with MSG_DONTWAIT.
    Socket(OwnedFd),
    /// Ours alone and non-blocking: a terminal or device opened again, or a pipe to a helper.
    Own(OwnedFd),
}

impl Output {
    /// The way to write to this descriptor now or never. `None` where there is none: a regular
    /// file (its server may hang), a device that cannot be opened again, a closed descriptor.
    pub(crate) fn of(fd: BorrowedFd<'_>) -> Option<Self> {
        use nix::sys::stat::SFlag;
        let mode = nix::sys::stat::fstat(fd).ok()?.st_mode;
        let kind = SFlag::from_bits_truncate(mode & SFlag::S_IFMT.bits());
        let copy = || fd.try_clone_to_owned().ok();
        match kind {
            SFlag::S_IFIFO => Some(Self::Pipe(copy()?)),
            SFlag::S_IFSOCK => Some(Self::Socket(copy()?)),
            SFlag::S_IFCHR => reopen(fd).map(Self::Own),
            _ => None,
        }
    }

    /// Writes what fits now; EAGAIN when nothing does. EPIPE without SIGPIPE needs that signal
    /// blocked or ignored, as it is in init and in the agent.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<usize, Errno> {
        match self {
            Self::Pipe(fd) => match write_nowait(fd.as_fd(), bytes) {
                // An empty write would not tell: the kernel answers it before it looks.
                Err(errno) if errno.is_refused_call() => {
                    *self = Self::spliced(fd.try_clone().map_err(|_| Errno::last())?)?;
                    self.write(bytes)
                }
                result => result,
            },
            Self::Spliced { to, inner } => {
                splice_all(inner.0.as_fd(), to.as_fd())?;
                let taken = super::fd::write(inner.1.as_fd(), bytes)?;
                // What does not go on now goes first next time.
                match splice_all(inner.0.as_fd(), to.as_fd()) {
                    Ok(()) | Err(Errno::AGAIN) => Ok(taken),
                    Err(error) => Err(error),
                }
            }
            Self::Socket(fd) => send_nowait(fd.as_fd(), bytes),
            Self::Own(fd) => super::fd::write(fd.as_fd(), bytes),
        }
    }

    fn spliced(to: OwnedFd) -> Result<Self, Errno> {
        let inner = super::fd::pipe()?;
        super::fd::set_nonblocking(inner.1.as_fd())?;
        Ok(Self::Spliced { to, inner })
    }

    /// Whether something written is still with us: to be written out before the end.
    pub(crate) fn holds(&self) -> bool {
        match self {
            Self::Spliced { inner, .. } => super::fd::unread(inner.0.as_fd()) > 0,
            _ => false,
        }
    }

    /// Sends on what is still with us; EAGAIN while it cannot go.
    pub(crate) fn flush(&mut self) -> Result<(), Errno> {
        match self {
            Self::Spliced { to, inner } => splice_all(inner.0.as_fd(), to.as_fd()),
            _ => Ok(()),
        }
    }

    /// The descriptor to poll for room.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Pipe(fd) | Self::Socket(fd) | Self::Own(fd) | Self::Spliced { to: fd, .. } => {
                fd.as_fd()
            }
        }
    }
}

/// Source: pwritev2(2), RWF_NOWAIT; offset -1 is "as write(2)".
fn write_nowait(fd: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize, Errno> {
    let part = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    retry(|| {
        // SAFETY: one iovec that describes `bytes`, which the call only reads.
        check_size(unsafe {
            libc::pwritev2(fd.as_raw_fd(), &raw const part, 1, -1, libc::RWF_NOWAIT)
        })
    })
}

/// Source: send(2), MSG_DONTWAIT.
fn send_nowait(fd: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize, Errno> {
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    retry(|| {
        // SAFETY: the pointer and length of `bytes`, which the call only reads.
        check_size(unsafe { libc::send(fd.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), flags) })
    })
}

/// Moves all that lies in `from`; EAGAIN when `to` is full before that. Source: splice(2).
fn splice_all(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Result<(), Errno> {
    let flags = libc::SPLICE_F_NONBLOCK | libc::SPLICE_F_MOVE;
    let none = std::ptr::null_mut;
    while super::fd::unread(from) > 0 {
        retry(|| {
            // SAFETY: no offsets are given, so splice touches no memory of ours.
            check_size(unsafe {
                libc::splice(from.as_raw_fd(), none(), to.as_raw_fd(), none(), 1 << 20, flags)
            })
        })?;
    }
    Ok(())
}

/// The same device as an open file of our own, non-blocking. It never becomes our terminal.
fn reopen(fd: BorrowedFd<'_>) -> Option<OwnedFd> {
    let mut path = *b"/proc/self/fd/\0\0\0\0";
    let number = u8::try_from(fd.as_raw_fd()).ok().filter(|it| *it < 100)?;
    let digits = [b'0'.wrapping_add(number / 10), b'0'.wrapping_add(number % 10)];
    let digits = if number < 10 { digits.get(1..)? } else { &digits };
    path.get_mut(14..14_usize.checked_add(digits.len())?)?.copy_from_slice(digits);
    let flags = libc::O_WRONLY | libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: `path` ends with NULs that nothing above overwrites.
    owned(unsafe { libc::open(path.as_ptr().cast(), flags) }).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(output: &mut Output) -> Errno {
        loop {
            if let Err(error) = output.write(&[b'x'; 4096]) {
                return error;
            }
        }
    }

    #[test]
    fn a_full_pipe_or_socket_never_makes_us_wait() {
        let (_read, write) = super::super::fd::pipe().expect("a pipe");
        let mut output = Output::of(write.as_fd()).expect("a way");
        assert_eq!(fill(&mut output), Errno::AGAIN);
        let (_ours, theirs) = std::os::unix::net::UnixStream::pair().expect("a pair");
        assert_eq!(fill(&mut Output::of(theirs.as_fd()).expect("a way")), Errno::AGAIN);
    }

    #[test]
    fn on_an_older_kernel_every_byte_arrives_in_order() {
        let (read, write) = super::super::fd::pipe().expect("a pipe");
        let mut output = Output::spliced(write).expect("a way");
        let (mut sent, mut got) = (0_u32, Vec::new());
        while sent < 100_000 {
            match output.write(format!("{sent}\n").as_bytes()) {
                Ok(_) => sent += 1,
                Err(_) => {
                    let mut buffer = vec![0; 65536];
                    let length = super::super::fd::read(read.as_fd(), &mut buffer).expect("read");
                    got.extend_from_slice(&buffer[..length]);
                }
            }
        }
        while output.holds() || super::super::fd::unread(read.as_fd()) > 0 {
            let _ = output.flush();
            let mut buffer = vec![0; 65536];
            let length = super::super::fd::read(read.as_fd(), &mut buffer).expect("read");
            got.extend_from_slice(&buffer[..length]);
        }
        let expected: String = (0..sent).map(|it| format!("{it}\n")).collect();
        assert!(got == expected.as_bytes(), "{} bytes of {}", got.len(), expected.len());
    }

    #[test]
    fn a_regular_file_has_no_such_way_and_a_device_has() {
        assert!(Output::of(tempfile::tempfile().expect("a file").as_fd()).is_none());
        let null = std::fs::File::options().write(true).open("/dev/null").expect("a device");
        assert_eq!(Output::of(null.as_fd()).expect("a way").write(b"gone"), Ok(4));
    }
}
