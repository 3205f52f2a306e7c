//! THE NETWORK: tokio on one thread. Its rooms stand on two pillars, `link` and `seam`.
//!
//! ```text
//! run -> exec, logs, appconfig -> link, seam        harden, log, memory: for the whole process
//! ```
//! It never forks, waits or kills, and keeps nothing that `Hello` cannot give its successor: it may
//! end at any moment, and the child does not notice.
pub(crate) mod appconfig;
pub(crate) mod exec;
mod first;
mod harden;
pub(crate) mod link;
mod log;
pub(crate) mod logs;
mod memory;
mod run;
pub(crate) mod seam;
mod settings;

pub(crate) use run::main;
