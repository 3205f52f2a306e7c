//! From fork to exec. What the forked side could not do comes back through its error pipe; init
//! itself touches no path that the app could have made slow.
use super::program::{Failure, candidates, environment};
use crate::seam::block::{Command, Env};
use crate::seam::message::{ExecStep, WindowSize};
use crate::sys::process::{self, Side, Strings, exit_now, place};
use crate::sys::signals::{Inherited, give_foreground, reset_all, reset_for_own_program};
use crate::sys::{Errno, Exit, Pid, entry, fd, terminal};
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// What everything we start has from the one who started us.
pub(crate) struct Origin {
    pub(crate) env: Vec<CString>,
    pub(crate) directory: Option<OwnedFd>,
    pub(crate) signals: Inherited,
    /// Our controlling terminal, if its foreground is ours to give.
    pub(crate) terminal: Option<OwnedFd>,
    /// Our own file, to become the agent.
    pub(crate) own_file: Result<OwnedFd, Errno>,
}

/// A process that was forked and has yet to exec.
#[derive(Debug)]
pub(crate) struct Started {
    pub(crate) pid: Pid,
    /// Ends when it has exec'd; a record comes first when it could not.
    pub(crate) report: OwnedFd,
}

/// What an error pipe says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Report {
    Pending,
    Running,
    Failed { step: ExecStep, errno: Errno },
}

/// Reads an error pipe without waiting.
pub(crate) fn report(pipe: &OwnedFd) -> Report {
    let mut record = [0; 8];
    match fd::read(pipe.as_fd(), &mut record) {
        Err(Errno::AGAIN) => Report::Pending,
        Ok(0) | Err(_) => Report::Running,
        Ok(_) => {
            let [step, _, _, _, errno @ ..] = record;
            let step = if step == 0 { ExecStep::Prepare } else { ExecStep::Exec };
            Report::Failed { step, errno: Errno(i32::from_ne_bytes(errno)) }
        }
    }
}

