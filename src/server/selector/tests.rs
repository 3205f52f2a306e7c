use super::*;
use proptest::prelude::*;

fn matches(text: &str) -> Result<bool, String> {
    let labels = [
        ("env", "prod"),
        ("empty", ""),
        ("waypoint/workspace", "default"),
        ("a-b", "1"),
        ("v", "2.5"),
        ("not1", "x"),
    ];
    let labels = labels.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    Selector::parse(text).map(|it| it.matches(&labels)).map_err(|it| it.to_string())
}

#[test]
fn every_test_of_the_language_holds_as_it_should() {
    for (text, expected) in [
        ("env == prod", true),
        ("env==\"prod\"", true),
        ("env==`prod`", true),
        (" env != prod ", false),
        ("env == Prod", false),
        ("env contains ro", true),
        ("env not contains ro", false),
        ("ro in env", true),
        ("\"ro\" in env", true),
        ("ro not in env", false),
        ("\"/a-b\" == 1", true),
        ("1 in \"/a-b\"", true),
        ("empty is empty", true),
        ("env is not empty", true),
        ("env is empty", false),
        ("env matches \"^p.*d$\"", true),
        ("env not matches `^x`", true),
        ("waypoint/workspace == default", true),
        ("v == 2.5", true),
        ("v == -2.5", false),
        ("env == \"\\x70rod\"", true),
        ("not1 == x", true),
    ] {
        assert_eq!(matches(text), Ok(expected), "{text}");
    }
}

#[test]
fn and_binds_tighter_than_or_and_not_tighter_than_both() {
    for (text, expected) in [
        ("env == prod or env == x and env == y", true),
        ("(env == prod or env == x) and env == y", false),
        ("not env == x and env == prod", true),
        ("not (env == prod)", false),
        ("not not env == prod", true),
        ("env == x or env == y or env == prod", true),
        ("env==prod and(v==2.5)", true),
    ] {
        assert_eq!(matches(text), Ok(expected), "{text}");
    }
}

#[test]
fn an_absent_label_that_is_reached_matches_nothing() {
    for (text, expected) in [
        ("absent == 1", false),
        ("absent != 1", false),
        ("not absent == 1", false),
        ("absent is empty", false),
        ("absent == 1 or env == prod", false),
        ("env == prod or absent == 1", true), // never reached
        ("env == x and absent == 1", false),
    ] {
        assert_eq!(matches(text), Ok(expected), "{text}");
    }
}

#[test]
fn what_is_no_selector_is_refused_where_it_goes_wrong() {
    for (text, at) in [
        ("", 1),
        ("env", 4),
        ("env = prod", 4),
        ("env == ", 8),
        ("env == prod and", 16),
        ("env == prod env", 13),
        ("(env == prod", 13),
        ("env == \"prod", 8),
        ("env == `prod", 8),
        ("env == \"\\q\"", 8),
        ("env.name == x", 4),
        ("env[\"x\"] == x", 4),
        ("env matches \"(\"", 13),
        ("1 == env", 2),
        ("ä == x", 1),
        ("env == 1.2.3", 8),
    ] {
        let refused = Selector::parse(text).map(|_| ()).map_err(|it| it.at);
        assert_eq!(refused, Err(at), "{text}");
    }
}

#[test]
fn depth_and_length_are_bounded() {
    let deep = format!("{}env == prod{}", "(".repeat(200), ")".repeat(200));
    assert!(matches(&deep).is_err_and(|it| it.starts_with("too deep")));
    assert!(matches(&"not ".repeat(200)).is_err());
    assert!(matches(&format!("env == {}", "x".repeat(MAX_TEXT))).is_err());
    let fine = format!("{}env == prod{}", "(".repeat(20), ")".repeat(20));
    assert_eq!(matches(&fine), Ok(true));
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "[a-b\"`()=! .\\\\/notridäisempty0-9-]{0,40}") {
        let _ = matches(&text);
    }

    #[test]
    fn an_expression_of_true_and_false_is_what_rust_makes_of_it(
        words in prop::collection::vec((any::<bool>(), any::<bool>(), any::<bool>()), 1..8)
    ) {
        let (mut text, mut groups, mut group) = (String::new(), vec![], true);
        for (index, (holds, negated, or)) in words.iter().enumerate() {
            if index != 0 {
                text += if *or { " or " } else { " and " };
                if *or {
                    groups.push(group);
                    group = true;
                }
            }
            text += if *negated { "not " } else { "" };
            text += if *holds { "env == prod" } else { "env == x" };
            group &= holds != negated;
        }
        groups.push(group);
        prop_assert_eq!(matches(&text), Ok(groups.iter().any(|it| *it)));
    }
}
