//! `waypoint` itself, as somebody uses it who has only read the README.
use crate::harness::{Entrypoint, Setup, dist};
use std::path::Path;
use tempfile::TempDir;

/// A command of `waypoint` in this home; its status must be 0, and what it printed is returned.
#[track_caller]
fn waypoint(home: &Path, arguments: &[&str]) -> String {
    let setup = Setup::other(dist("waypoint"), arguments);
    let ended = setup.env("HOME", home).env("XDG_CONFIG_HOME", home.join("config")).run();
    assert_eq!(ended.code, 0, "waypoint {arguments:?} said: {}", ended.stderr);
    ended.stdout
}

#[test]
fn from_nothing_to_a_linked_app_by_the_commands_that_are_documented() {
    let home = TempDir::new().expect("a directory");
    let home = home.path();
    let mut server = Setup::other(dist("waypoint"), ["server", "-listen-grpc", "127.0.0.1:0"])
        .env("HOME", home)
        .spawn();
    let address = server.expect_prefix("listening on ");
    waypoint(home, &["server", "bootstrap", "-server-addr", &address, "-server-tls=false"]);
    let deployment = waypoint(home, &["deployment", "create", "-project", "shop", "-app", "web"])
        .trim()
        .to_owned();
    let invite = waypoint(home, &["token", "invite", "-deployment", &deployment]).trim().to_owned();

    let secret = home.join("token");
    std::fs::write(&secret, format!("{invite}\n")).expect("a file in a directory of ours");
    let script =
        "echo \"up $GREETING\"; trap 'echo bye; exit 0' TERM; while :; do sleep 0.05; done";
    let mut app: Entrypoint = Setup::script(script)
        .env("WAYPOINT_SERVER_ADDR", &address)
        .env("WAYPOINT_DEPLOYMENT_ID", &deployment)
        .env("WAYPOINT_CEB_INVITE_TOKEN_FILE", &secret)
        .spawn();
    app.expect_line("up ");

    let shop = ["-project", "shop", "-app", "web"];
    let run = |words: &[&str], tail: &[&str]| waypoint(home, &[words, &shop, tail].concat());
    assert!(run(&["instances"], &[]).contains(&deployment));
    assert_eq!(run(&["exec"], &["echo", "hello"]), "hello\n");
    assert_eq!(run(&["config", "set"], &["GREETING=there"]), "");
    app.expect_line("bye");
    app.expect_line("up there");
    assert_eq!(run(&["config", "get"], &["-raw"]), "GREETING=there\n");
    assert!(run(&["logs", "-f=false"], &[]).contains("bye"));
}

#[test]
fn a_session_that_cannot_be_had_is_255_and_one_line_of_cause() {
    let home = TempDir::new().expect("a directory");
    let ended = Setup::other(dist("waypoint"), ["exec", "-server-addr", "127.0.0.1:1", "true"])
        .env("HOME", home.path())
        .run();
    assert_eq!(ended.code, 255, "{}", ended.stderr);
    assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    assert!(ended.stderr.contains("127.0.0.1:1"), "{}", ended.stderr);
}

#[test]
fn dev_ends_with_the_status_of_its_command() {
    let home = TempDir::new().expect("a directory");
    let ended =
        Setup::other(dist("waypoint"), ["dev", "--", "/bin/sh", "-c", "echo as $$; exit 7"])
            .env("HOME", home.path())
            .env("XDG_CONFIG_HOME", home.path().join("config"))
            .run();
    assert_eq!(ended.code, 7, "{}", ended.stderr);
    assert!(ended.stdout.starts_with("as "), "{}", ended.stdout);
    assert!(
        !home.path().join("config/waypoint/context/dev.hcl").exists(),
        "its context stays behind"
    );
}