/// Starts the child, in a group of its own and in the terminal's foreground if we were.
/// `outputs` replace its stdout and stderr.
pub(crate) fn child(
    command: &[CString],
    env: Env<'_>,
    origin: &Origin,
    outputs: Option<[BorrowedFd<'_>; 2]>,
) -> Result<Started, Errno> {
    let started = forked(|report| {
        process::lead_group(None);
        if let (Some(terminal), Some(pid)) = (&origin.terminal, process::own_pid()) {
            give_foreground(terminal.as_fd(), pid);
        }
        let placed = outputs.map_or(Ok(()), |[stdout, stderr]| {
            place(stdout, 1)?;
            place(stderr, 2)
        });
        if let Err(errno) = placed.and_then(|()| return_home(origin)) {
            report.fail(ExecStep::Prepare, errno, Exit::NOT_EXECUTABLE);
        }
        origin.signals.restore();
        let arguments: Vec<&CStr> = command.iter().map(CString::as_c_str).collect();
        run(&arguments, &environment(&origin.env, &[env]), true, report)
    })?;
    process::lead_group(Some(started.pid));
    Ok(started)
}

/// What a session reads and writes: the agent's ends, and what the session gets for 0, 1 and 2.
pub(crate) struct Stdio {
    pub(crate) agent: [Option<OwnedFd>; 3],
    session: [Option<OwnedFd>; 3],
}

impl Stdio {
    /// A terminal of the session's own, or three pipes. The agent's ends never make it wait.
    pub(crate) fn new(terminal: Option<WindowSize>) -> Result<Self, Errno> {
        if let Some(size) = terminal {
            let (master, slave) = terminal::open(size)?;
            return Ok(Self {
                agent: [Some(master), None, None],
                session: [Some(slave), None, None],
            });
        }
        let (stdin, to_stdin) = fd::pipe()?;
        let (from_stdout, stdout) = fd::pipe()?;
        let (from_stderr, stderr) = fd::pipe()?;
        for end in [&to_stdin, &from_stdout, &from_stderr] {
            fd::set_nonblocking(end.as_fd())?;
        }
        let agent = [to_stdin, from_stdout, from_stderr].map(Some);
        Ok(Self { agent, session: [stdin, stdout, stderr].map(Some) })
    }

    /// Becomes 0, 1 and 2 of the forked side; one descriptor alone is a terminal and becomes the
    /// controlling one.
    fn take(&self) -> Result<(), Errno> {
        match &self.session {
            [Some(terminal), None, None] => {
                process::take_terminal(terminal.as_fd())?;
                (0..3).try_for_each(|number| place(terminal.as_fd(), number))
            }
            pipes => {
                // A pipe that lies below 3, because ours were closed, must not be overwritten
                // before its turn: the copies lie above (std clones from 3 on).
                let copy = |it: &OwnedFd| it.try_clone().map_err(|_| Errno::last());
                let [stdin, stdout, stderr] = pipes;
                let all = [stdin, stdout, stderr].map(|it| it.as_ref().map(copy));
                (0..)
                    .zip(all.into_iter().flatten())
                    .try_for_each(|(number, it)| place(it?.as_fd(), number))
            }
        }
    }
}

/// Starts an exec session, in a session of its own: same directory, same environment as the child
/// would get now, and the command's own variables.
pub(crate) fn session(
    command: Command<'_>,
    env: Env<'_>,
    origin: &Origin,
    stdio: &Stdio,
) -> Result<Started, Errno> {
    forked(|report| {
        reset_all();
        let prepared =
            process::lead_session().and_then(|()| stdio.take()).and_then(|()| return_home(origin));
        if let Err(errno) = prepared {
            report.fail(ExecStep::Prepare, errno, Exit::NOT_EXECUTABLE);
        }
        let pipe = match process::keep_only([(report.pipe.as_fd(), false)]) {
            Ok([pipe]) => pipe,
            Err(errno) => report.fail(ExecStep::Prepare, errno, Exit::NOT_EXECUTABLE),
        };
        let arguments: Vec<&CStr> = command.arguments().collect();
        run(&arguments, &environment(&origin.env, &[env, command.env]), false, &Reporter { pipe })
    })
}

/// Starts the agent: our own file again, with the seam for 3, our stderr, nothing in its
/// environment and nothing else open. It ends with us.
pub(crate) fn agent(seam: &OwnedFd, origin: &Origin) -> Result<Started, Errno> {
    const NAME: &CStr = c"waypoint-agent";
    let file = origin.own_file.as_ref().map_err(|errno| *errno)?;
    let parent = process::own_pid().ok_or(Errno::NO_PROCESS)?;
    forked(|report| {
        process::die_with_parent(parent);
        process::forget_standard();
        let prepared = process::lead_session().and_then(|()| {
            process::keep_only([
                (seam.as_fd(), true),
                (file.as_fd(), false),
                (report.pipe.as_fd(), false),
            ])
        });
        let [_seam, file, pipe] = match prepared {
            Ok(kept) => kept,
            Err(errno) => report.fail(ExecStep::Prepare, errno, Exit::FAILURE),
        };
        reset_for_own_program();
        let (arguments, env) = (Strings::from_iter([NAME]), Strings::from_iter([]));
        let errno = match process::exec_fd(file.as_fd(), &arguments, &env) {
            // Before Linux 3.19, or refused by a seccomp filter: by its name, which needs /proc.
            Errno::NO_CALL | Errno::NOT_PERMITTED => {
                process::exec(c"/proc/self/fd/4", &arguments, &env)
            }
            errno => errno,
        };
        Reporter { pipe }.fail(ExecStep::Exec, errno, Exit::FAILURE)
    })
}

/// Starts a helper that writes what we give it to a file that might make us wait; it ends when
/// our end of its pipe does.
pub(crate) fn writer(to: BorrowedFd<'_>) -> Result<(Pid, OwnedFd), Errno> {
    let (from, ours) = fd::pipe()?;
    fd::set_nonblocking(ours.as_fd())?;
    let parent = process::own_pid().ok_or(Errno::NO_PROCESS)?;
    match process::fork()? {
        Side::Parent(pid) => Ok((pid, ours)),
        Side::Forked => {
            drop(ours);
            process::die_with_parent(parent);
            let mut buffer = vec![0; 64 * 1024];
            while let Ok(length @ 1..) = fd::read(from.as_fd(), &mut buffer) {
                let mut rest = buffer.get(..length).unwrap_or_default();
                while !rest.is_empty() {
                    match fd::write(to, rest) {
                        Ok(written) => rest = rest.get(written..).unwrap_or_default(),
                        Err(errno) if errno.is_reader_gone() => exit_now(Exit::FAILURE),
                        // A full disk, say: what cannot be written now is lost, what comes is not.
                        Err(_) => break,
                    }
                }
            }
            exit_now(Exit::SUCCESS)
        }
    }
}

/// The forked side's end of its error pipe.
struct Reporter {
    pipe: OwnedFd,
}

impl Reporter {
    fn fail(&self, step: ExecStep, errno: Errno, exit: Exit) -> ! {
        let mut record = [0; 8];
        record[0] = u8::from(step == ExecStep::Exec);
        record[4..].copy_from_slice(&errno.0.to_ne_bytes());
        let _ = fd::write(self.pipe.as_fd(), &record);
        exit_now(exit)
    }
}

/// Forks; `become_it` is the forked side's way to exec.
fn forked(become_it: impl FnOnce(&Reporter)) -> Result<Started, Errno> {
    let (report, pipe) = fd::pipe()?;
    fd::set_nonblocking(report.as_fd())?;
    match process::fork()? {
        Side::Parent(pid) => Ok(Started { pid, report }),
        Side::Forked => {
            become_it(&Reporter { pipe });
            exit_now(Exit::FAILURE)
        }
    }
}

fn return_home(origin: &Origin) -> Result<(), Errno> {
    origin.directory.as_ref().map_or(Ok(()), entry::return_to)
}

/// Tries one file after another. A script without `#!` is run by the shell where `shell` says so,
/// as execvp(3) does it.
fn run(arguments: &[&CStr], env: &[&CStr], shell: bool, report: &Reporter) -> ! {
    let mut failure = Failure::default();
    let program = arguments.first().copied().unwrap_or_default();
    let (words, strings) =
        (Strings::from_iter(arguments.iter().copied()), Strings::from_iter(env.iter().copied()));
    for file in candidates(program, env) {
        let errno = process::exec(&file, &words, &strings);
        if shell && errno == Errno::EXEC_FORMAT {
            let words = [c"/bin/sh", &file].into_iter().chain(arguments.iter().skip(1).copied());
            process::exec(c"/bin/sh", &Strings::from_iter(words), &strings);
        }
        if !failure.note(errno) {
            break;
        }
    }
    report.fail(ExecStep::Exec, failure.errno(), failure.exit())
}
