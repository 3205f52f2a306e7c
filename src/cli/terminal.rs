//! The user's terminal: its size, and raw mode that is left again however we end.
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use std::io::{Stdin, Stdout, stdin};

use crate::proto::exec_stream_request::WindowSize;

/// The size of the terminal behind standard output. The pixels are the cells, as the original
/// sends them: nothing reads them, and terminals mostly do not tell.
pub(crate) fn size(out: &Stdout) -> Option<WindowSize> {
    let size = tcgetwinsize(out).ok()?;
    let (rows, cols) = (i32::from(size.ws_row), i32::from(size.ws_col));
    // 0 is what a terminal says that does not know.
    (rows > 0 && cols > 0).then_some(WindowSize { rows, cols, width: cols, height: rows })
}

/// Raw while it lives: a return and a panic drop it, and signals end the session, which returns.
pub(crate) struct Raw {
    input: Stdin,
    before: Termios,
}

impl Raw {
    /// `None`: standard input is no terminal, or is not ours to change.
    pub(crate) fn enter() -> Option<Self> {
        let input = stdin();
        let before = tcgetattr(&input).ok()?;
        let raw = Self { input, before };
        raw.again().then_some(raw)
    }

    /// Once more after we were stopped: the shell has set its own modes meanwhile.
    pub(crate) fn again(&self) -> bool {
        let mut modes = self.before.clone();
        modes.make_raw();
        tcsetattr(&self.input, OptionalActions::Now, &modes).is_ok()
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // At once: output that nobody takes must not keep us. A terminal that is gone needs nothing.
        let _ = tcsetattr(&self.input, OptionalActions::Now, &self.before);
    }
}
