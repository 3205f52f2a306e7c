//! How long to wait before another attempt: exponential, with full jitter.
//! Source: "Exponential Backoff And Jitter", AWS Architecture Blog, 2015: of the usual forms, full
//! jitter makes a fleet that lost its server come back with the fewest calls.
use std::time::Duration;

/// How often it failed in a row; the random number comes from the caller.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Backoff {
    first: Duration,
    ceiling: Duration,
    failures: u32,
}

impl Backoff {
    pub(crate) const fn new(first: Duration, ceiling: Duration) -> Self {
        Self { first, ceiling, failures: 0 }
    }

    /// The wait after one more failure: anything from nothing to the bound, which doubles each
    /// time up to the ceiling. `random` is uniform over all of u32.
    pub(crate) fn next(&mut self, random: u32) -> Duration {
        let doubled = 1_u32.checked_shl(self.failures).unwrap_or(u32::MAX);
        self.failures = self.failures.saturating_add(1).min(u32::BITS);
        let bound = self.first.saturating_mul(doubled).min(self.ceiling);
        bound.mul_f64(f64::from(random) / f64::from(u32::MAX))
    }

    /// It worked for long enough: the next failure is the first again.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FIRST: Duration = Duration::from_secs(1);
    const CEILING: Duration = Duration::from_secs(60);

    #[test]
    fn the_bound_doubles_up_to_the_ceiling_and_starts_again_after_a_reset() {
        let mut backoff = Backoff::new(FIRST, CEILING);
        let waits: Vec<u64> = (0..8).map(|_| backoff.next(u32::MAX).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
        backoff.reset();
        assert_eq!(backoff.next(u32::MAX), FIRST);
    }

    proptest! {
        #[test]
        fn no_wait_is_longer_than_its_bound_however_often_it_failed(
            randoms in proptest::collection::vec(any::<u32>(), 1..200)
        ) {
            let mut backoff = Backoff::new(FIRST, CEILING);
            for (failures, random) in randoms.into_iter().enumerate() {
                let wait = backoff.next(random);
                prop_assert!(wait <= CEILING);
                prop_assert!(failures > 6 || wait <= FIRST * (1 << failures));
            }
        }
    }
}
