//! Without a server: a light, exact init.
use crate::harness::{Entrypoint, Setup, process, until};
use nix::sys::signal::Signal;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

#[test]
fn the_childs_exit_status_is_ours() {
    for code in [0, 1, 2, 3, 42, 64, 100, 126, 127, 128, 143, 200, 254, 255] {
        Setup::script(&format!("exit {code}")).spawn().expect_exit(code);
    }
}

#[test]
fn a_child_that_a_signal_killed_is_128_and_its_number() {
    for signal in [1, 2, 3, 6, 9, 10, 11, 13, 15, 34, 64] {
        let script = format!("kill -{signal} $$");
        Setup::script(&script).ignoring_nothing().spawn().expect_exit(128 + signal);
    }
}

#[test]
fn a_program_that_is_not_there_is_127_and_named() {
    for program in ["no-such-program", "/no/such/program", "./no-such-program"] {
        let ended = Setup::new([program]).spawn().expect_exit(127);
        assert!(
            ended.stderr.contains(program),
            "who reads this must know what is missing: {}",
            ended.stderr
        );
        assert_eq!(ended.stderr.lines().count(), 1, "one line: {}", ended.stderr);
        assert_eq!(ended.stdout, "");
    }
}

#[test]
fn what_cannot_be_executed_is_126_and_named() {
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().join("data");
    std::fs::write(&data, "no program").expect("a file of ours");
    for path in [data.as_path(), dir.path()] {
        let ended = Setup::new([path]).spawn().expect_exit(126);
        assert!(
            ended.stderr.contains(path.to_str().expect("UTF-8")),
            "not named: {}",
            ended.stderr
        );
        assert_eq!(ended.stderr.lines().count(), 1, "one line: {}", ended.stderr);
    }
}

#[test]
fn a_script_without_an_interpreter_line_is_run_by_the_shell() {
    let dir = tempfile::tempdir().expect("a directory");
    let script = executable(&dir, "script", "echo \"run with $1\"; exit 4\n");
    let ended = Setup::new([script.as_os_str(), "word".as_ref()]).spawn().expect_exit(4);
    assert_eq!(ended.stdout, "run with word\n");
}

#[test]
fn a_program_is_looked_up_in_path_in_its_order() {
    let dir = tempfile::tempdir().expect("a directory");
    let (first, second) = (dir.path().join("first"), dir.path().join("second"));
    for (place, word) in [(&first, "first"), (&second, "second")] {
        std::fs::create_dir(place).expect("a directory of ours");
        let file = place.join("tool");
        std::fs::write(&file, format!("#!/bin/sh\necho {word}\n")).expect("a file of ours");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755))
            .expect("it is ours");
    }
    for (path, expected) in [([&first, &second], "first\n"), ([&second, &first], "second\n")] {
        let path = format!("/nowhere:{}:{}", path[0].display(), path[1].display());
        assert_eq!(Setup::new(["tool"]).env("PATH", path).spawn().expect_exit(0).stdout, expected);
    }
}

#[test]
fn options_of_the_child_are_not_ours() {
    let ended = Setup::new(["/bin/echo", "-h", "--version", "--", "-x"]).spawn().expect_exit(0);
    assert_eq!(ended.stdout, "-h --version -- -x\n");
}

#[test]
fn every_signal_that_can_be_passed_on_reaches_the_child() {
    let script = "for s in {1..8} {10..16} 18 {20..31} {34..64}; do trap \"echo got $s\" $s; done
        echo ready; while :; do sleep 0.01; done";
    let mut app = Setup::new(["/bin/bash", "-c", script]).ignoring_nothing().spawn();
    app.expect_line("ready");
    for signal in (1..=31).filter(|number| ![9, 17, 19].contains(number)).chain(34..=64) {
        app.signal_number(signal);
        app.expect_line(&format!("got {signal}"));
    }
    app.signal(Signal::SIGKILL);
}

#[test]
fn a_signal_between_our_start_and_the_childs_exec_takes_effect_once() {
    // Sent at whatever moment the machine is at then: before our first instruction it ends us, after
    // it the child. Nobody may stay who should have gone.
    for round in 0..300_u32 {
        let app = Setup::new(["/bin/sleep", "1000"]).ignoring_nothing().spawn();
        for _ in 0..round * 40 {
            std::hint::spin_loop();
        }
        app.signal(Signal::SIGTERM);
        app.expect_exit(143);
    }
}

