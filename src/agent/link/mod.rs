//! The pillar towards the server.
pub(crate) mod wire;
