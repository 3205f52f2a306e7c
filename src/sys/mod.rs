//! The border to the kernel: the only unsafe code, libc and nix. Types for everybody, calls for shells.
pub(crate) mod errno;
pub(crate) mod exit;
pub(crate) mod signal;

pub(crate) use errno::Errno;
pub(crate) use exit::{Exit, Pid};
pub(crate) use signal::Signal;
