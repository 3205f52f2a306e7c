//! One shell for each noun of the command line: calls the server, prints what comes back.
pub(crate) mod config;
pub(crate) mod context;
pub(crate) mod deployment;
pub(crate) mod exec;
pub(crate) mod instance;
pub(crate) mod login;
pub(crate) mod logs;
pub(crate) mod server;
#[cfg(test)]
mod tests;
pub(crate) mod token;
pub(crate) mod user;
pub(crate) mod version;
