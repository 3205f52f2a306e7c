//! What a system call answered, in a form PID 1 can print without allocating.
use std::fmt;

/// An error number. Source: errno(3).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Errno(pub(crate) i32);

impl Errno {
    pub(crate) const AGAIN: Self = Self(libc::EAGAIN);
    pub(crate) const INTR: Self = Self(libc::EINTR);
    pub(crate) const NOT_FOUND: Self = Self(libc::ENOENT);
    pub(crate) const ACCESS: Self = Self(libc::EACCES);
    #[cfg(test)]
    pub(crate) const TOO_BIG: Self = Self(libc::E2BIG);
    pub(crate) const EXEC_FORMAT: Self = Self(libc::ENOEXEC);
    pub(crate) const NO_CALL: Self = Self(libc::ENOSYS);
    pub(crate) const NOT_PERMITTED: Self = Self(libc::EPERM);
    pub(crate) const NO_PROCESS: Self = Self(libc::ESRCH);
    pub(crate) const PIPE: Self = Self(libc::EPIPE);
    pub(crate) const TIMED_OUT: Self = Self(libc::ETIMEDOUT);
    pub(crate) const INVALID: Self = Self(libc::EINVAL);
    pub(crate) const BAD_MESSAGE: Self = Self(libc::EBADMSG);

    /// The error of the system call that has just failed.
    pub(crate) fn last() -> Self {
        Self(std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO))
    }

    /// Whether a program could not be found, which shells report as 127. Source: execve(2).
    pub(crate) fn is_not_found(self) -> bool {
        matches!(self.0, libc::ENOENT | libc::ENOTDIR | libc::ENAMETOOLONG | libc::ELOOP)
    }

    /// Whether the kernel does not know a call or a flag of it, or a seccomp filter refuses it.
    pub(crate) fn is_refused_call(self) -> bool {
        matches!(
            self.0,
            libc::EOPNOTSUPP | libc::EINVAL | libc::ENOSYS | libc::EPERM | libc::EACCES
        )
    }

    /// Whether whoever reads what we write has gone for good. Others (a full disk) may pass.
    pub(crate) fn is_reader_gone(self) -> bool {
        matches!(self.0, libc::EPIPE | libc::ECONNRESET | libc::EBADF | libc::ENXIO)
    }

    /// What sort of failure it is, for those who answer it with a code of their own.
    pub(crate) fn kind(self) -> Kind {
        match self.0 {
            _ if self.is_not_found() => Kind::NotFound,
            libc::E2BIG | libc::EINVAL => Kind::Invalid,
            libc::EACCES | libc::EPERM | libc::ENOEXEC | libc::EISDIR | libc::ETXTBSY => {
                Kind::NotExecutable
            }
            libc::EAGAIN | libc::ENOMEM | libc::EMFILE | libc::ENFILE | libc::ENOSPC => {
                Kind::Exhausted
            }
            _ => Kind::Other,
        }
    }

    fn text(self) -> Option<&'static str> {
        Some(match self.0 {
            libc::EPERM => "operation not permitted",
            libc::ENOENT => "no such file or directory",
            libc::ESRCH => "no such process",
            libc::EINTR => "interrupted",
            libc::EIO => "input/output error",
            libc::E2BIG => "argument list or environment too long",
            libc::ENOEXEC => "exec format error",
            libc::EBADF => "bad file descriptor",
            libc::ECHILD => "no child process",
            libc::EAGAIN => "resource temporarily unavailable",
            libc::ENOMEM => "out of memory",
            libc::EACCES => "permission denied",
            libc::EBUSY => "resource busy",
            libc::EEXIST => "file exists",
            libc::ENODEV => "no such device",
            libc::ENOTDIR => "not a directory",
            libc::EISDIR => "is a directory",
            libc::EINVAL => "invalid argument",
            libc::ENFILE => "too many open files in the system",
            libc::EMFILE => "too many open files",
            libc::ENOTTY => "not a terminal",
            libc::ETXTBSY => "text file busy",
            libc::ENOSPC => "no space left",
            libc::EROFS => "read-only file system",
            libc::EPIPE => "broken pipe",
            libc::ENAMETOOLONG => "file name too long",
            libc::ENOSYS => "function not implemented",
            libc::ELOOP => "too many levels of symbolic links",
            libc::EBADMSG => "bad message",
            libc::ETIMEDOUT => "timed out",
            libc::ECONNREFUSED => "connection refused",
            libc::ECONNRESET => "connection reset",
            _ => return None,
        })
    }
}

/// What sort of failure an error is, where a program was to be run. Source: execve(2), fork(2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    NotFound,
    /// Arguments or an environment that no program could be given.
    Invalid,
    /// It is there, and cannot be run.
    NotExecutable,
    /// Processes, memory, descriptors or terminals.
    Exhausted,
    Other,
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.text() {
            Some(text) => f.write_str(text),
            None => write!(f, "error {}", self.0),
        }
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self} (errno {})", self.0)
    }
}

impl std::error::Error for Errno {}

impl From<std::io::Error> for Errno {
    fn from(error: std::io::Error) -> Self {
        Self(error.raw_os_error().unwrap_or(libc::EIO))
    }
}

impl From<nix::errno::Errno> for Errno {
    fn from(error: nix::errno::Errno) -> Self {
        Self(error as i32)
    }
}

impl From<Errno> for std::io::Error {
    fn from(error: Errno) -> Self {
        Self::from_raw_os_error(error.0)
    }
}
