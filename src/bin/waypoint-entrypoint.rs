//! The program that goes into images: init, and by another name its agent.

fn main() {}