#[test]
fn a_stop_that_the_child_does_not_handle_is_its_end_and_ours() {
    for (signal, code) in [(Signal::SIGTERM, 143), (Signal::SIGINT, 130), (Signal::SIGHUP, 129)] {
        let script = "echo ready; exec sleep 1000";
        let mut app = Setup::new(["/bin/bash", "-c", script]).ignoring_nothing().spawn();
        app.expect_line("ready");
        // The child must be `sleep` by now: a shell that is about to exec would do as well.
        app.signal(signal);
        app.expect_exit(code);
    }
}

#[test]
fn the_child_decides_what_a_stop_means() {
    let mut app =
        Entrypoint::plain("trap 'echo bye; exit 9' TERM; echo ready; while :; do sleep 0.02; done");
    app.expect_line("ready");
    app.signal(Signal::SIGTERM);
    assert_eq!(app.expect_exit(9).stdout, "bye\n");
}

#[test]
fn an_orphan_becomes_ours_and_leaves_no_zombie() {
    let mut app =
        Setup::script("(sleep 0.3 & echo \"orphan $!\"); read end; exit 6").stdin_piped().spawn();
    let orphan: i32 = app.expect_prefix("orphan ").parse().expect("a pid");
    let init = i64::from(app.pid());
    until("the orphan's adoption", || {
        let parent = process::number(orphan, "status", "PPid");
        parent.is_none_or(|parent| parent == init).then_some(())
    });
    until("the end of its entry in /proc", || process::name(orphan).is_empty().then_some(()));
    assert!(!app.has_ended(), "an orphan's end is not the child's");
    app.expect_exit(6);
}

#[test]
fn whoever_is_left_when_the_child_ends_is_told_to_stop() {
    let script =
        "(trap 'echo told; exit' TERM; echo up; while :; do sleep 0.02; done) & read end; exit 3";
    let mut app = Setup::script(script).stdin_piped().spawn();
    app.expect_line("up");
    drop(app.stdin());
    assert_eq!(app.expect_exit(3).stdout, "told\n");
}

#[test]
fn stdin_stdout_and_stderr_are_the_callers() {
    let mut app = Setup::script("cat; echo problem >&2").stdin_piped().spawn();
    let text: String = (0..20_000).map(|n| format!("line {n}\n")).collect();
    let mut stdin = app.stdin();
    stdin.write_all(text.as_bytes()).expect("the child reads");
    drop(stdin);
    let ended = app.expect_exit(0);
    assert!(ended.stdout == text, "{} of {} bytes came back", ended.stdout.len(), text.len());
    assert_eq!(ended.stderr, "problem\n");
}

#[test]
fn the_childs_streams_are_the_very_files_we_were_given() {
    let mut app = Setup::script("echo ready; read end; exit 0").stdin_piped().spawn();
    app.expect_line("ready");
    let child = app.child();
    for number in 0..3 {
        let link =
            |pid| std::fs::read_link(format!("/proc/{pid}/fd/{number}")).expect("it is open");
        assert_eq!(link(child), link(app.pid()), "descriptor {number}");
    }
    app.expect_exit(0);
}

#[test]
fn closed_streams_do_not_matter() {
    for closed in ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"] {
        Setup::below(&format!("exec \"$@\" {closed}"), "exit 5").spawn().expect_exit(5);
    }
}

#[test]
fn a_crowd_that_is_left_behind_is_told_once_each_and_costs_no_time() {
    // A thousand that end at the first TERM, and one that counts: a second TERM would be counted.
    let script = "import os, signal, sys, time
told = []
for n in range(1000):
    if os.fork() == 0:
        os.setsid()
        signal.pause()
if os.fork() == 0:
    signal.signal(signal.SIGTERM, lambda *_: told.append(1))
    print('ready', flush=True)
    while not told: time.sleep(0.01)
    time.sleep(1)
    print('told', len(told), flush=True)
    os._exit(0)
signal.signal(signal.SIGTERM, lambda *_: os._exit(3))
while True: signal.pause()
";
    let mut app = Setup::new(["/usr/bin/env", "python3", "-c", script]).ignoring_nothing().spawn();
    app.expect_line("ready");
    app.signal(Signal::SIGTERM);
    app.expect_line("told 1");
    app.expect_exit(3);
}

#[test]
fn further_descriptors_are_the_childs_and_not_ours() {
    let mut app = Setup::below("exec 7</etc/hostname; exec \"$@\"", "echo ready; read end; exit 0")
        .stdin_piped()
        .spawn();
    app.expect_line("ready");
    let has = |pid| process::descriptors(pid).iter().any(|(number, _)| *number == 7);
    assert!(has(app.child()), "the child lost a descriptor");
    assert!(!has(app.pid()), "init kept a descriptor of the child's");
    app.expect_exit(0);
}

