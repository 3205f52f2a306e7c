//! What we say: one line to stderr, and from INFO up one to the server's log as well.
//!
//! `[WARN] waypoint: message key=value`. The same warning twice is said once in ten minutes.
mod console;
mod repeats;

use crate::seam::message::LogLevel;
use console::Console;
use repeats::Repeats;
use std::fmt::Write;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;
use tracing::field::{Field, Visit};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber, span};

/// A longer line is cut.
const MAX_LINE: usize = 1024;

/// Takes each line at INFO and above; it must not log.
pub(crate) type Relay = Box<dyn Fn(&str) + Send + Sync>;

/// The whole program's log.
#[derive(Clone)]
pub(crate) struct Log(Arc<Inner>);

struct Inner {
    level: AtomicU8,
    said: Mutex<(Console, Repeats)>,
    relay: OnceLock<Relay>,
}

impl Log {
    /// Makes this the log of the program, at WARN, and a panic anywhere the end of it: `run` keeps
    /// nothing that a successor would not have, and init starts one at once.
    pub(crate) fn install() -> Self {
        let log = Self::new(Console::stderr());
        // An error means that there is one already, which cannot be: `main` calls this once.
        let _ = tracing::subscriber::set_global_default(log.clone());
        let hooked = log.clone();
        std::panic::set_hook(Box::new(move |panic| {
            hooked.say(Level::ERROR, &format!("[ERROR] waypoint: the agent ends: {panic}"));
            std::process::abort();
        }));
        log
    }

    fn new(console: Console) -> Self {
        Self(Arc::new(Inner {
            level: AtomicU8::new(LogLevel::Warn as u8),
            said: Mutex::new((console, Repeats::default())),
            relay: OnceLock::new(),
        }))
    }

    /// What goes to stderr from now on.
    pub(crate) fn set_level(&self, level: LogLevel) {
        self.0.level.store(level as u8, Ordering::Relaxed);
    }

    /// Where lines at INFO and above go as well; once.
    pub(crate) fn relay(&self, relay: Relay) {
        let _ = self.0.relay.set(relay);
    }

    /// For a test that listens to nothing.
    #[cfg(test)]
    pub(crate) fn unheard() -> Self {
        let (_read, write) = crate::sys::fd::pipe().expect("a pipe");
        Self::new(Console::of(std::os::fd::AsFd::as_fd(&write)))
    }

    #[cfg(test)]
    pub(crate) fn level(&self) -> u8 {
        self.0.level.load(Ordering::Relaxed)
    }

    fn is_wanted(&self, metadata: &Metadata<'_>) -> bool {
        let level = self.0.level.load(Ordering::Relaxed);
        let ours = is_ours(metadata.target());
        // Other people's news is ours only when it is bad, or when everything is asked for.
        metadata.is_event()
            && (rank(*metadata.level()) <= level.max(LogLevel::Info as u8))
            && (ours || *metadata.level() <= Level::WARN || level == LogLevel::Trace as u8)
    }

    fn say(&self, level: Level, line: &str) {
        let mut said = self.0.said.lock().unwrap_or_else(PoisonError::into_inner);
        let (console, repeats) = &mut *said;
        let again = match level {
            Level::ERROR | Level::WARN => repeats.admit(line, Instant::now()),
            _ => Some(0),
        };
        let line = match again {
            None => return,
            Some(0) => line.to_owned(),
            Some(times) => format!("{line} ({times} times more in between)"),
        };
        if rank(level) <= self.0.level.load(Ordering::Relaxed) {
            console.line(&line);
        }
        drop(said);
        if let Some(relay) = self.0.relay.get().filter(|_| level <= Level::INFO) {
            relay(&line);
        }
    }
}

impl Subscriber for Log {
    /// Never cached: the level may change.
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if metadata.is_event() { Interest::sometimes() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.is_wanted(metadata)
    }

    fn event(&self, event: &Event<'_>) {
        let (level, target) = (*event.metadata().level(), event.metadata().target());
        let name = if is_ours(target) { "waypoint" } else { target };
        let mut text = Text { message: String::new(), fields: String::new() };
        event.record(&mut text);
        let line = format!("[{level}] {name}: {}{}", text.message, text.fields);
        self.say(level, &one_line(&line));
    }

