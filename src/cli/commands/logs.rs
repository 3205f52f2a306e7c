//! `waypoint logs`: what the app writes, as it comes, over breaks of the connection too.
use super::deployment::numbered;
use crate::cli::connect::{Client, dial, streaming};
use crate::cli::desk::{Desk, print, tell};
use crate::cli::failure::{Failure, Outcome, said};
use crate::cli::render::{Entry, timestamp};
use crate::cli::resume::Resume;
use crate::cli::target::Target;
use crate::proto::get_log_stream_request::{Application, Scope};
use crate::proto::log_batch::entry::Source;
use crate::proto::{GetLogStreamRequest, LogBatch, log_batch};
use prost_types::Timestamp;
use serde_json::json;
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::time::{Duration, SystemTime};
use tokio::time::Instant;
use tonic::{Code, Status};

/// The wire does not say where the backlog ends. With `-f=false` a silence so long does; of an app
/// that is never silent, a line younger than our question, once a second has gone by; and, if its
/// clock is behind ours, the limit.
const QUIET: Duration = Duration::from_millis(400);
const SETTLED: Duration = Duration::from_secs(1);
const LIMIT: Duration = Duration::from_secs(30);
/// The first and the longest pause between two attempts to get a broken stream back.
const PAUSE: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(15);
const EVERYTHING: i32 = -1;
/// Source: the wire; what a server takes 0 for.
const DEFAULT_BACKLOG: usize = 100;

pub(crate) async fn run(desk: &Desk<'_>) -> Outcome {
    let call = desk.call;
    let backlog = backlog(call.given("n"))?;
    let number = call.number("deployment-seq")?;
    if call.switch("json") && call.switch("raw") {
        return Err(Failure::new("-json and -raw exclude each other"));
    }
    let target = desk.target()?;
    let mut client = dial(&target).await?.client;
    let place = desk.place(&mut client).await?;
    let scope = match number {
        Some(number) => Scope::DeploymentId(numbered(&mut client, &place, number).await?.id),
        None => Scope::Application(Application {
            application: Some(place.application()),
            workspace: Some(place.workspace()),
        }),
    };
    let request = GetLogStreamRequest { scope: Some(scope), limit_backlog: backlog };
    let mut show = Show { desk, resume: Resume::default(), held: None };
    if call.switch("follow") {
        return follow(target, client, request, &mut show).await;
    }
    show.held = held(backlog);
    let end = read(&mut client, request, &mut show, true).await;
    show.release()?;
    match end {
        End::Quiet => Ok(0),
        End::Stopped(failure) => Err(failure),
        End::Broken(status) => Err(status.into()),
    }
}

/// Servers send more than they were asked for, and live lines behind it: the last ones count.
fn held(backlog: i32) -> Option<Held> {
    let most = if backlog == 0 { DEFAULT_BACKLOG } else { usize::try_from(backlog).ok()? };
    Some(Held { most, lines: Vec::new() })
}

/// `-n`: so many, or all of them; on the wire 0 is a hundred and less is all.
fn backlog(text: Option<&str>) -> Result<i32, Failure> {
    match text {
        None => Ok(0),
        Some("all" | "-1") => Ok(EVERYTHING),
        Some(text) => text.parse().ok().filter(|it| *it > 0).ok_or_else(|| {
            Failure::new(format!("flag -n: {text:?} is neither a number from 1 nor `all`"))
        }),
    }
}

/// For ever: a stream that breaks is asked for again, and what it repeats is not shown twice.
async fn follow(
    target: Target,
    mut client: Client,
    mut request: GetLogStreamRequest,
    show: &mut Show<'_>,
) -> Outcome {
    let mut pause = PAUSE;
    loop {
        let began = Instant::now();
        let broken = match read(&mut client, request.clone(), show, false).await {
            End::Stopped(failure) => return Err(failure),
            End::Broken(status) if is_final(status.code()) => return Err(status.into()),
            End::Broken(status) => said(&status),
            End::Quiet => "the server ended the stream".into(),
        };
        if began.elapsed() > LONGEST {
            pause = PAUSE;
        }
        tell(&format!("! the log is interrupted: {broken}; trying again"));
        client = loop {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST);
            if let Ok(link) = dial(&target).await {
                break link.client;
            }
        };
        // The whole backlog: what was missed is in it, and the rest is passed over.
        request.limit_backlog = EVERYTHING;
        show.resume.again();
    }
}

/// What no second attempt makes better.
fn is_final(code: Code) -> bool {
    matches!(
        code,
        Code::Unauthenticated
            | Code::PermissionDenied
            | Code::NotFound
            | Code::InvalidArgument
            | Code::FailedPrecondition
            | Code::Unimplemented
    )
}

enum End {
    /// Nothing came for as long as one wanted to wait, or the server ended it.
    Quiet,
    /// We ourselves cannot go on.
    Stopped(Failure),
    Broken(Status),
}

async fn read(
    client: &mut Client,
    request: GetLogStreamRequest,
    show: &mut Show<'_>,
    backlog_only: bool,
) -> End {
    let patience = if backlog_only { QUIET } else { Duration::MAX };
    let (asked, began) = (Timestamp::from(SystemTime::now()), Instant::now());
    let mut stream = match client.get_log_stream(streaming(request)).await {
        Ok(answer) => answer.into_inner(),
        Err(status) => return End::Broken(status),
    };
    loop {
        match tokio::time::timeout(patience, stream.message()).await {
            Ok(Ok(Some(batch))) => {
                if let ControlFlow::Break(failure) = show.batch(&batch) {
                    return End::Stopped(failure);
                }
                if backlog_only && is_beyond(&batch, asked, began.elapsed()) {
                    return End::Quiet;
                }
            }
            Ok(Err(status)) => return End::Broken(status),
            Ok(Ok(None)) | Err(_) => return End::Quiet,
        }
    }
}

