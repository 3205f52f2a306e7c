//! Sessions beside the app: their bytes, their terminal, their end.
use crate::harness::server::{Said, pty};
use crate::harness::{Entrypoint, Server, Setup, process, until};

const IDLE: &str = "echo ready; exec sleep 1000";

#[test]
fn a_command_has_its_two_streams_and_its_exit_code() {
    let server = Server::start();
    let _app = Entrypoint::linked(&server, IDLE);
    let said = server.run(&["/bin/sh", "-c", "echo out; echo err >&2; exit 3"]);
    assert_eq!(said, Said { stdout: b"out\n".into(), stderr: b"err\n".into(), code: 3 });
}

#[test]
fn what_is_typed_arrives_and_its_end_is_an_end() {
    let server = Server::start();
    let _app = Entrypoint::linked(&server, IDLE);
    let mut session = server.exec(&["cat"], None);
    session.input(b"first\n");
    session.expect("first\n");
    let bytes: Vec<u8> = (0..=255).cycle().take(20_000).collect();
    session.input(&bytes);
    session.end_input();
    assert_eq!(session.finish(), Said { stdout: bytes, ..Said::default() });
}

#[test]
fn a_mebibyte_before_the_exit_is_complete() {
    let server = Server::start();
    let _app = Entrypoint::linked(&server, IDLE);
    for terminal in [None, pty(24, 80)] {
        let script = "head -c 1048576 /dev/zero | tr '\\0' x; exit 5";
        let mut session = server.exec(&["/bin/sh", "-c", script], terminal);
        let said = session.finish();
        assert_eq!(
            (said.stdout.iter().filter(|byte| **byte == b'x').count(), said.code),
            (1 << 20, 5)
        );
    }
}

#[test]
fn a_terminal_has_its_size_from_the_start_and_learns_of_another() {
    let server = Server::start();
    let _app = Entrypoint::linked(&server, IDLE);
    let script = "stty size; test -t 0 && test -t 1 && test -t 2 && echo all three; read line; stty size; exit 3";
    let mut session = server.exec(&["/bin/sh", "-c", script], pty(33, 101));
    session.expect("all three");
    session.resize(40, 120);
    session.input(b"go on\n");
    let said = session.finish();
    assert!(said.text().contains("40 120"), "{said:?}");
    assert_eq!(said.code, 3);
    let mut first = server.exec(&["stty", "size"], pty(33, 101));
    assert_eq!(first.finish().text(), "33 101\n");
}

#[test]
fn ctrl_c_in_a_terminal_is_an_interrupt_for_the_session_alone() {
    let server = Server::start();
    let mut app = Entrypoint::linked(&server, IDLE);
    app.expect_line("ready");
    // What cat writes after the terminal's echo says that cat reads, and no shell is in between.
    let mut session = server.exec(&["/bin/cat"], pty(24, 80));
    session.input(b"up\n");
    session.expect("up\r\nup");
    session.input(b"\x03");
    assert_eq!(session.finish().code, 130);
    assert!(!app.has_ended());
}

#[test]
fn a_command_that_cannot_be_run_is_127_or_126_and_the_reason_is_said_once() {
    let server = Server::start();
    let mut app = Entrypoint::linked(&server, IDLE);
    app.expect_line("ready");
    for (command, code, reason) in
        [("no-such-tool", 127, "no such file"), ("/etc/passwd", 126, "permission denied")]
    {
        let said = server.run(&[command]);
        let stderr = String::from_utf8_lossy(&said.stderr).into_owned();
        assert_eq!((said.code, stderr.matches(reason).count()), (code, 1), "{stderr}");
        assert!(stderr.contains(command), "{stderr}");
    }
}

#[test]
fn a_command_that_a_signal_killed_is_128_and_its_number() {
    let server = Server::start();
    let _app = Entrypoint::linked(&server, IDLE);
    assert_eq!(server.run(&["/bin/sh", "-c", "kill -9 $$"]).code, 137);
}

#[test]
fn a_session_has_the_configuration_of_the_app() {
    let server = Server::start();
    server.set(&[("GREETING", "hello")]);
    let _app = Entrypoint::linked(&server, IDLE);
    assert_eq!(server.run(&["/bin/sh", "-c", "echo $GREETING"]).text(), "hello\n");
}

#[test]
fn a_client_that_goes_away_takes_its_command_along() {
    let server = Server::start();
    let app = Entrypoint::linked(&server, IDLE);
    let mut session = server.exec(&["/bin/sh", "-c", "echo pid $$; exec sleep 1000"], None);
    let said = session.expect("\n");
    let pid: i32 = said.trim().strip_prefix("pid ").expect("its pid").parse().expect("a pid");
    assert!(process::lives(pid));
    drop(session);
    until("the end of the command", || (!process::lives(pid)).then_some(()));
    assert!(process::lives(app.child()), "and the app stays");
}

#[test]
fn sessions_run_side_by_side() {
    let server = Server::start();
    let _app = Entrypoint::linked(&server, IDLE);
    let mut sessions: Vec<_> = (0..5).map(|_| server.exec(&["cat"], None)).collect();
    for (number, session) in sessions.iter_mut().enumerate() {
        session.input(format!("to {number}\n").as_bytes());
        assert_eq!(session.expect("\n"), format!("to {number}\n"));
    }
    for session in &mut sessions {
        session.end_input();
        assert_eq!(session.finish().code, 0);
    }
}

#[test]
fn where_sessions_are_disabled_none_runs() {
    let server = Server::start();
    let setup = Setup::script("echo ready; exec sleep 1000").linked(&server);
    let mut app = setup.env("WAYPOINT_CEB_DISABLE_EXEC", "1").spawn();
    app.expect_line("ready");
    server.expect_log("ready");
    assert!(!server.reaches_the_instance(), "a session ran");
}
