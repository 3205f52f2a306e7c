use super::*;
use {Action::*, Event::*};

const V1: EnvId = EnvId(1);
const V2: EnvId = EnvId(2);
const V3: EnvId = EnvId(3);
const GRACE: Duration = Duration::from_secs(30);

/// The only caller of the API: each event, and what must come of it.
#[track_caller]
fn check(rows: &[(Event, Option<Action>)]) -> Life {
    let start = Instant::now();
    let mut life = Life::new(Some(start), GRACE);
    for (index, (event, action)) in rows.iter().enumerate() {
        assert_eq!(life.on(*event, start), *action, "row {index}: {event:?}");
    }
    life
}

#[test]
fn the_first_environment_starts_the_child_and_an_identical_one_changes_nothing() {
    check(&[(Wanted(V1), Some(Spawn(V1))), (Wanted(V1), None)]);
}

#[test]
fn nobody_answers_and_the_child_starts_all_the_same() {
    let life = check(&[(Overdue, Some(Spawn(EnvId::BASE))), (Wanted(EnvId::BASE), None)]);
    assert_eq!(life.deadline(), None);
}

#[test]
fn a_restart_waits_for_the_old_child_and_takes_the_newest_wish() {
    check(&[
        (Wanted(V1), Some(Spawn(V1))),
        (Wanted(V2), Some(EndGroup)),
        (Wanted(V3), None),
        (Overdue, Some(KillGroup)),
        (Exited(Signal::KILL.into()), None),
        (Cleared, Some(Spawn(V3))),
    ]);
}

#[test]
fn who_outlives_the_child_in_its_group_is_killed_before_the_next_starts() {
    check(&[
        (Wanted(V1), Some(Spawn(V1))),
        (Wanted(V2), Some(EndGroup)),
        (Exited(Exit::SUCCESS), None),
        (Overdue, Some(KillGroup)),
        (Wanted(V3), None),
        (Cleared, Some(Spawn(V3))),
    ]);
}

#[test]
fn a_group_that_cannot_be_killed_does_not_keep_the_app_down() {
    check(&[
        (Wanted(V1), Some(Spawn(V1))),
        (Wanted(V2), Some(EndGroup)),
        (Exited(Exit::SUCCESS), None),
        (Overdue, Some(KillGroup)),
        (Overdue, Some(Spawn(V2))),
    ]);
}

#[test]
fn a_stop_during_a_restart_cancels_the_restart() {
    check(&[
        (Wanted(V1), Some(Spawn(V1))),
        (Wanted(V2), Some(EndGroup)),
        (Signalled(Signal::TERM), Some(Kill(Signal::TERM))),
        (Wanted(V3), None),
        (Exited(Exit::Code(7)), Some(Finish(Exit::Code(7)))),
    ]);
    check(&[
        (Wanted(V1), Some(Spawn(V1))),
        (Wanted(V2), Some(EndGroup)),
        (Exited(Exit::SUCCESS), None),
        (Signalled(Signal::INT), Some(Finish(Signal::INT.into()))),
    ]);
}

#[test]
fn a_stop_before_the_first_start_ends_us_and_another_signal_waits_for_the_child() {
    check(&[(Signalled(Signal::TERM), Some(Finish(Signal::TERM.into()))), (Wanted(V1), None)]);
    check(&[(Signalled(Signal::HUP), None), (Overdue, Some(Spawn(EnvId::BASE)))]);
}

#[test]
fn a_stop_from_outside_has_no_deadline_of_ours() {
    let stop = (Signalled(Signal::TERM), Some(Kill(Signal::TERM)));
    let life = check(&[(Wanted(V1), Some(Spawn(V1))), stop, stop]);
    assert_eq!(life.deadline(), None);
}

#[test]
fn in_every_sequence_there_is_at_most_one_child_and_one_end() {
    let alphabet =
        [Wanted(V1), Wanted(V2), Signalled(Signal::TERM), Exited(Exit::SUCCESS), Cleared, Overdue];
    let now = Instant::now();
    for mut number in 0..alphabet.len().pow(7) {
        let (mut life, mut running, mut ended) = (Life::new(Some(now), GRACE), false, false);
        for _ in 0..7 {
            let event = alphabet[number % alphabet.len()];
            number /= alphabet.len();
            if matches!(event, Exited(_)) && !running || event == Cleared && !life.is_clearing() {
                continue; // the kernel does not say such things
            }
            running &= !matches!(event, Exited(_));
            match life.on(event, now) {
                Some(Spawn(_)) => {
                    assert!(!running && !ended, "a second child, or one after the end");
                    running = true;
                }
                Some(Kill(_) | EndGroup) => assert!(running, "a signal for nobody"),
                Some(Finish(_)) => {
                    assert!(!running && !ended, "an end with a child running, or a second one");
                    ended = true;
                }
                Some(KillGroup) | None => {}
            }
        }
    }
}