/// Whether the backlog must have ended before this batch did.
fn is_beyond(batch: &LogBatch, asked: Timestamp, elapsed: Duration) -> bool {
    let newest = batch.lines.iter().filter_map(|it| it.timestamp).next_back();
    let is_young = newest.is_some_and(|it| (it.seconds, it.nanos) > (asked.seconds, asked.nanos));
    (is_young && elapsed > SETTLED) || elapsed > LIMIT
}

struct Show<'a> {
    desk: &'a Desk<'a>,
    resume: Resume,
    /// With `-f=false`, until the end.
    held: Option<Held>,
}

/// The last lines of each instance, in the order in which they came.
#[derive(Debug, PartialEq)]
struct Held {
    most: usize,
    lines: Vec<(String, String)>,
}

impl Held {
    fn push(&mut self, instance: &str, text: String) {
        self.lines.push((instance.to_owned(), text));
        if self.lines.len().is_multiple_of(2 * self.most + 4096) {
            self.trim();
        }
    }

    /// Forgets all but the last ones.
    fn trim(&mut self) {
        let mut counts = HashMap::<String, usize>::new();
        let mut kept: Vec<_> = std::mem::take(&mut self.lines);
        kept.reverse();
        kept.retain(|(instance, _)| {
            let count = counts.entry(instance.clone()).or_default();
            *count += 1;
            *count <= self.most
        });
        kept.reverse();
        self.lines = kept;
    }
}

impl Show<'_> {
    /// Shows what was held back.
    fn release(&mut self) -> Result<(), Failure> {
        let Some(mut held) = self.held.take() else { return Ok(()) };
        held.trim();
        print(&held.lines.into_iter().map(|(_, text)| text).collect::<String>()).map(drop)
    }

    /// A batch without lines is a keepalive.
    fn batch(&mut self, batch: &LogBatch) -> ControlFlow<Failure> {
        let wanted = self.desk.call.given("instance").unwrap_or("");
        if batch.lines.is_empty() || !batch.instance_id.ends_with(wanted) {
            return ControlFlow::Continue(());
        }
        let mut text = String::new();
        for line in &batch.lines {
            let at = line.timestamp.unwrap_or_default();
            if self.resume.is_new(&batch.instance_id, at) {
                let shown = self.line(batch, line);
                match &mut self.held {
                    Some(held) => held.push(&batch.instance_id, shown),
                    None => text.push_str(&shown),
                }
            }
        }
        if text.is_empty() {
            return ControlFlow::Continue(());
        }
        match print(&text) {
            Ok(_) => ControlFlow::Continue(()),
            Err(failure) => ControlFlow::Break(failure),
        }
    }

    fn line(&self, batch: &LogBatch, line: &log_batch::Entry) -> String {
        let at = line.timestamp.unwrap_or_default();
        if self.desk.call.switch("raw") {
            return format!("{}\n", line.line);
        }
        if self.desk.call.switch("json") {
            let source = match line.source() {
                Source::App => "app",
                Source::Entrypoint => "entrypoint",
            };
            let value = json!({
                "timestamp": timestamp(at),
                "instance": batch.instance_id,
                "deployment": batch.deployment_id,
                "source": source,
                "line": line.line,
            });
            return format!("{value}\n");
        }
        let (instance, text) = (batch.instance_id.as_str(), line.line.as_str());
        self.desk.style.log(&Entry { at, instance, source: line.source(), text })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_that_is_never_silent_does_not_make_its_backlog_endless() {
        let at = |seconds| Timestamp { seconds, nanos: 0 };
        for (line, elapsed, beyond) in [
            (Some(4), 2000, false), // older than the question: a long backlog
            (Some(6), 200, false),  // its clock may be ahead
            (Some(6), 1001, true),
            (Some(4), 30_001, true),
            (None, 2000, false),
        ] {
            let entry = |it| log_batch::Entry { timestamp: Some(at(it)), ..Default::default() };
            let lines = line.map(entry).into_iter().collect();
            let batch = LogBatch { lines, ..Default::default() };
            assert_eq!(is_beyond(&batch, at(5), Duration::from_millis(elapsed)), beyond);
        }
    }

    #[test]
    fn the_last_lines_of_each_instance_are_held() {
        let mut held = held(2).expect("some");
        for (instance, text) in [("a", "1"), ("a", "2"), ("b", "3"), ("a", "4")] {
            held.push(instance, text.into());
        }
        held.trim();
        let texts: Vec<_> = held.lines.iter().map(|it| it.1.as_str()).collect();
        assert_eq!(texts, ["2", "3", "4"]);
        (0..100_000).for_each(|_| held.push("a", String::new()));
        assert!(held.lines.len() < 5000, "bounded while lines come: {}", held.lines.len());
        assert_eq!(super::held(EVERYTHING), None);
    }

    #[test]
    fn the_backlog_is_a_number_or_all_of_it() {
        for (text, wanted) in
            [(None, Some(0)), (Some("7"), Some(7)), (Some("all"), Some(-1)), (Some("-1"), Some(-1))]
        {
            assert_eq!(backlog(text).ok(), wanted, "{text:?}");
        }
        for text in ["0", "-2", "x", ""] {
            assert!(backlog(Some(text)).is_err_and(|it| it.text.contains(&format!("{text:?}"))));
        }
    }
}
