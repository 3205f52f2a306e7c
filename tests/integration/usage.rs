//! Mistakes of whoever starts us: one clear line each that names the culprit, exit 1, and no child.
use crate::harness::Setup;
use crate::harness::entrypoint::Ended;

#[test]
fn without_a_command_there_is_nothing_to_do() {
    let ended = Setup::new([""; 0]).spawn().expect_exit(1);
    assert!(ended.stderr.to_lowercase().contains("command"), "what is missing? {}", ended.stderr);
    assert_eq!(ended.stdout, "");
}

#[test]
fn a_variable_that_cannot_be_understood_is_named() {
    for (name, value) in [
        ("WAYPOINT_SERVER_TLS", "maybe"),
        ("WAYPOINT_SERVER_TLS_SKIP_VERIFY", "2"),
        ("WAYPOINT_CEB_DISABLE", "on-sundays"),
        ("WAYPOINT_CEB_DISABLE_EXEC", "nope"),
        ("WAYPOINT_CEB_SERVER_REQUIRED", "x"),
        ("WAYPOINT_SERVER_ADDR", "host:port"),
        ("WAYPOINT_SERVER_ADDR", "host:99999"),
        ("WAYPOINT_CEB_START_TIMEOUT", "soon"),
        ("PORT", "http"),
        ("WAYPOINT_CEB_INVITE_TOKEN_FILE", "/no/such/token"),
    ] {
        let ended = mistaken(&[(name, value)]);
        assert!(ended.stderr.contains(name), "{name}={value} is not named: {}", ended.stderr);
        assert_eq!(
            ended.stderr.lines().count(),
            1,
            "one line for {name}={value}: {}",
            ended.stderr
        );
    }
}

#[test]
fn every_mistake_is_reported_and_not_just_the_first() {
    let mistakes = [
        ("WAYPOINT_SERVER_TLS", "maybe"),
        ("PORT", "http"),
        ("WAYPOINT_CEB_INVITE_TOKEN_FILE", "/no/such/token"),
    ];
    let ended = mistaken(&mistakes);
    for (name, _) in mistakes {
        assert!(ended.stderr.contains(name), "{name} is not named: {}", ended.stderr);
    }
    assert_eq!(ended.stderr.lines().count(), mistakes.len(), "one line each: {}", ended.stderr);
}

#[test]
fn a_secret_is_not_quoted() {
    let ended = mistaken(&[("WAYPOINT_CEB_INVITE_TOKEN", "tsecret"), ("PORT", "http")]);
    assert!(!ended.stderr.contains("tsecret"), "{}", ended.stderr);
}

/// Starts with these variables, beside some that are right; the child must not have run.
#[track_caller]
fn mistaken(variables: &[(&str, &str)]) -> Ended {
    let mut setup = Setup::script("echo started")
        .env("WAYPOINT_SERVER_ADDR", "127.0.0.1:1")
        .env("WAYPOINT_DEPLOYMENT_ID", "01GBY4T0GH8QVD8VDJ5RT0D4S4");
    for (name, value) in variables {
        setup = setup.env(name, value);
    }
    let ended = setup.run();
    assert_eq!((ended.code, ended.stdout.as_str()), (1, ""), "{variables:?}: {}", ended.stderr);
    ended
}
