//! What every test stands on: the deadline, the programs, and a look at processes.
pub(crate) mod entrypoint;
pub(crate) mod process;
pub(crate) mod server;

pub(crate) use entrypoint::{Entrypoint, Setup};
pub(crate) use server::Server;

use std::path::PathBuf;
use std::time::{Duration, Instant};

/// For anything to happen that must happen. Generous: the machine may be slow, and only failures wait for it.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// A program of `dist/`, as it ships.
pub(crate) fn dist(program: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("dist").join(program);
    assert!(path.exists(), "{} is missing: run make build", path.display());
    path
}

/// Looks again and again until there is something to see.
#[track_caller]
pub(crate) fn until<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    seen_within(DEADLINE, look).unwrap_or_else(|| panic!("not within {DEADLINE:?}: {what}"))
}

/// The same with a deadline that may pass.
pub(crate) fn seen_within<T>(limit: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(seen) = look() {
            return Some(seen);
        }
        if Instant::now() >= deadline {
            return None;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Whether a program of the system's is there.
pub(crate) fn installed(program: &str) -> bool {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    path.split(':').any(|dir| PathBuf::from(dir).join(program).exists())
}

/// Leaves a test whose means are absent; on CI, which installs everything, that is a failure.
macro_rules! skip {
    ($($why:tt)*) => {{
        let why = format!($($why)*);
        assert!(std::env::var_os("CI").is_none(), "not installed, though this is CI: {why}");
        // Past libtest's capture, so that it is seen in a run that passes.
        let line = format!("skipped: {}: {why}\n", std::thread::current().name().unwrap_or("test"));
        std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes()).expect("stderr takes a line");
        return;
    }};
}
pub(crate) use skip;
