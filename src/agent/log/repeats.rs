//! Says the same thing once, not once a second: a server that is away must not fill the log.
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// What was said so long ago may be said again.
const AGAIN_AFTER: Duration = Duration::from_secs(600);
/// As many different texts are remembered; the one not said for longest is forgotten first.
const REMEMBERED: usize = 16;

#[derive(Debug, Default)]
pub(super) struct Repeats(VecDeque<Said>);

#[derive(Debug)]
struct Said {
    text: Box<str>,
    at: Instant,
    since: u32,
}

impl Repeats {
    /// Whether to say it, and how often it was kept back since it was last said.
    pub(super) fn admit(&mut self, text: &str, now: Instant) -> Option<u32> {
        let Some(at) = self.0.iter().position(|it| &*it.text == text) else {
            self.0.truncate(REMEMBERED - 1);
            self.0.push_front(Said { text: text.into(), at: now, since: 0 });
            return Some(0);
        };
        let mut said = self.0.remove(at)?;
        let due = AGAIN_AFTER <= now.saturating_duration_since(said.at);
        let kept_back = said.since;
        if due {
            (said.at, said.since) = (now, 0);
        } else {
            said.since = said.since.saturating_add(1);
        }
        self.0.push_front(said);
        due.then_some(kept_back)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_text_is_said_again_after_ten_minutes_with_a_count() {
        let (mut repeats, start) = (Repeats::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        for (seconds, text, said) in [
            (0, "a", Some(0)),
            (1, "a", None),
            (2, "b", Some(0)),
            (599, "a", None),
            (600, "a", Some(2)),
            (601, "a", None),
            (602, "b", Some(0)),
        ] {
            assert_eq!(repeats.admit(text, at(seconds)), said, "{text} at {seconds}");
        }
    }

    #[test]
    fn only_the_last_few_texts_are_remembered() {
        let (mut repeats, now) = (Repeats::default(), Instant::now());
        for number in 0..100 {
            assert_eq!(repeats.admit(&number.to_string(), now), Some(0));
        }
        assert_eq!(repeats.0.len(), REMEMBERED);
        assert_eq!(repeats.admit("99", now), None);
        assert_eq!(repeats.admit("0", now), Some(0));
    }
}
