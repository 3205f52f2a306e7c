//! The command line as values: Go's flags, the commands of `table.rs`, and the help both give.
//! Nothing here acts; what is wrong becomes one line that names the culprit.
mod help;
mod table;
#[cfg(test)]
mod tests;

pub(crate) use help::{command as help_command, group as help_group};
pub(crate) use table::{COMMANDS, Command, Kind, Tail, Verb};

use std::time::Duration;

/// What the user asked for.
#[derive(Debug)]
pub(crate) enum Request {
    Run(Box<Call>),
    /// A text for standard output, and whether it was wanted (0) or a hint (1).
    Help {
        text: String,
        wanted: bool,
    },
}

/// A command with its flags and what follows them, valid in form.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) command: &'static Command,
    pub(crate) rest: Vec<String>,
    /// 0 to 3: warnings, INFO, DEBUG, TRACE.
    pub(crate) verbosity: u8,
    given: Vec<(&'static str, String)>,
}

/// Reads the arguments after the program's name.
///
/// # Errors
/// One line that names what is unknown, missing or out of place.
pub(crate) fn parse(arguments: &[String]) -> Result<Request, String> {
    let mut verbosity = 0;
    let mut words: Vec<&str> = Vec::new();
    let mut rest = arguments;
    while let Some((first, after)) = rest.split_first() {
        if let Some(level) = verbosity_of(first) {
            verbosity = verbosity.max(level);
        } else if is_help(first) || (words.is_empty() && first == "help") {
            return Ok(Request::Help { text: help_group(&words), wanted: true });
        } else if words.is_empty() && matches!(first.as_str(), "-version" | "--version") {
            words.push("version");
            rest = after;
            break;
        } else if first.starts_with('-') && !is_command(&words) {
            return Err(match words[..] {
                [] => format!("flag {first} before a command; waypoint -h lists the commands"),
                _ => format!("flag {first} before the rest of `{}`", words.join(" ")),
            });
        } else if extends(&words, first) {
            words.push(first);
        } else {
            break;
        }
        rest = after;
    }
    match COMMANDS.iter().find(|it| it.is(&words)) {
        Some(command) => command_line(command, rest, verbosity),
        None => no_command(&words, rest.first()),
    }
}

fn is_command(words: &[&str]) -> bool {
    COMMANDS.iter().any(|it| it.is(words))
}

/// Whether the words and this one begin a command, or are one.
fn extends(words: &[&str], next: &str) -> bool {
    let longer = [words, &[next]].concat();
    COMMANDS.iter().any(|it| it.begins_with(&longer))
}

fn no_command(words: &[&str], next: Option<&String>) -> Result<Request, String> {
    match next {
        None => Ok(Request::Help { text: help_group(words), wanted: false }),
        Some(unknown) if words.is_empty() => {
            Err(format!("unknown command {unknown:?}; waypoint -h lists the commands"))
        }
        Some(unknown) => {
            let group = words.join(" ");
            Err(format!(
                "unknown command {unknown:?} after `{group}`; waypoint {group} -h lists them"
            ))
        }
    }
}

fn command_line(
    command: &'static Command,
    arguments: &[String],
    verbosity: u8,
) -> Result<Request, String> {
    let mut call = Call { command, rest: Vec::new(), verbosity, given: Vec::new() };
    let mut queue = arguments.iter();
    while let Some(argument) = queue.next() {
        if argument == "--" {
            call.rest.extend(queue.by_ref().cloned());
        } else if let Some(level) = verbosity_of(argument) {
            call.verbosity = call.verbosity.max(level);
        } else if is_help(argument) {
            return Ok(Request::Help { text: help_command(command), wanted: true });
        } else if let Some(flag) = argument.strip_prefix('-').filter(|it| !it.is_empty()) {
            call.flag(flag.strip_prefix('-').unwrap_or(flag), &mut queue)?;
        } else if matches!(command.tail, Tail::Command(_)) {
            call.rest.push(argument.clone());
            call.rest.extend(queue.by_ref().cloned());
        } else {
            call.rest.push(argument.clone());
            call.positionals(queue.by_ref())?;
        }
    }
    call.check_count()
}

