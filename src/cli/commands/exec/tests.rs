use super::*;
use crate::cli::escape::Escape;
use crate::proto::exec_stream_request::Input;

/// What is sent for an input, and whether it was the escape.
fn check(input: &[u8], escape: bool) -> (Vec<Vec<u8>>, bool) {
    let (sender, mut receiver) = mpsc::channel(64);
    let ended = pipes::copy_input(input, &sender, escape.then(Escape::default).as_mut());
    drop(sender);
    let mut sent = Vec::new();
    while let Some(request) = receiver.blocking_recv() {
        let Some(Event::Input(Input { data })) = request.event else { panic!("{request:?}") };
        sent.push(data);
    }
    (sent, ended)
}

#[test]
fn input_that_is_no_terminal_passes_whole_and_knows_no_escape() {
    assert_eq!(check(b"~.", false), (vec![b"~.".to_vec()], false));
    let long = vec![b'x'; pipes::CHUNK + 1];
    let (sent, _) = check(&long, false);
    assert_eq!(sent.iter().map(Vec::len).collect::<Vec<_>>(), [pipes::CHUNK, 1]);
    assert_eq!(check(b"", false), (vec![], false));
}

#[test]
fn the_escape_ends_what_a_terminal_types_and_is_not_sent() {
    assert_eq!(check(b"ls\r~.more", true), (vec![b"ls\r".to_vec()], true));
    assert_eq!(check(b"~", true), (vec![b"~".to_vec()], false), "half an escape at the end");
}

#[test]
fn input_ends_when_the_session_does() {
    let (sender, receiver) = mpsc::channel(1);
    drop(receiver);
    assert!(!pipes::copy_input(io::repeat(b'x'), &sender, None));
}
