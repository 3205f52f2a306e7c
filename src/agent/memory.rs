//! The agent must never be why a container runs out of memory: it looks at what it holds.
//!
//! ```text
//! Idle --some wake-ups--> Busy --every 5 s: look--> Busy
//!   ^---quiet for 5 s---------------------------------'
//! ```
//! Idle it has no timer: a silent agent sleeps, and before each sleep it gives its clean pages
//! back. A keepalive every few seconds would else bring half the program back for good; it costs
//! some 100 µs of page faults.
use crate::sys::memory::drop_clean_pages;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::sleep;

/// From here on we give up what the child can do without.
const TIGHT: u64 = 24 << 20;
/// From here on init starts another one of us.
const LIMIT: u64 = 32 << 20;
const EVERY: Duration = Duration::from_secs(5);
/// So many wake-ups are worth a look; a connection's keepalives alone take minutes for them.
const WORTH_A_LOOK: u64 = 32;
/// So many in `EVERY` are quiet: our own timer, keepalives both ways, and the steps of the wheel
/// in which the runtime keeps its timers.
const QUIET: u64 = 16;

/// Counts how often the runtime woke up.
#[derive(Default)]
pub(super) struct Pulse {
    count: AtomicU64,
    /// The count at which `look` has to be told.
    at: AtomicU64,
    look: Notify,
    idle: AtomicBool,
}

impl Pulse {
    /// The runtime's hook after each wait; it runs on the runtime's own thread.
    pub(super) fn beat(&self) {
        let count = self.count.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        if count == self.at.load(Ordering::Relaxed) {
            self.look.notify_one();
        }
    }

    /// The runtime's hook before each wait.
    pub(super) fn rest(&self) {
        if self.idle.load(Ordering::Relaxed) {
            drop_clean_pages();
        }
    }

    fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Is idle for the next `WORTH_A_LOOK` wake-ups.
    async fn busy(&self) {
        self.at.store(self.count().saturating_add(WORTH_A_LOOK), Ordering::Relaxed);
        self.idle.store(true, Ordering::Relaxed);
        self.look.notified().await;
        self.idle.store(false, Ordering::Relaxed);
    }
}

/// Returns, with the bytes, when there is too much of us; `give_up` comes before that.
pub(super) async fn watch(pulse: Arc<Pulse>, give_up: impl Fn()) -> u64 {
    loop {
        loop {
            let before = pulse.count();
            sleep(EVERY).await;
            match resident() {
                bytes @ LIMIT.. => return bytes,
                TIGHT.. => give_up(),
                _ => {}
            }
            if pulse.count().saturating_sub(before) <= QUIET {
                break;
            }
        }
        pulse.busy().await;
    }
}

/// Our resident memory; 0 where nobody tells. Source: proc_pid_statm(5).
fn resident() -> u64 {
    let statm = procfs::process::Process::myself().and_then(|it| it.statm());
    statm.map_or(0, |it| it.resident.saturating_mul(procfs::page_size()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_says_how_much_we_hold() {
        let held = resident();
        assert!((1 << 20..1 << 40).contains(&held), "{held}");
    }

    #[tokio::test]
    async fn only_many_wake_ups_are_worth_a_look() {
        let pulse = Pulse::default();
        let mut busy = std::pin::pin!(pulse.busy());
        let poll = |it: std::pin::Pin<&mut _>| {
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            Future::poll(it, &mut context).is_ready()
        };
        assert!(!poll(busy.as_mut()));
        (1..WORTH_A_LOOK).for_each(|_| pulse.beat());
        assert!(!poll(busy.as_mut()));
        pulse.beat();
        assert!(poll(busy.as_mut()));
    }
}
