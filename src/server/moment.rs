//! When something happens and the luck it happens with: what the pure state may not fetch itself.
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// One instant and 32 random bytes, for all that one request creates.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    pub(crate) now: SystemTime,
    pub(crate) random: [u8; 32],
}

impl Moment {
    /// A fresh identifier; `nth` (0, 1 or 2) tells those of one moment apart.
    pub(crate) fn ulid(&self, nth: usize) -> String {
        let tail = self.random.get(nth * 10..nth * 10 + 10).unwrap_or(&[0; 10]);
        let random = tail.iter().fold(0_u128, |sum, byte| (sum << 8) | u128::from(*byte));
        ulid((u128::from(self.milliseconds()) << 80) | random)
    }

    /// Since 1970; 48 bits, as a ULID has room for.
    pub(crate) fn milliseconds(&self) -> u64 {
        let since = self.now.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX) & 0xffff_ffff_ffff
    }

    pub(crate) fn timestamp(&self) -> prost_types::Timestamp {
        self.now.into()
    }
}

/// 26 characters of Crockford's base 32, upper case. Source: github.com/ulid/spec.
fn ulid(number: u128) -> String {
    const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    (0..26)
        .rev()
        .map(|digit| char::from(DIGITS[usize::try_from((number >> (digit * 5)) & 31).unwrap_or(0)]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_have_26_characters_and_sort_by_time() {
        let at = |seconds, byte| Moment {
            now: UNIX_EPOCH + Duration::from_secs(seconds),
            random: [byte; 32],
        };
        assert_eq!(at(0, 0).ulid(0), "0".repeat(26));
        assert_eq!(at(0, 255).ulid(0), "0000000000ZZZZZZZZZZZZZZZZ");
        assert_eq!(at(1_700_000_000, 0).ulid(0), "01HF7YAT000000000000000000");
        assert!(at(1, 255).ulid(2) < at(2, 0).ulid(2));
    }
}
