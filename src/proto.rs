//! The messages and the service of Waypoint's wire: generated from `proto/` by `make proto`.
#![expect(
    missing_docs,
    clippy::all,
    clippy::allow_attributes,
    reason = "generated; proto/waypoint.proto says what things mean"
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
