//! The session's ends on our side: what is read and what is written, by a thread each.
use super::event;
use crate::cli::escape::Escape;
use crate::cli::failure::Failure;
use crate::proto::ExecStreamRequest;
use crate::proto::exec_stream_request::{Event, Input};
use crate::proto::exec_stream_response::{Output, output::Channel};
use rustix::fs::{FileType, fstat};
use std::io::{self, Read, Write};
use tokio::sync::{mpsc, oneshot};

/// Source: the wire; peers send no larger chunks.
pub(super) const CHUNK: usize = 32 * 1024;

/// Standard input, output and error; in tests something else.
pub(super) struct Ends {
    /// `None`: there is nothing to read, the input ends at once.
    pub(super) input: Option<Box<dyn Read + Send>>,
    pub(super) out: Box<dyn Write + Send>,
    pub(super) err: Box<dyn Write + Send>,
}

impl Ends {
    /// Somebody's terminal is not read when the output goes elsewhere, as in `exec ls | less`.
    pub(super) fn standard(terminal: bool) -> Self {
        let input = io::stdin();
        let device = fstat(&input)
            .is_ok_and(|it| FileType::from_raw_mode(it.st_mode) == FileType::CharacterDevice);
        Self {
            input: if device && !terminal { None } else { Some(Box::new(input)) },
            out: Box::new(io::stdout()),
            err: Box::new(io::stderr()),
        }
    }
}

/// Reads until the end of the input or of the session. The last read may never come back; the
/// process ends without waiting for it.
pub(super) fn read_input(
    input: Option<Box<dyn Read + Send>>,
    requests: mpsc::Sender<ExecStreamRequest>,
    escaped: Option<oneshot::Sender<()>>,
) -> Result<(), Failure> {
    thread("input", move || {
        let mut escape = escaped.is_some().then(Escape::default);
        if input.is_some_and(|it| copy_input(it, &requests, escape.as_mut())) {
            let _ = escaped.map(|it| it.send(()));
        } else {
            let _ = requests.blocking_send(event(Event::InputEof(())));
        }
    })
}

/// Whether the escape was typed.
pub(super) fn copy_input(
    mut input: impl Read,
    requests: &mpsc::Sender<ExecStreamRequest>,
    mut escape: Option<&mut Escape>,
) -> bool {
    let send = |data: Vec<u8>| {
        data.is_empty() || requests.blocking_send(event(Event::Input(Input { data }))).is_ok()
    };
    let mut buffer = vec![0; CHUNK];
    loop {
        let length = match input.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            // A terminal that hung up, a directory as input: there is no more.
            Err(_) => break,
        };
        let (data, ended) = match escape.as_deref_mut() {
            Some(escape) => escape.pass(&buffer[..length]),
            None => (buffer[..length].to_vec(), false),
        };
        if !send(data) || ended {
            return ended;
        }
    }
    send(escape.map_or(Vec::new(), |it| it.rest().to_vec()));
    false
}

/// How the writing ended; it ends well when all is written and the sender gone.
pub(super) type Written = oneshot::Receiver<io::Result<()>>;

pub(super) fn write_output(
    mut out: Box<dyn Write + Send>,
    mut err: Box<dyn Write + Send>,
) -> Result<(mpsc::Sender<Output>, Written), Failure> {
    let (sender, mut receiver) = mpsc::channel::<Output>(16);
    let (done, written) = oneshot::channel();
    thread("output", move || {
        let mut write = || {
            while let Some(output) = receiver.blocking_recv() {
                let end = match output.channel() {
                    Channel::Stderr => &mut err,
                    Channel::Stdout | Channel::Unknown => &mut out,
                };
                end.write_all(&output.data)?;
                end.flush()?;
            }
            Ok(())
        };
        let _ = done.send(write());
    })?;
    Ok((sender, written))
}

fn thread(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), Failure> {
    std::thread::Builder::new()
        .name(name.into())
        .spawn(work)
        .map(drop)
        .map_err(|error| Failure::new(format!("cannot start a thread: {error}")))
}
