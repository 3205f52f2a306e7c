//! What the child prints reaches the server, and its real output first of all.
use crate::harness::{Entrypoint, Server, Setup};
use nix::sys::signal::Signal;

#[test]
fn both_streams_reach_the_server_and_where_they_went_before() {
    let server = Server::start();
    let mut app =
        Entrypoint::linked(&server, "echo to stdout; echo to stderr >&2; read end; sleep 1000");
    app.expect_line("to stdout");
    app.expect_error("to stderr");
    server.expect_log("to stdout");
    server.expect_log("to stderr");
    app.signal(Signal::SIGTERM);
    app.end();
}

#[test]
fn the_last_words_before_the_end_reach_the_server() {
    let server = Server::start();
    for round in 0..3 {
        let mut log = server.log();
        let mut app =
            Entrypoint::linked(&server, &format!("echo first; echo last words {round}; exit 3"));
        app.expect_line(&format!("last words {round}"));
        app.expect_exit(3);
        log.expect(&format!("last words {round}"));
    }
}

#[test]
fn a_last_line_without_a_newline_is_a_line() {
    let server = Server::start();
    let mut log = server.log();
    let ended = Setup::script("printf unfinished; exit 0").linked(&server).spawn().expect_exit(0);
    assert!(ended.stdout.contains("unfinished"), "{}", ended.stdout);
    log.expect("unfinished");
}

#[test]
fn order_is_kept() {
    let server = Server::start();
    let script =
        "i=0; while [ $i -lt 500 ]; do echo \"n $i.\"; i=$((i+1)); done; read end; sleep 1000";
    let mut app = Entrypoint::linked(&server, script);
    app.expect_line("n 499.");
    let logged = server.expect_log("n 499.");
    let numbers: Vec<_> = logged.iter().filter(|line| line.starts_with("n ")).cloned().collect();
    assert_eq!(numbers, (0..500).map(|n| format!("n {n}.")).collect::<Vec<_>>());
}

#[test]
fn a_flood_comes_out_complete_whatever_becomes_of_the_copy() {
    let server = Server::start();
    let script = "head -c 20000000 /dev/zero | tr '\\0' x | fold -w 99; echo; echo done; exit 0";
    let ended = Setup::script(script).linked(&server).spawn().expect_exit(0);
    let printed = ended.stdout.bytes().filter(|byte| *byte == b'x').count();
    assert_eq!(printed, 20_000_000);
    assert!(ended.stdout.ends_with("done\n"));
}
