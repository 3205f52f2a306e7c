//! Instance ids: 48 bits of time, 80 bits of chance. Source: the ULID specification.
use crate::sys::random;
use std::time::{SystemTime, UNIX_EPOCH};

/// Crockford's base 32: no I, L, O, U.
const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// A new id for this start of ours.
pub(crate) fn new_ulid() -> String {
    let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let chance = u128::from(random::bits()) << 64 | u128::from(random::bits());
    text(time.as_millis(), chance)
}

fn text(milliseconds: u128, chance: u128) -> String {
    let value = milliseconds << 80 | (chance & ((1 << 80) - 1));
    let digit =
        |shift: u32| DIGITS.get((value >> shift & 31) as usize).map_or('0', |it| char::from(*it));
    (0..26).rev().map(|index: u32| digit(index.saturating_mul(5))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_26_digits_and_sorts_by_time() {
        assert_eq!(text(0, 0), "0".repeat(26));
        assert_eq!(text((1 << 48) - 1, u128::MAX), format!("7{}", "Z".repeat(25)));
        assert_eq!(text(1_469_918_176_385, 0), format!("01ARYZ6S41{}", "0".repeat(16)));
        assert_ne!(new_ulid(), new_ulid());
    }
}
