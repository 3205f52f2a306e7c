//! Our stderr, which is also the app's: a line is written now or not at all.
use crate::sys::entry::standard;
use crate::sys::fd;
use crate::sys::output::Output;
use std::os::fd::BorrowedFd;

pub(super) struct Console {
    way: Way,
    /// Lines that did not fit, since the last one that did.
    dropped: u64,
}

enum Way {
    NoWait(Output),
    /// A regular file. If its server hangs so do we, and init replaces us; it is not PID 1 who waits.
    Plain(BorrowedFd<'static>),
    Closed,
}

impl Console {
    pub(super) fn stderr() -> Self {
        let way = match standard(2) {
            Some(fd) => Output::of(fd).map_or(Way::Plain(fd), Way::NoWait),
            None => Way::Closed,
        };
        Self { way, dropped: 0 }
    }

    #[cfg(test)]
    pub(super) fn of(fd: BorrowedFd<'_>) -> Self {
        Self { way: Output::of(fd).map_or(Way::Closed, Way::NoWait), dropped: 0 }
    }

    /// Writes the line, which is shorter than a pipe takes at once (PIPE_BUF), with its newline.
    pub(super) fn line(&mut self, text: &str) {
        let line = match self.dropped {
            0 => format!("{text}\n"),
            dropped => format!("[WARN] waypoint: {dropped} messages did not fit here\n{text}\n"),
        };
        let written = match &mut self.way {
            Way::NoWait(output) => output.write(line.as_bytes()),
            Way::Plain(file) => fd::write(*file, line.as_bytes()),
            Way::Closed => return,
        };
        self.dropped = if written.is_ok() { 0 } else { self.dropped.saturating_add(1) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn a_full_pipe_costs_lines_and_says_how_many() {
        let (read, write) = fd::pipe().expect("a pipe");
        let mut console = Console::of(write.as_fd());
        while console.dropped < 3 {
            console.line(&"x".repeat(1000));
        }
        let mut buffer = vec![0; 1 << 20];
        fd::read(read.as_fd(), &mut buffer).expect("read");
        console.line("here again");
        let length = fd::read(read.as_fd(), &mut buffer).expect("read");
        let text = String::from_utf8_lossy(&buffer[..length]);
        assert_eq!(text, "[WARN] waypoint: 3 messages did not fit here\nhere again\n");
    }
}
