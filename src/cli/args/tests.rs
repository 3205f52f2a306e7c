use super::*;
use Verb::*;

fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

fn call(line: &str) -> Call {
    match parse(&words(line)) {
        Ok(Request::Run(call)) => *call,
        other => panic!("{line}: {other:?}"),
    }
}

fn refusal(line: &str) -> String {
    parse(&words(line)).expect_err(line)
}

fn help(line: &str) -> (String, bool) {
    match parse(&words(line)) {
        Ok(Request::Help { text, wanted }) => (text, wanted),
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
fn every_command_and_alias_is_found_by_its_words() {
    for command in COMMANDS {
        for name in command.names {
            let tail = match command.tail {
                Tail::One(_) | Tail::Command(_) => " a",
                Tail::Two(_) => " a b",
                Tail::None | Tail::Maybe(_) | Tail::Many(_) => "",
            };
            assert_eq!(call(&(name.join(" ") + tail)).command.verb, command.verb, "{name:?}");
        }
    }
}

#[test]
fn no_command_has_two_flags_of_one_name() {
    for command in COMMANDS {
        let mut names: Vec<_> = command
            .all_flags()
            .flat_map(|it| [it.name, it.short])
            .filter(|it| !it.is_empty())
            .collect();
        names.sort_unstable();
        let all = names.len();
        names.dedup();
        assert_eq!(names.len(), all, "{}", command.path());
    }
}

#[test]
fn a_flag_is_read_in_each_of_its_spellings() {
    for line in
        ["logs -app web", "logs -app=web", "logs --app web", "logs --app=web", "logs -a web"]
    {
        assert_eq!(call(line).given("app"), Some("web"), "{line}");
    }
    for (line, follow) in
        [("logs", true), ("logs -f", true), ("logs -f=false", false), ("logs --follow=0", false)]
    {
        assert_eq!(call(line).switch("follow"), follow, "{line}");
    }
    assert_eq!(call("logs -app a -app b").given("app"), Some("b"), "the last one counts");
    assert_eq!(call("logs -app -a").given("app"), Some("-a"), "a value may look like a flag");
    assert_eq!(call("logs -app=").given("app"), Some(""), "and be empty");
}

#[test]
fn a_map_flag_repeats_and_keeps_what_follows_the_first_equals_sign() {
    let call = call("deployment create -label a=1 -label=b=2=3 -label a=4");
    assert_eq!(
        call.pairs("label"),
        [("a", "4"), ("b", "2=3")].map(|(k, v)| (k.into(), v.into())).into()
    );
}

#[test]
fn exec_takes_nothing_after_its_first_word() {
    for (line, rest) in [
        ("exec grep -v x", "grep -v x"),
        ("exec -a web ls -label --", "ls -label --"),
        ("exec -- -x", "-x"),
        ("exec bin/rails -h", "bin/rails -h"),
        ("dev -p 80 -- cat -p", "cat -p"),
    ] {
        let call = call(line);
        assert_eq!(call.rest.join(" "), rest, "{line}");
        assert_eq!(call.verbosity, 0, "{line}");
    }
}

#[test]
fn verbosity_stands_anywhere_before_the_end_of_flags() {
    for (line, verbosity) in [
        ("-v logs", 1),
        ("logs -vv", 2),
        ("config get -vvv A", 3),
        ("config get A -v", 1),
        ("-vv config -v get", 2),
        ("exec -v -- -vvv", 1),
    ] {
        assert_eq!(call(line).verbosity, verbosity, "{line}");
    }
}

#[test]
fn a_mistake_is_one_line_that_names_it() {
    for (line, culprit) in [
        ("lgos", "\"lgos\""),
        ("config sett A=1", "\"sett\""),
        ("logs -appp web", "-appp"),
        ("-app web logs", "-app"),
        ("config -app web", "-app"),
        ("logs -app", "-app needs a value"),
        ("logs -f=maybe", "-f is true or false"),
        ("logs extra", "\"extra\""),
        ("config set A=1 -scope app", "-scope stands after \"A=1\""),
        ("deployment create -label a", "-label takes KEY=VALUE"),
        ("deployment create -label =a", "-label takes KEY=VALUE"),
        ("context create", "needs NAME"),
        ("context rename a", "needs FROM TO"),
        ("context use a b", "\"b\""),
    ] {
        let said = refusal(line);
        assert!(said.contains(culprit), "{line}: {said}");
        assert!(!said.contains('\n'), "{line}: {said}");
    }
}

#[test]
fn help_names_every_command_and_every_flag() {
    let (all, wanted) = help("-h");
    assert!(wanted);
    for command in COMMANDS {
        assert!(all.contains(&command.path()));
        let (text, wanted) = help(&format!("{} -h", command.path()));
        assert!(wanted);
        for flag in command.all_flags() {
            assert!(text.contains(&format!("-{}", flag.name)), "{} {}", command.path(), flag.name);
        }
    }
    assert!(help("config --help").0.contains("config set"));
    assert!(help("server -h").0.contains("-listen-grpc"));
    assert!(help("help").1);
}

#[test]
fn what_is_incomplete_gets_help_that_was_not_wanted() {
    for line in ["", "config", "exec", "exec -a web", "dev"] {
        assert!(!help(line).1, "{line:?}");
    }
}

#[test]
fn the_version_is_a_command_and_a_flag() {
    for line in ["version", "-version", "--version"] {
        assert_eq!(call(line).command.verb, Version);
    }
}

#[test]
fn durations_are_read_as_go_writes_them() {
    for (text, seconds) in [
        ("30s", Some(30.0)),
        ("1h30m", Some(5400.0)),
        ("1.5s", Some(1.5)),
        ("300ms", Some(0.3)),
        ("", None),
        ("0s", None),
        ("5", None),
        ("s", None),
        ("-1s", None),
        ("1d", None),
        ("1..5s", None),
        ("99999999h", None),
    ] {
        assert_eq!(duration(text).map(|it| it.as_secs_f64()), seconds, "{text:?}");
    }
}
