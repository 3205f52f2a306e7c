//! Lines on their way to the server: bounded by bytes, and what does not fit is counted.
//!
//! The oldest are dropped: while there is no connection the end of a log is worth more than its
//! beginning. When shipping goes on, one line of ours stands where they were.
use crate::agent::link::wire::{Line, Source};
use crate::agent::seam::Gaps;
use crate::seam::message::Stream;
use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

/// No more is kept, `OVERHEAD` per line included.
pub(super) const MAX_BYTES: usize = 1 << 20;
/// What a line costs besides its text.
const OVERHEAD: usize = 64;
/// A batch is no larger, but by its last line.
pub(super) const BATCH_LINES: usize = 100;
pub(super) const BATCH_BYTES: usize = 64 << 10;

#[derive(Debug, Default)]
pub(super) struct Queue {
    lines: VecDeque<Line>,
    bytes: usize,
    lost: Option<Loss>,
    /// Since the child started, and how much of it has been said.
    missing: Gaps,
    told: Gaps,
}

/// What is to be sent at once.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Batch {
    pub(super) lines: Vec<Line>,
    /// What the first of the lines speaks of, if it is one of ours about lost ones.
    loss: Option<Loss>,
}

/// Lines that were dropped since shipping stood still.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Loss {
    lines: u64,
    bytes: u64,
    /// When the first and the last of them were written.
    first: SystemTime,
    last: SystemTime,
}

impl Queue {
    pub(super) fn push(&mut self, line: Line) {
        let cost = cost(&line);
        while MAX_BYTES.saturating_sub(self.bytes) < cost {
            let Some(oldest) = self.pop() else { break };
            self.lose(Loss::of(&oldest));
        }
        self.bytes = self.bytes.saturating_add(cost);
        self.lines.push_back(line);
    }

    /// init says so many bytes never reached us.
    pub(super) fn missing(&mut self, gaps: Gaps) {
        self.missing = gaps;
    }

    /// This batch may not have arrived: it is the next one again, as far as there is room. So a
    /// line may arrive twice where a connection broke, and none is lost without being counted.
    pub(super) fn put_back(&mut self, batch: Batch) {
        if let Some(loss) = batch.loss {
            self.lose(loss);
        }
        for line in batch.lines.into_iter().skip(usize::from(batch.loss.is_some())).rev() {
            let cost = cost(&line);
            if MAX_BYTES.saturating_sub(self.bytes) < cost {
                self.lose(Loss::of(&line));
            } else {
                self.bytes = self.bytes.saturating_add(cost);
                self.lines.push_front(line);
            }
        }
    }

    /// Gives all of it up, to save memory.
    pub(super) fn give_up(&mut self) {
        while let Some(line) = self.pop() {
            self.lose(Loss::of(&line));
        }
        self.lines = VecDeque::new();
    }

    /// The next lines to send; none when there is nothing to say.
    pub(super) fn batch(&mut self, now: SystemTime) -> Batch {
        let loss = self.lost.take();
        let mut lines: Vec<Line> = loss.map(Loss::line).into_iter().collect();
        let mut bytes = 0_usize;
        while lines.len() < BATCH_LINES && bytes < BATCH_BYTES {
            let Some(line) = self.pop() else { break };
            bytes = bytes.saturating_add(line.text.len());
            lines.push(line);
        }
        if self.lines.is_empty() {
            self.lines = VecDeque::new();
            lines.extend(self.gap(Stream::Stdout, now));
            lines.extend(self.gap(Stream::Stderr, now));
        }
        Batch { lines, loss }
    }

    /// Whether a batch would be full.
    pub(super) fn is_plenty(&self) -> bool {
        self.lines.len() >= BATCH_LINES || self.bytes >= BATCH_BYTES
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.lost.is_none() && self.missing == self.told
    }

    /// Said when we have caught up, so a flood has one such line, not one a batch.
    fn gap(&mut self, stream: Stream, now: SystemTime) -> Option<Line> {
        let (missing, told, name) = match stream {
            Stream::Stdout => (self.missing.stdout, &mut self.told.stdout, "stdout"),
            Stream::Stderr => (self.missing.stderr, &mut self.told.stderr, "stderr"),
        };
        let bytes = missing.saturating_sub(*told);
        *told = missing;
        let text = format!(
            "[WARN] waypoint: {bytes} bytes of {name} are missing above: they came too fast"
        );
        (bytes > 0).then_some(Line { at: now, source: Source::Entrypoint, text })
    }

    fn lose(&mut self, more: Loss) {
        self.lost = Some(match self.lost {
            None => more,
            Some(lost) => Loss {
                lines: lost.lines.saturating_add(more.lines),
                bytes: lost.bytes.saturating_add(more.bytes),
                first: lost.first.min(more.first),
                last: lost.last.max(more.last),
            },
        });
    }

    fn pop(&mut self) -> Option<Line> {
        let line = self.lines.pop_front()?;
        self.bytes = self.bytes.saturating_sub(cost(&line));
        Some(line)
    }
}

fn cost(line: &Line) -> usize {
    line.text.len().saturating_add(OVERHEAD)
}

impl Loss {
    fn of(line: &Line) -> Self {
        let bytes = u64::try_from(line.text.len()).unwrap_or(u64::MAX);
        Self { lines: 1, bytes, first: line.at, last: line.at }
    }

