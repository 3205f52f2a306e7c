//! `waypoint-entrypoint`: who is it, init or its agent?
use crate::sys::{Exit, entry, seqpacket};
use std::ffi::CString;
use std::os::unix::ffi::OsStringExt;

/// The agent's name, by which init starts us again.
const AGENT: &[u8] = b"waypoint-agent";

/// The program; its status is what it returns.
pub fn main() -> u8 {
    let mut words = std::env::args_os().filter_map(|it| CString::new(it.into_vec()).ok());
    let name = words.next().unwrap_or_default();
    let exit = if name.as_bytes() == AGENT { agent() } else { None };
    exit.unwrap_or_else(|| crate::init::main(words.collect())).status()
}

/// By its name and by the seam that init has placed: the name alone anybody can give us.
fn agent() -> Option<Exit> {
    entry::standard(3).is_some_and(seqpacket::is_one).then(crate::agent::main)
}
