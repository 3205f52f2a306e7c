//! What passes between init and its agent: one packet is one message, descriptors ride beside it.
pub(crate) mod block;
pub(crate) mod message;
pub(crate) mod socket;
