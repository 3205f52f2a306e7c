//! gRPC: the shell around the state.
pub(crate) mod tokens;
