//! Bytes become lines, the same lines however the bytes were cut.

/// A line that does not end by then is cut: whoever writes without newlines shall not cost more.
pub(super) const MAX_LINE: usize = 64 << 10;
/// What an empty splitter keeps of its buffer.
const KEPT: usize = 4 << 10;

/// One output's bytes since its last newline.
#[derive(Debug, Default)]
pub(super) struct Lines {
    partial: Vec<u8>,
}

impl Lines {
    /// Emits each line that ends in `bytes`, without its newline; anything else in it is kept,
    /// but what is no UTF-8 is shown as U+FFFD.
    pub(super) fn push(&mut self, mut bytes: &[u8], mut emit: impl FnMut(String)) {
        while let Some(newline) = bytes.iter().position(|it| *it == b'\n') {
            let (line, rest) = bytes.split_at(newline);
            self.append(line, &mut emit);
            emit(self.take());
            bytes = rest.get(1..).unwrap_or_default();
        }
        self.append(bytes, &mut emit);
    }

    /// What came after the last newline, if anything did.
    pub(super) fn finish(&mut self) -> Option<String> {
        (!self.partial.is_empty()).then(|| self.take())
    }

    fn append(&mut self, mut bytes: &[u8], emit: &mut impl FnMut(String)) {
        loop {
            let room = MAX_LINE.saturating_sub(self.partial.len());
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.partial.extend_from_slice(now);
            // Only another byte shows that the line is too long: its end may come now.
            let Some(next) = later.first() else { return };
            let rest = self.partial.split_off(boundary(&self.partial, *next));
            emit(self.take());
            self.partial = rest;
            bytes = later;
        }
    }

    fn take(&mut self) -> String {
        let line = String::from_utf8_lossy(&self.partial).into_owned();
        self.partial.clear();
        self.partial.shrink_to(KEPT);
        line
    }
}

/// Where to cut a full line before `next`: not inside a character, if it is one.
fn boundary(line: &[u8], next: u8) -> usize {
    let continues = |byte: u8| byte & 0b1100_0000 == 0b1000_0000;
    if !continues(next) {
        return line.len();
    }
    // A character has at most three bytes after its first.
    let first = line.iter().rev().take(3).position(|it| !continues(*it));
    match first {
        Some(back) if line.iter().rev().nth(back).is_some_and(|it| *it >= 0b1100_0000) => {
            line.len().saturating_sub(back).saturating_sub(1)
        }
        _ => line.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lines(chunks: &[&[u8]]) -> Vec<String> {
        let (mut splitter, mut lines) = (Lines::default(), Vec::new());
        for chunk in chunks {
            splitter.push(chunk, |line| lines.push(line));
        }
        lines.extend(splitter.finish());
        lines
    }

    #[test]
    fn a_line_ends_at_its_newline_and_nothing_else_is_changed() {
        assert_eq!(lines(&[b"a\r\n\n\0b\n"]), ["a\r", "", "\0b"]);
        assert_eq!(lines(&[b"a", b"b\nc", b"", b"d"]), ["ab", "cd"]);
        assert_eq!(lines(&[b"\xff\xfe ok\n"]), ["\u{fffd}\u{fffd} ok"]);
        assert_eq!(lines(&[b""]), Vec::<String>::new());
    }

    #[test]
    fn a_line_of_the_greatest_length_is_one_line() {
        let full = [b'x'; MAX_LINE];
        assert_eq!(lines(&[&full, b"\n"]).len(), 1);
        assert_eq!(lines(&[&full, b"\nabc"]).len(), 2);
        let cut = lines(&[&full, b"y\n"]);
        assert_eq!((cut[0].len(), &*cut[1]), (MAX_LINE, "y"));
    }

    #[test]
    fn a_long_line_is_not_cut_inside_a_character() {
        for (character, before) in [("ä", 1), ("€", 1), ("€", 2), ("😀", 1), ("😀", 3)] {
            let text = format!("{}{character}z", "x".repeat(MAX_LINE - before));
            let cut = lines(&[text.as_bytes()]);
            assert_eq!(cut, ["x".repeat(MAX_LINE - before), format!("{character}z")]);
        }
        let noise = vec![0x80; MAX_LINE + 1];
        assert_eq!(lines(&[&noise]).len(), 2, "what is no text is cut anywhere");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn however_the_bytes_are_cut_the_lines_are_the_same(
            parts in prop::collection::vec(
                prop_oneof![
                    4 => prop::collection::vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..40),
                    1 => (MAX_LINE - 4..MAX_LINE + 4).prop_map(|it| vec![b'x'; it]),
                    1 => (1..3_usize).prop_map(|it| "😀".as_bytes().repeat(it)),
                ],
                0..8,
            ),
        ) {
            let whole = parts.concat();
            let chunks: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
            let bytewise: Vec<&[u8]> = whole.chunks(1).collect();
            let expected = lines(&[&whole]);
            prop_assert_eq!(&lines(&chunks), &expected);
            prop_assert_eq!(&lines(&bytewise), &expected);
        }
    }
}
