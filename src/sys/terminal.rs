//! Pseudo-terminals and their sizes.
use super::Errno;
use super::fd::{check, owned};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

/// A terminal's size: characters, and pixels where known. Source: ioctl_tty(2), TIOCSWINSZ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct WindowSize {
    pub(crate) rows: u16,
    pub(crate) columns: u16,
    pub(crate) x_pixels: u16,
    pub(crate) y_pixels: u16,
}

/// A new pty: the master, non-blocking and ours, and the slave for a session. The size is set
/// before anybody can ask for it. Source: pty(7), ioctl_tty(2), TIOCGPTPEER (Linux 4.13).
pub(crate) fn open(size: WindowSize) -> Result<(OwnedFd, OwnedFd), Errno> {
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: the path is a NUL-terminated literal.
    let master = owned(unsafe { libc::open(c"/dev/ptmx".as_ptr(), flags | libc::O_NONBLOCK) })?;
    let unlocked: i32 = 0;
    // SAFETY: TIOCSPTLCK reads one int.
    check(unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCSPTLCK, &raw const unlocked) })?;
    resize(&master, size)?;
    // SAFETY: TIOCGPTPEER takes open(2) flags by value.
    let slave = owned(unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCGPTPEER, flags) })?;
    Ok((master, slave))
}

/// Tells a terminal, by its master or itself, how large it is; its foreground group gets WINCH.
pub(crate) fn resize(terminal: &impl AsRawFd, size: WindowSize) -> Result<(), Errno> {
    let size = libc::winsize {
        ws_row: size.rows,
        ws_col: size.columns,
        ws_xpixel: size.x_pixels,
        ws_ypixel: size.y_pixels,
    };
    // SAFETY: TIOCSWINSZ reads one winsize.
    check(unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) })?;
    Ok(())
}

/// How large a terminal is; ENOTTY for what is none.
#[cfg(test)]
pub(crate) fn size(terminal: BorrowedFd<'_>) -> Result<WindowSize, Errno> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: TIOCGWINSZ writes one winsize.
    check(unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCGWINSZ, &raw mut size) })?;
    Ok(WindowSize {
        rows: size.ws_row,
        columns: size.ws_col,
        x_pixels: size.ws_xpixel,
        y_pixels: size.ws_ypixel,
    })
}

/// The character that means "end of input" on this terminal now: `None` in raw mode, where there
/// is none. Source: termios(3), ICANON, VEOF.
pub(crate) fn end_of_input(terminal: BorrowedFd<'_>) -> Option<u8> {
    use nix::sys::termios::{LocalFlags, SpecialCharacterIndices, tcgetattr};
    let settings = tcgetattr(terminal).ok()?;
    let line_mode = settings.local_flags.contains(LocalFlags::ICANON);
    settings
        .control_chars
        .get(SpecialCharacterIndices::VEOF as usize)
        .copied()
        .filter(|_| line_mode)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn a_new_terminal_has_its_size_at_once_and_an_end_of_input() {
        let asked = WindowSize { rows: 24, columns: 80, x_pixels: 640, y_pixels: 480 };
        let (master, slave) = open(asked).expect("a pty");
        assert_eq!(size(slave.as_fd()), Ok(asked));
        assert_eq!(end_of_input(master.as_fd()), Some(4));
        let larger = WindowSize { rows: 50, ..asked };
        resize(&master, larger).expect("resized");
        assert_eq!(size(slave.as_fd()), Ok(larger));
    }
}
