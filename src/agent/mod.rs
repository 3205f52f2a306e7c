//! THE NETWORK: tokio on one thread. Its rooms stand on two pillars, `link` and `seam`.
pub(crate) mod appconfig;
pub(crate) mod exec;
pub(crate) mod link;
pub(crate) mod logs;
pub(crate) mod seam;

/// Placeholder until the rooms land.
pub(crate) fn main(_seam: std::os::fd::OwnedFd) -> crate::sys::Exit {
    crate::sys::Exit::FAILURE
}
