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
use serde_json::json;
use std::ops::ControlFlow;
use std::time::Duration;
use tonic::{Code, Status};

/// The wire does not say where the backlog ends; with `-f=false` a silence so long does.
const QUIET: Duration = Duration::from_millis(700);
/// The first and the longest pause between two attempts to get a broken stream back.
const PAUSE: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(15);
const EVERYTHING: i32 = -1;

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
    let mut show = Show { desk, resume: Resume::default() };
    if call.switch("follow") {
        follow(target, client, request, &mut show).await
    } else {
        match read(&mut client, request, &mut show, QUIET).await {
            End::Quiet => Ok(0),
            End::Stopped(failure) => Err(failure),
            End::Broken(status) => Err(status.into()),
        }
    }
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
        let began = tokio::time::Instant::now();
        let broken = match read(&mut client, request.clone(), show, Duration::MAX).await {
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
    patience: Duration,
) -> End {
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
            }
            Ok(Err(status)) => return End::Broken(status),
            Ok(Ok(None)) | Err(_) => return End::Quiet,
        }
    }
}

struct Show<'a> {
    desk: &'a Desk<'a>,
    resume: Resume,
}

impl Show<'_> {
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
                text.push_str(&self.line(batch, line));
            }
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
