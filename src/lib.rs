//! The map: two programs, and the rooms they are made of. `ARCHITECTURE.md` is the tour.
mod agent;
mod backoff;
pub mod entrypoint;
#[cfg(fuzzing)]
pub mod fuzz;
mod init;
pub mod proto;
mod seam;
mod sys;
mod tls;
mod token;

#[cfg(feature = "server")]
pub mod cli;
#[cfg(feature = "server")]
mod server;
