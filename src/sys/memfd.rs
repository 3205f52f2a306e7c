//! Sealed memory files: large things that cross the seam and cannot change afterwards.
use super::Errno;
use super::fd::{check, owned};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// What nobody may do any more. Without SHRINK a later ftruncate(2) would make a read of the
/// mapping a SIGBUS, and the reader is PID 1. Source: fcntl(2), F_ADD_SEALS.
const SEALS: i32 = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_WRITE | libc::F_SEAL_SEAL;

/// A new sealed file with these bytes. Source: memfd_create(2).
pub(crate) fn create(bytes: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
    // SAFETY: the name is a NUL-terminated literal.
    let file = owned(unsafe { libc::memfd_create(c"waypoint".as_ptr(), flags) })?;
    let mut rest = bytes;
    while !rest.is_empty() {
        let written = super::fd::write(file.as_fd(), rest)?;
        rest = rest.get(written..).unwrap_or_default();
    }
    // SAFETY: F_ADD_SEALS takes an int and touches no memory of ours.
    check(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, SEALS) })?;
    Ok(file)
}

/// Checks seals and size: EBADMSG unless it is sealed and at most `limit` bytes long.
pub(crate) fn checked_size(file: BorrowedFd<'_>, limit: usize) -> Result<usize, Errno> {
    // SAFETY: F_GET_SEALS touches no memory of ours.
    let seals = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GET_SEALS) };
    if seals == -1 || seals & SEALS != SEALS {
        return Err(Errno::BAD_MESSAGE);
    }
    let size = nix::sys::stat::fstat(file)?.st_size;
    usize::try_from(size).ok().filter(|it| *it <= limit).ok_or(Errno::BAD_MESSAGE)
}

/// A sealed file's bytes, mapped read-only until dropped.
#[derive(Debug)]
pub(crate) struct Mapping {
    start: *const u8,
    length: usize,
}

// SAFETY: the bytes behind `start` are sealed and mapped read-only; anyone may read them anywhere.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps the file after checking its seals and its size. Source: mmap(2).
    pub(crate) fn of(file: BorrowedFd<'_>, limit: usize) -> Result<Self, Errno> {
        let length = checked_size(file, limit)?;
        if length == 0 {
            return Ok(Self { start: std::ptr::NonNull::dangling().as_ptr(), length });
        }
        // SAFETY: a new mapping at an address of the kernel's choice disturbs nothing of ours.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                length,
                libc::PROT_READ,
                libc::MAP_PRIVATE,
                file.as_raw_fd(),
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(Errno::last());
        }
        Ok(Self { start: start.cast_const().cast(), length })
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: `start` begins `length` mapped bytes, which the seals keep as they are for as
        // long as we live; for length 0 it is dangling and aligned.
        unsafe { std::slice::from_raw_parts(self.start, self.length) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        if self.length > 0 {
            // SAFETY: exactly what `of` has mapped, and nobody can use it any more.
            unsafe { libc::munmap(self.start.cast_mut().cast(), self.length) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sealed_is_read_and_cannot_be_written() {
        let file = create(b"hello").expect("created");
        assert_eq!(Mapping::of(file.as_fd(), 5).expect("mapped").bytes(), b"hello");
        assert!(super::super::fd::write(file.as_fd(), b"x").is_err());
        assert_eq!(
            Mapping::of(create(b"").expect("created").as_fd(), 5).expect("mapped").bytes(),
            b""
        );
    }

    #[test]
    fn an_unsealed_or_too_large_file_is_refused() {
        let file = create(b"hello").expect("created");
        assert_eq!(checked_size(file.as_fd(), 4), Err(Errno::BAD_MESSAGE));
        let plain = tempfile::tempfile().expect("a file");
        assert_eq!(checked_size(plain.as_fd(), 4), Err(Errno::BAD_MESSAGE));
        // SAFETY: the name is a NUL-terminated literal.
        let open = owned(unsafe { libc::memfd_create(c"x".as_ptr(), libc::MFD_ALLOW_SEALING) });
        assert_eq!(checked_size(open.expect("created").as_fd(), 4), Err(Errno::BAD_MESSAGE));
    }
}
