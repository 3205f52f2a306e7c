//! The whole life under strace: no file is opened for writing, and nothing listens.
use crate::harness::{Server, Setup, installed, process, skip, until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::ffi::OsStr;

#[test]
fn from_start_to_end_we_write_no_file_and_listen_nowhere() {
    if !installed("strace") {
        skip!("strace is not installed (tools/install.sh)");
    }
    let server = Server::start();
    server.set(&[("GREETING", "first")]);
    let dir = tempfile::tempdir().expect("a directory");
    let trace = dir.path().join("trace");
    let script = "trap 'exit 0' TERM; echo \"greeting: $GREETING\"; while :; do sleep 0.05; done";
    let calls = format!("trace={CALLS}");
    let strace = ["strace", "-f", "-qq", "-s", "4096", "-e", "signal=none", "-e", &calls, "-o"];
    let strace = strace.iter().map(OsStr::new).chain([trace.as_os_str()]);
    let setup = Setup::script(script).linked(&server).through(strace);

    let mut app = setup.spawn();
    assert_eq!(app.expect_prefix("greeting: "), "first");
    server.log().expect("greeting: first");
    assert_eq!(server.run(&["/bin/sh", "-c", "echo in a session; exit 3"]).code, 3);
    server.set(&[("GREETING", "second")]);
    assert_eq!(app.expect_prefix("greeting: "), "second");
    let init = *process::children(app.pid()).first().expect("strace runs us");
    kill(Pid::from_raw(init), Signal::SIGTERM).expect("it runs");
    app.expect_exit(0);

    let text =
        until("the trace", || std::fs::read_to_string(&trace).ok().filter(|text| !text.is_empty()));
    assert!(text.contains("execve("), "strace saw nothing");
    assert!(text.contains("AF_INET"), "it never dialled");
    let forbidden: Vec<_> = text.lines().filter(|line| is_forbidden(line)).collect();
    assert!(forbidden.is_empty(), "{}", forbidden.join("\n"));
}

#[test]
fn the_filter_knows_what_is_forbidden() {
    for (line, forbidden) in [
        ("7 openat(AT_FDCWD, \"/etc/hosts\", O_RDONLY|O_CLOEXEC) = 3", false),
        ("7 openat(AT_FDCWD, \"/proc/self/oom_score_adj\", O_WRONLY|O_CLOEXEC) = 3", false),
        ("7 openat(AT_FDCWD, \"/dev/null\", O_RDWR) = 3", false),
        ("7 openat(AT_FDCWD, \"/tmp/x\", O_WRONLY|O_CREAT|O_TRUNC, 0666) = 3", true),
        ("7 openat(AT_FDCWD, \"/tmp/x\", O_RDWR) = -1 ENOENT (No such file or directory)", true),
        ("7 openat(AT_FDCWD, \"/proc/1/mem\", O_RDWR) = 3", true),
        ("7 creat(\"/tmp/x\", 0666) = 3", true),
        ("7 rename(\"/a\", \"/b\") = 0", true),
        ("7 bind(3, {sa_family=AF_INET, sin_port=htons(0)}, 16) = 0", true),
        ("7 bind(3, {sa_family=AF_NETLINK, nl_pid=0}, 12) = 0", false),
        ("7 listen(3, 128) = 0", true),
        ("7 socket(AF_INET, SOCK_STREAM, IPPROTO_TCP) = 3", false),
    ] {
        assert_eq!(is_forbidden(line), forbidden, "{line}");
    }
}

const WRITING: [&str; 5] = ["O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC", "O_TMPFILE"];
const CALLS: &str = "open,openat,openat2,creat,socket,bind,listen,execve,mknod,mknodat,mkdir,mkdirat,rename,\
    renameat,renameat2,link,linkat,symlink,symlinkat,truncate";

/// The app and the session of the test write nothing either, so every line counts, whoever's it is.
fn is_forbidden(line: &str) -> bool {
    let Some((_, call)) = line.split_once(' ') else { return false };
    let call = call.trim_start();
    let name = call.split('(').next().unwrap_or_default();
    match name {
        "open" | "openat" | "openat2" => {
            let path = call.split('"').nth(1).unwrap_or_default();
            let ours = path.starts_with("/proc/self/") || path.starts_with("/dev/");
            !ours && WRITING.iter().any(|flag| call.contains(flag))
        }
        "bind" => call.contains("AF_INET"),
        "listen" | "creat" | "mknod" | "mknodat" | "mkdir" | "mkdirat" | "rename" | "renameat"
        | "renameat2" | "link" | "linkat" | "symlink" | "symlinkat" | "truncate" => true,
        _ => false,
    }
}
