//! The log: from the child's two outputs, and from ourselves, to the server.
//!
//! `lines` splits bytes, `queue` bounds what waits, `run` reads and ships. While there is no
//! connection lines wait in the queue, and what does not fit is dropped, oldest first, and counted.
mod lines;
mod queue;
mod run;
#[cfg(test)]
mod tests;

pub(crate) use run::{Logs, start};
