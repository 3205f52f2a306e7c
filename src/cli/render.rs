//! What people and pipes read: tables, times, lines of logs. On a terminal foreign text cannot
//! move the cursor or ring the bell; elsewhere it is passed byte for byte.
use crate::proto::log_batch::entry::Source;
use comfy_table::{ContentArrangement, Table, presets};
use prost_types::Timestamp;
use std::borrow::Cow;
use std::fmt::Write;

/// How to write, decided once from the terminal and the environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Style {
    /// Somebody's screen: control sequences are made harmless.
    pub(crate) screen: bool,
    pub(crate) colours: bool,
}

impl Style {
    /// `plain` is the flag or `WAYPOINT_PLAIN`. Source: no-color.org.
    pub(crate) fn new(screen: bool, plain: bool, no_color: Option<&str>) -> Self {
        let refused = plain || no_color.is_some_and(|it| !it.is_empty());
        Self { screen, colours: screen && !refused }
    }

    /// Foreign text, fit for where it goes.
    pub(crate) fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if self.screen { harmless(text, self.colours) } else { Cow::Borrowed(text) }
    }

    /// Columns under their headings, two blanks between; no rows give the headings alone.
    pub(crate) fn table(&self, headings: &[&str], rows: &[Vec<String>]) -> String {
        let mut table = Table::new();
        table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(headings.iter().copied());
        for row in rows {
            // A line break would tear the row apart, on a terminal or not.
            table.add_row(row.iter().map(|cell| harmless(cell, false).replace('\t', "\\t")));
        }
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        table.lines().fold(String::new(), |mut all, line| {
            let _ = writeln!(all, "{}", line.trim_end());
            all
        })
    }

    /// One entry: `TIME INSTANCE: TEXT`, the head again for each line of it.
    pub(crate) fn log(&self, entry: &Entry<'_>) -> String {
        let short = tail(entry.instance, 6);
        let head = format!("{} {}:", timestamp(entry.at), self.text(short));
        let head = match self.colours {
            true => format!("\x1b[{}m{head}\x1b[0m", colour(entry)),
            false => head,
        };
        let mut text = String::new();
        for line in entry.text.split('\n') {
            let line = line.strip_suffix('\r').unwrap_or(line);
            // What the app coloured ends with its line.
            let shown = self.text(line);
            let end = if self.colours && shown.contains('\x1b') { "\x1b[0m" } else { "" };
            let _ = writeln!(text, "{head} {shown}{end}");
        }
        text
    }
}

/// A line of a log and where it comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry<'a> {
    pub(crate) at: Timestamp,
    pub(crate) instance: &'a str,
    pub(crate) source: Source,
    pub(crate) text: &'a str,
}

/// Cyan is the entrypoint's own; each instance keeps one of the others.
fn colour(entry: &Entry<'_>) -> u8 {
    const COLOURS: [u8; 8] = [32, 33, 34, 35, 92, 93, 94, 95];
    match entry.source {
        Source::Entrypoint => 36,
        Source::App => {
            let sum = entry
                .instance
                .bytes()
                .fold(0_usize, |sum, it| sum.wrapping_mul(31).wrapping_add(usize::from(it)));
            COLOURS[sum % COLOURS.len()]
        }
    }
}

fn tail(text: &str, length: usize) -> &str {
    let start = text.char_indices().rev().nth(length - 1).map_or(0, |(at, _)| at);
    &text[start..]
}

/// Control characters spelled out, but for tabs, and for colours where those are wanted.
/// Among them what turns the direction of writing, which can make a text read as another one.
pub(crate) fn harmless(text: &str, colours: bool) -> Cow<'_, str> {
    if !text.chars().any(is_control) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let colour = if colours { sgr(rest) } else { 0 };
        if colour > 0 {
            shown.push_str(&rest[..colour]);
            rest = &rest[colour..];
            continue;
        }
        match next {
            '\t' => shown.push('\t'),
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            control if is_control(control) => {
                let _ = match u32::from(control) {
                    low @ ..=0xff => write!(shown, "\\x{low:02x}"),
                    high => write!(shown, "\\u{{{high:x}}}"),
                };
            }
            plain => shown.push(plain),
        }
        rest = &rest[next.len_utf8()..];
    }
    Cow::Owned(shown)
}

