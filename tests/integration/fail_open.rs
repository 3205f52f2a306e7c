//! Whatever is wrong with the server, the child runs; unless we were told that it must not.
use crate::harness::{Entrypoint, Server, Setup, until};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Long enough to be tried, short enough to be waited for.
const START_TIMEOUT: &str = "500ms";

#[test]
fn a_port_that_refuses() {
    runs_all_the_same(aimed_at(&refusing()));
}

#[test]
fn a_server_that_never_answers() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    runs_all_the_same(aimed_at(&silent.local_addr().expect("bound").to_string()));
}

#[test]
fn a_server_that_speaks_something_else() {
    for tls in ["0", "1"] {
        let garbage = answering(b"SSH-2.0-OpenSSH_9.2\r\n\x00\xff\xff\xff\x05garbage");
        runs_all_the_same(aimed_at(&garbage).env("WAYPOINT_SERVER_TLS", tls));
    }
}

#[test]
fn a_server_whose_certificate_nobody_has_signed() {
    let server = Server::start_tls();
    runs_all_the_same(quick().linked(&server).env("WAYPOINT_SERVER_TLS_SKIP_VERIFY", "0"));
}

#[test]
fn a_server_that_does_not_know_our_token() {
    let (server, other) = (Server::start(), Server::start());
    for token in [other.invite.as_str(), "no-token-at-all", ""] {
        runs_all_the_same(quick().linked(&server).env("WAYPOINT_CEB_INVITE_TOKEN", token));
    }
}

#[test]
fn a_server_that_does_not_know_our_deployment() {
    let server = Server::start();
    let unknown = "01GBY4T0GH8QVD8VDJ5RT0D4S4";
    runs_all_the_same(quick().linked(&server).env("WAYPOINT_DEPLOYMENT_ID", unknown));
}

#[test]
fn a_name_that_does_not_resolve() {
    runs_all_the_same(aimed_at("no-such-host.invalid:9701"));
}

#[test]
fn a_stop_while_the_server_is_waited_for_is_the_end() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let app = Setup::script("echo started")
        .env("WAYPOINT_SERVER_ADDR", silent.local_addr().expect("bound").to_string())
        .env("WAYPOINT_DEPLOYMENT_ID", "x")
        .env("WAYPOINT_CEB_SERVER_REQUIRED", "1")
        .spawn();
    // Its dialling shows that it is up and waits.
    let _dialled = silent.accept().expect("it dials");
    app.signal(nix::sys::signal::Signal::SIGTERM);
    let ended = app.end();
    assert_eq!((ended.code, ended.stdout.as_str()), (143, ""), "{}", ended.stderr);
}

#[test]
fn a_required_server_is_waited_for_until_it_is_there() {
    let server = Server::start();
    server.set(&[("GREETING", "hello")]);
    let gate = Gate::to(&server.addr);
    let mut app = quick().linked(&server).env("WAYPOINT_SERVER_ADDR", &gate.addr);
    app = app.env("WAYPOINT_CEB_SERVER_REQUIRED", "1");
    let mut app = app.spawn();
    until("three attempts", || (gate.attempts.load(Ordering::Relaxed) >= 3).then_some(()));
    let agent = app.agent();
    let others =
        crate::harness::process::children(app.pid()).into_iter().filter(|pid| *pid != agent);
    assert_eq!(others.collect::<Vec<_>>(), [0; 0], "the child must wait for its server");
    gate.open.store(true, Ordering::Relaxed);
    app.expect_line("started with hello");
    app.expect_exit(7);
}

fn quick() -> Setup {
    Setup::script("echo \"started with $GREETING\"; exit 7")
        .env("WAYPOINT_CEB_START_TIMEOUT", START_TIMEOUT)
}

fn aimed_at(addr: &str) -> Setup {
    quick()
        .env("WAYPOINT_SERVER_ADDR", addr)
        .env("WAYPOINT_DEPLOYMENT_ID", "01GBY4T0GH8QVD8VDJ5RT0D4S4")
}

#[track_caller]
fn runs_all_the_same(setup: Setup) {
    let mut app: Entrypoint = setup.spawn();
    app.expect_line("started with ");
    app.expect_exit(7);
}

/// A port that was free a moment ago.
fn refusing() -> String {
    TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound").to_string()
}

fn answering(words: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let addr = listener.local_addr().expect("bound").to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            // Whoever dialled may be gone already.
            let _sent = stream.write_all(words);
            let _read = stream.read(&mut [0; 1024]);
        }
    });
    addr
}

/// A way to a server that hangs up on everybody until it is opened.
struct Gate {
    addr: String,
    open: Arc<AtomicBool>,
    attempts: Arc<AtomicUsize>,
}

impl Gate {
    fn to(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let addr = listener.local_addr().expect("bound").to_string();
        let (open, attempts) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let gate = Self { addr, open: open.clone(), attempts: attempts.clone() };
        let server = server.to_owned();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(near) = stream else { return };
                attempts.fetch_add(1, Ordering::Relaxed);
                if open.load(Ordering::Relaxed) {
                    let far = TcpStream::connect(&server).expect("the server listens");
                    join(
                        near.try_clone().expect("a descriptor"),
                        far.try_clone().expect("a descriptor"),
                    );
                    join(far, near);
                }
            }
        });
        gate
    }
}

fn join(mut from: TcpStream, mut to: TcpStream) {
    std::thread::spawn(move || {
        // Either side may hang up; the other then learns of it.
        let _ended = std::io::copy(&mut from, &mut to);
        let _closed = to.shutdown(std::net::Shutdown::Both);
    });
}
