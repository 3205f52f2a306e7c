//! Processes: made, named, signalled and collected.
use super::fd::{check, retry};
use super::{Errno, Exit, Pid, Signal};
use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// Which side of a fork we are on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Side {
    Parent(Pid),
    Forked,
}

/// Copies this process. Source: fork(2). The forked side may allocate and call anything: it is a
/// whole copy, because init and the shim have one thread each and nothing else ever forks.
pub(crate) fn fork() -> Result<Side, Errno> {
    // SAFETY: we are the only thread, so no lock is held by somebody who does not exist there.
    match check(unsafe { libc::fork() })? {
        0 => {
            super::heap::open();
            Ok(Side::Forked)
        }
        pid => Pid::new(pid).map(Side::Parent).ok_or(Errno::INVALID),
    }
}

/// Strings as execve(2) wants them; it borrows them.
#[derive(Debug)]
pub(crate) struct Strings<'a> {
    pointers: Vec<*const libc::c_char>,
    borrowed: std::marker::PhantomData<&'a CStr>,
}

impl<'a> FromIterator<&'a CStr> for Strings<'a> {
    fn from_iter<T: IntoIterator<Item = &'a CStr>>(strings: T) -> Self {
        let pointers = strings.into_iter().map(CStr::as_ptr).chain([std::ptr::null()]).collect();
        Self { pointers, borrowed: std::marker::PhantomData }
    }
}

/// Becomes the program at `path`, or says why not. Source: execve(2).
pub(crate) fn exec(path: &CStr, arguments: &Strings<'_>, env: &Strings<'_>) -> Errno {
    // SAFETY: a C string and two null-ended tables of C strings, all borrowed for the call.
    unsafe { libc::execve(path.as_ptr(), arguments.pointers.as_ptr(), env.pointers.as_ptr()) };
    Errno::last()
}

/// Becomes the program behind a descriptor, or says why not. Source: execveat(2), AT_EMPTY_PATH.
pub(crate) fn exec_fd(file: BorrowedFd<'_>, arguments: &Strings<'_>, env: &Strings<'_>) -> Errno {
    // SAFETY: as in `exec`, with an empty path.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            file.as_raw_fd(),
            c"".as_ptr(),
            arguments.pointers.as_ptr(),
            env.pointers.as_ptr(),
            libc::AT_EMPTY_PATH,
        )
    };
    Errno::last()
}

/// Ends at once: no destructor, no buffer, no handler of the copy's original. Source: _exit(2).
pub(crate) fn exit_now(exit: Exit) -> ! {
    // SAFETY: it does not return, and needs nothing.
    unsafe { libc::_exit(i32::from(exit.status())) }
}

pub(crate) fn own_pid() -> Option<Pid> {
    Pid::new(nix::unistd::getpid().as_raw())
}

/// The leader of the group we are in; `None` where that is outside our view.
pub(crate) fn own_group() -> Option<Pid> {
    Pid::new(nix::unistd::getpgrp().as_raw())
}

/// Sends a signal to one process. Source: kill(2).
pub(crate) fn kill(pid: Pid, signal: Signal) -> Result<(), Errno> {
    // SAFETY: kill takes numbers only.
    check(unsafe { libc::kill(pid.raw(), signal.raw()) }).map(|_| ())
}

/// Sends a signal to the group that this process leads or led.
pub(crate) fn kill_group(leader: Pid, signal: Signal) -> Result<(), Errno> {
    // SAFETY: kill takes numbers only; a Pid is above 0. 1 would be everybody: see below.
    if leader.raw() == 1 {
        return Err(Errno::INVALID);
    }
    // SAFETY: as above.
    check(unsafe { libc::kill(leader.raw().wrapping_neg(), signal.raw()) }).map(|_| ())
}

/// Sends a signal to every process there is but us. Only for PID 1 of a container or machine.
pub(crate) fn kill_everybody(signal: Signal) {
    if nix::unistd::getpid().as_raw() == 1 {
        // SAFETY: kill takes numbers only.
        unsafe { libc::kill(-1, signal.raw()) };
    }
}

/// Whether anybody whom we may signal is left in the group that this process leads or led.
pub(crate) fn group_exists(leader: Pid) -> bool {
    // SAFETY: kill takes numbers only; signal 0 only asks.
    leader.raw() > 1 && check(unsafe { libc::kill(leader.raw().wrapping_neg(), 0) }).is_ok()
}

/// Collects one dead process, a child of ours or an orphan we adopted; `None`: no more for now.
/// Source: waitpid(2). ECHILD (nobody left to wait for) is `None` too; WNOHANG rules EINTR out.
/// Not nix's: it answers EINVAL when a real-time signal killed, and that pid and status are lost.
pub(crate) fn reap() -> Option<(Pid, Exit)> {
    let mut status = 0;
    // SAFETY: `status` is ours and outlives the call; waitpid keeps no pointer to it.
    let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG) };
    Pid::new(pid).map(|pid| (pid, Exit::from_wait_status(status)))
}

/// Puts a process into a group of its own. Parent and child both do it, so that neither can be
/// late; the one that is finds EACCES (it has exec'd already) or nothing to do. Source: setpgid(2).
pub(crate) fn lead_group(pid: Option<Pid>) {
    // SAFETY: setpgid takes numbers only.
    unsafe { libc::setpgid(pid.map_or(0, Pid::raw), 0) };
}

/// Leaves the terminal and the session we came from. Source: setsid(2).
pub(crate) fn lead_session() -> Result<(), Errno> {
    nix::unistd::setsid()?;
    Ok(())
}

/// Makes orphans below us our children. Source: PR_SET_CHILD_SUBREAPER in prctl(2).
pub(crate) fn adopt_orphans() -> Result<(), Errno> {
    Ok(nix::sys::prctl::set_child_subreaper(true)?)
}

