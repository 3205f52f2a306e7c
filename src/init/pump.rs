//! One output of the child: from its pipe to the real output, then a copy for the agent.
use super::output::Copy;
use super::{log, spawn};
use crate::sys::output::Output;
use crate::sys::poll::For;
use crate::sys::{Errno, Pid, fd, memory};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// As much as one pipe holds: no more is ever in our hands. Source: pipe(7).
const BUFFER: usize = 64 * 1024;

pub(crate) struct Pump {
    /// The child's pipe. We keep the writing end too: the next child gets the same.
    from: OwnedFd,
    child_end: OwnedFd,
    /// `None`: there is no real output, or its reader has gone. The child must not die of that.
    to: Option<Output>,
    buffer: Box<[u8; BUFFER]>,
    /// What of the buffer is still to be written.
    pending: std::ops::Range<usize>,
    copy: Copy,
    /// Both ends: what an agent leaves unread when it dies, its successor reads.
    copy_from: OwnedFd,
    copy_to: OwnedFd,
    copied: u64,
}

impl Pump {
    /// A pump to this descriptor of ours, and the helper that writes for it where it needs one.
    pub(crate) fn new(to: Option<BorrowedFd<'_>>) -> Result<(Self, Option<Pid>), Errno> {
        let (from, child_end) = fd::pipe()?;
        fd::set_nonblocking(from.as_fd())?;
        let (copy_from, copy_to) = fd::pipe()?;
        fd::set_nonblocking(copy_to.as_fd())?;
        let (to, writer) = match to.map(|it| (Output::of(it), it)) {
            None => (None, None),
            Some((Some(output), _)) => (Some(output), None),
            Some((None, slow)) => {
                let (pid, pipe) = spawn::writer(slow)?;
                (Some(Output::Own(pipe)), Some(pid))
            }
        };
        let buffer = memory::zeroed();
        let copy = Copy::new();
        let it = Self {
            from,
            child_end,
            to,
            buffer,
            pending: 0..0,
            copy,
            copy_from,
            copy_to,
            copied: 0,
        };
        Ok((it, writer))
    }

    pub(crate) fn child_end(&self) -> BorrowedFd<'_> {
        self.child_end.as_fd()
    }

    /// What the agent reads.
    pub(crate) fn copy_end(&self) -> BorrowedFd<'_> {
        self.copy_from.as_fd()
    }

    /// What it waits for: room first, then more.
    pub(crate) fn waits_for(&self) -> (BorrowedFd<'_>, For) {
        match &self.to {
            Some(to) if !self.pending.is_empty() || to.holds() => (to.fd(), For::Writing),
            _ => (self.from.as_fd(), For::Reading),
        }
    }

    /// Moves what can be moved now; answers whether something went into the agent's copy.
    pub(crate) fn turn(&mut self) -> bool {
        if self.pending.is_empty() {
            match fd::read(self.from.as_fd(), self.buffer.as_mut_slice()) {
                Ok(length) => self.pending = 0..length,
                Err(_) => return self.flush(),
            }
        }
        self.write()
    }

    /// Moves all that can be moved without waiting: nobody writes any more.
    pub(crate) fn drain(&mut self) {
        // The pipe and our buffer hold no more than this many turns move.
        for _ in 0..4 {
            self.turn();
        }
    }

    /// Whether all that was written into the pipe has gone out.
    pub(crate) fn is_drained(&self) -> bool {
        let held = self.to.as_ref().is_some_and(Output::holds);
        self.pending.is_empty() && !held && fd::unread(self.from.as_fd()) == 0
    }

    /// The real output's end, for a helper that ends when it has written all.
    pub(crate) fn finish(&mut self) {
        self.to = None;
    }

    /// How many bytes the copy lacks, ever.
    pub(crate) fn missing(&self) -> u64 {
        self.copy.missing()
    }

    /// How many bytes of the copy the agent has read, ever, and whether more wait for it.
    pub(crate) fn read_by_agent(&self) -> (u64, bool) {
        let unread = fd::unread(self.copy_from.as_fd()) as u64;
        (self.copied.saturating_sub(unread), unread > 0)
    }

    fn flush(&mut self) -> bool {
        if let Some(Err(error)) = self.to.as_mut().map(Output::flush)
            && error.is_reader_gone()
        {
            self.to = None;
        }
        false
    }

    fn write(&mut self) -> bool {
        let bytes = self.buffer.get(self.pending.clone()).unwrap_or_default();
        let written = match self.to.as_mut().map(|to| to.write(bytes)) {
            Some(Ok(written)) => written,
            Some(Err(Errno::AGAIN)) => return false,
            // Nobody reads any more. Without us the child would get SIGPIPE; its log goes on.
            Some(Err(errno)) if errno.is_reader_gone() => {
                log::warn(format_args!("nobody reads the app's output any more: {errno}"));
                self.to = None;
                bytes.len()
            }
            Some(Err(_)) | None => bytes.len(),
        };
        let before = self.copied;
        let (copied, to) = (&mut self.copied, &self.copy_to);
        self.copy.copy(bytes.get(..written).unwrap_or_default(), |part| {
            let taken = fd::write(to.as_fd(), part).unwrap_or(0);
            *copied = copied.saturating_add(taken as u64);
            taken
        });
        self.pending.start = self.pending.start.saturating_add(written);
        self.copied > before
    }
}
