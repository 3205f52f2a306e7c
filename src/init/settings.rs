//! Command line and environment, read once; every mistake is named, not just the first.
mod parse;
#[cfg(test)]
mod tests;

use crate::seam::message::LogLevel;
use crate::token::MAX_TOKEN;
use parse::{boolean, duration, server_address};
use std::ffi::{CStr, CString};
use std::time::Duration;

/// Removed from what the child sees, and wiped from our own environment block.
pub(crate) const TOKEN: &str = "WAYPOINT_CEB_INVITE_TOKEN";
/// Set for the child, so that an entrypoint below an entrypoint acts as a plain init.
const DISABLE: &str = "WAYPOINT_CEB_DISABLE";
/// No variable of ours is longer, so that all of them fit one packet of the seam.
const MAX_VALUE: usize = 4096;

pub(crate) const USAGE: &str = "\
usage: waypoint-entrypoint [-h | --version] [--] CMD [ARG...]

Runs CMD as a container's first process: passes signals on, collects orphans and exits with
CMD's status. With WAYPOINT_SERVER_ADDR set it links CMD to a Waypoint server besides.";

/// What the command line asks for.
#[derive(Debug, PartialEq)]
pub(crate) enum Asked {
    Help,
    Version,
    Run(Box<Settings>),
}

#[derive(Debug, PartialEq)]
pub(crate) struct Settings {
    /// The program and its arguments; never empty.
    pub(crate) command: Vec<CString>,
    /// The child's environment without a server's word.
    pub(crate) env: Vec<CString>,
    pub(crate) log_level: LogLevel,
    /// To a server, unless there is none or it is switched off.
    pub(crate) link: Option<Link>,
}

/// What `Hello` tells the agent, and the times that are init's.
#[derive(Debug, PartialEq, Clone)]
pub(crate) struct Link {
    pub(crate) server: String,
    pub(crate) tls: bool,
    pub(crate) tls_skip_verify: bool,
    pub(crate) tls_ca_file: String,
    pub(crate) ssl_cert_file: String,
    pub(crate) ssl_cert_dir: String,
    pub(crate) token: String,
    pub(crate) deployment_id: String,
    pub(crate) disable_exec: bool,
    pub(crate) port: u16,
    pub(crate) https_proxy: String,
    pub(crate) no_proxy: String,
    /// How long the child waits for a first configuration; `None`: the server is required.
    pub(crate) start_timeout: Option<Duration>,
    /// What draining, flushing and goodbye may take at the end, together.
    pub(crate) exit_timeout: Duration,
    /// Between TERM and KILL when a new configuration restarts the child.
    pub(crate) restart_grace: Duration,
    /// An agent that leaves data unread for so long is replaced.
    pub(crate) agent_timeout: Duration,
}

impl Link {
    /// Makes the paths good for a process that is in another directory, as the agent is.
    pub(crate) fn with_paths_from(mut self, here: &std::path::Path) -> Self {
        for path in [&mut self.tls_ca_file, &mut self.ssl_cert_file, &mut self.ssl_cert_dir] {
            if !path.is_empty() {
                *path = here.join(&*path).to_string_lossy().into_owned();
            }
        }
        self
    }
}

/// Reads a small file for `*_FILE` variables; the error is the kernel's word.
pub(crate) type ReadFile<'a> = &'a dyn Fn(&str) -> Result<Vec<u8>, String>;

/// All that is wrong, a line each.
pub(crate) type Mistakes = Vec<String>;

/// `arguments` without our own name; `env` as it was given to us.
pub(crate) fn settings(
    arguments: Vec<CString>,
    env: Vec<CString>,
    read: ReadFile<'_>,
) -> Result<Asked, Mistakes> {
    let mut mistakes = Vec::new();
    let command = match command_line(arguments) {
        Ok(Parsed::Command(command)) => command,
        Ok(Parsed::Help) => return Ok(Asked::Help),
        Ok(Parsed::Version) => return Ok(Asked::Version),
        Err(mistake) => {
            mistakes.push(mistake);
            Vec::new()
        }
    };
    let mut variables = Variables { env: &env, mistakes };
    let log_level = variables.log_level();
    let link = variables.link(read);
    if !variables.mistakes.is_empty() {
        return Err(variables.mistakes);
    }
    let env = if link.is_some() { linked_env(env) } else { env };
    Ok(Asked::Run(Box::new(Settings { command, env, log_level, link })))
}

