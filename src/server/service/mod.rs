//! gRPC: the shell around the state.
pub(crate) mod tokens;
#[derive(Clone)]
pub(crate) struct Service;
