//! THE NETWORK: tokio on one thread. Its rooms stand on two pillars, `link` and `seam`.
pub(crate) mod appconfig;
pub(crate) mod exec;
mod first;
mod harden;
pub(crate) mod link;
mod log;
pub(crate) mod logs;
mod run;
pub(crate) mod seam;
mod settings;

pub(crate) use run::main;