enum Parsed {
    Help,
    Version,
    Command(Vec<CString>),
}

/// Options end at the first word that is none, or after `--`.
fn command_line(arguments: Vec<CString>) -> Result<Parsed, String> {
    let mut words = arguments.into_iter().peekable();
    match words.peek().map(|it| it.to_bytes()) {
        Some(b"-h" | b"--help" | b"-help") => return Ok(Parsed::Help),
        Some(b"--version" | b"-version") => return Ok(Parsed::Version),
        Some(b"--") => drop(words.next()),
        Some(option) if option.starts_with(b"-") && option.len() > 1 => {
            return Err(format!("unknown option {}\n{USAGE}", String::from_utf8_lossy(option)));
        }
        _ => {}
    }
    let command: Vec<CString> = words.collect();
    match command.first() {
        None => Err(format!("no command to run\n{USAGE}")),
        Some(program) if program.is_empty() => Err("the command is empty".into()),
        Some(_) => Ok(Parsed::Command(command)),
    }
}

/// The environment while it is read, and what is wrong in it.
struct Variables<'a> {
    env: &'a [CString],
    mistakes: Mistakes,
}

impl<'a> Variables<'a> {
    /// The value as text; empty when unset. Of a name given twice the first holds, as in getenv(3).
    fn text(&mut self, name: &str) -> &'a str {
        let value = self.env.iter().find_map(|it| value_of(it, name)).unwrap_or_default();
        let limit = if name == TOKEN { MAX_TOKEN } else { MAX_VALUE };
        match std::str::from_utf8(value) {
            Ok(text) if text.len() <= limit => text,
            Ok(_) => self.wrong(name, &format!("is longer than {limit} bytes")),
            Err(_) => self.wrong(name, "is not UTF-8"),
        }
    }

    /// Notes a mistake; the name of the variable is the culprit.
    fn wrong<T: Default>(&mut self, name: &str, what: &str) -> T {
        self.mistakes.push(format!("{name} {what}"));
        T::default()
    }

    fn flag(&mut self, name: &str) -> bool {
        let text = self.text(name);
        boolean(text).unwrap_or_else(|| {
            self.wrong(name, &format!("is {text:?}, not one of 1, t, true, 0, f, false"))
        })
    }

    fn duration(&mut self, name: &str, default: Duration) -> Duration {
        match self.text(name) {
            "" => default,
            text => duration(text).unwrap_or_else(|| {
                self.wrong(name, &format!("is {text:?}, not a time such as 500ms, 5s or 1m30s"))
            }),
        }
    }

    /// WARN unless asked for: an init is not heard while all is well.
    fn log_level(&mut self) -> LogLevel {
        match self.text("WAYPOINT_LOG_LEVEL") {
            "" => LogLevel::default(),
            text => LogLevel::parse(text).unwrap_or_else(|| {
                let words = "not one of trace, debug, info, warn, error, off";
                self.wrong("WAYPOINT_LOG_LEVEL", &format!("is {text:?}, {words}"))
            }),
        }
    }

    fn link(&mut self, read: ReadFile<'_>) -> Option<Link> {
        let disabled = self.flag(DISABLE);
        let link = self.all(read);
        if !self.text("WAYPOINT_EXEC_PLUGIN_SSH").is_empty() {
            self.mistakes.push("WAYPOINT_EXEC_PLUGIN_SSH is set: this entrypoint never opens a listener, so it has no SSH mode; use `waypoint exec`".into());
        }
        (!disabled && !link.server.is_empty()).then_some(link)
    }

    /// Everything is read, also what is not used then: a mistake shows at the first start.
    fn all(&mut self, read: ReadFile<'_>) -> Link {
        let required = self.flag("WAYPOINT_CEB_SERVER_REQUIRED");
        let start = self.duration("WAYPOINT_CEB_START_TIMEOUT", Duration::from_secs(5));
        Link {
            server: self.server(),
            tls: self.flag("WAYPOINT_SERVER_TLS"),
            tls_skip_verify: self.flag("WAYPOINT_SERVER_TLS_SKIP_VERIFY"),
            tls_ca_file: self.text("WAYPOINT_SERVER_TLS_CA_FILE").into(),
            ssl_cert_file: self.text("SSL_CERT_FILE").into(),
            ssl_cert_dir: self.text("SSL_CERT_DIR").into(),
            token: self.token(read),
            deployment_id: self.text("WAYPOINT_DEPLOYMENT_ID").into(),
            disable_exec: self.flag("WAYPOINT_CEB_DISABLE_EXEC"),
            port: self.port(),
            https_proxy: self.either("HTTPS_PROXY", "https_proxy").into(),
            no_proxy: self.either("NO_PROXY", "no_proxy").into(),
            start_timeout: (!required).then_some(start),
            exit_timeout: self.duration("WAYPOINT_CEB_EXIT_TIMEOUT", Duration::from_secs(3)),
            restart_grace: self.duration("WAYPOINT_CEB_RESTART_GRACE", Duration::from_secs(30)),
            agent_timeout: self.duration("WAYPOINT_CEB_AGENT_TIMEOUT", Duration::from_secs(30)),
        }
    }

    fn either(&mut self, name: &str, other: &str) -> &'a str {
        match self.text(name) {
            "" => self.text(other),
            text => text,
        }
    }

    fn server(&mut self) -> String {
        match self.text("WAYPOINT_SERVER_ADDR") {
            "" => String::new(),
            text => server_address(text).unwrap_or_else(|what| {
                self.wrong("WAYPOINT_SERVER_ADDR", &format!("is {text:?}: {what}"))
            }),
        }
    }

    fn port(&mut self) -> u16 {
        match self.text("PORT") {
            "" => 5000,
            text => text.parse().ok().filter(|it| *it > 0).unwrap_or_else(|| {
                self.wrong("PORT", &format!("is {text:?}, not a number from 1 to 65535"))
            }),
        }
    }

    /// From the variable, or from the file that `…_FILE` names (a mounted secret).
    fn token(&mut self, read: ReadFile<'_>) -> String {
        const FILE: &str = "WAYPOINT_CEB_INVITE_TOKEN_FILE";
        let (token, path) = (self.text(TOKEN), self.text(FILE));
        if path.is_empty() {
            return token.into();
        }
        if !token.is_empty() {
            return self.wrong(FILE, &format!("and {TOKEN} are both set; which one?"));
        }
        match read(path).map(String::from_utf8) {
            Ok(Ok(text)) if text.trim().len() <= MAX_TOKEN => text.trim().into(),
            Ok(Ok(_)) => {
                self.wrong(FILE, &format!("names {path}, which is longer than {MAX_TOKEN} bytes"))
            }
            Ok(Err(_)) => self.wrong(FILE, &format!("names {path}, which holds no text")),
            Err(why) => self.wrong(FILE, &format!("names {path}, which cannot be read: {why}")),
        }
    }
}

/// What a linked child sees: no token, a PORT, and the mark that it is below an entrypoint.
fn linked_env(mut env: Vec<CString>) -> Vec<CString> {
    env.retain(|it| value_of(it, TOKEN).is_none() && value_of(it, DISABLE).is_none());
    if !env.iter().any(|it| value_of(it, "PORT").is_some_and(|it| !it.is_empty())) {
        env.retain(|it| value_of(it, "PORT").is_none());
        env.push(c"PORT=5000".into());
    }
    env.push(c"WAYPOINT_CEB_DISABLE=1".into());
    env
}

/// The value, if the entry is of this name.
pub(crate) fn value_of<'a>(entry: &'a CStr, name: &str) -> Option<&'a [u8]> {
    entry.to_bytes().strip_prefix(name.as_bytes())?.strip_prefix(b"=")
}
