//! Namespaces for the entrypoint, so that it is PID 1 of something. Our own file is started
//! again with a hidden word, twice, for what a process can do to itself only while it has one
//! thread, and between fork and exec nothing of ours shall run:
//! ```text
//! STAGE root|user FILE ARG...    leaves for new namespaces; its child is PID 1 there
//! STAGE first FILE ARG...        that child: mounts its /proc, becomes FILE
//! STAGE none FILE ARG...         becomes FILE
//! STAGE root|user --probe        whether all that is permitted: 0
//! ```
use crate::cli::failure::{Failure, Outcome};
use caps::{CapSet, Capability};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::write;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};

/// The hidden first argument.
pub(crate) const STAGE: &str = "dev-stage";
const PROBE: &str = "--probe";

/// How far the entrypoint can be set apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Isolation {
    /// Pid and mount namespaces, as root.
    Root,
    /// The same inside a user namespace, where we keep our numbers.
    User,
    None,
}

impl Isolation {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::User => "user",
            Self::None => "none",
        }
    }
}

/// Tries it: many systems refuse one step or another, and no two for the same reason.
pub(crate) async fn possible(itself: &Path) -> Isolation {
    for isolation in [Isolation::Root, Isolation::User] {
        let mut probe = Command::new(itself);
        probe.args([STAGE, isolation.word(), PROBE]);
        probe.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if probe.status().await.is_ok_and(|it| it.success()) {
            return isolation;
        }
    }
    Isolation::None
}

/// Runs what follows the hidden word. Nothing has started a thread yet.
pub(crate) fn run(arguments: &[String]) -> Outcome {
    let [stage, file, rest @ ..] = arguments else {
        return Err(Failure::new(format!("{STAGE} is for `waypoint dev` alone")));
    };
    // With its parent gone, nobody would end it.
    let _ = set_pdeathsig(Signal::SIGTERM);
    match stage.as_str() {
        "root" => leave(CloneFlags::empty()).and_then(|()| first(file, rest)),
        "user" => leave(CloneFlags::CLONE_NEWUSER).and_then(|()| first(file, rest)),
        "first" => own_proc().and_then(|()| become_file(file, rest)),
        "none" => become_file(file, rest),
        other => Err(Failure::new(format!("{STAGE} knows no {other:?}"))),
    }
}

/// Into new namespaces; the pid namespace begins with our next child.
fn leave(user: CloneFlags) -> Result<(), Failure> {
    let failed =
        |what: &str, error: &dyn std::fmt::Display| Failure::new(format!("{what}: {error}"));
    let (uid, gid) = (nix::unistd::getuid(), nix::unistd::getgid());
    unshare(user | CloneFlags::CLONE_NEWPID | CloneFlags::CLONE_NEWNS)
        .map_err(|error| failed("unshare", &error))?;
    if user.is_empty() {
        return Ok(());
    }
    // Source: user_namespaces(7): setgroups is given up before an unprivileged gid_map.
    for (file, text) in [
        ("/proc/self/setgroups", "deny".to_owned()),
        ("/proc/self/uid_map", format!("{uid} {uid} 1")),
        ("/proc/self/gid_map", format!("{gid} {gid} 1")),
    ] {
        write(file, text).map_err(|error| failed(file, &error))?;
    }
    // Mounting /proc comes after an exec, over which only ambient capabilities last.
    for set in [CapSet::Inheritable, CapSet::Ambient] {
        caps::raise(None, set, Capability::CAP_SYS_ADMIN)
            .map_err(|error| failed("capabilities", &error))?;
    }
    Ok(())
}

/// Starts the first process of the new namespace, and ends as it ends.
fn first(file: &str, rest: &[String]) -> Outcome {
    let itself = std::env::current_exe()
        .map_err(|error| Failure::new(format!("cannot find our own file: {error}")))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("cannot start: {error}")))?;
    let mut command = Command::new(itself);
    command.args([STAGE, "first", file]).args(rest);
    runtime.block_on(forward(&mut command))
}

/// A /proc that shows the new namespace, and none of it to the old one.
fn own_proc() -> Result<(), Failure> {
    const NOTHING: Option<&str> = None;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(NOTHING, "/", NOTHING, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NOTHING)
        .and_then(|()| mount(Some("proc"), "/proc", Some("proc"), flags, NOTHING))
        .map_err(|error| Failure::new(format!("mounting /proc: {error}")))?;
    for set in [CapSet::Ambient, CapSet::Inheritable] {
        caps::clear(None, set).map_err(|error| Failure::new(format!("capabilities: {error}")))?;
    }
    Ok(())
}

fn become_file(file: &str, rest: &[String]) -> Outcome {
    if file == PROBE {
        return Ok(0);
    }
    let error = std::process::Command::new(file).args(rest).exec();
    Err(Failure::new(format!("cannot run {file}: {error}")))
}

/// Runs it to its end, passing TERM on, and INT unless the terminal does: its status, 128+n for
/// a signal.
pub(crate) async fn forward(command: &mut Command) -> Outcome {
    let listen = |kind| {
        signal(kind).map_err(|error| Failure::new(format!("cannot listen for signals: {error}")))
    };
    let (mut term, mut int) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    let mut hup = listen(SignalKind::hangup())?;
    let mut child = command.spawn().map_err(|error| {
        Failure::new(format!("cannot run {:?}: {error}", command.as_std().get_program()))
    })?;
    loop {
        let passed = tokio::select! {
            status = child.wait() => {
                let status = status.map_err(|error| Failure::new(format!("waiting: {error}")))?;
                return Ok(code(status));
            }
            _ = term.recv() => Signal::SIGTERM,
            _ = hup.recv() => Signal::SIGHUP,
            // A ctrl-C has reached everybody in the foreground already.
            _ = int.recv() => if in_foreground() { continue } else { Signal::SIGINT },
        };
        // A child that ended is not waited for yet, so its number is still its own.
        if let Some(pid) = child.id().and_then(|it| i32::try_from(it).ok()) {
            let _ = kill(Pid::from_raw(pid), passed);
        }
    }
}

fn in_foreground() -> bool {
    std::fs::File::open("/dev/tty")
        .ok()
        .and_then(|tty| rustix::termios::tcgetpgrp(tty).ok())
        .is_some_and(|group| group.as_raw_nonzero().get() == nix::unistd::getpgrp().as_raw())
}

fn code(status: ExitStatus) -> u8 {
    let raw = status.code().or_else(|| status.signal().map(|it| 128 + it)).unwrap_or(1);
    u8::try_from(raw).unwrap_or(1)
}
