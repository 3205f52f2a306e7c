//! PID 1, THE PROCESSES: one thread, no runtime. Whatever the network does stays in the agent.
#![cfg_attr(
    not(test),
    warn(
        clippy::panic,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

mod agent;
mod ending;
mod lifecycle;
mod log;
mod output;
mod poll;
mod program;
mod pump;
mod registry;
mod run;
mod settings;
mod signals;
mod spawn;
mod tell;
mod ulid;

use crate::sys::{Exit, entry};
use settings::{Asked, USAGE};
use std::ffi::CString;
use std::io::Write;

/// Reads what we are asked, and runs it.
pub(crate) fn main(arguments: Vec<CString>) -> Exit {
    entry::hold_standard_places();
    match settings::settings(arguments, entry::environment(), &read_small) {
        Ok(Asked::Help) => print(USAGE),
        Ok(Asked::Version) => print(concat!("waypoint-entrypoint ", env!("CARGO_PKG_VERSION"))),
        Ok(Asked::Run(mut settings)) => {
            let here = std::env::current_dir().unwrap_or_default();
            settings.link = settings.link.map(|it| it.with_paths_from(&here));
            entry::wipe(settings::TOKEN);
            log::set_level(settings.log_level);
            run::run(*settings)
        }
        Err(mistakes) => {
            for mistake in mistakes {
                // Not eprintln: it panics where nobody reads.
                let _ = writeln!(std::io::stderr(), "waypoint-entrypoint: {mistake}");
            }
            Exit::FAILURE
        }
    }
}

fn print(text: &str) -> Exit {
    let printed = writeln!(std::io::stdout(), "{text}");
    if printed.is_ok() { Exit::SUCCESS } else { Exit::FAILURE }
}

/// A mounted secret: a text of a few KiB. Nothing runs yet, so this may take its time.
fn read_small(path: &str) -> Result<Vec<u8>, String> {
    use std::io::Read;
    let mut bytes = Vec::new();
    let limit = crate::token::MAX_TOKEN as u64;
    let read = std::fs::File::open(path)
        .and_then(|file| file.take(limit.saturating_add(2)).read_to_end(&mut bytes));
    read.map(|_| bytes).map_err(|error| error.to_string())
}
