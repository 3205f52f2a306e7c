//! The server inside `waypoint`.
