use super::*;

fn strings(texts: &[&str]) -> Vec<CString> {
    texts.iter().map(|it| CString::new(*it).expect("no NUL")).collect()
}

/// The only caller of the API.
fn check(arguments: &[&str], env: &[&str]) -> Result<Asked, Mistakes> {
    settings(strings(arguments), strings(env), &|path| match path {
        "/token" => Ok(b"s3cret\n".to_vec()),
        _ => Err("no such file or directory".into()),
    })
}

fn run(env: &[&str]) -> Settings {
    match check(&["app"], env) {
        Ok(Asked::Run(settings)) => *settings,
        other => panic!("{other:?}"),
    }
}

const SERVER: &str = "WAYPOINT_SERVER_ADDR=waypoint:9701";

#[test]
fn options_end_at_the_first_word_that_is_none() {
    for (arguments, command) in [
        (&["sh", "-c", "exit 3"][..], &["sh", "-c", "exit 3"][..]),
        (&["--", "sh", "--version"], &["sh", "--version"]),
        (&["--", "--"], &["--"]),
        (&["-"], &["-"]),
    ] {
        match check(arguments, &[]) {
            Ok(Asked::Run(settings)) => assert_eq!(settings.command, strings(command)),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(check(&["-h"], &[]), Ok(Asked::Help));
    assert_eq!(check(&["--version"], &[]), Ok(Asked::Version));
}

#[test]
fn without_a_server_the_environment_is_untouched() {
    let env = ["B=1", "A=2", "B=3", "odd", "WAYPOINT_CEB_INVITE_TOKEN=t"];
    let settings = run(&env);
    assert_eq!((settings.link, settings.env), (None, strings(&env)));
    assert!(run(&[SERVER, "WAYPOINT_CEB_DISABLE=T"]).link.is_none());
}

#[test]
fn a_linked_child_sees_no_token_and_a_port_and_is_marked() {
    let settings = run(&[SERVER, "PORT=", "WAYPOINT_CEB_INVITE_TOKEN=t", "A=1"]);
    let expected = [SERVER, "A=1", "PORT=5000", "WAYPOINT_CEB_DISABLE=1"];
    assert_eq!(settings.env, strings(&expected));
    let link = settings.link.expect("a link");
    assert_eq!((link.token.as_str(), link.port), ("t", 5000));
    assert_eq!(run(&expected).link, None, "an entrypoint below an entrypoint is a plain init");
}

#[test]
fn the_settings_have_waypoints_defaults_and_take_what_is_given() {
    let link = run(&[SERVER]).link.expect("a link");
    assert_eq!(link.start_timeout, Some(Duration::from_secs(5)));
    assert_eq!((link.tls, link.disable_exec), (false, false));
    let given = [
        SERVER,
        "WAYPOINT_SERVER_TLS=1",
        "WAYPOINT_CEB_SERVER_REQUIRED=true",
        "WAYPOINT_CEB_INVITE_TOKEN_FILE=/token",
        "WAYPOINT_CEB_EXIT_TIMEOUT=1m30s",
        "PORT=8080",
        "https_proxy=http://proxy:3128",
    ];
    let link = run(&given).link.expect("a link");
    assert_eq!((link.tls, link.start_timeout, link.port), (true, None, 8080));
    assert_eq!((link.token.as_str(), link.https_proxy.as_str()), ("s3cret", "http://proxy:3128"));
    assert_eq!(link.exit_timeout, Duration::from_secs(90));
}

#[test]
fn paths_are_those_of_the_directory_we_were_started_in() {
    let given = [SERVER, "WAYPOINT_SERVER_TLS_CA_FILE=ca.pem", "SSL_CERT_DIR=/certs"];
    let link = run(&given).link.expect("a link").with_paths_from("/app".as_ref());
    let paths = [link.tls_ca_file, link.ssl_cert_file, link.ssl_cert_dir];
    assert_eq!(paths, ["/app/ca.pem", "", "/certs"]);
}

#[test]
fn every_mistake_is_named_and_not_just_the_first() {
    let env = [
        "WAYPOINT_SERVER_ADDR=localhost:99999",
        "WAYPOINT_CEB_DISABLE=maybe",
        "PORT=http",
        "WAYPOINT_CEB_INVITE_TOKEN_FILE=/missing",
        "WAYPOINT_LOG_LEVEL=loud",
        "WAYPOINT_CEB_START_TIMEOUT=5",
        "WAYPOINT_EXEC_PLUGIN_SSH=22",
    ];
    let mistakes = check(&[], &env).expect_err("it is full of them");
    assert_eq!(mistakes.len(), 1 + env.len());
    for (entry, at) in env.iter().map(|it| it.split('=').next().expect("a name")).zip(1..) {
        assert!(mistakes.iter().any(|it| it.starts_with(entry)), "{at}: {entry} in {mistakes:#?}");
    }
    assert!(mistakes[0].starts_with("no command"));
}

#[test]
fn what_is_no_command_line_is_refused() {
    for arguments in [&["-x", "app"][..], &["--sub"], &[""], &["--"], &[]] {
        assert_eq!(check(arguments, &[]).map_err(|it| it.len()), Err(1), "{arguments:?}");
    }
}

#[test]
fn addresses_durations_and_booleans_have_one_reading_each() {
    for (text, address) in [
        ("waypoint", Some("waypoint:9701")),
        ("dns:///waypoint:1", Some("waypoint:1")),
        ("[::1]:9701", Some("[::1]:9701")),
        ("[::1]", Some("[::1]:9701")),
        ("10.0.0.1:80", Some("10.0.0.1:80")),
        ("::1", None),
        ("[::x]:1", None),
        ("http://waypoint:9701", None),
        ("waypoint:", None),
        (":9701", None),
        ("way point:1", None),
        ("waypoint:0", None),
    ] {
        assert_eq!(server_address(text).ok().as_deref(), address, "{text}");
    }
    for (text, millis) in [
        ("500ms", Some(500)),
        ("5s", Some(5000)),
        ("1m30s", Some(90_000)),
        ("0", Some(0)),
        ("5", None),
        ("s", None),
        ("-1s", None),
        ("25h", None),
        ("99999999999s", None),
    ] {
        assert_eq!(duration(text).map(|it| it.as_millis()), millis, "{text}");
    }
    assert_eq!(["T", "FALSE", "yes"].map(boolean), [Some(true), Some(false), None]);
}
