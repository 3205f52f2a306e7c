//! Exec sessions: somebody's terminal, or three pipes, between the server and init.
//!
//! `command` checks what is asked, `refusal` says why not, `session` orders what comes out and
//! goes in, `relay` moves the bytes of one session, `run` starts each session once.
mod command;
mod refusal;
mod relay;
mod run;
mod session;
#[cfg(test)]
mod tests;

pub(crate) use run::{Settings, run};
