//! The help, from the table.
use super::table::{COMMANDS, Command, Flag, Kind};
use std::fmt::Write;

/// Of one command.
pub(crate) fn command(command: &Command) -> String {
    let mut text = format!("waypoint {}", command.path());
    if !command.flags.is_empty() {
        text.push_str(" [FLAGS]");
    }
    let tail = command.tail.to_string();
    if !tail.is_empty() {
        let _ = write!(text, " {tail}");
    }
    let _ = writeln!(text, "\n\n  {}", command.summary);
    for alias in &command.names[1..] {
        let _ = writeln!(text, "  Also: waypoint {}", alias.join(" "));
    }
    let rows: Vec<_> = command.all_flags().map(|flag| (spelled(flag), explained(flag))).collect();
    if !rows.is_empty() {
        text.push_str("\nFlags\n");
        columns(&mut text, &rows);
    }
    text.push_str("\nAnywhere: -v, -vv, -vvv say more on standard error; -h is this help.\n");
    text
}

/// Of the commands that begin with these words; of all without any.
pub(crate) fn group(words: &[&str]) -> String {
    let mut text = String::new();
    if let Some(exact) = COMMANDS.iter().find(|it| it.is(words)) {
        text = command(exact);
        if COMMANDS.iter().filter(|it| it.begins_with(words)).count() == 1 {
            return text;
        }
        text.push('\n');
    }
    let path = words.iter().fold(String::from("waypoint"), |path, word| path + " " + word);
    let _ = writeln!(text, "{path} COMMAND [FLAGS] [ARG...]\n\nCommands");
    let rows: Vec<_> = COMMANDS
        .iter()
        .filter(|it| words.is_empty() || it.begins_with(words))
        .map(|it| (it.path(), it.summary.to_owned()))
        .collect();
    columns(&mut text, &rows);
    let _ = writeln!(text, "\n{path} COMMAND -h says more.");
    text
}

fn spelled(flag: &Flag) -> String {
    let mut text = format!("-{}", flag.name);
    if !flag.short.is_empty() {
        let _ = write!(text, ", -{}", flag.short);
    }
    text.push_str(match flag.kind {
        Kind::Switch => "",
        Kind::Text => " VALUE",
        Kind::Map => " KEY=VALUE",
    });
    text
}

fn explained(flag: &Flag) -> String {
    match (flag.kind, flag.default) {
        (Kind::Switch, "true") => format!("{} (true; -{}=false)", flag.help, flag.name),
        (Kind::Switch, _) | (_, "") => flag.help.to_owned(),
        (_, default) => format!("{} ({default})", flag.help),
    }
}

fn columns(text: &mut String, rows: &[(String, String)]) {
    let width = rows.iter().map(|(left, _)| left.len()).max().unwrap_or(0);
    for (left, right) in rows {
        let _ = writeln!(text, "  {left:width$}  {right}");
    }
}