fn is_control(it: char) -> bool {
    it.is_control() || matches!(it, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The length of a colour sequence that the text begins with, or 0. Source: ECMA-48, SGR.
fn sgr(text: &str) -> usize {
    let Some(parameters) = text.strip_prefix("\x1b[") else { return 0 };
    let length = parameters.bytes().take_while(|it| matches!(it, b'0'..=b'9' | b';')).count();
    if length <= 32 && parameters.as_bytes().get(length) == Some(&b'm') { length + 3 } else { 0 }
}

/// `YYYY-MM-DDTHH:MM:SS.mmmZ`. A time beyond the years 0 to 9999 is held at their ends.
pub(crate) fn timestamp(at: Timestamp) -> String {
    let seconds = at.seconds.clamp(-62_167_219_200, 253_402_300_799);
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    let millis = at.nanos.clamp(0, 999_999_999) / 1_000_000;
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

/// The date of a day counted from 1970-01-01: years begin in March, so that the leap day is last.
fn civil(days: i64) -> (i64, i64, i64) {
    const CENTURIES_4: i64 = 146_097;
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(CENTURIES_4), days.rem_euclid(CENTURIES_4));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PIPE: Style = Style { screen: false, colours: false };
    const SCREEN: Style = Style { screen: true, colours: true };

    fn entry(source: Source, text: &str) -> Entry<'_> {
        let at = Timestamp { seconds: 1_700_000_000, nanos: 7_999_999 };
        Entry { at, instance: "01HF2QABCDEF", source, text }
    }

    #[test]
    fn times_are_utc_with_three_decimals() {
        for (seconds, nanos, shown) in [
            (0, 0, "1970-01-01T00:00:00.000Z"),
            (1_700_000_000, 7_999_999, "2023-11-14T22:13:20.007Z"),
            (951_782_400, 0, "2000-02-29T00:00:00.000Z"),
            (4_107_542_399, 999_999_999, "2100-02-28T23:59:59.999Z"),
            (4_107_542_400, 0, "2100-03-01T00:00:00.000Z"),
            (-1, 0, "1969-12-31T23:59:59.000Z"),
            (i64::MAX, i32::MAX, "9999-12-31T23:59:59.999Z"),
            (i64::MIN, i32::MIN, "0000-01-01T00:00:00.000Z"),
        ] {
            assert_eq!(timestamp(Timestamp { seconds, nanos }), shown);
        }
    }

    #[test]
    fn a_line_with_percent_signs_and_control_sequences_passes_a_pipe_untouched() {
        let text = "100% %d %s\x1b[2J\x07";
        let head = "2023-11-14T22:13:20.007Z ABCDEF:";
        assert_eq!(PIPE.log(&entry(Source::App, text)), format!("{head} {text}\n"));
        assert_eq!(PIPE.log(&entry(Source::App, "a\r\nb")), format!("{head} a\n{head} b\n"));
    }

    #[test]
    fn a_screen_is_neither_cleared_nor_left_coloured() {
        let shown = SCREEN.log(&entry(Source::App, "\x1b[2J\x1b[31mred"));
        assert!(shown.ends_with("\\x1b[2J\x1b[31mred\x1b[0m\n"), "{shown:?}");
        let shown = SCREEN.log(&entry(Source::Entrypoint, "x"));
        assert!(shown.starts_with("\x1b[36m"), "{shown:?}");
    }

    #[test]
    fn colours_need_a_screen_and_nobody_against_them() {
        assert_eq!(Style::new(true, false, None), SCREEN);
        assert_eq!(Style::new(true, false, Some("")), SCREEN);
        for style in [Style::new(true, true, None), Style::new(true, false, Some("1"))] {
            assert_eq!(style, Style { screen: true, colours: false });
        }
        assert_eq!(Style::new(false, false, None), PIPE);
    }

    #[test]
    fn a_table_aligns_its_columns_and_no_cell_breaks_its_row() {
        let rows = [
            vec!["a\nb".into(), "é".into(), "1".into()],
            vec!["c".into(), "dd".into(), String::new()],
        ];
        assert_eq!(PIPE.table(&["NAME", "B", "C"], &rows), "NAME  B   C\na\\nb  é   1\nc     dd\n");
        assert_eq!(PIPE.table(&["NAME"], &[]), "NAME\n");
    }

    #[test]
    fn only_whole_colour_sequences_pass_as_such() {
        for (text, length) in [
            ("\x1b[0m", 4),
            ("\x1b[1;31mx", 7),
            ("\x1b[m", 3),
            ("\x1b[2J", 0),
            ("\x1b[1", 0),
            ("\x1b[?1m", 0),
            ("x\x1b[0m", 0),
        ] {
            assert_eq!(sgr(text), length, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_on_a_screen_is_a_control_sequence(text in any::<String>()) {
            let shown = harmless(&text, false).into_owned();
            prop_assert!(!shown.chars().any(|it| is_control(it) && it != '\t'));
        }

        #[test]
        fn the_date_of_a_day_is_after_that_of_the_day_before(day in -719_000_i64..2_900_000) {
            prop_assert!(civil(day - 1) < civil(day));
        }
    }
}
