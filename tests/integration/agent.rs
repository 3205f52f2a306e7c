//! The agent may die, hang or lag: the app does not notice.
use crate::harness::{Entrypoint, Server, Setup, process, until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// Counts for ever; a stop makes it say how far it came.
const COUNTS: &str = "i=0; trap 'echo \"end $i\"; exit 42' TERM
    while :; do echo \"n $i\"; i=$((i+1)); sleep 0.005; done";

#[test]
fn the_app_does_not_notice_that_its_agent_is_killed_a_hundred_times() {
    let server = Server::start();
    let mut app = Entrypoint::linked(&server, COUNTS);
    let mut next = Counter(0);
    next.line(&mut app);
    let child = app.child();
    until("the first link", || server.reaches_the_instance().then_some(()));
    for round in 0..100_u32 {
        // A moment that is another one each time: so many lines later.
        for _ in 0..(round * 7 % 11) {
            next.line(&mut app);
        }
        app.kill_agent();
        if round % 2 == 0 {
            until("a link again", || server.reaches_the_instance().then_some(()));
        }
    }
    until("the last link", || server.reaches_the_instance().then_some(()));
    assert_eq!(app.child(), child, "the app was started anew");
    app.signal(Signal::SIGTERM);
    let ended = app.expect_exit(42);
    for line in ended.stdout.lines() {
        match line.strip_prefix("end ") {
            Some(end) => assert_eq!(end, next.0.to_string(), "the last word"),
            None => next.is(line),
        }
    }
}

#[test]
fn an_agent_that_stands_still_is_replaced() {
    let server = Server::start();
    let mut app =
        Setup::script(COUNTS).linked(&server).env("WAYPOINT_CEB_AGENT_TIMEOUT", "1s").spawn();
    let mut next = Counter(0);
    next.line(&mut app);
    let (child, old) = (app.child(), app.agent());
    until("a link", || server.reaches_the_instance().then_some(()));
    kill(Pid::from_raw(old), Signal::SIGSTOP).expect("it runs");
    until("another agent", || {
        next.line(&mut app); // and the app goes on meanwhile
        app.running_agent().filter(|new| *new != old)
    });
    until("a link again", || server.reaches_the_instance().then_some(()));
    assert_eq!(app.child(), child, "the app was started anew");
    assert!(!process::lives(old), "the old agent is still there");
}

#[test]
fn an_agent_that_died_is_no_restart_of_the_child() {
    let server = Server::start();
    server.set(&[("GREETING", "hello")]);
    let script = "echo \"greeting: $GREETING\"; trap 'exit 5' TERM; while :; do sleep 0.02; done";
    let mut app = Entrypoint::linked(&server, script);
    assert_eq!(app.expect_prefix("greeting: "), "hello");
    app.kill_agent();
    until("a link again", || server.reaches_the_instance().then_some(()));
    server.set(&[("GREETING", "changed")]);
    assert_eq!(app.expect_prefix("greeting: "), "changed", "the next start is that of the change");
}

#[test]
fn a_server_that_is_gone_is_nothing_to_the_app() {
    let server = Server::start();
    let mut app = Entrypoint::linked(&server, COUNTS);
    let mut next = Counter(0);
    next.line(&mut app);
    let child = app.child();
    until("a link", || server.reaches_the_instance().then_some(()));
    drop(server);
    (0..100).for_each(|_| next.line(&mut app));
    assert_eq!(app.child(), child);
    app.signal(Signal::SIGTERM);
    app.expect_exit(42);
}

#[test]
fn a_reader_who_stands_still_does_not_keep_a_stop_from_the_app() {
    let server = Server::start();
    // The promise is 100 ms. Several tries, for a machine that happens to be busy elsewhere: what
    // is promised is that nothing waits for the reader, and a wait would be there each time.
    let quickest = (0..5).map(|_| stop_below_a_reader_who_stands_still(&server)).min();
    assert!(quickest < Some(Duration::from_millis(100)), "{quickest:?}");
}

/// How long a TERM takes to the app's own word, while nobody reads the output that floods out.
#[track_caller]
fn stop_below_a_reader_who_stands_still(server: &Server) -> Duration {
    let (read, write) = std::io::pipe().expect("a pipe");
    let script = "trap 'echo got it >&2; exit 9' TERM; yes & echo \"yes is $!\" >&2; wait";
    let mut setup = Setup::script(script).linked(server);
    setup.0.stdout(Stdio::from(write));
    let mut app = setup.spawn();
    // The test's own copy of the pipe's other end goes with the command that was spawned.
    let line = app.expect_error("yes is ");
    let yes: i32 = line.rsplit(' ').next().and_then(|pid| pid.parse().ok()).expect("a pid");
    let mut written = Vec::new();
    until("a flood that stands still", || {
        written.push(process::number(yes, "io", "wchar"));
        let last: Vec<_> = written.iter().rev().take(40).collect();
        (last.len() == 40 && **last.first()? > Some(0) && last.iter().all(|one| *one == last[0]))
            .then_some(())
    });
    let before = Instant::now();
    app.signal(Signal::SIGTERM);
    app.expect_error("got it");
    let taken = before.elapsed();
    app.expect_exit(9);
    drop(read);
    taken
}

#[test]
fn an_agent_that_hangs_while_the_app_floods_is_replaced() {
    let server = Server::start();
    let flood = "trap 'exit 42' TERM; yes & echo ready; wait";
    let mut setup = Setup::script(flood).linked(&server).env("WAYPOINT_CEB_AGENT_TIMEOUT", "500ms");
    setup.0.stdout(Stdio::null());
    let app = setup.spawn();
    until("the first link", || server.reaches_the_instance().then_some(()));
    let old = app.agent();
    kill(Pid::from_raw(old), Signal::SIGSTOP).expect("it runs");
    until("another agent", || app.running_agent().filter(|new| *new != old));
    app.signal(Signal::SIGTERM);
    app.expect_exit(42);
}

#[test]
fn streams_that_are_closed_do_not_keep_a_linked_app_from_anything() {
    let server = Server::start();
    for closed in ["0<&-", "0<&- 1>&-", "0<&- 1>&- 2>&-"] {
        let script = "trap 'exit 42' TERM; while :; do sleep 0.02; done";
        let shell = format!("exec \"$@\" {closed}");
        let app = Setup::below(&shell, script).linked(&server).spawn();
        until("a link", || server.reaches_the_instance().then_some(()));
        assert_eq!(server.run(&["/bin/echo", "hello"]).stdout, b"hello\n", "{closed}");
        app.signal(Signal::SIGTERM);
        app.expect_exit(42);
    }
}

#[test]
fn where_processes_are_short_the_app_gets_the_one_that_the_agent_had() {
    // Init and the agent are all that this user may have; the limit does not count for root.
    let user = ["setpriv", "--reuid=54321", "--clear-groups", "prlimit", "--nproc=2"];
    let mut app = Setup::new(["/bin/sh", "-c", "echo up; read end; exit 3"])
        .env("WAYPOINT_SERVER_ADDR", "127.0.0.1:1")
        .env("WAYPOINT_CEB_START_TIMEOUT", "500ms")
        .through(user)
        .stdin_piped()
        .spawn();
    app.expect_error("the agent makes room");
    app.expect_line("up");
    app.expect_exit(3);
}

/// The lines `n 0`, `n 1`, … without a gap.
struct Counter(u64);

impl Counter {
    #[track_caller]
    fn line(&mut self, app: &mut Entrypoint) {
        let number = app.expect_prefix("n ");
        self.is(&format!("n {number}"));
    }

    #[track_caller]
    fn is(&mut self, line: &str) {
        assert_eq!(line, format!("n {}", self.0), "the output has a gap");
        self.0 += 1;
    }
}
