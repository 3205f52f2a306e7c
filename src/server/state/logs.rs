//! The last lines of every instance: a true ring each, kept for a while after the instance left.
//!
//! A ring forgets its oldest line for each one too many, and never more. Readers have cursors, not
//! locks: who lags is told how much passed by, and nobody who writes ever waits for one.
#[cfg(test)]
mod tests;

use super::key;
use crate::proto::LogBatch;
use crate::proto::log_batch::{Entry, entry::Source};
use crate::server::refusal::Refusal;
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, SystemTime};

/// Per instance, as the original's documentation promises.
pub(crate) const MAX_LINES: usize = 16_000;
const MAX_BYTES: usize = 8 << 20;
const MAX_LINE: usize = 64 * 1024;
/// Of all instances together.
const MAX_TOTAL: usize = 512 << 20;
/// So long a crash can be read about after it.
const GRACE: Duration = Duration::from_secs(15 * 60);
/// One batch to a reader.
const BATCH_LINES: usize = 64;
const BATCH_BYTES: usize = 256 * 1024;
/// What a line takes besides its text.
const OVERHEAD: usize = 64;

#[derive(Default)]
pub(crate) struct Logs {
    rings: BTreeMap<String, Ring>,
    bytes: usize,
    /// How many lines ever came, of all instances: their order of arrival.
    arrived: u64,
}

struct Ring {
    instance: String,
    deployment: String,
    lines: VecDeque<Line>,
    /// The number of the first line in `lines`; counted from 0 since the ring began.
    first: u64,
    bytes: usize,
    left: Option<SystemTime>,
}

struct Line {
    arrival: u64,
    entry: Entry,
}

/// Where a reader stands in each ring: the number of the next line it wants.
#[derive(Debug, Default)]
pub(crate) struct Cursors(BTreeMap<String, u64>);

impl Logs {
    /// The instance writes from now on; what it wrote before it left is still there.
    pub(crate) fn begin(&mut self, instance: &str, deployment: &str) -> Result<(), Refusal> {
        let ring = self.rings.entry(key(instance)).or_insert_with(|| Ring {
            instance: instance.into(),
            deployment: deployment.into(),
            lines: VecDeque::new(),
            first: 0,
            bytes: 0,
            left: None,
        });
        if key(&ring.deployment) != key(deployment) {
            return Err(Refusal::denied("this instance belongs to another deployment"));
        }
        ring.left = None;
        Ok(())
    }

    pub(crate) fn leave(&mut self, instance: &str, now: SystemTime) {
        if let Some(ring) = self.rings.get_mut(&key(instance)) {
            ring.left = Some(now);
        }
        self.expire(now);
    }

    /// Appends lines of an instance; `bound` is the one deployment the writer may write for.
    pub(crate) fn append(
        &mut self,
        instance: &str,
        lines: Vec<Entry>,
        bound: Option<&str>,
    ) -> Result<(), Refusal> {
        let ring = self.rings.get_mut(&key(instance));
        let ring = ring.ok_or_else(|| Refusal::not_found("instance", super::shown(instance)))?;
        if bound.is_some_and(|it| key(it) != key(&ring.deployment)) {
            return Err(Refusal::denied("this instance belongs to another deployment"));
        }
        let before = ring.bytes;
        for mut entry in lines {
            trim(&mut entry.line);
            ring.push(Line { arrival: self.arrived, entry });
            self.arrived += 1;
        }
        self.bytes = self.bytes + ring.bytes - before;
        self.make_room(&key(instance));
        Ok(())
    }

    /// Adds a cursor for each instance whose deployment is asked for and that has none yet, `last`
    /// lines before the end (`None`: at the very beginning).
    pub(crate) fn follow(
        &self,
        cursors: &mut Cursors,
        asked: impl Fn(&str) -> bool,
        last: Option<usize>,
    ) {
        cursors.0.retain(|id, _| self.rings.contains_key(id));
        for (id, ring) in self.rings.iter().filter(|(_, it)| asked(&it.deployment)) {
            let skipped = last.map_or(0, |last| ring.lines.len().saturating_sub(last));
            cursors.0.entry(id.clone()).or_insert(ring.first + skipped as u64);
        }
    }

