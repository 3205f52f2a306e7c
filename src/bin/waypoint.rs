//! The program for people and the cluster.
use std::process::ExitCode;

fn main() -> ExitCode {
    waypoint::cli::main()
}
