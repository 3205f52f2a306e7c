//! What a session shall run, checked before init is asked for it.
use super::refusal::Refusal;
use crate::agent::link::wire::{Session, Terminal};
use crate::agent::seam::Command;
use crate::seam::message::WindowSize;

/// Arguments and variables of one session together.
const MAX_BYTES: usize = 128 << 10;
/// A terminal whose size nobody said.
const USUAL: WindowSize = WindowSize { rows: 24, columns: 80, x_pixels: 0, y_pixels: 0 };

/// # Errors
/// Nothing to run, or nothing that a program could be given.
pub(super) fn command(session: &Session) -> Result<Command, Refusal> {
    let bytes = session.arguments.iter().fold(0_usize, |sum, it| sum.saturating_add(it.len()));
    if session.arguments.first().is_none_or(String::is_empty) {
        return Err(Refusal::invalid("there is no command to run"));
    }
    if session.arguments.iter().any(|it| it.contains('\0')) {
        return Err(Refusal::invalid("an argument has a NUL in it"));
    }
    if bytes > MAX_BYTES {
        return Err(Refusal::invalid("the arguments have more than 128 KiB"));
    }
    Ok(Command {
        arguments: session.arguments.clone(),
        variables: session.terminal.iter().filter_map(term).collect(),
        terminal: session.terminal.as_ref().map(|it| usable(it.size)),
    })
}

fn term(terminal: &Terminal) -> Option<(String, String)> {
    let kind = &terminal.kind;
    (!kind.is_empty() && !kind.contains('\0')).then(|| ("TERM".to_owned(), kind.clone()))
}

/// Programs divide by these.
pub(super) fn usable(size: WindowSize) -> WindowSize {
    if size.rows == 0 || size.columns == 0 { USUAL } else { size }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seam::message::ExecId;

    fn session(arguments: &[&str], terminal: Option<Terminal>) -> Session {
        let arguments = arguments.iter().map(|it| (*it).to_owned()).collect();
        Session { id: ExecId(1), arguments, terminal }
    }

    #[test]
    fn what_no_program_could_be_given_is_refused() {
        let long = "x".repeat(MAX_BYTES);
        for arguments in [&[][..], &[""], &["sh", "a\0b"], &["sh", &long]] {
            let refused = command(&session(arguments, None)).map_err(|it| it.code);
            assert_eq!(refused, Err(3), "{}", arguments.len());
        }
        assert!(command(&session(&["sh", ""], None)).is_ok());
    }

    #[test]
    fn a_terminal_has_its_kind_and_a_size_one_can_divide_by() {
        let terminal = |kind: &str, rows| Terminal {
            kind: kind.into(),
            size: WindowSize { rows, columns: 10, x_pixels: 1, y_pixels: 2 },
        };
        let asked = command(&session(&["vi"], Some(terminal("xterm", 5)))).expect("valid");
        assert_eq!(asked.variables, [("TERM".to_owned(), "xterm".to_owned())]);
        assert_eq!(asked.terminal.map(|it| (it.rows, it.columns)), Some((5, 10)));
        let asked = command(&session(&["vi"], Some(terminal("", 0)))).expect("valid");
        assert_eq!((asked.variables, asked.terminal), (vec![], Some(USUAL)));
    }
}