    /// The next lines in order of arrival, all of one instance; `None`: no more for now.
    pub(crate) fn next(&self, cursors: &mut Cursors) -> Option<LogBatch> {
        let mut heads: Vec<(u64, &str)> = cursors
            .0
            .iter()
            .filter_map(|(id, at)| Some((self.rings.get(id)?.at(*at)?.arrival, id.as_str())))
            .collect();
        heads.sort_unstable();
        let id = heads.first()?.1.to_owned();
        let others = heads.get(1).map_or(u64::MAX, |it| it.0);
        let (ring, at) = (self.rings.get(&id)?, cursors.0.get_mut(&id)?);
        let missed = ring.first.saturating_sub(*at);
        *at += missed;
        let mut lines = Vec::new();
        let mut bytes = 0;
        while let Some(line) = ring.at(*at).filter(|it| it.arrival < others) {
            bytes += line.entry.line.len();
            if lines.len() >= BATCH_LINES || (bytes > BATCH_BYTES && !lines.is_empty()) {
                break;
            }
            lines.push(line.entry.clone());
            *at += 1;
        }
        if missed != 0 {
            let at = lines.first().and_then(|it| it.timestamp);
            lines.insert(0, gap(missed, at));
        }
        Some(LogBatch {
            deployment_id: ring.deployment.clone(),
            instance_id: ring.instance.clone(),
            lines,
            ..Default::default()
        })
    }

    /// Forgets what left long ago, or what has least claim to room there is too little of.
    fn make_room(&mut self, writer: &str) {
        while self.bytes > MAX_TOTAL {
            let gone = self.rings.iter().filter_map(|(id, it)| Some((it.left?, id)));
            if let Some(id) = gone.min().map(|(_, id)| id.clone()) {
                self.forget(&id);
                continue;
            }
            let Some(ring) = self.rings.get_mut(writer) else { return };
            let before = ring.bytes;
            ring.forget_oldest();
            self.bytes -= before - ring.bytes;
            if ring.bytes == before {
                return;
            }
        }
    }

    fn expire(&mut self, now: SystemTime) {
        let old = |it: &Ring| {
            let since = it.left.and_then(|left| now.duration_since(left).ok());
            since.is_some_and(|since| since > GRACE)
        };
        let gone = self.rings.iter().filter(|(_, it)| old(it)).map(|(id, _)| id.clone());
        for id in gone.collect::<Vec<_>>() {
            self.forget(&id);
        }
    }

    fn forget(&mut self, id: &str) {
        self.bytes -= self.rings.remove(id).map_or(0, |it| it.bytes);
    }
}

impl Ring {
    fn push(&mut self, line: Line) {
        self.bytes += line.weight();
        self.lines.push_back(line);
        while self.lines.len() > MAX_LINES || self.bytes > MAX_BYTES {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some(line) = self.lines.pop_front() {
            self.bytes -= line.weight();
            self.first += 1;
        }
    }

    /// The line with that number, or the oldest there is if that one is forgotten.
    fn at(&self, number: u64) -> Option<&Line> {
        let index = number.saturating_sub(self.first);
        usize::try_from(index).ok().and_then(|it| self.lines.get(it))
    }
}

impl Line {
    fn weight(&self) -> usize {
        self.entry.line.len() + OVERHEAD
    }
}

/// Without its newline, and no longer than a line may be; what was cut is said.
fn trim(line: &mut String) {
    if line.ends_with('\n') {
        line.pop();
    }
    if line.len() > MAX_LINE {
        let end = line.floor_char_boundary(MAX_LINE);
        let cut = line.len() - end;
        line.truncate(end);
        line.push_str(&format!(" [{cut} bytes more]"));
    }
}

fn gap(missed: u64, timestamp: Option<prost_types::Timestamp>) -> Entry {
    let line = format!("{missed} lines passed by unread: this reader was too slow");
    Entry { source: Source::Entrypoint.into(), timestamp, line }
}
