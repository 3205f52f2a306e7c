//! What a taken-over agent would find: nothing. Seen in /proc.
use crate::harness::{Entrypoint, Server, Setup, process, skip, until};
use std::os::unix::fs::MetadataExt as _;

const IDLE: &str = "echo ready; exec sleep 1000";

#[test]
fn the_agent_has_no_rights_and_no_environment() {
    let server = Server::start();
    let app = Entrypoint::linked(&server, IDLE);
    server.instances();
    let agent = app.agent();
    for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert_eq!(
            process::field(agent, "status", set).as_deref(),
            Some("0000000000000000"),
            "{set}"
        );
    }
    assert_eq!(process::number(agent, "status", "NoNewPrivs"), Some(1));
    assert_eq!(process::number(agent, "status", "Threads"), Some(1));
    assert_eq!(process::read(agent, "environ"), b"");
    let limits = process::text(agent, "limits");
    let core =
        limits.lines().find(|line| line.starts_with("Max core file size")).expect("it has limits");
    assert_eq!(core.split_whitespace().nth(4), Some("0"), "a core file would hold the token");
}

#[test]
fn the_agent_has_a_session_of_its_own() {
    let server = Server::start();
    let app = Entrypoint::linked(&server, IDLE);
    let agent = app.agent();
    // After the name in brackets: state, parent, group, session.
    let session = until("its session", || {
        let stat = process::text(agent, "stat");
        stat.rsplit_once(") ")?
            .1
            .split(' ')
            .nth(3)?
            .parse::<i32>()
            .ok()
            .filter(|session| *session == agent)
    });
    assert_eq!(session, agent);
}

#[test]
fn nobody_but_root_looks_into_the_agent() {
    if !nix::unistd::Uid::effective().is_root() {
        skip!("only root can become another user");
    }
    let server = Server::start();
    let another_user = ["setpriv", "--reuid", "1000", "--regid", "1000", "--clear-groups"];
    let setup = Setup::script(IDLE).linked(&server).through(another_user);
    let mut app = setup.spawn();
    app.expect_line("ready");
    server.instances();
    let owner = |pid: i32| std::fs::metadata(format!("/proc/{pid}/mem")).expect("it runs").uid();
    assert_eq!(
        process::field(app.agent(), "status", "Uid").as_deref(),
        Some("1000\t1000\t1000\t1000")
    );
    assert_eq!(owner(app.agent()), 0, "the agent can be read by its user");
    assert_eq!(owner(app.pid()), 1000, "programs write to /proc/1/fd/1");
}

#[test]
fn init_and_the_child_have_no_socket_to_the_network() {
    let server = Server::start();
    let mut app = Entrypoint::linked(&server, IDLE);
    app.expect_line("ready");
    server.instances();
    let inet = inet_sockets();
    let sockets = |pid| {
        let all = process::descriptors(pid).into_iter();
        all.filter_map(|(_, link)| {
            link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']').map(str::to_owned)
        })
        .filter(|inode| inet.contains(inode))
        .count()
    };
    assert_eq!(sockets(app.agent()), 1, "the agent has one link");
    assert_eq!(sockets(app.pid()), 0, "init has none");
    let mut direct = Setup::other("/bin/sh", ["-c", IDLE]).spawn();
    direct.expect_line("ready");
    let numbers =
        |pid| process::descriptors(pid).into_iter().map(|(number, _)| number).collect::<Vec<_>>();
    assert_eq!(numbers(app.child()), numbers(direct.pid()), "the child inherits something of ours");
}

#[test]
fn init_has_one_thread_and_no_token() {
    let server = Server::start();
    let app = Entrypoint::linked(&server, IDLE);
    server.instances();
    assert_eq!(process::number(app.pid(), "status", "Threads"), Some(1));
    assert!(
        !String::from_utf8_lossy(&process::read(app.pid(), "environ")).contains(&server.invite)
    );
}

#[test]
fn the_agent_does_not_outlive_init() {
    let server = Server::start();
    let app = Entrypoint::linked(&server, IDLE);
    server.instances();
    let agent = app.agent();
    app.signal(nix::sys::signal::Signal::SIGKILL);
    until("the agent's end", || (!process::lives(agent)).then_some(()));
}

/// The inodes of all sockets of IPv4 and IPv6.
fn inet_sockets() -> Vec<String> {
    let tables = ["tcp", "tcp6", "udp", "udp6", "raw", "raw6"];
    let lines = tables.iter().flat_map(|table| {
        let text = std::fs::read_to_string(format!("/proc/net/{table}")).unwrap_or_default();
        text.lines().skip(1).map(str::to_owned).collect::<Vec<_>>()
    });
    lines.filter_map(|line| line.split_whitespace().nth(9).map(str::to_owned)).collect()
}
