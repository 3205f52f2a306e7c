//! The program for people and the cluster.

fn main() {}