    fn line(self) -> Line {
        let span = self.last.duration_since(self.first).unwrap_or(Duration::ZERO);
        let text = format!(
            "[WARN] waypoint: {} lines ({} bytes) of {} s of this log are missing here",
            self.lines,
            self.bytes,
            span.as_secs().max(1)
        );
        Line { at: self.last, source: Source::Entrypoint, text }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const START: SystemTime = SystemTime::UNIX_EPOCH;

    fn line(seconds: u64, text: &str) -> Line {
        Line { at: START + Duration::from_secs(seconds), source: Source::App, text: text.into() }
    }

    fn texts(batch: &[Line]) -> Vec<&str> {
        batch.iter().map(|it| &*it.text).collect()
    }

    #[test]
    fn lines_leave_in_their_order_in_batches() {
        let mut queue = Queue::default();
        (0..150).for_each(|it| queue.push(line(it, &it.to_string())));
        assert!(queue.is_plenty());
        assert_eq!(queue.batch(START).lines.len(), BATCH_LINES);
        assert!(!queue.is_plenty());
        assert_eq!(queue.batch(START).lines[0].text, "100");
        assert!(queue.is_empty() && queue.batch(START).lines.is_empty());
        (0..3).for_each(|it| queue.push(line(it, &"x".repeat(BATCH_BYTES - 1))));
        assert_eq!([2, 1, 0].map(|_| queue.batch(START).lines.len()), [2, 1, 0]);
    }

    #[test]
    fn a_full_queue_drops_the_oldest_and_says_so_where_they_were() {
        let mut queue = Queue::default();
        let text = "x".repeat((64 << 10) - OVERHEAD);
        (0..20).for_each(|it| queue.push(line(it, &text)));
        let batch = queue.batch(START).lines;
        let bytes = 4 * text.len();
        let lost =
            format!("[WARN] waypoint: 4 lines ({bytes} bytes) of 3 s of this log are missing here");
        assert_eq!((&batch[0].text, batch[0].source), (&lost, Source::Entrypoint));
        assert_eq!(batch[1].at, START + Duration::from_secs(4));
        assert!(queue.batch(START).lines.iter().all(|it| it.source == Source::App), "said once");
    }

    #[test]
    fn a_line_that_is_larger_than_the_queue_still_goes() {
        let mut queue = Queue::default();
        queue.push(line(0, "small"));
        queue.push(line(1, &"x".repeat(MAX_BYTES)));
        assert_eq!(queue.batch(START).lines.len(), 2, "the loss and the line");
    }

    #[test]
    fn a_batch_that_was_put_back_is_the_next_one_again() {
        let mut queue = Queue::default();
        let text = "x".repeat((64 << 10) - OVERHEAD);
        (0..20).for_each(|it| queue.push(line(it, &text)));
        let batch = queue.batch(START);
        queue.put_back(batch.clone());
        assert_eq!(queue.batch(START), batch);
        (20..23).for_each(|it| queue.push(line(it, &text)));
        queue.put_back(batch);
        let first = queue.batch(START).lines.swap_remove(0).text;
        assert!(first.contains(" 7 lines "), "4 before, and 3 that had no room: {first}");
    }

    #[test]
    fn gaps_are_said_once_when_we_have_caught_up() {
        let mut queue = Queue::default();
        queue.push(line(0, "a"));
        queue.missing(Gaps { stdout: 10, stderr: 0 });
        queue.missing(Gaps { stdout: 30, stderr: 7 });
        let batch = queue.batch(START).lines;
        assert_eq!(
            texts(&batch),
            [
                "a",
                "[WARN] waypoint: 30 bytes of stdout are missing above: they came too fast",
                "[WARN] waypoint: 7 bytes of stderr are missing above: they came too fast"
            ]
        );
        assert!(queue.batch(START).lines.is_empty());
        queue.missing(Gaps { stdout: 31, stderr: 7 });
        assert!(!queue.is_empty());
        assert!(queue.batch(START).lines[0].text.contains(" 1 bytes of stdout"));
    }

    proptest! {
        #[test] // every line is sent, or counted as lost; and never more is held than allowed
        fn the_account_is_exact(steps in prop::collection::vec((0..5_u8, 0..200_000_usize), 0..60)) {
            let mut queue = Queue::default();
            let (mut pushed, mut pushed_bytes) = (0, 0);
            let (mut sent, mut sent_bytes) = (0, 0);
            let (mut lost, mut lost_bytes) = (0, 0);
            for (step, length) in steps {
                if step == 0 {
                    if let Some(loss) = queue.lost {
                        lost += loss.lines;
                        lost_bytes += loss.bytes;
                    }
                    for line in queue.batch(START).lines.iter().filter(|it| it.source == Source::App) {
                        sent += 1;
                        sent_bytes += line.text.len() as u64;
                    }
                } else if step == 1 {
                    let batch = queue.batch(START);
                    queue.push(line(0, &"x".repeat(length)));
                    (pushed, pushed_bytes) = (pushed + 1, pushed_bytes + length as u64);
                    queue.put_back(batch);
                } else {
                    queue.push(line(0, &"x".repeat(length)));
                    pushed += 1;
                    pushed_bytes += length as u64;
                }
                let held: usize = queue.lines.iter().map(cost).sum();
                prop_assert_eq!(held, queue.bytes);
                prop_assert!(held <= MAX_BYTES);
            }
            queue.give_up();
            if let Some(loss) = queue.lost {
                lost += loss.lines;
                lost_bytes += loss.bytes;
            }
            prop_assert_eq!(pushed, sent + lost);
            prop_assert_eq!(pushed_bytes, sent_bytes + lost_bytes);
        }
    }
}
