//! The messages and the service of Waypoint's wire: generated from `proto/` by `make proto`.
#![expect(
    missing_docs,
    clippy::all,
    reason = "generated; proto/waypoint.proto says what things mean"
)]
#![cfg_attr(
    feature = "server",
    expect(clippy::allow_attributes, reason = "the generated server has some")
)]

pub mod hashicorp {
    pub mod waypoint {
        include!("proto/hashicorp.waypoint.rs");
    }
}
pub mod google {
    pub mod rpc {
        include!("proto/google.rpc.rs");
    }
}
pub use hashicorp::waypoint::*;
