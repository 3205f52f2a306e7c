//! PID 1 allocates nothing once its child runs. The debug build seals its heap and aborts when
//! somebody does, so this test drives that one through a whole life.
use crate::harness::{Server, Setup};
use nix::sys::signal::Signal;

#[test]
fn a_whole_life_passes_without_an_allocation_of_init() {
    let server = Server::start();
    let script = "echo \"up $GREETING\"; trap 'exit 42' TERM; (sleep 0.01 &) ; \
                  while :; do echo tick; sleep 0.02; done";
    let mut app =
        Setup::other(env!("CARGO_BIN_EXE_waypoint-entrypoint"), ["/bin/sh", "-c", script])
            .linked(&server)
            .env("WAYPOINT_LOG_LEVEL", "info")
            .spawn();
    app.expect_line("up ");
    assert_eq!(server.run(&["/bin/echo", "hello"]).stdout, b"hello\n");
    assert_eq!(server.run(&["/no/such/file"]).code, 127);
    server.set(&[("GREETING", "again")]);
    app.expect_line("up again");
    app.kill_agent();
    app.expect_error("the next one starts");
    app.signal(Signal::SIGWINCH);
    app.expect_line("tick");
    app.signal(Signal::SIGTERM);
    app.expect_exit(42);
}
