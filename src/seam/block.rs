//! Environments and command lines as they lie in a sealed memfd: strings, each ended by a NUL.
//!
//! Init maps such a block read-only and points into it; it never copies. So a block is valid as a
//! whole or not at all, and its variables are sorted, each name once: init merges them without
//! a table of its own.
use std::ffi::CStr;

/// No block is larger: execve(2) takes a quarter of the stack limit, 2 MiB of the usual 8.
pub(crate) const MAX_BLOCK: usize = 2 << 20;
/// No block has more strings.
pub(crate) const MAX_STRINGS: usize = 16 * 1024;
/// No string is longer, its NUL included. Source: execve(2), MAX_ARG_STRLEN.
pub(crate) const MAX_STRING: usize = 128 << 10;

/// Variables that replace or join those the container was started with: `NAME=value`, sorted by
/// name, no name twice.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Env<'a>(&'a [u8]);

/// A session's command line, and the variables that are its alone (such as TERM).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Command<'a> {
    arguments: &'a [u8],
    pub(crate) env: Env<'a>,
}

/// Why a block was refused; `string` counts from 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Refused {
    TooLarge,
    TooManyStrings,
    NotEnded,
    NoArguments,
    NoName { string: usize },
    TooLong { string: usize },
    NotSorted { string: usize },
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TooLarge => write!(f, "a block of more than {MAX_BLOCK} bytes"),
            Self::TooManyStrings => write!(f, "a block of more than {MAX_STRINGS} strings"),
            Self::NotEnded => write!(f, "a block whose last string does not end"),
            Self::NoArguments => write!(f, "a command without a program"),
            Self::NoName { string } => write!(f, "string {string} has no name before its ="),
            Self::TooLong { string } => {
                write!(f, "string {string} is longer than {MAX_STRING} bytes")
            }
            Self::NotSorted { string } => {
                write!(f, "string {string} does not follow the one before")
            }
        }
    }
}

impl std::error::Error for Refused {}

impl<'a> Env<'a> {
    pub(crate) const EMPTY: Self = Self(&[]);

    pub(crate) fn parse(block: &'a [u8]) -> Result<Self, Refused> {
        bounded(block)?;
        let mut before: Option<&[u8]> = None;
        for (string, entry) in strings(block).enumerate() {
            let name = name(entry.to_bytes()).ok_or(Refused::NoName { string })?;
            if before.is_some_and(|it| it >= name) {
                return Err(Refused::NotSorted { string });
            }
            before = Some(name);
        }
        Ok(Self(block))
    }

    /// `NAME=value` each, sorted by name.
    pub(crate) fn iter(self) -> impl Iterator<Item = &'a CStr> {
        strings(self.0)
    }
}

impl<'a> Command<'a> {
    /// The first `arguments` strings are the command line, the rest its variables.
    pub(crate) fn parse(block: &'a [u8], arguments: u16) -> Result<Self, Refused> {
        bounded(block)?;
        let end = strings(block)
            .take(usize::from(arguments))
            .fold(0_usize, |end, it| end.saturating_add(it.to_bytes_with_nul().len()));
        let (head, tail) = block.split_at_checked(end).ok_or(Refused::NotEnded)?;
        if arguments == 0 || strings(head).count() != usize::from(arguments) {
            return Err(Refused::NoArguments);
        }
        Ok(Self { arguments: head, env: Env::parse(tail)? })
    }

    pub(crate) fn arguments(self) -> impl Iterator<Item = &'a CStr> {
        strings(self.arguments)
    }
}

/// The bytes of an environment block. The entries are sorted here; of a name given twice the last
/// one holds. Entries without a name, or with a NUL in them, are the caller's to refuse before.
pub(crate) fn write_env(variables: impl IntoIterator<Item = (String, String)>) -> Vec<u8> {
    let sorted: std::collections::BTreeMap<_, _> = variables.into_iter().collect();
    let mut block = Vec::new();
    for (name, value) in sorted {
        for part in [name.as_bytes(), b"=", value.as_bytes(), b"\0"] {
            block.extend_from_slice(part);
        }
    }
    block
}

