use super::*;
use proptest::prelude::*;

fn lost(code: Code) -> Event {
    Event::Failed(Lost { code: code as i32, text: "why".into() })
}

fn wait(seconds: u64) -> Action {
    Action::Wait(Duration::from_secs(seconds))
}

const GOOD: Event = Event::Version { minimum: 1, current: 1 };
const LOGIN: Event = Event::Converted { oauth: false };
/// The largest number: every wait is its bound. A slow one is 60 s and a tenth.
const MOST: u32 = u32::MAX;

fn check(session: &mut Session, steps: &[(u64, Event, Action)]) {
    let start = Instant::now();
    let mut now = start;
    for (at, (after, event, action)) in steps.iter().enumerate() {
        now += Duration::from_secs(*after);
        assert_eq!(session.on(event.clone(), now, MOST), *action, "step {at}: {event:?}");
    }
}

#[test]
fn a_link_without_a_token_asks_the_version_registers_and_serves() {
    check(
        &mut Session::new(false, false),
        &[
            (0, Event::Due, Action::Dial),
            (0, Event::Connected, Action::AskVersion),
            (0, GOOD, Action::Register),
            (0, Event::Configured, Action::Serve),
            (1, lost(Code::Unavailable), wait(1)),
            (1, Event::Due, Action::Dial),
        ],
    );
}

#[test]
fn an_invite_is_exchanged_once_and_its_login_is_kept() {
    check(
        &mut Session::new(true, false),
        &[
            (0, Event::Due, Action::Dial),
            (0, Event::Connected, Action::Convert),
            (0, LOGIN, Action::AskVersion),
            (0, lost(Code::Unavailable), wait(1)),
            (1, Event::Due, Action::Dial),
            (0, Event::Connected, Action::AskVersion),
        ],
    );
}

#[test]
fn a_refused_login_from_before_is_exchanged_soon_and_a_fresh_one_slowly() {
    check(
        &mut Session::new(true, false),
        &[
            (0, Event::Due, Action::Dial),
            (0, Event::Connected, Action::Convert),
            (0, LOGIN, Action::AskVersion),
            (0, GOOD, Action::Register),
            (0, Event::Configured, Action::Serve),
            (90, lost(Code::Unavailable), wait(1)),
            (1, Event::Due, Action::Dial),
            (0, Event::Connected, Action::AskVersion),
            (0, GOOD, Action::Register),
            (0, lost(Code::Unauthenticated), wait(2)),
            (2, Event::Due, Action::Dial),
            (0, Event::Connected, Action::Convert),
            (0, LOGIN, Action::AskVersion),
            (0, GOOD, Action::Register),
            (0, lost(Code::Unauthenticated), wait(66)),
            (60, Event::Due, Action::Dial),
            (0, Event::Connected, Action::Convert),
        ],
    );
}

#[test]
fn oauth_needs_tls_and_an_access_token_for_every_connection() {
    check(
        &mut Session::new(true, true),
        &[
            (0, Event::Due, Action::Dial),
            (0, Event::Connected, Action::Convert),
            (0, Event::Converted { oauth: true }, Action::Grant),
            (0, Event::Granted, Action::AskVersion),
            (0, lost(Code::Unavailable), wait(1)),
            (0, Event::Due, Action::Dial),
            (0, Event::Connected, Action::Grant),
        ],
    );
    check(
        &mut Session::new(true, false),
        &[
            (0, Event::Due, Action::Dial),
            (0, Event::Connected, Action::Convert),
            (0, Event::Converted { oauth: true }, wait(66)),
        ],
    );
}

#[test]
fn only_a_stable_connection_makes_the_next_failure_the_first() {
    let serve = |session: &mut Session, for_seconds, then| {
        check(
            session,
            &[
                (0, Event::Due, Action::Dial),
                (0, Event::Connected, Action::AskVersion),
                (0, GOOD, Action::Register),
                (0, Event::Configured, Action::Serve),
                (for_seconds, lost(Code::Unavailable), wait(then)),
            ],
        );
    };
    let mut session = Session::new(false, false);
    for (for_seconds, then) in [(0, 1), (59, 2), (0, 4), (60, 1), (0, 2)] {
        serve(&mut session, for_seconds, then);
    }
}

#[test]
fn every_code_backs_off_as_it_should() {
    for code in 0..=20 {
        let slow = [3, 5, 7, 9, 12, 16].contains(&code);
        let mut session = Session::new(false, false);
        let action =
            session.on(Event::Failed(Lost { code, text: String::new() }), Instant::now(), MOST);
        assert_eq!(action, wait(if slow { 66 } else { 1 }), "code {code}");
    }
}

#[test]
fn versions_that_do_not_meet_are_named_and_tried_again_slowly() {
    for (minimum, current, good) in
        [(1, 1, true), (1, 9, true), (0, 1, true), (2, 3, false), (0, 0, false)]
    {
        let mut session = Session::new(false, false);
        session.on(Event::Due, Instant::now(), 0);
        session.on(Event::Connected, Instant::now(), 0);
        let action = session.on(Event::Version { minimum, current }, Instant::now(), 0);
        assert_eq!(
            action,
            if good { Action::Register } else { wait(60) },
            "{minimum} to {current}"
        );
    }
    let lost = agree(2, 3).expect_err("too new");
    assert!(lost.text.contains("this entrypoint is too old for the server"), "{lost}");
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        Just(Event::Due),
        Just(Event::Connected),
        Just(LOGIN),
        Just(Event::Converted { oauth: true }),
        Just(Event::Granted),
        Just(GOOD),
        Just(Event::Version { minimum: 7, current: 9 }),
        Just(Event::Configured),
        (0..20_i32).prop_map(|code| Event::Failed(Lost { code, text: String::new() })),
    ]
}

proptest! {
    #[test] // whatever happened, in whatever order: one wait of bounded length, then it dials again
    fn it_never_gives_up(
        events in proptest::collection::vec((event(), any::<u32>()), 0..40),
        invited: bool,
        tls: bool,
    ) {
        let (mut session, now) = (Session::new(invited, tls), Instant::now());
        for (event, random) in events {
            if let Action::Wait(wait) = session.on(event, now, random) {
                prop_assert!(wait <= Duration::from_secs(66));
            }
        }
        let failed = session.on(lost(Code::Internal), now, MOST);
        prop_assert!(matches!(failed, Action::Wait(_)));
        prop_assert_eq!(session.on(Event::Due, now, 0), Action::Dial);
    }
}
