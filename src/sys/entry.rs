//! How the entrypoint begins: before the standard library could change anything.
use super::Errno;
use super::fd::owned;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, OwnedFd, RawFd};

/// Makes a program's `main` of a function without arguments that returns its exit status.
///
/// Rust's own start-up ignores SIGPIPE, opens /dev/null for closed standard descriptors and
/// installs handlers on a second stack; a child would inherit the first two. So the C library
/// calls us directly.
#[macro_export]
macro_rules! entry {
    ($main:path) => {
        #[unsafe(no_mangle)]
        extern "C" fn main() -> i32 {
            i32::from($main())
        }
    };
}

/// Takes a descriptor that whoever started us has placed for us; once.
pub(crate) fn inherited(number: RawFd) -> Option<OwnedFd> {
    use nix::fcntl::{FcntlArg, fcntl};
    let fd = number;
    // SAFETY: F_GETFD only asks whether the number is open.
    if unsafe { libc::fcntl(fd, libc::F_GETFD) } == -1 {
        return None;
    }
    let fd = owned(fd).ok()?;
    fcntl(fd.as_fd(), FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC)).ok()?;
    Some(fd)
}

/// Runs `write` with one of the standard descriptors, which nobody closes while we live.
pub(crate) fn standard(number: RawFd) -> Option<std::os::fd::BorrowedFd<'static>> {
    // SAFETY: F_GETFL only asks.
    let flags = unsafe { libc::fcntl(number, libc::F_GETFL) };
    if flags == -1 || flags & libc::O_PATH != 0 {
        return None; // closed, or the place holder of one that is
    }
    // SAFETY: it is open, and neither init nor agent ever closes 0, 1 or 2 in its own process.
    Some(unsafe { std::os::fd::BorrowedFd::borrow_raw(number) })
}

/// Puts place holders where 0, 1 or 2 are closed, so that no descriptor of ours becomes somebody's
/// output. They can be neither read nor written, and whatever we start finds them closed again.
pub(crate) fn hold_standard_places() {
    let flags = libc::O_PATH | libc::O_CLOEXEC;
    loop {
        // SAFETY: the path is a NUL-terminated literal.
        let lowest = unsafe { libc::open(c"/".as_ptr(), flags) };
        if !(0..3).contains(&lowest) {
            // SAFETY: opened just above, and not needed; -1 is none of anybody's.
            unsafe { libc::close(lowest) };
            return;
        }
    }
}

/// The environment as it was given to us: every entry, in its order, whatever its bytes.
pub(crate) fn environment() -> Vec<CString> {
    let mut all = Vec::new();
    for_each_entry(|text| {
        // SAFETY: a C string of the table, copied before anybody could change it.
        all.push(unsafe { CStr::from_ptr(text) }.to_owned());
    });
    all
}

/// Overwrites the value of a variable in the block that /proc/1/environ shows; init has its copy.
/// Source: proc_pid_environ(5).
pub(crate) fn wipe(name: &str) {
    for_each_entry(|text| {
        // SAFETY: a C string of the table. The borrow ends before anything is written.
        let bytes = unsafe { CStr::from_ptr(text) }.to_bytes();
        let is_it = bytes.strip_prefix(name.as_bytes()).is_some_and(|it| it.starts_with(b"="));
        let length = if is_it { bytes.len() } else { 0 };
        for index in name.len().saturating_add(1)..length {
            // SAFETY: a byte of the value, in our own writable stack area; init has one thread and
            // nobody borrows it. Volatile, because only others will ever read it.
            unsafe { text.wrapping_add(index).write_volatile(b'*'.cast_signed()) };
        }
    });
}

fn for_each_entry(mut visit: impl FnMut(*mut libc::c_char)) {
    unsafe extern "C" {
        static environ: *const *mut libc::c_char;
    }
    // SAFETY: the C library's table; nothing in this program calls setenv.
    let mut entry = unsafe { environ };
    while !entry.is_null() {
        // SAFETY: the table ends with a null, which ends the loop before we pass it.
        let text = unsafe { *entry };
        if text.is_null() {
            return;
        }
        visit(text);
        entry = entry.wrapping_add(1);
    }
}

/// A descriptor to our own file, by which agent and shim are started whatever the app does to the
/// paths. Taken at start, before any chdir. Source: proc_pid_exe(5), getauxval(3) AT_EXECFN.
pub(crate) fn own_file() -> Result<OwnedFd, Errno> {
    let flags = libc::O_PATH | libc::O_CLOEXEC;
    // SAFETY: the path is a NUL-terminated literal.
    let by_proc = owned(unsafe { libc::open(c"/proc/self/exe".as_ptr(), flags) });
    by_proc.or_else(|error| {
        // SAFETY: getauxval only reads what the kernel left on our stack.
        let name = unsafe { libc::getauxval(libc::AT_EXECFN) } as *const libc::c_char;
        if name.is_null() {
            return Err(error);
        }
        // SAFETY: the kernel's C string, which stays for as long as we run.
        owned(unsafe { libc::open(name, flags) })
    })
}

/// The directory we were started in, for those we start; and `/` becomes ours, so that we keep
/// nobody from unmounting. A directory we may not open stays the current one.
pub(crate) fn leave_directory() -> Option<OwnedFd> {
    let flags = libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC;
    // SAFETY: the path is a NUL-terminated literal.
    let here = owned(unsafe { libc::open(c".".as_ptr(), flags) }).ok()?;
    nix::unistd::chdir("/").ok()?;
    Some(here)
}

/// Goes back there; for the forked side.
pub(crate) fn return_to(directory: &OwnedFd) -> Result<(), Errno> {
    Ok(nix::unistd::fchdir(directory)?)
}
