//! One line to our stderr: bounded, without allocating, and never waiting for its reader.
use super::Exit;
use super::output::Output;
use super::process::{Side, exit_now, fork};
use std::fmt::{self, Write};

/// A longer line is cut.
const MAX_LINE: usize = 1024;

struct Line {
    bytes: [u8; MAX_LINE],
    length: usize,
}

/// Writes the text and a newline. Control characters are shown as `?`: names of programs and
/// variables come from outside, and this may be a terminal.
pub(crate) fn line(text: fmt::Arguments<'_>) {
    let mut line = Line { bytes: [0; MAX_LINE], length: 0 };
    // Cut, if it is too long: that is what the error would say.
    let _ = line.write_fmt(text);
    let end = line.length.min(MAX_LINE.saturating_sub(1));
    if let Some(last) = line.bytes.get_mut(end) {
        *last = b'\n';
    }
    write_now(line.bytes.get(..=end).unwrap_or_default());
}

fn write_now(line: &[u8]) {
    let Some(stderr) = super::entry::standard(2) else { return };
    if let Some(mut output) = Output::of(stderr) {
        let _ = output.write(line);
        return;
    }
    // A file whose server may hang: somebody else waits for it. The reaper collects him.
    if fork() == Ok(Side::Forked) {
        let _ = super::fd::write(stderr, line);
        exit_now(Exit::SUCCESS);
    }
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            let slot = self.bytes.get_mut(self.length).ok_or(fmt::Error)?;
            *slot = if byte.is_ascii_control() { b'?' } else { byte };
            self.length = self.length.saturating_add(1);
        }
        Ok(())
    }
}
