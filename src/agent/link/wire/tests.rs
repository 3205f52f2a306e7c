use super::*;
use crate::proto::entrypoint_config::Exec;
use crate::proto::exec_stream_request::{Pty, WindowSize as Size};
use crate::proto::{EntrypointConfig, InlineKeepalive, ServerFeatures, VersionInfo};
use bytes::Bytes;
use proptest::prelude::*;
use prost::Message;

/// The 22 bytes of protocol.md 3.5.
const BYTES: &[u8] = b"\x82\x90\xbc\xfd\x02\x10inline_keepalive";

fn response(config: EntrypointConfig) -> EntrypointConfigResponse {
    EntrypointConfigResponse { config: Some(config), ..Default::default() }
}

#[test]
fn a_keepalive_is_the_same_22_bytes_on_every_stream() {
    assert_eq!(log_keepalive().encode_to_vec(), BYTES);
    assert_eq!(exec_keepalive().encode_to_vec(), BYTES);
    let generic = InlineKeepalive { signature: KEEPALIVE.into() };
    assert_eq!(generic.encode_to_vec(), BYTES);
}

#[test]
fn a_keepalive_is_neither_a_config_nor_an_event() {
    let keepalive = EntrypointConfigResponse::decode(BYTES).expect("it is a message");
    assert_eq!(config(keepalive), None);
    let keepalive = EntrypointExecResponse::decode(BYTES).expect("it is a message");
    assert!(!is_opened(&keepalive));
    assert_eq!(to_session(keepalive), None);
    // Nor is an answer without a config an empty config.
    assert_eq!(config(EntrypointConfigResponse::default()), None);
    let empty = response(EntrypointConfig::default());
    assert_eq!(config(empty), Some(Config::default()));
}

#[test]
fn every_form_of_a_variable_is_known_and_what_is_unset_is_none() {
    let of = |name: &str, value| ConfigVar { name: name.into(), value, ..Default::default() };
    let dynamic = config_var::DynamicVal {
        from: "vault".into(),
        config: [("path".to_owned(), "a".to_owned())].into(),
    };
    let variables = vec![
        of("PLAIN", Some(config_var::Value::Static("${a}".into()))),
        of("EMPTY", Some(config_var::Value::Static(String::new()))),
        of("GONE", Some(config_var::Value::Unset(()))),
        of("NEWER", None),
        ConfigVar {
            internal: true,
            name_is_path: true,
            ..of("/etc/app", Some(config_var::Value::Dynamic(dynamic)))
        },
    ];
    let config = config(response(EntrypointConfig {
        env_vars: variables,
        file_change_signal: "HUP".into(),
        ..Default::default()
    }))
    .expect("a config");
    let variable = |name: &str, value, flags| Variable {
        name: name.into(),
        value,
        internal: flags,
        is_path: flags,
    };
    let parameters = [("path".to_owned(), "a".to_owned())].into();
    let expected = [
        variable("PLAIN", Value::Static("${a}".into()), false),
        variable("EMPTY", Value::Static(String::new()), false),
        variable("/etc/app", Value::Dynamic { source: "vault".into(), parameters }, true),
    ];
    assert_eq!(config.variables, expected);
    assert_eq!(config.file_change_signal, "HUP");
}

#[test]
fn a_session_has_a_terminal_if_it_is_enabled_and_a_size_in_any_case() {
    let session = |pty| {
        let exec = Exec { index: 3, args: vec!["sh".into()], pty };
        let config = config(response(EntrypointConfig { exec: vec![exec], ..Default::default() }));
        config.expect("a config").sessions.remove(0)
    };
    let plain = Session { id: ExecId(3), arguments: vec!["sh".into()], terminal: None };
    assert_eq!(session(None), plain);
    assert_eq!(session(Some(Pty::default())), plain);
    let pty = Pty { enable: true, term: "xterm".into(), window_size: None };
    let terminal = session(Some(pty.clone())).terminal.expect("a terminal");
    assert_eq!(terminal, Terminal { kind: "xterm".into(), size: DEFAULT_SIZE });
    let size = Size { rows: -1, cols: 70_000, width: 5, height: 6 };
    let terminal = session(Some(Pty { window_size: Some(size), ..pty })).terminal;
    let size = WindowSize { rows: 0, columns: u16::MAX, x_pixels: 5, y_pixels: 6 };
    assert_eq!(terminal.expect("a terminal").size, size);
}

#[test]
fn a_server_that_says_nothing_speaks_the_first_protocol_and_takes_no_keepalives() {
    let silent = GetVersionInfoResponse::default();
    assert_eq!(entrypoint_protocol(&silent), (1, 1));
    assert!(!takes_keepalives(&silent));
    let other = GetVersionInfoResponse {
        info: Some(VersionInfo::default()),
        server_features: Some(ServerFeatures { features: vec![0, 77] }),
    };
    assert_eq!(entrypoint_protocol(&other), (1, 1));
    assert!(!takes_keepalives(&other));
    let features = ServerFeatures { features: vec![77, 1] };
    let modern = GetVersionInfoResponse { server_features: Some(features), ..other };
    assert!(takes_keepalives(&modern));
}

#[test]
fn events_of_a_session_are_on_the_wire_what_they_are_here() {
    let output = |stream| FromSession::Output { stream, data: Bytes::from_static(b"\xff") };
    let Some(Event::Output(stdout)) = from_session(output(Stream::Stdout)).event else { panic!() };
    let Some(Event::Output(stderr)) = from_session(output(Stream::Stderr)).event else { panic!() };
    assert_eq!((stdout.channel, stderr.channel, stdout.data), (1, 2, b"\xff".to_vec()));
    let Some(Event::Exit(exit)) = from_session(FromSession::Exit { code: 137 }).event else {
        panic!()
    };
    assert_eq!(exit.code, 137);
    let error = FromSession::Error { code: 3, text: "not found".into() };
    let Some(Event::Error(error)) = from_session(error).event else { panic!() };
    let status = error.error.expect("a status");
    assert_eq!((status.code, status.message.as_str()), (3, "not found"));
}

proptest! {
    #[test] // no line is lost, none is cut, and no message is empty or comes near a peer's limit
    fn lines_are_batched_whole_and_in_order(
        lengths in proptest::collection::vec(prop_oneof![0..200_usize, 0..70_000_usize], 0..60)
    ) {
        let lines: Vec<Line> = lengths
            .iter()
            .map(|&length| Line {
                at: SystemTime::UNIX_EPOCH,
                source: Source::Entrypoint,
                text: "x".repeat(length),
            })
            .collect();
        let mut seen = vec![];
        for batch in log_batches("me", lines) {
            prop_assert!(!batch.lines.is_empty() && batch.encoded_len() < 1024 * 1024);
            prop_assert_eq!(&batch.instance_id, "me");
            for entry in batch.lines {
                prop_assert!(entry.source == 1 && entry.line.ends_with('\n'));
                seen.push(entry.line.len() - 1);
            }
        }
        prop_assert_eq!(seen, lengths);
    }

    #[test]
    fn whatever_decodes_becomes_something(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(message) = EntrypointConfigResponse::decode(bytes.as_slice()) {
            config(message);
        }
        if let Ok(message) = EntrypointExecResponse::decode(bytes.as_slice()) {
            to_session(message);
        }
    }
}
