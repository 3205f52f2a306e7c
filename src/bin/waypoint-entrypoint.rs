//! The program that goes into images: init, and by another name its agent.
#![no_main]

waypoint::entry!(waypoint::entrypoint::main);
