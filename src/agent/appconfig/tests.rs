//! The shell on paused time; init is the other end of a real socketpair.
use super::run::{Settings, run};
use super::{deposit, resolve::Overrides};
use crate::agent::first::{First, first};
use crate::agent::link::wire::{Config, Value, Variable};
use crate::agent::log::Log;
use crate::agent::seam::Socket;
use crate::seam::message::{Child, LogLevel, ToInit};
use crate::sys::{Errno, memfd, seqpacket};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

struct Room {
    init: OwnedFd,
    config: watch::Sender<Option<Arc<Config>>>,
    log: Log,
}

/// Plays with a room that found this deposit and this child.
async fn with_room(child: Child, left: Option<&Overrides>, play: impl AsyncFnOnce(&Room)) {
    let (ours, init) = seqpacket::pair().expect("a pair");
    let (seam, serving) = Socket::new(ours).expect("watched").serve();
    let (config, seen) = watch::channel(None);
    let log = Log::unheard();
    let left = left.map(|it| memfd::create(&deposit::write(it)).expect("a memfd"));
    let left = left.map(|it| memfd::Mapping::of(it.as_fd(), 1 << 20).expect("sealed"));
    let settings = Settings { log_level: LogLevel::Warn, child };
    let served = first(serving, run(settings, left, seen, seam, log.clone()));
    let room = Room { init, config, log };
    let First::Right(()) = first(served, play(&room)).await else { panic!("the room has ended") };
}

impl Room {
    fn wants(&self, variables: &[(&str, &str)]) {
        let variable = |(name, value): &(&str, &str)| Variable {
            name: (*name).into(),
            value: Value::Static((*value).into()),
            internal: false,
            is_path: false,
        };
        let variables = variables.iter().map(variable).collect();
        self.config.send_replace(Some(Arc::new(Config { variables, ..Config::default() })));
    }

    /// What init was asked to run and to keep in the meantime.
    async fn asked_within(&self, milliseconds: u64) -> Vec<String> {
        tokio::time::sleep(Duration::from_millis(milliseconds)).await;
        let mut asked = Vec::new();
        let mut buffer = [0; 64];
        loop {
            let received = match seqpacket::receive(self.init.as_fd(), &mut buffer) {
                Err(Errno::AGAIN) => return asked,
                received => received.expect("received"),
            };
            let message = ToInit::decode(&buffer[..received.length]).expect("a message");
            let file = received.single().expect("a memfd");
            let bytes = memfd::Mapping::of(file.as_fd(), 1 << 20).expect("sealed");
            asked.push(match message {
                ToInit::Launch => String::from_utf8_lossy(bytes.bytes()).into_owned(),
                ToInit::Keep => format!("{:?}", deposit::read(bytes.bytes()).expect("ours")),
                other => panic!("{other:?}"),
            });
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_config_starts_the_child_and_later_ones_wait_for_rest() {
    with_room(Child::Waiting, None, async |room| {
        assert!(room.asked_within(60_000).await.is_empty());
        room.wants(&[("A", "1")]);
        assert_eq!(room.asked_within(1).await, ["A=1\0", r#"{"A": "1"}"#]);
        room.wants(&[("A", "1")]);
        assert!(room.asked_within(60_000).await.is_empty());
        room.wants(&[("A", "2")]);
        assert!(room.asked_within(400).await.is_empty());
        room.wants(&[]);
        assert!(room.asked_within(400).await.is_empty());
        assert_eq!(room.asked_within(101).await, ["", "{}"]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_new_agent_does_nothing_when_nothing_has_changed() {
    let running = Child::Running(crate::sys::Pid::new(2).expect("a pid"));
    let left = Overrides::from([("A".into(), "1".into())]);
    with_room(running, Some(&left), async |room| {
        room.wants(&[("A", "1")]);
        assert!(room.asked_within(60_000).await.is_empty());
        room.wants(&[("A", "2")]);
        assert_eq!(room.asked_within(501).await[0], "A=2\0");
    })
    .await;
    with_room(Child::Waiting, Some(&left), async |room| {
        room.wants(&[("A", "1")]);
        assert_eq!(room.asked_within(1).await[0], "A=1\0", "the child waits for it");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_log_level_follows_the_config_and_comes_back() {
    with_room(Child::Waiting, None, async |room| {
        for (level, heard) in [
            (Some("debug"), LogLevel::Debug),
            (Some("loud"), LogLevel::Warn),
            (None, LogLevel::Warn),
        ] {
            let variables: Vec<_> = level.iter().map(|it| ("WAYPOINT_LOG_LEVEL", *it)).collect();
            room.wants(&variables);
            room.asked_within(1000).await;
            assert_eq!(room.log.level(), heard as u8);
        }
    })
    .await;
}
