//! The application's configuration: from the server's snapshots to the child's environment.
//!
//! `resolve` makes one view of all variables, `change` decides when it reaches the child, and
//! `deposit` lets the next agent know what this one has done.
mod change;
mod deposit;
mod resolve;
mod run;
#[cfg(test)]
mod tests;

pub(crate) use run::{Settings, run};
