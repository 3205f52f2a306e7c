//! What the agent gives up before it is told anything: a taken-over agent is worth little.
use caps::{CapSet, CapsHashSet, errors::CapsError};
use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};

/// The agent is what the kernel shall take first when memory runs out: its end changes nothing.
/// Source: proc_pid_oom_score_adj(5).
const OOM_SCORE: &str = "1000";

/// Gives up dumpability, cores, new privileges and all capabilities; the order matters.
///
/// # Errors
/// Effective or permitted capabilities are still there. All else is a second wall, and its
/// absence (an old kernel, a filter) is no reason to run without a link.
pub(crate) fn harden() -> Result<(), CapsError> {
    // First: once we are not dumpable, our files in /proc belong to root.
    let _ = std::fs::write("/proc/self/oom_score_adj", OOM_SCORE);
    let _ = prctl::set_dumpable(false);
    let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0);
    harden_thread()
}

/// What belongs to a thread, not to the process; we have one.
fn harden_thread() -> Result<(), CapsError> {
    let _ = prctl::set_name(c"waypoint-agent");
    let _ = prctl::set_no_new_privs();
    // Dropping from the bounding set takes CAP_SETPCAP, so it comes before that one goes.
    for capability in caps::all() {
        let _ = caps::drop(None, CapSet::Bounding, capability);
    }
    let _ = caps::clear(None, CapSet::Ambient);
    let none = CapsHashSet::new();
    caps::set(None, CapSet::Effective, &none)?;
    caps::set(None, CapSet::Permitted, &none)?;
    let _ = caps::set(None, CapSet::Inheritable, &none);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// On a thread of its own: what the whole process gives up, the other tests would miss.
    #[test]
    fn afterwards_nothing_is_left_to_take() {
        let status = std::thread::spawn(|| {
            harden_thread().expect("capabilities can always be dropped");
            std::fs::read_to_string("/proc/thread-self/status").expect("our status")
        });
        let status = status.join().expect("the thread");
        for (field, value) in [
            ("Name", "waypoint-agent"),
            ("CapInh", "0000000000000000"),
            ("CapPrm", "0000000000000000"),
            ("CapEff", "0000000000000000"),
            ("CapAmb", "0000000000000000"),
            ("NoNewPrivs", "1"),
        ] {
            let line = status.lines().find_map(|it| it.strip_prefix(field)?.strip_prefix(':'));
            assert_eq!(line.map(str::trim), Some(value), "{field}");
        }
    }
}
