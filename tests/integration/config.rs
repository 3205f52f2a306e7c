//! Configuration reaches the child, and a change of it starts the child anew.
use crate::harness::{Entrypoint, Server, Setup, process};
use nix::sys::signal::Signal;

const SAYS_ITS_GREETING: &str = "trap 'echo told to stop; exit 0' TERM
    echo \"greeting: $GREETING\"; while :; do sleep 0.02; done";

#[test]
fn a_variable_is_there_before_the_child_first_starts() {
    let server = Server::start();
    server.set(&[("GREETING", "hello world"), ("EMPTY_LOOKING", " ")]);
    let mut app = Entrypoint::linked(&server, "echo \"greeting: $GREETING\"; exit 3");
    assert_eq!(app.expect_prefix("greeting: "), "hello world");
    app.expect_exit(3);
}

#[test]
fn a_change_stops_the_child_and_starts_it_with_the_new_value() {
    let server = Server::start();
    server.set(&[("GREETING", "first")]);
    let mut app = Entrypoint::linked(&server, SAYS_ITS_GREETING);
    assert_eq!(app.expect_prefix("greeting: "), "first");
    server.set(&[("GREETING", "second")]);
    app.expect_line("told to stop");
    assert_eq!(app.expect_prefix("greeting: "), "second");
    app.signal(Signal::SIGTERM);
    app.expect_line("told to stop");
    app.expect_exit(0);
}

#[test]
fn what_does_not_change_does_not_restart_the_child() {
    let server = Server::start();
    server.set(&[("GREETING", "first")]);
    let mut app = Entrypoint::linked(&server, SAYS_ITS_GREETING);
    assert_eq!(app.expect_prefix("greeting: "), "first");
    server.set(&[("GREETING", "first")]);
    server.set(&[("GREETING", "second")]);
    // Had the same value restarted it, `first` would have been said a second time.
    assert_eq!(app.expect_prefix("greeting: "), "second");
}

#[test]
fn a_variable_that_is_unset_goes() {
    let server = Server::start();
    server.set(&[("GREETING", "first")]);
    let mut app = Entrypoint::linked(&server, SAYS_ITS_GREETING);
    assert_eq!(app.expect_prefix("greeting: "), "first");
    server.unset("GREETING");
    assert_eq!(app.expect_prefix("greeting: "), "");
}

#[test]
fn a_child_that_does_not_stop_keeps_its_successor_waiting_and_a_stop_from_outside_wins() {
    let server = Server::start();
    server.set(&[("GREETING", "first")]);
    let stubborn =
        "trap 'echo told' TERM; echo \"greeting: $GREETING\"; while :; do sleep 0.02; done";
    let mut app = Setup::script(stubborn).linked(&server).spawn();
    assert_eq!(app.expect_prefix("greeting: "), "first");
    let child = app.child();
    server.set(&[("GREETING", "second")]);
    app.expect_line("told");
    assert_eq!(app.child(), child, "never two at once");
    app.signal(Signal::SIGTERM);
    app.expect_line("told");
    assert!(process::lives(child), "whoever stops us from outside decides how long that may take");
}

#[test]
fn a_linked_child_has_a_port_and_keeps_its_own() {
    let server = Server::start();
    for (set, expected) in [(None, "5000"), (Some("8080"), "8080")] {
        let mut setup = Setup::script("echo \"port $PORT\"; exit 0").linked(&server);
        if let Some(port) = set {
            setup = setup.env("PORT", port);
        }
        let mut app = setup.spawn();
        assert_eq!(app.expect_prefix("port "), expected);
        app.expect_exit(0);
    }
}

#[test]
fn nobody_below_us_sees_the_token() {
    let server = Server::start();
    let mut app = Setup::script("env | sed 's/^/has /'; echo ready; read end; exit 0");
    app = app.linked(&server).stdin_piped();
    let mut app = app.spawn();
    app.expect_line("ready");
    server.instances();
    let session = server.run(&["env"]).text();
    assert!(session.contains("PATH="), "the session has an environment: {session}");
    assert!(!session.contains(&server.invite), "a session sees the token");
    for (who, pid) in [("init", app.pid()), ("the child", app.child()), ("the agent", app.agent())]
    {
        let environ = process::environment(pid).join("\n") + &process::text(pid, "cmdline");
        assert!(!environ.contains(&server.invite), "{who} shows the token");
    }
    let ended = app.expect_exit(0);
    assert!(!ended.stdout.contains(&server.invite), "the child sees the token");
}

#[test]
fn what_is_set_to_what_it_was_anyway_restarts_nobody() {
    let server = Server::start();
    let mut app = Setup::script(SAYS_ITS_GREETING).linked(&server).env("GREETING", "base").spawn();
    assert_eq!(app.expect_prefix("greeting: "), "base");
    server.set(&[("GREETING", "base")]);
    server.set(&[("GREETING", "other")]);
    app.expect_line("told to stop");
    // Had the first restarted it, `base` would have been said a second time.
    assert_eq!(app.expect_prefix("greeting: "), "other");
}
