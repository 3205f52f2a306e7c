//! The command line of `waypoint`.
