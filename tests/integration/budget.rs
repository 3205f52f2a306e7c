//! What we weigh, against `budget.toml`. Every measure is printed, also by a run that passes.
use crate::harness::{Entrypoint, Server, dist, process, until};
use std::io::Write as _;
use std::time::Duration;

#[test]
fn the_file_is_within_its_budget() {
    let size = std::fs::metadata(dist("waypoint-entrypoint")).expect("it is there").len();
    within("file", "bytes", "waypoint-entrypoint", size.try_into().expect("a small file"));
}

#[test]
fn the_file_needs_no_other() {
    let bytes = std::fs::read(dist("waypoint-entrypoint")).expect("it is there");
    let names = |needle: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
    assert!(!names(b"/ld-linux-x86-64.so"), "an interpreter: it would not start FROM scratch");
    assert_eq!(bytes.get(16), Some(&3), "ET_DYN: a static-pie, so that its addresses are random");
}

#[test]
fn linked_over_tls_and_idle_we_are_small_and_asleep() {
    let server = Server::start_tls();
    let mut app = Entrypoint::linked(&server, "echo ready; exec sleep 1000");
    app.expect_line("ready");
    server.instances();
    let (init, agent) = (app.pid(), app.agent());
    let rss = |pid| process::number(pid, "smaps_rollup", "Rss").expect("it runs");
    within("agent_rss", "KiB", "linked-and-idle", rss(agent));
    let limit = budget("linked-and-idle", "agent_rss_after_trim");
    // It gives its clean pages back some seconds after the last word.
    until("an agent that has given its clean pages back", || (rss(agent) <= limit).then_some(()));
    within("agent_rss_after_trim", "KiB", "linked-and-idle", rss(agent));
    within("init_rss", "KiB", "linked-and-idle", rss(init));
    within("init_wakeups", "in 10 s", "linked-and-idle", wakeups_in_ten_seconds(init));
}

fn wakeups_in_ten_seconds(pid: i32) -> i64 {
    let woken = || process::number(pid, "status", "voluntary_ctxt_switches").expect("it runs");
    let before = woken();
    // The one sleep of these tests: what is measured is that nothing happens in this time.
    std::thread::sleep(Duration::from_secs(10));
    woken() - before
}

#[track_caller]
fn within(key: &str, unit: &str, table: &str, measured: i64) {
    let limit = budget(table, key);
    let line = format!("memory: {table}.{key}: {measured} of {limit} {unit}\n");
    // Past libtest's capture.
    std::io::stderr().write_all(line.as_bytes()).expect("stderr takes a line");
    assert!(measured <= limit, "{line}over the budget of budget.toml");
}

fn budget(table: &str, key: &str) -> i64 {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/budget.toml");
    let budget: toml::Table =
        std::fs::read_to_string(path).expect("budget.toml").parse().expect("TOML");
    budget[table][key].as_integer().expect("a number")
}