#[test]
fn the_environment_is_the_callers_byte_for_byte() {
    let odd = std::ffi::OsStr::from_bytes(b"\xff\xfe = \n odd\x01");
    let app = Setup::new(["/usr/bin/od", "-An", "-v", "-tx1", "/proc/self/environ"])
        .only_env()
        .env("A", "")
        .env("B", odd)
        .env("C", "LISTEN_PID=1")
        .spawn();
    let hex: String = app.expect_exit(0).stdout.split_whitespace().collect();
    let expected = [b"A=\0B=".as_slice(), odd.as_bytes(), b"\0C=LISTEN_PID=1\0"].concat();
    assert_eq!(hex, expected.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
}

#[test]
fn the_callers_signal_dispositions_and_mask_are_the_childs() {
    let show = "grep -E '^Sig(Blk|Ign)' /proc/self/status";
    for habit in ["", "trap '' PIPE;", "trap '' HUP USR1 CHLD;", "trap '' TTOU INT QUIT;"] {
        let direct = Setup::below(&format!("{habit} exec {show}"), "").spawn().expect_exit(0);
        let through =
            Setup::below(&format!("{habit} exec \"$1\" {show}"), "").spawn().expect_exit(0);
        assert_eq!(through.stdout, direct.stdout, "after {habit:?}");
    }
}

#[test]
fn a_caller_that_blocks_every_signal_does_not_hang_us() {
    let shell = "exec env --block-signal \"$1\" grep ^SigBlk /proc/self/status";
    let ended = Setup::below(shell, "").spawn().expect_exit(0);
    assert!(
        !ended.stdout.contains("0000000000000000"),
        "the mask is the child's: {}",
        ended.stdout
    );
}

#[test]
fn a_caller_that_ignores_sigchld_does_not_hang_us() {
    Setup::below("trap '' CHLD; exec \"$@\"", "exit 3").spawn().expect_exit(3);
}

#[test]
fn our_directory_is_the_root_and_the_childs_is_the_callers() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut setup = Setup::script("echo \"in $PWD\"; read end; exit 0").stdin_piped();
    setup.0.current_dir(dir.path());
    let mut app = setup.spawn();
    assert_eq!(app.expect_prefix("in "), dir.path().to_str().expect("UTF-8"));
    let ours = std::fs::read_link(format!("/proc/{}/cwd", app.pid())).expect("it runs");
    assert_eq!(ours.to_str(), Some("/"), "a mount must not be kept busy by init");
    app.expect_exit(0);
}

#[test]
fn without_a_server_there_is_one_process_with_one_thread() {
    for (name, value) in [("UNRELATED", "1"), ("WAYPOINT_CEB_DISABLE", "1")] {
        let mut setup =
            Setup::script("echo ready; read end; exit 0").stdin_piped().env(name, value);
        if name == "WAYPOINT_CEB_DISABLE" {
            setup =
                setup.env("WAYPOINT_SERVER_ADDR", "127.0.0.1:1").env("WAYPOINT_DEPLOYMENT_ID", "x");
        }
        let mut app = setup.spawn();
        app.expect_line("ready");
        assert_eq!(
            process::children(app.pid()),
            [app.child()],
            "the child alone, with {name}={value}"
        );
        assert_eq!(process::number(app.pid(), "status", "Threads"), Some(1));
        app.expect_exit(0);
    }
}

#[test]
fn a_stopped_child_is_not_an_end() {
    let mut app = Setup::script("echo ready; kill -STOP $$; echo on again; exit 8").spawn();
    app.expect_line("ready");
    let child = app.child();
    until("a stopped child", || {
        process::field(child, "status", "State").filter(|state| state.starts_with('T'))
    });
    assert!(!app.has_ended());
    app.signal(Signal::SIGCONT);
    app.expect_line("on again");
    app.expect_exit(8);
}

#[test]
fn output_to_nobody_is_the_childs_affair() {
    let mut setup =
        Setup::new(["/bin/bash", "-c", "while echo line; do :; done 2>/dev/null; exit 11"]);
    let (read, write) = std::io::pipe().expect("a pipe");
    drop(read);
    setup.0.stdout(Stdio::from(write));
    // SIGPIPE ends a shell that has not ignored it, exactly as it would without us.
    setup.spawn().expect_exit(141);
}

fn executable(dir: &tempfile::TempDir, name: &str, content: &str) -> std::path::PathBuf {
    let path = dir.path().join(name);
    std::fs::write(&path, content).expect("a file of ours");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("it is ours");
    path
}
