//! What is absent from the source, and stays so: the design is made of absences.
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The agent's rooms stand on `link` and `seam`, and know nothing of each other.
const ROOMS: [&str; 4] = ["appconfig", "exec", "logs", "url"];

#[test]
fn unsafe_is_under_sys_alone() {
    absent(
        &not_under("src/sys"),
        &["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern", "unsafe trait"],
    );
}

#[test]
fn the_c_library_is_under_sys_alone() {
    absent(&not_under("src/sys"), &["libc::"]);
}

#[test]
fn init_has_no_runtime_and_no_network() {
    let crates = ["tokio", "prost", "tonic", "tracing", "hyper", "rustls", "http"];
    let words: Vec<_> =
        crates.iter().flat_map(|name| [format!("{name}::"), format!("use {name}")]).collect();
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    absent(&sources("src/init"), &words);
    absent(&sources("src/seam"), &words);
    absent(
        &sources("src/init"),
        &[
            "TcpStream",
            "UdpSocket",
            "TcpListener",
            "UnixStream",
            "UnixListener",
            "crate::agent",
            "crate::proto",
            "crate::server",
            "crate::cli",
        ],
    );
    absent(&sources("src/seam"), &["crate::agent", "crate::init", "crate::proto"]);
}

#[test]
fn rooms_do_not_import_each_other() {
    for room in ROOMS {
        let files = sources(&format!("src/agent/{room}"));
        for other in ROOMS.into_iter().filter(|other| *other != room) {
            absent(&files, &[&format!("agent::{other}"), &format!("super::super::{other}")]);
        }
        absent(&files, &["agent::run", "crate::init", "crate::server", "crate::cli"]);
    }
    for pillar in ["link", "seam"] {
        for room in ROOMS {
            absent(&sources(&format!("src/agent/{pillar}")), &[&format!("agent::{room}")]);
        }
    }
    absent(&sources("src/server"), &["crate::agent", "crate::init", "crate::cli"]);
}

#[test]
fn generated_types_stop_at_the_wire() {
    for room in ROOMS.into_iter().chain(["seam"]) {
        absent(&sources(&format!("src/agent/{room}")), &["crate::proto", "tonic::"]);
    }
}

#[test]
fn the_agent_makes_no_process_thread_or_lookup() {
    let mut words =
        vec!["tokio::process", "tokio::signal", "tokio::fs", "spawn_blocking", "lookup_host"];
    words.extend(["ToSocketAddrs", "std::process::Command", "new_multi_thread", "to_socket_addrs"]);
    absent(&sources("src/agent"), &words);
}

#[test]
fn nothing_is_left_for_later() {
    let mut words =
        ["TO", "FIX", "XX"].map(|word| format!("{word}{}", if word == "XX" { "X" } else { "" }));
    words[0] += "DO";
    words[1] += "ME";
    let mut words: Vec<_> = words.iter().map(String::as_str).collect();
    words.extend(["todo!(", "unimplemented!(", "dbg!("]);
    let all = [sources("src"), sources("tests"), sources("proto/generate/src")].concat();
    let all: Vec<_> =
        all.into_iter().filter(|path| !path.ends_with("tests/integration/tidy.rs")).collect();
    absent(&all, &words);
}

#[test]
fn a_silenced_lint_says_why() {
    let all = [sources("src"), sources("tests")].concat();
    let all: Vec<_> =
        all.into_iter().filter(|path| !path.ends_with("tests/integration/tidy.rs")).collect();
    absent(&all, &["#[allow(", "#![allow("]);
}

#[test]
fn the_entrypoint_does_not_pay_for_the_server() {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let tree = Command::new(cargo)
        .args(["tree", "--locked", "--offline", "-e", "normal,features", "--prefix", "none"])
        .args(["--target", "x86_64-unknown-linux-gnu"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let tree = String::from_utf8_lossy(&tree.stdout);
    assert!(tree.contains("tonic feature \"codegen\""), "the tree is not what it was: {tree}");
    for absent in [
        "tonic feature \"server\"",
        "tonic feature \"router\"",
        "tonic feature \"channel\"",
        "tokio feature \"rt-multi-thread\"",
        "tokio feature \"process\"",
        "tokio feature \"signal\"",
        "tokio feature \"fs\"",
        "axum v",
        "regex v",
        "serde_derive v",
        "tracing-subscriber v",
        "aws-lc-rs v",
    ] {
        assert!(!tree.contains(absent), "the entrypoint pays for {absent}");
    }
}

/// No line of these files has any of these words; a comment that speaks of one is no use of it.
#[track_caller]
fn absent(files: &[PathBuf], words: &[&str]) {
    let mut found = Vec::new();
    for file in files {
        let text = fs::read_to_string(file).expect("a file that was listed");
        for (number, line) in text.lines().enumerate() {
            let code = if words.iter().any(|word| word.starts_with(char::is_uppercase)) {
                line
            } else {
                line.split("//").next().unwrap_or_default()
            };
            for word in words.iter().filter(|word| is_said(code, word)) {
                found.push(format!("{}:{}: {word}", file.display(), number + 1));
            }
        }
    }
    assert!(found.is_empty(), "these must not be here:\n{}", found.join("\n"));
}

/// As a word of its own: `http::` is not in `my_http::`.
fn is_said(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|before| before.is_alphanumeric() || before == '_')
    })
}

fn not_under(folder: &str) -> Vec<PathBuf> {
    let folder = top().join(folder);
    sources("src").into_iter().filter(|file| !file.starts_with(&folder)).collect()
}

/// Every Rust file below, or in a file of that name; empty where the room is not built yet.
fn sources(folder: &str) -> Vec<PathBuf> {
    let mut all = Vec::new();
    let folder = top().join(folder);
    let single = folder.with_extension("rs");
    if single.exists() {
        all.push(single);
    }
    collect(&folder, &mut all);
    all
}

fn collect(folder: &Path, all: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.expect("a folder of ours").path();
        if path.is_dir() && !path.ends_with("target") && !path.ends_with("src/proto") {
            collect(&path, all);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            all.push(path);
        }
    }
}

fn top() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
