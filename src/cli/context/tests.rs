use super::store::Store;
use super::*;
use proptest::prelude::*;
use std::os::unix::fs::PermissionsExt;

fn sample(address: &str) -> Context {
    Context {
        workspace: "default".into(),
        server: Server { address: address.into(), tls: true, ..Server::default() },
        ..Context::default()
    }
}

/// Quotes, templates, escapes and lines: whatever has a meaning in HCL.
fn value() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z0-9.:]{0,12}", "[\"\\\\${}%#/*!=a\n\r\t]{0,16}", any::<String>()]
}

proptest! {
    #[test]
    fn a_context_is_read_back_as_it_was_written(
        texts in proptest::array::uniform7(value()),
        truths in proptest::array::uniform3(any::<bool>()),
    ) {
        let [workspace, project, application, address, address_internal, auth_token, platform] = texts;
        let [tls, tls_skip_verify, require_auth] = truths;
        let server = Server {
            address, tls, tls_skip_verify, address_internal, require_auth, auth_token, platform,
        };
        let context = Context { workspace, project, application, server };
        prop_assert_eq!(parse("f", &write(&context)), Ok(context));
    }

    #[test]
    fn nothing_in_a_file_makes_us_panic(text in "[a-z \"\\\\${}%#/*!=\n\u{e9}]{0,60}") {
        let _ = parse("f", &text);
        let _ = parse("f", &format!("server {{ {text}"));
    }
}

#[test]
fn what_the_original_writes_is_read() {
    let text = r#"
# a comment
workspace = "prod"

server { // another
  address          = "waypoint.example.com:9701"
  tls              = true
  tls_skip_verify  = false /* and
                              another */
  address_internal = null
  require_auth     = true
  auth_token       = "a\u00e9\"$${b}%%{c}$d"
  platform         = "n/a" }
"#;
    let server = Server {
        address: "waypoint.example.com:9701".into(),
        tls: true,
        require_auth: true,
        auth_token: "aé\"${b}%{c}$d".into(),
        platform: "n/a".into(),
        ..Server::default()
    };
    let wanted = Context { workspace: "prod".into(), server, ..Context::default() };
    assert_eq!(parse("f", text), Ok(wanted));
    assert_eq!(parse("f", ""), Ok(Context::default()));
}

#[test]
fn a_mistake_is_named_with_its_file_and_line_and_without_its_value() {
    for (text, said) in [
        ("\nadress = \"secret\"", "x.hcl:2: \"adress\" is no setting of a context"),
        ("workspace = true", "x.hcl:1: \"workspace\" is a string in quotes"),
        ("server {\n tls = \"yes\"\n}", "x.hcl:2: \"tls\" is true or false, without quotes"),
        ("server {\n", "x.hcl:2: the block is not closed"),
        ("server {}\nserver {}", "x.hcl:2: a second block server"),
        ("workspace = \"a\nb\"", "x.hcl:1: the string is not closed on its line"),
        ("workspace = \"a", "x.hcl:1: the string is not closed"),
        ("workspace = \"${a}\"", "x.hcl:1: templates are not read here"),
        ("workspace = \"\\q\"", "x.hcl:1: an unknown escape in the string"),
        ("workspace = \"\\ud800\"", "x.hcl:1: an escape in the string that is no character"),
        ("workspace = \"a\" \"b\"", "x.hcl:1: more than one value for \"workspace\""),
        ("/* a\n", "x.hcl:1: the comment is not closed"),
        ("{", "x.hcl:1: a name was expected, not '{'"),
        ("#! project = web", "x.hcl:1: \"web\" is neither a string in quotes nor true or false"),
    ] {
        assert_eq!(parse("x.hcl", text), Err(said.to_owned()), "{text:?}");
    }
    assert!(parse("x", &" ".repeat(MAX_FILE + 1)).is_err());
}

#[test]
fn a_name_is_fit_for_a_file() {
    for fit in ["a", "dev", "login_1700000000", "a.b-c"] {
        assert_eq!(check_name(fit), Ok(()), "{fit}");
    }
    for unfit in ["", "_default", ".", "..", "../x", "a/b", "-a", "a b", "é", &"a".repeat(129)] {
        assert!(check_name(unfit).is_err(), "{unfit}");
    }
}

#[test]
fn the_variable_chooses_before_the_default_and_a_dash_chooses_none() {
    for (variable, default, wanted) in [
        (None, None, None),
        (None, Some("d"), Some("d")),
        (Some(""), Some("d"), Some("d")),
        (Some("v"), Some("d"), Some("v")),
        (Some("-"), Some("d"), None),
    ] {
        assert_eq!(chosen(variable, default.map(str::to_owned)).as_deref(), wanted);
    }
}

fn store() -> (tempfile::TempDir, Store) {
    let directory = tempfile::tempdir().expect("a directory");
    let store = Store::new(directory.path().join("waypoint/context"));
    (directory, store)
}

#[test]
fn the_first_context_becomes_the_default_and_later_ones_do_not() {
    let (_directory, store) = store();
    assert_eq!(store.names(), Ok(vec![]));
    assert_eq!(store.default(), Ok(None));
    store.save("one", &sample("1:1")).expect("saved");
    store.save("two", &sample("2:2")).expect("saved");
    assert_eq!(store.default(), Ok(Some("one".into())));
    assert_eq!(store.names(), Ok(vec!["one".into(), "two".into()]));
    assert_eq!(store.load("two"), Ok(sample("2:2")));
}

#[test]
fn a_default_follows_its_context_and_ends_with_it() {
    let (_directory, store) = store();
    store.save("one", &sample("1:1")).expect("saved");
    store.rename("one", "two").expect("renamed");
    assert_eq!(store.default(), Ok(Some("two".into())));
    assert_eq!(store.names(), Ok(vec!["two".into()]));
    store.delete("two").expect("deleted");
    store.delete("two").expect("deleting what is gone succeeds");
    assert_eq!(store.default(), Ok(None));
    assert!(store.load("two").expect_err("gone").contains("no context \"two\""));
    assert!(store.set_default("two").is_err());
}

#[test]
fn a_default_written_as_a_plain_file_is_read() {
    let (_directory, store) = store();
    store.save("one", &sample("1:1")).expect("saved");
    store.clear_default().expect("cleared");
    std::fs::write(store.directory().join("_default.hcl"), "one\n").expect("written");
    assert_eq!(store.default(), Ok(Some("one".into())));
    std::fs::write(store.directory().join("_default.hcl"), "../../etc/passwd").expect("written");
    assert!(store.default().is_err());
}

#[test]
fn nobody_else_can_read_a_context_even_if_its_file_was_open_to_all() {
    let (_directory, store) = store();
    store.save("one", &sample("1:1")).expect("saved");
    let path = store.directory().join("one.hcl");
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).expect("opened");
    store.save("one", &sample("2:2")).expect("saved");
    let mode = |path| std::fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(&store.directory().to_path_buf()), 0o700);
    let left = std::fs::read_dir(store.directory()).expect("there").count();
    assert_eq!(left, 2, "the context and the default, no remains of writing");
}
