use super::*;
use std::time::{Duration, UNIX_EPOCH};

fn at(milliseconds: u64, luck: u8) -> Moment {
    Moment { now: UNIX_EPOCH + Duration::from_millis(milliseconds), random: [luck; 32] }
}

fn instance(id: &str, deployment: &str) -> Instance {
    Instance {
        id: id.into(),
        deployment: deployment.into(),
        app: App { project: "p".into(), name: "a".into() },
        workspace: "default".into(),
        kind: Type::LongRunning,
        disable_exec: false,
        generation: 0,
    }
}

fn open(fleet: &mut Fleet, target: &Target<'_>, luck: u8) -> Result<String, Code> {
    let index = fleet.open(target, vec!["sh".into()], None, &at(1, luck));
    index.map(|it| fleet.sessions[&it].instance.clone()).map_err(|it| it.code())
}

#[test]
fn the_end_of_an_old_registration_leaves_the_new_one() {
    let mut fleet = Fleet::default();
    let old = fleet.register(instance("I", "D")).expect("free");
    let new = fleet.register(instance("i", "d")).expect("the same one");
    assert!(!fleet.is_current("I", old) && fleet.is_current("I", new));
    assert!(!fleet.leave("I", old));
    assert!(fleet.leave("I", new) && fleet.instance("I").is_none());
    assert!(!fleet.leave("I", new));
}

#[test]
fn an_instance_cannot_become_another_deployments() {
    let mut fleet = Fleet::default();
    fleet.register(instance("I", "D")).expect("free");
    let taken = fleet.register(instance("I", "E")).map_err(|it| it.code());
    assert_eq!(taken, Err(Code::PermissionDenied));
}

#[test]
fn indexes_grow_whatever_the_clock_and_luck_do() {
    let mut last = 0;
    for (milliseconds, luck) in [(5, 255), (5, 0), (5, 0), (4, 9), (6, 0), (0, 0)] {
        let next = next_index(last, &at(milliseconds, luck));
        assert!(next > last, "{next} after {last}");
        last = next;
    }
    let restarted = next_index(0, &at(1_000_000, 0));
    assert!(restarted > last);
}

#[test]
fn a_session_goes_to_an_idle_instance_and_not_always_to_the_same() {
    let mut fleet = Fleet::default();
    let any = Target::Deployment("d");
    assert_eq!(open(&mut fleet, &any, 0), Err(Code::ResourceExhausted));
    for id in ["A", "B", "C"] {
        fleet.register(instance(id, "D")).expect("free");
    }
    fleet.register(instance("X", "other")).expect("free");
    fleet.register(Instance { kind: Type::Virtual, ..instance("V", "D") }).expect("free");
    fleet.register(Instance { disable_exec: true, ..instance("N", "D") }).expect("free");
    assert_eq!(open(&mut fleet, &any, 255), Ok("c".into()));
    assert_eq!(open(&mut fleet, &any, 0), Ok("a".into()));
    assert_eq!(open(&mut fleet, &any, 255), Ok("b".into()));
    assert_eq!(open(&mut fleet, &any, 100), Ok("b".into()));
    assert_eq!(open(&mut fleet, &Target::Instance("v"), 0), Ok("v".into()));
    assert_eq!(open(&mut fleet, &Target::Instance("n"), 0), Err(Code::PermissionDenied));
}

#[test]
fn where_exec_is_disabled_everywhere_there_is_no_session() {
    let mut fleet = Fleet::default();
    fleet.register(Instance { disable_exec: true, ..instance("N", "D") }).expect("free");
    assert_eq!(open(&mut fleet, &Target::Deployment("D"), 0), Err(Code::ResourceExhausted));
}

#[test]
fn a_taken_session_outlives_its_registration_and_a_waiting_one_does_not() {
    let mut fleet = Fleet::default();
    let generation = fleet.register(instance("I", "D")).expect("free");
    let mut open = || fleet.open(&Target::Instance("I"), vec!["sh".into()], None, &at(1, 0));
    let (taken, waiting) = (open().expect("open"), open().expect("open"));
    fleet.take(taken, "i", Some("d")).expect("ours");
    assert!(fleet.waits(waiting) && !fleet.waits(taken));
    fleet.leave("I", generation);
    assert_eq!(fleet.sessions("I").iter().map(|it| it.index).collect::<Vec<_>>(), [taken]);
    fleet.close(taken);
    assert!(fleet.sessions.is_empty());
}

#[test]
fn sessions_and_command_lines_are_bounded() {
    let mut fleet = Fleet::default();
    fleet.register(instance("I", "D")).expect("free");
    let target = Target::Instance("I");
    for args in [
        vec![],
        vec![String::new()],
        vec!["a\0b".into()],
        vec!["x".repeat(MAX_ARGUMENTS)],
        vec!["x".into(); 1025],
    ] {
        let refused = fleet.open(&target, args, None, &at(1, 0)).map_err(|it| it.code());
        assert_eq!(refused, Err(Code::InvalidArgument));
    }
    for _ in 0..MAX_SESSIONS {
        fleet.open(&target, vec!["sh".into()], None, &at(1, 0)).expect("room");
    }
    assert_eq!(open(&mut fleet, &target, 0), Err(Code::ResourceExhausted));
}
