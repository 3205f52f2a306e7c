//! What init says of itself: few lines, on stderr, never waiting and never allocating.
use crate::seam::message::LogLevel;
use crate::sys::stderr;
use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};

static LEVEL: AtomicU8 = AtomicU8::new(LogLevel::Warn as u8);

pub(crate) fn set_level(level: LogLevel) {
    LEVEL.store(level as u8, Ordering::Relaxed);
}

pub(crate) fn error(text: fmt::Arguments<'_>) {
    say(LogLevel::Error, "ERROR", text);
}

pub(crate) fn warn(text: fmt::Arguments<'_>) {
    say(LogLevel::Warn, "WARN", text);
}

pub(crate) fn info(text: fmt::Arguments<'_>) {
    say(LogLevel::Info, "INFO", text);
}

fn say(level: LogLevel, name: &str, text: fmt::Arguments<'_>) {
    if level as u8 <= LEVEL.load(Ordering::Relaxed) {
        stderr::line(format_args!("[{name}] waypoint: {text}"));
    }
}
