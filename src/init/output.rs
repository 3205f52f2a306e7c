//! The agent's copy of an output: best effort, whole lines, and exact about what is missing.
//!
//! The real output comes first and lacks nothing; the copy gets what it has room for. After a
//! loss it goes on with the next whole line, so that no line is glued together of two.

/// What is known of one copy.
#[derive(Debug)]
pub(crate) struct Copy {
    /// Bytes up to and including the next newline belong to a line that is lost already.
    skipping: bool,
    /// The last byte that was taken ended a line, or nothing was taken yet.
    at_line_start: bool,
    /// A line was cut off in the copy and wants a newline of ours before the next.
    torn: bool,
    missing: u64,
}

impl Copy {
    pub(crate) fn new() -> Self {
        Self { skipping: false, at_line_start: true, torn: false, missing: 0 }
    }

    /// How many bytes are missing, ever.
    pub(crate) fn missing(&self) -> u64 {
        self.missing
    }

    /// Copies `bytes` by `write`, which answers how many of them it took.
    pub(crate) fn copy(&mut self, bytes: &[u8], mut write: impl FnMut(&[u8]) -> usize) {
        let bytes = self.skip(bytes);
        if bytes.is_empty() {
            return;
        }
        let ended = !self.torn || write(b"\n") == 1;
        self.torn = !ended;
        let taken = if ended { write(bytes).min(bytes.len()) } else { 0 };
        if let Some(last) = bytes.get(..taken).and_then(<[u8]>::last) {
            self.at_line_start = *last == b'\n';
        }
        if taken < bytes.len() {
            self.lose(bytes.len().saturating_sub(taken));
            self.torn = !self.at_line_start;
            self.skipping = bytes.last() != Some(&b'\n');
        }
    }

    /// What comes after the line that is lost already.
    fn skip<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        if !self.skipping {
            return bytes;
        }
        let end = bytes.iter().position(|it| *it == b'\n');
        self.skipping = end.is_none();
        let lost = end.map_or(bytes.len(), |it| it.saturating_add(1));
        self.lose(lost);
        bytes.get(lost..).unwrap_or_default()
    }

    fn lose(&mut self, bytes: usize) {
        self.missing = self.missing.saturating_add(bytes as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Writes the chunks into a copy that has `room` for so many bytes each time.
    fn check(chunks: &[(&str, usize)]) -> (String, u64) {
        let (mut copy, mut got) = (Copy::new(), Vec::new());
        for (chunk, room) in chunks {
            let mut room = *room;
            copy.copy(chunk.as_bytes(), |bytes| {
                let taken = bytes.len().min(room);
                room -= taken;
                got.extend_from_slice(&bytes[..taken]);
                taken
            });
        }
        (String::from_utf8(got).expect("ascii"), copy.missing())
    }

    #[test]
    fn with_room_for_all_the_copy_is_the_same() {
        assert_eq!(check(&[("one\ntw", 99), ("o\n", 99)]), ("one\ntwo\n".into(), 0));
    }

    #[test]
    fn after_a_loss_the_copy_goes_on_with_a_whole_line() {
        let rows = [("one\ntwo", 5), ("more\nthree\n", 99), ("four\n", 99)];
        assert_eq!(check(&rows), ("one\nt\nthree\nfour\n".into(), 7));
    }

    #[test]
    fn a_loss_of_whole_lines_glues_nothing_and_skips_nothing_more() {
        assert_eq!(check(&[("a\n", 99), ("b\n", 0), ("c\n", 99)]), ("a\nc\n".into(), 2));
        assert_eq!(check(&[("a", 99), ("b\n", 0), ("c\n", 99)]), ("a\nc\n".into(), 2));
    }

    proptest! {
        #[test]
        fn every_byte_is_copied_or_counted(rows in prop::collection::vec(("[ab\n]{0,6}", 0..8_usize), 0..12)) {
            let rows: Vec<(&str, usize)> = rows.iter().map(|(text, room)| (text.as_str(), *room)).collect();
            let written: String = rows.iter().map(|(text, _)| *text).collect();
            let (got, missing) = check(&rows);
            let added = got.len() as u64 + missing - written.len() as u64;
            prop_assert!(added <= rows.len() as u64, "only newlines of ours are added, one for a loss");
            let mut lines = written.split('\n');
            for line in got.split('\n') {
                prop_assert!(lines.any(|it| it.starts_with(line)), "{got:?} is not of {written:?}");
            }
        }
    }
}