/// Dies by KILL when our parent does. Source: PR_SET_PDEATHSIG in prctl(2).
pub(crate) fn die_with_parent(parent: Pid) {
    let _ = nix::sys::prctl::set_pdeathsig(Some(nix::sys::signal::Signal::SIGKILL));
    // It may have died before the call. Outside our namespace's view the parent is 0.
    let now = nix::unistd::getppid().as_raw();
    if now != parent.raw() && now != 0 {
        exit_now(Exit::FAILURE);
    }
}

/// Makes `fd` known as `number`, without close-on-exec. Source: dup2(2).
pub(crate) fn place(fd: BorrowedFd<'_>, number: RawFd) -> Result<(), Errno> {
    if fd.as_raw_fd() == number {
        // SAFETY: F_SETFD takes an int.
        return check(unsafe { libc::fcntl(number, libc::F_SETFD, 0) }).map(|_| ());
    }
    // SAFETY: dup2 takes numbers only; what `number` was is the caller's to give up, which only
    // ever is the forked side on its way to exec.
    retry(|| check(unsafe { libc::dup2(fd.as_raw_fd(), number) })).map(|_| ())
}

/// Leaves the forked side with 0, 1, 2 and these, from 3 on in their order; the flag says which
/// of them exec keeps. Everything else is closed. Source: dup3(2), close_range(2).
pub(crate) fn keep_only<const N: usize>(
    kept: [(BorrowedFd<'_>, bool); N],
) -> Result<[OwnedFd; N], Errno> {
    let first_free = 3_i32.saturating_add(i32::try_from(N).unwrap_or(i32::MAX));
    let mut copies = [-1; N];
    for ((fd, _), copy) in kept.iter().zip(&mut copies) {
        // SAFETY: F_DUPFD_CLOEXEC takes an int.
        *copy = check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_DUPFD_CLOEXEC, first_free) })?;
    }
    for (number, ((_, through_exec), copy)) in (3..).zip(kept.iter().zip(copies)) {
        let flags = if *through_exec { 0 } else { libc::O_CLOEXEC };
        // SAFETY: dup3 takes numbers only; what `number` was, the forked side gives up here.
        retry(|| check(unsafe { libc::dup3(copy, number, flags) }))?;
    }
    close_from(first_free);
    let mut number = 2;
    Ok([(); N].map(|()| {
        number = i32::saturating_add(number, 1);
        // SAFETY: opened just above, and nobody else in this process knows it.
        unsafe { OwnedFd::from_raw_fd(number) }
    }))
}

/// The forked side's 0 and 1 become /dev/null, or closed where there is none; 2 too if it was closed
/// when we came.
pub(crate) fn forget_standard() {
    // SAFETY: the path is a NUL-terminated literal.
    let null = super::fd::owned(unsafe {
        libc::open(c"/dev/null".as_ptr(), libc::O_RDWR | libc::O_CLOEXEC)
    });
    let ends = if super::entry::standard(2).is_some() { 2 } else { 3 };
    for number in 0..ends {
        match &null {
            Ok(null) => drop(place(std::os::fd::AsFd::as_fd(null), number)),
            // SAFETY: the forked side uses it no more.
            Err(_) => drop(unsafe { libc::close(number) }),
        }
    }
}

/// Closes what the caller has left open beside 0, 1, 2 and these.
/// Before Linux 5.9 it stays open, as it does below every other init. Source: close_range(2).
pub(crate) fn close_others<const N: usize>(mut kept: [RawFd; N]) {
    kept.sort_unstable();
    let mut first = 3;
    for fd in kept.into_iter().filter(|it| *it > 2).chain([RawFd::MAX]) {
        if first < fd {
            let last = fd.saturating_sub(1);
            // SAFETY: what lies between our own descriptors is the caller's, and nobody in this
            // process uses it.
            unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
        }
        first = fd.saturating_add(1);
    }
}

/// Source: close_range(2).
fn close_from(first: RawFd) {
    // SAFETY: the forked side uses none of them again; nothing else is touched.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0) };
    if result == -1 {
        // Before Linux 5.9. No container has more open.
        for fd in first..65_536 {
            // SAFETY: as above.
            unsafe { libc::close(fd) };
        }
    }
}

/// A terminal becomes the controlling one of the session we lead. Source: ioctl_tty(2), TIOCSCTTY.
pub(crate) fn take_terminal(terminal: BorrowedFd<'_>) -> Result<(), Errno> {
    // SAFETY: TIOCSCTTY takes an int.
    check(unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSCTTY, 0) }).map(|_| ())
}

/// The pids of our children as the kernel lists them, as many as fit; `None` without /proc.
/// Source: proc_pid_children(5).
pub(crate) fn children(into: &mut [u8]) -> Option<impl Iterator<Item = Pid>> {
    // SAFETY: the path is a NUL-terminated literal.
    let file = super::fd::owned(unsafe {
        libc::open(c"/proc/thread-self/children".as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC)
    })
    .ok()?;
    let mut length = 0_usize;
    while let Some(room) = into.get_mut(length..).filter(|it| !it.is_empty()) {
        match super::fd::read(std::os::fd::AsFd::as_fd(&file), room).ok()? {
            0 => break,
            more => length = length.saturating_add(more),
        }
    }
    // Each pid has a space after it, so a number that was cut off is recognised and left out.
    let list = into.get(..length)?.split_inclusive(|it| *it == b' ');
    let whole = |it: &[u8]| std::str::from_utf8(it.strip_suffix(b" ")?).ok()?.parse().ok();
    Some(list.filter_map(move |it| whole(it).and_then(Pid::new)))
}
