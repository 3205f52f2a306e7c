use super::*;
use crate::cli::args::{Request, parse};
use crate::cli::context::store::Store;
use crate::cli::context::{Context, Server as ContextServer};

fn wanted(line: &str) -> Result<Wanted, Failure> {
    let words: Vec<_> = line.split_whitespace().map(str::to_owned).collect();
    match parse(&words) {
        Ok(Request::Run(call)) => Wanted::new(&call),
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
fn names_have_defaults_and_the_first_port_counts() {
    let default = wanted("dev true").expect("wanted");
    assert_eq!(
        default,
        Wanted {
            project: "dev".into(),
            application: "app".into(),
            workspace: "default".into(),
            port: None
        }
    );
    let given = wanted("dev -p 80 -p 81 -a web -project shop -w prod -- true").expect("wanted");
    assert_eq!((given.port, given.application.as_str()), (Some(80), "web"));
    for line in ["dev -p 0 true", "dev -p x true", "dev -p 80 -p 65536 true"] {
        assert!(wanted(line).is_err_and(|it| it.text.contains("is no port")), "{line}");
    }
}

#[test]
fn a_missing_entrypoint_is_named_with_the_variable_that_helps() {
    let directory = tempfile::tempdir().expect("a directory");
    let itself = directory.path().join("waypoint");
    let said = entrypoint(None, &itself).expect_err("missing").text;
    assert!(said.contains("waypoint-entrypoint") && said.contains("WAYPOINT_ENTRYPOINT_PATH"));
    let beside = directory.path().join(ENTRYPOINT);
    std::fs::write(&beside, "").expect("written");
    assert_eq!(entrypoint(None, &itself), Ok(beside.canonicalize().expect("there")));
    let here = directory.path().display().to_string();
    assert!(entrypoint(Some(here), &itself).is_err_and(|it| it.text.contains("is no file")));
}

fn store() -> (tempfile::TempDir, Store) {
    let directory = tempfile::tempdir().expect("a directory");
    let store = Store::new(directory.path().to_owned());
    (directory, store)
}

fn begin(store: &Store) -> Stay {
    let wanted = wanted("dev true").expect("wanted");
    Stay::begin_in(store.clone(), "127.0.0.1:1", "token", &wanted).expect("begun")
}

fn by_hand(address: &str) -> Context {
    let server = ContextServer { address: address.into(), ..Default::default() };
    Context { server, ..Default::default() }
}

#[test]
fn the_former_default_comes_back_and_nothing_is_left() {
    let (_directory, store) = store();
    store.save("prod", &by_hand("prod:1")).expect("saved");
    let stay = begin(&store);
    assert_eq!(store.default(), Ok(Some("dev".into())));
    let context = store.load("dev").expect("there");
    assert_eq!((context.project.as_str(), context.application.as_str()), ("dev", "app"));
    assert_eq!(stay.end(), Ok(()));
    assert_eq!(store.default(), Ok(Some("prod".into())));
    assert_eq!(store.names(), Ok(vec!["prod".into()]));
}

#[test]
fn without_a_former_default_there_is_none_again() {
    let (_directory, store) = store();
    assert_eq!(begin(&store).end(), Ok(()));
    assert_eq!((store.default(), store.names()), (Ok(None), Ok(vec![])));
}

#[test]
fn a_default_that_was_chosen_meanwhile_stays() {
    let (_directory, store) = store();
    let stay = begin(&store);
    store.save("prod", &by_hand("prod:1")).expect("saved");
    store.set_default("prod").expect("set");
    assert_eq!(stay.end(), Ok(()));
    assert_eq!(store.default(), Ok(Some("prod".into())));
}

#[test]
fn a_context_made_by_hand_is_not_overwritten_for_its_name() {
    let (_directory, store) = store();
    store.save("dev", &by_hand("mine:1")).expect("saved");
    let stay = begin(&store);
    assert_eq!(store.load("dev"), Ok(by_hand("mine:1")));
    assert_ne!(store.default(), Ok(Some("dev".into())));
    assert_eq!(stay.end(), Ok(()));
    assert_eq!(store.default(), Ok(Some("dev".into())));
    assert_eq!(store.names(), Ok(vec!["dev".into()]));
}

#[test]
fn what_a_killed_run_left_is_replaced_and_not_brought_back() {
    let (_directory, store) = store();
    std::mem::forget(begin(&store));
    assert_eq!(begin(&store).end(), Ok(()));
    assert_eq!((store.default(), store.names()), (Ok(None), Ok(vec![])));
}

#[tokio::test]
async fn a_status_is_the_childs_and_128_more_than_a_signal() {
    for (script, status) in [("exit 7", 7), ("kill -9 $$", 137)] {
        let outcome = forward(tokio::process::Command::new("sh").args(["-c", script])).await;
        assert_eq!(outcome, Ok(status), "{script}");
    }
    let said = forward(&mut tokio::process::Command::new("/nowhere/at-all")).await;
    assert!(said.is_err_and(|it| it.text.contains("/nowhere/at-all")));
}
