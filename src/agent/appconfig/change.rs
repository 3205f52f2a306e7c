//! When a new environment reaches the child: the first at once, later ones when they rest.
//!
//! ```text
//! Fresh --wanted: at once--> Settled --wanted another--> Changing --due--> Settled
//!                               ^----wanted the settled one again--'
//! ```
use std::time::{Duration, Instant};

/// So long nothing may change before a change is made: several edits become one restart.
/// Source: protocol.md 7.8, as are the five seconds.
const REST: Duration = Duration::from_millis(500);
/// So long after a failure it is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// So long at most after the first of them.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct Change<T> {
    /// What the child was last asked to run with; `None` before the first time.
    settled: Option<T>,
    wanted: Option<Wanted<T>>,
}

#[derive(Debug)]
struct Wanted<T> {
    value: T,
    first: Instant,
    last: Instant,
}

impl<T: PartialEq + Clone> Change<T> {
    /// `settled` is what an agent before us has left.
    pub(super) fn new(settled: Option<T>) -> Self {
        Self { settled, wanted: None }
    }

    /// It could not be handed over: it is wanted still, and due when it has rested.
    pub(super) fn failed(&mut self, value: T, settled: Option<T>, now: Instant) {
        self.settled = settled;
        if self.wanted.is_none() {
            self.wanted = Some(Wanted { value, first: now + RETRY, last: now + RETRY });
        }
    }

    pub(super) fn settled(&self) -> Option<T> {
        self.settled.clone()
    }

    /// The server wants this now.
    pub(super) fn wanted(&mut self, value: T, now: Instant) {
        if self.settled.as_ref() == Some(&value) {
            self.wanted = None;
            return;
        }
        match &mut self.wanted {
            Some(wanted) if wanted.value == value => {}
            Some(wanted) => (wanted.value, wanted.last) = (value, now),
            None => self.wanted = Some(Wanted { value, first: now, last: now }),
        }
    }

    /// When `take` will have something.
    pub(super) fn due(&self) -> Option<Instant> {
        let wanted = self.wanted.as_ref()?;
        if self.settled.is_none() {
            return Some(wanted.first);
        }
        Some((wanted.last + REST).min(wanted.first + PATIENCE))
    }

    /// What the child is to be asked to run with, once it is due.
    pub(super) fn take(&mut self, now: Instant) -> Option<T> {
        self.due().filter(|it| *it <= now)?;
        let value = self.wanted.take()?.value;
        self.settled = Some(value.clone());
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// At each time (milliseconds) the value is wanted; what is taken when, until all is quiet.
    fn check(settled: Option<u8>, wanted: &[(u64, u8)], expected: &[(u64, u8)]) {
        let start = Instant::now();
        let mut change = Change::new(settled);
        let mut taken = Vec::new();
        for at in 0..=20_000 {
            let now = start + Duration::from_millis(at);
            for (_, value) in wanted.iter().filter(|it| it.0 == at) {
                change.wanted(*value, now);
            }
            let due = change.due();
            let value = change.take(now);
            assert_eq!(value.is_some(), due.is_some_and(|it| it <= now), "due is when it is taken");
            taken.extend(value.map(|it| (at, it)));
        }
        assert_eq!(taken, expected);
        assert_eq!(change.due(), None, "nothing is left to wake up for");
    }

    #[test]
    fn the_first_one_does_not_wait() {
        check(None, &[(3, 1)], &[(3, 1)]);
    }

    #[test]
    fn what_is_there_already_changes_nothing() {
        check(Some(1), &[(0, 1), (900, 1)], &[]);
        check(None, &[(0, 1), (100, 1), (2000, 1)], &[(0, 1)]);
    }

    #[test]
    fn changes_are_made_together_when_they_rest() {
        check(Some(0), &[(0, 1)], &[(500, 1)]);
        check(None, &[(0, 1), (100, 2), (500, 3), (999, 4)], &[(0, 1), (1499, 4)]);
    }

    #[test]
    fn what_could_not_be_handed_over_is_tried_again() {
        let start = Instant::now();
        let mut change = Change::new(None);
        change.wanted(1_u8, start);
        assert_eq!(change.take(start), Some(1));
        change.failed(1, None, start);
        assert_eq!(change.due(), Some(start + RETRY));
        change.wanted(1, start);
        assert_eq!(change.take(start + RETRY), Some(1));
    }

    #[test]
    fn the_same_wish_again_does_not_put_it_off() {
        check(Some(0), &[(0, 1), (400, 1)], &[(500, 1)]);
    }

    #[test]
    fn endless_changes_are_made_every_five_seconds() {
        let wanted: Vec<_> = (0..60).map(|it| (it * 200, it as u8 + 1)).collect();
        check(Some(0), &wanted, &[(5000, 26), (10_200, 52), (12_300, 60)]);
    }

    #[test]
    fn a_change_taken_back_in_time_never_happened() {
        check(Some(0), &[(0, 1), (300, 0), (400, 2), (600, 0)], &[]);
    }
}
