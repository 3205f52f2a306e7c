//! The border to the kernel: the only unsafe code, libc and nix. Types for everybody, calls for shells.
#![expect(unsafe_code, reason = "the one fenced place for it; every block says why it is sound")]

pub(crate) mod entry;
pub(crate) mod errno;
pub(crate) mod exit;
pub(crate) mod fd;
pub(crate) mod heap;
pub(crate) mod memfd;
pub(crate) mod memory;
pub(crate) mod output;
pub(crate) mod poll;
pub(crate) mod process;
pub(crate) mod random;
pub(crate) mod seqpacket;
pub(crate) mod signal;
pub(crate) mod signals;
pub(crate) mod stderr;
pub(crate) mod terminal;

pub(crate) use errno::{Errno, Kind};
pub(crate) use exit::{Exit, Pid};
pub(crate) use signal::Signal;
pub(crate) use terminal::WindowSize;