impl Call {
    /// One flag, its value in the same argument or in the next.
    fn flag<'a>(
        &mut self,
        text: &str,
        next: &mut impl Iterator<Item = &'a String>,
    ) -> Result<(), String> {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (text, None),
        };
        let path = self.command.path();
        let flag = self.command.flag(name).ok_or_else(|| {
            format!("unknown flag -{name}; waypoint {path} -h lists what `{path}` takes")
        })?;
        let value = match (flag.kind, value) {
            (Kind::Switch, value) => truth(value.as_deref().unwrap_or("true"))
                .ok_or_else(|| format!("flag -{name} is true or false"))?
                .to_string(),
            (_, Some(value)) => value,
            (_, None) => {
                next.next().cloned().ok_or_else(|| format!("flag -{name} needs a value"))?
            }
        };
        if flag.kind == Kind::Map && value.split_once('=').is_none_or(|(key, _)| key.is_empty()) {
            return Err(format!("flag -{name} takes KEY=VALUE, not {value:?}"));
        }
        self.given.push((flag.name, value));
        Ok(())
    }

    /// What stands after the first positional; a flag there is a mistake, and would be ignored.
    fn positionals<'a>(
        &mut self,
        mut rest: impl Iterator<Item = &'a String>,
    ) -> Result<(), String> {
        while let Some(argument) = rest.next() {
            if argument == "--" {
                self.rest.extend(rest.by_ref().cloned());
            } else if let Some(level) = verbosity_of(argument) {
                self.verbosity = self.verbosity.max(level);
            } else if argument.len() > 1 && argument.starts_with('-') {
                let first = self.rest.first().map_or("", String::as_str);
                return Err(format!(
                    "flag {argument} stands after {first:?}; flags come first (`--` ends them)"
                ));
            } else {
                self.rest.push(argument.clone());
            }
        }
        Ok(())
    }

    fn check_count(self) -> Result<Request, String> {
        let (least, most) = match self.command.tail {
            Tail::None => (0, 0),
            Tail::One(_) => (1, 1),
            Tail::Two(_) => (2, 2),
            Tail::Maybe(_) => (0, 1),
            Tail::Many(_) => (0, usize::MAX),
            Tail::Command(_) if self.rest.is_empty() => {
                return Ok(Request::Help { text: help_command(self.command), wanted: false });
            }
            Tail::Command(_) => (1, usize::MAX),
        };
        let path = self.command.path();
        match self.rest.len() {
            few if few < least => {
                Err(format!("`{path}` needs {}; waypoint {path} -h says more", self.command.tail))
            }
            many if many > most => Err(format!("`{path}` does not take {:?}", self.rest[most])),
            _ => Ok(Request::Run(Box::new(self))),
        }
    }

    /// The last value given for a flag.
    pub(crate) fn given(&self, name: &str) -> Option<&str> {
        debug_assert!(self.command.flag(name).is_some(), "{name} is no flag of this command");
        self.given.iter().rev().find(|(flag, _)| *flag == name).map(|(_, value)| value.as_str())
    }

    /// The last value, or the default of the command's table.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.given(name).unwrap_or_else(|| self.command.flag(name).map_or("", |flag| flag.default))
    }

    pub(crate) fn switch(&self, name: &str) -> bool {
        self.text(name) == "true"
    }

    /// Every value of a flag that may repeat.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.given.iter().filter(move |(flag, _)| *flag == name).map(|(_, value)| value.as_str())
    }

    /// The pairs of a map flag; the last of a key wins.
    pub(crate) fn pairs(&self, name: &str) -> std::collections::HashMap<String, String> {
        self.all(name)
            .filter_map(|it| it.split_once('='))
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect()
    }

    /// A flag's number, if it was given.
    ///
    /// # Errors
    /// Names the flag and what stood there.
    pub(crate) fn number<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, String> {
        self.given(name)
            .map(|text| text.parse().map_err(|_| format!("flag -{name}: {text:?} is no number")))
            .transpose()
    }
}

fn verbosity_of(argument: &str) -> Option<u8> {
    match argument {
        "-v" => Some(1),
        "-vv" => Some(2),
        "-vvv" => Some(3),
        _ => None,
    }
}

fn is_help(argument: &str) -> bool {
    matches!(argument, "-h" | "-help" | "--help")
}

/// A boolean as flags and variables spell it; `None` for anything else.
pub(crate) fn truth(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "t" | "true" => Some(true),
        "0" | "f" | "false" => Some(false),
        _ => None,
    }
}

/// A duration as Go writes it: `1h30m`, `1.5s`, `300ms`; positive, at most a hundred years.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    const MOST: f64 = 100.0 * 366.0 * 86_400.0;
    let mut seconds = 0.0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|it: char| !it.is_ascii_digit() && it != '.')?;
        let (number, after) = rest.split_at(digits);
        let length = after.find(|it: char| it.is_ascii_digit() || it == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(length);
        let unit = match unit {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        seconds += number.parse::<f64>().ok()? * unit;
        rest = after;
    }
    (0.0 < seconds && seconds <= MOST).then(|| Duration::from_secs_f64(seconds))
}
