//! The way out of a session whose other end no longer answers: `~.` at the start of a line, as in
//! ssh. Terminals send a carriage return, so that begins a line as a newline does.
//! ```text
//! LineStart --'~'--> Tilde --'.'--> ended
//!   ^ '\r' '\n'        `--other--> the tilde and it pass; `~~` passes one tilde
//! Inside <--other
//! ```

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    #[default]
    LineStart,
    Tilde,
    Inside,
}

#[derive(Debug, Default)]
pub(crate) struct Escape(State);

impl Escape {
    /// What of `typed` passes on, and whether the escape ended the session there.
    pub(crate) fn pass(&mut self, typed: &[u8]) -> (Vec<u8>, bool) {
        let mut passed = Vec::with_capacity(typed.len() + 1);
        for &byte in typed {
            match (self.0, byte) {
                (State::Tilde, b'.') => return (passed, true),
                (State::Tilde, b'~') => {}
                (State::LineStart, b'~') => {
                    self.0 = State::Tilde;
                    continue;
                }
                (State::Tilde, _) => passed.push(b'~'),
                (State::LineStart | State::Inside, _) => {}
            }
            passed.push(byte);
            self.0 = if matches!(byte, b'\r' | b'\n') { State::LineStart } else { State::Inside };
        }
        (passed, false)
    }

    /// At the end of input: a tilde that still waits for its second half.
    pub(crate) fn rest(&mut self) -> &'static [u8] {
        match std::mem::take(&mut self.0) {
            State::Tilde => b"~",
            State::LineStart | State::Inside => b"",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// However the input is cut into chunks.
    fn check(typed: &str, passed: &str, ended: bool) {
        for size in 1..=typed.len().max(1) {
            let mut escape = Escape::default();
            let mut all = Vec::new();
            let mut end = false;
            for chunk in typed.as_bytes().chunks(size) {
                let (some, now) = escape.pass(chunk);
                all.extend(some);
                end |= now;
                if end {
                    break;
                }
            }
            if !end {
                all.extend_from_slice(escape.rest());
            }
            assert_eq!((String::from_utf8_lossy(&all).as_ref(), end), (passed, ended), "{typed:?}");
        }
    }

    #[test]
    fn the_escape_ends_a_session_at_the_start_of_a_line_only() {
        check("~.", "", true);
        check("ls\r~.x", "ls\r", true);
        check("ls\n~.", "ls\n", true);
        check("ls ~.", "ls ~.", false);
        check("a~.\r", "a~.\r", false);
    }

    #[test]
    fn two_tildes_are_one_and_a_lonely_one_is_itself() {
        check("~~.", "~.", false);
        check("~~\r~.", "~\r", true);
        check("~a", "~a", false);
        check("~\r~.", "~\r", true);
        check("x\r~", "x\r~", false);
        check("", "", false);
    }

    proptest::proptest! {
        #[test]
        fn input_without_a_tilde_passes_as_it_is(typed in "[a.\r\n]{0,40}") {
            check(&typed, &typed, false);
        }
    }
}
