//! What an agent leaves for the next one: the environment that it last asked for.
//!
//! init keeps it and never reads it. Another version of us may have written it, so whatever is not
//! exactly what we would write is no deposit, and the first config counts as new.
use super::resolve::Overrides;
use crate::seam::block::{Env, write_env};

const FORMAT: &[u8] = b"waypoint appconfig 1\n";

pub(super) fn write(overrides: &Overrides) -> Vec<u8> {
    let variables = overrides.iter().map(|(name, value)| (name.clone(), value.clone()));
    [FORMAT, &write_env(variables)].concat()
}

pub(super) fn read(deposit: &[u8]) -> Option<Overrides> {
    let env = Env::parse(deposit.strip_prefix(FORMAT)?).ok()?;
    env.iter()
        .map(|it| {
            let (name, value) = it.to_str().ok()?.split_once('=')?;
            Some((name.to_owned(), value.to_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_was_left_is_found(map in prop::collection::btree_map("[A-Z]{1,4}", "[^\0]{0,9}", 0..9)) {
            prop_assert_eq!(read(&write(&map)), Some(map));
        }

        #[test]
        fn anything_else_is_no_deposit(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            prop_assert_eq!(read(&bytes), None);
        }
    }

    #[test]
    fn a_damaged_one_is_no_deposit() {
        for rest in [&b"A"[..], b"A\0", b"B=\0A=\0", b"A=\xff\0"] {
            assert_eq!(read(&[FORMAT, rest].concat()), None);
        }
    }
}