/// The bytes of a command block: the arguments, then the session's own variables.
pub(crate) fn write_command(
    arguments: &[String],
    variables: impl IntoIterator<Item = (String, String)>,
) -> Vec<u8> {
    let mut block = Vec::new();
    for argument in arguments {
        block.extend_from_slice(argument.as_bytes());
        block.push(0);
    }
    block.extend(write_env(variables));
    block
}

/// What stands before the first `=`, if anything does.
pub(crate) fn name(entry: &[u8]) -> Option<&[u8]> {
    let end = entry.iter().position(|it| *it == b'=')?;
    entry.get(..end).filter(|it| !it.is_empty())
}

fn bounded(block: &[u8]) -> Result<(), Refused> {
    if block.len() > MAX_BLOCK {
        return Err(Refused::TooLarge);
    }
    if block.last().is_some_and(|it| *it != 0) {
        return Err(Refused::NotEnded);
    }
    for (string, entry) in strings(block).enumerate() {
        if string >= MAX_STRINGS {
            return Err(Refused::TooManyStrings);
        }
        if entry.to_bytes_with_nul().len() > MAX_STRING {
            return Err(Refused::TooLong { string });
        }
    }
    Ok(())
}

fn strings(block: &[u8]) -> impl Iterator<Item = &CStr> {
    block.split_inclusive(|it| *it == 0).filter_map(|it| CStr::from_bytes_with_nul(it).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
    }

    #[test]
    fn variables_lie_sorted_whatever_their_order_was() {
        let block = write_env(owned(&[("B", "2=2"), ("A", ""), ("A", "1")]));
        assert_eq!(block, b"A=1\0B=2=2\0");
        assert_eq!(Env::parse(&block).map(|it| it.iter().count()), Ok(2));
    }

    #[test]
    fn a_command_is_its_arguments_and_then_its_variables() {
        let block = write_command(&["sh".into(), String::new()], owned(&[("TERM", "xterm")]));
        let command = Command::parse(&block, 2).expect("valid");
        assert_eq!(command.arguments().collect::<Vec<_>>(), [c"sh", c""]);
        assert_eq!(command.env.iter().collect::<Vec<_>>(), [c"TERM=xterm"]);
    }

    #[test]
    fn what_is_no_block_is_refused_by_the_string_that_is_wrong() {
        for (block, refused) in [
            (&b"A=1"[..], Refused::NotEnded),
            (b"A=1\0=2\0", Refused::NoName { string: 1 }),
            (b"A=1\0B\0", Refused::NoName { string: 1 }),
            (b"B=1\0A=1\0", Refused::NotSorted { string: 1 }),
            (b"A=1\0A=1\0", Refused::NotSorted { string: 1 }),
            (&[0; MAX_BLOCK + 1], Refused::TooLarge),
            (&[0; MAX_STRINGS + 1], Refused::TooManyStrings),
        ] {
            assert_eq!(Env::parse(block), Err(refused));
        }
        let long = [&[b'A'; MAX_STRING], &b"=\0"[..]].concat();
        assert_eq!(Env::parse(&long), Err(Refused::TooLong { string: 0 }));
        assert_eq!(Command::parse(b"", 0), Err(Refused::NoArguments));
        assert_eq!(Command::parse(b"sh\0", 2), Err(Refused::NoArguments));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(map in prop::collection::btree_map("[A-Z]{1,4}", "[^\0]{0,9}", 0..9)) {
            let block = write_env(map.clone());
            let read: Vec<_> = Env::parse(&block).expect("valid").iter().map(CStr::to_bytes).collect();
            let sent: Vec<_> = map.iter().map(|(name, value)| format!("{name}={value}").into_bytes()).collect();
            prop_assert_eq!(read, sent);
        }

        #[test]
        fn no_bytes_make_it_panic(block in prop::collection::vec(0..3_u8, 0..40), arguments in 0..5_u16) {
            let _ = Env::parse(&block);
            let _ = Command::parse(&block, arguments);
        }
    }
}