    // Nobody here opens spans, and those of others are switched off above.
    fn new_span(&self, _span: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _span: &span::Id, _values: &span::Record<'_>) {}
    fn record_follows_from(&self, _span: &span::Id, _follows: &span::Id) {}
    fn enter(&self, _span: &span::Id) {}
    fn exit(&self, _span: &span::Id) {}
}

/// An event's words.
struct Text {
    message: String,
    fields: String,
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        // Writing into a String does not fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let _ = match field.name() {
            "message" => write!(self.message, "{value}"),
            name => write!(self.fields, " {name}={value}"),
        };
    }
}

fn is_ours(target: &str) -> bool {
    target == "waypoint" || target.starts_with("waypoint::")
}

/// The number a `LogLevel` of the same name has.
fn rank(level: Level) -> u8 {
    let level = match level {
        Level::ERROR => LogLevel::Error,
        Level::WARN => LogLevel::Warn,
        Level::INFO => LogLevel::Info,
        Level::DEBUG => LogLevel::Debug,
        _ => LogLevel::Trace,
    };
    level as u8
}

/// Cut, and without control characters: much of it comes from outside, and this may be a terminal.
fn one_line(text: &str) -> String {
    let end = (0..=MAX_LINE.min(text.len())).rev().find(|it| text.is_char_boundary(*it));
    let text = text.get(..end.unwrap_or(0)).unwrap_or_default();
    text.chars().map(|it| if it.is_control() { ' ' } else { it }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::fd;
    use std::os::fd::{AsFd, OwnedFd};

    struct Heard {
        stderr: OwnedFd,
        relayed: Arc<Mutex<Vec<String>>>,
    }

    /// What is heard of `speak` when the level is `level`.
    fn heard(level: LogLevel, speak: impl FnOnce()) -> (Vec<String>, Vec<String>) {
        let (read, write) = fd::pipe().expect("a pipe");
        let heard = Heard { stderr: read, relayed: Arc::default() };
        let log = Log::new(Console::of(write.as_fd()));
        log.set_level(level);
        let relayed = heard.relayed.clone();
        log.relay(Box::new(move |line| relayed.lock().expect("ours").push(line.to_owned())));
        tracing::subscriber::with_default(log, speak);
        drop(write);
        let mut buffer = vec![0; 65536];
        let length = fd::read(heard.stderr.as_fd(), &mut buffer).expect("read");
        let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
        let relayed = heard.relayed.lock().expect("ours").clone();
        (text.lines().map(str::to_owned).collect(), relayed)
    }

    #[test]
    fn stderr_hears_the_level_and_the_server_hears_info_and_above() {
        let speak = || {
            tracing::error!(code = 14, server = "a:1", "lost");
            tracing::warn!("careful");
            tracing::info!("fyi");
            tracing::debug!("detail");
            tracing::info!(target: "h2::codec", "noise");
            tracing::warn!(target: "h2::codec", "bad frame");
        };
        let lines = [
            "[ERROR] waypoint: lost code=14 server=a:1",
            "[WARN] waypoint: careful",
            "[INFO] waypoint: fyi",
            "[WARN] h2::codec: bad frame",
        ];
        assert_eq!(heard(LogLevel::Warn, speak).0, [lines[0], lines[1], lines[3]]);
        assert_eq!(heard(LogLevel::Warn, speak).1, lines);
        assert_eq!(heard(LogLevel::Off, speak), (vec![], lines.map(str::to_owned).into()));
        assert_eq!(heard(LogLevel::Debug, speak).0.len(), 5);
        assert_eq!(heard(LogLevel::Trace, speak).0.len(), 6);
    }

    #[test]
    fn a_message_is_one_line_however_it_was_written() {
        let long = format!("a\nb\x1b[31m{}", "ä".repeat(MAX_LINE));
        let (stderr, _) = heard(LogLevel::Warn, || tracing::warn!("{long}"));
        assert_eq!(stderr.len(), 1);
        assert!(stderr[0].starts_with("[WARN] waypoint: a b [31mä"), "{stderr:?}");
        assert!(stderr[0].len() <= MAX_LINE, "{}", stderr[0].len());
    }

    #[test]
    fn the_same_warning_is_said_once() {
        let (stderr, relayed) = heard(LogLevel::Info, || {
            (0..9).for_each(|_| tracing::warn!("no server"));
            (0..2).for_each(|_| tracing::info!("hello"));
        });
        assert_eq!((stderr.len(), relayed.len()), (3, 3));
    }
}
