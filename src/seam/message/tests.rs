use super::*;
use proptest::prelude::*;

fn to_init() -> Vec<ToInit> {
    let id = ExecId(-3);
    let size = WindowSize { rows: 24, columns: 80, x_pixels: 0, y_pixels: 65535 };
    vec![
        ToInit::Ready,
        ToInit::Linked(true),
        ToInit::Launch,
        ToInit::Signal(Signal::HUP),
        ToInit::Exec { id, arguments: 2, terminal: None },
        ToInit::Exec { id, arguments: 2, terminal: Some(size) },
        ToInit::ExecSignal { id, signal: Signal::INT },
        ToInit::ExecClose { id },
        ToInit::Keep,
    ]
}

fn to_agent() -> Vec<ToAgent<'static>> {
    let id = ExecId(i64::MAX);
    let pid = Pid::new(42).expect("a pid");
    let hello = Hello {
        server: "waypoint.example:9701",
        token: "s3cret",
        tls: true,
        port: 5000,
        child: Child::Running(pid),
        exec_ids: ExecIds::new(&[0, 0, 0, 0, 0, 0, 0, 7]).expect("one id"),
        ..Hello::default()
    };
    let mut all = vec![
        ToAgent::Hello(hello),
        ToAgent::Hello(Hello { has_deposit: true, ..Hello::default() }),
        ToAgent::ExecStarted { id, pid },
        ToAgent::ExecExited { id, exit: Signal::KILL.into() },
        ToAgent::LogGap { stream: Stream::Stderr, bytes: u64::MAX },
        ToAgent::Shutdown { milliseconds: 3000 },
    ];
    all.extend(ExecStep::ALL.map(|step| ToAgent::ExecFailed { id, step, errno: Errno::PIPE }));
    all.extend(
        [Child::Waiting, Child::Running(pid), Child::Stopping(pid), Child::Ended(Exit::Code(3))]
            .map(ToAgent::Child),
    );
    all
}

#[test]
fn every_message_arrives_as_it_was_sent() {
    for message in to_init() {
        assert_eq!(ToInit::decode(message.encode(&mut [0; 64])), Ok(message));
    }
    for message in to_agent() {
        let mut buffer = [0; MAX_PACKET];
        let packet = message.encode(&mut buffer).expect("it fits").to_vec();
        assert_eq!(ToAgent::decode(&packet), Ok(message));
    }
}

#[test]
fn a_packet_cut_short_or_with_something_after_its_end_is_refused() {
    for message in to_init() {
        let mut packet = message.encode(&mut [0; 64]).to_vec();
        for length in 0..packet.len() {
            assert!(ToInit::decode(&packet[..length]).is_err(), "{message:?} cut to {length}");
        }
        packet.push(0);
        let refused = Malformed { kind: packet[1], length: packet.len() };
        assert_eq!(ToInit::decode(&packet), Err(refused));
    }
}

#[test]
fn what_does_not_fit_is_not_sent_by_half() {
    let token = "x".repeat(70_000);
    let hello = ToAgent::Hello(Hello { token: &token, ..Hello::default() });
    assert_eq!(hello.encode(&mut [0; MAX_PACKET]), None);
    assert_eq!(ToAgent::Shutdown { milliseconds: 1 }.encode(&mut [0; 5]), None);
}

#[test]
fn a_level_is_read_in_any_case() {
    assert_eq!(LogLevel::parse(" Debug "), Some(LogLevel::Debug));
    assert_eq!(LogLevel::parse("loud"), None);
}

proptest! {
    #[test] // nothing makes us panic, nothing has two spellings, nothing after the end is ignored
    fn only_what_we_would_send_is_accepted(
        version in 0..3_u8,
        kind in 0..10_u8,
        rest in prop::collection::vec(prop_oneof![Just(0_u8), Just(1), any::<u8>()], 0..64),
    ) {
        let packet = [&[version, kind], rest.as_slice()].concat();
        if let Ok(message) = ToInit::decode(&packet) {
            prop_assert_eq!(message.encode(&mut [0; 64]).to_vec(), packet.as_slice());
        }
        if let Ok(message) = ToAgent::decode(&packet) {
            let mut buffer = [0; MAX_PACKET];
            prop_assert_eq!(message.encode(&mut buffer), Some(packet.as_slice()));
        }
    }
}
