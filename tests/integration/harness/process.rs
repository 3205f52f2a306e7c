//! Processes as /proc shows them.
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::path::PathBuf;

/// A file of a process's; empty where the process has gone or does not show it.
pub(crate) fn read(pid: i32, file: &str) -> Vec<u8> {
    fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default()
}

pub(crate) fn text(pid: i32, file: &str) -> String {
    String::from_utf8_lossy(&read(pid, file)).into_owned()
}

/// One line of its `status` or `smaps_rollup`, without its name.
pub(crate) fn field(pid: i32, file: &str, name: &str) -> Option<String> {
    let all = text(pid, file);
    let line = all.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    Some(line.trim().to_owned())
}

/// A number of its `status`, whatever the unit.
pub(crate) fn number(pid: i32, file: &str, name: &str) -> Option<i64> {
    field(pid, file, name)?.split_whitespace().next()?.parse().ok()
}

pub(crate) fn name(pid: i32) -> String {
    text(pid, "comm").trim().to_owned()
}

/// There, and not a zombie.
pub(crate) fn lives(pid: i32) -> bool {
    field(pid, "status", "State").is_some_and(|state| !state.starts_with(['Z', 'X']))
}

pub(crate) fn children(pid: i32) -> Vec<i32> {
    let all = fs::read_dir("/proc").expect("/proc is mounted");
    all.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|child| number(*child, "status", "PPid") == Some(i64::from(pid)))
        .collect()
}

/// It and everything below it, parents first.
pub(crate) fn tree(pid: i32) -> Vec<i32> {
    let mut all = vec![pid];
    let mut next = 0;
    while let Some(parent) = all.get(next) {
        all.extend(children(*parent));
        next += 1;
    }
    all
}

/// Of the children that are left to us when their init is gone, none may outlive a test.
pub(crate) fn kill_tree(pid: i32) {
    for victim in tree(pid) {
        // It may be gone, and that is what we want.
        let _gone = kill(Pid::from_raw(victim), Signal::SIGKILL);
    }
}

/// What a descriptor of its stands for, such as `socket:[…]` or a path.
pub(crate) fn descriptors(pid: i32) -> Vec<(i32, PathBuf)> {
    let Ok(all) = fs::read_dir(format!("/proc/{pid}/fd")) else { return Vec::new() };
    all.filter_map(|entry| {
        let entry = entry.ok()?;
        Some((entry.file_name().to_str()?.parse().ok()?, fs::read_link(entry.path()).ok()?))
    })
    .collect()
}

pub(crate) fn environment(pid: i32) -> Vec<String> {
    let block = read(pid, "environ");
    block.split(|byte| *byte == 0).map(|one| String::from_utf8_lossy(one).into_owned()).collect()
}
