use super::*;

/// `SCOPE [@workspace] [?selector] [!runner] NAME=value`; scopes: `*`, `p`, `p/a`.
fn variable(text: &str) -> ConfigVar {
    let mut target = Target::default();
    let mut variable = ConfigVar::default();
    for (index, word) in text.split(' ').enumerate() {
        let (first, rest) = word.split_at(1);
        match (index, first) {
            (0, "*") => target.app_scope = Some(AppScope::Global(r#ref::Global {})),
            (0, _) => {
                target.app_scope = Some(match word.split_once('/') {
                    None => AppScope::Project(r#ref::Project { project: word.into() }),
                    Some((project, application)) => AppScope::Application(r#ref::Application {
                        project: project.into(),
                        application: application.into(),
                    }),
                });
            }
            (_, "@") => target.workspace = Some(r#ref::Workspace { workspace: rest.into() }),
            (_, "?") => target.label_selector = rest.replace('_', " "),
            (_, "!") => {
                let id = runner::Target::Id(r#ref::RunnerId { id: rest.into() });
                let any = runner::Target::Any(r#ref::RunnerAny {});
                let target_ = if rest == "any" { any } else { id };
                target.runner = Some(r#ref::Runner { target: Some(target_) });
            }
            _ => {
                let (name, value) = word.split_once('=').expect("NAME=value");
                variable.name = name.into();
                variable.value = Some(Value::Static(value.into()));
            }
        }
    }
    variable.target = Some(target);
    variable
}

fn stored(texts: &[&str]) -> Variables {
    let mut variables = Variables::default();
    variables.set(texts.iter().map(|it| variable(it)).collect()).expect("valid");
    variables
}

fn shown(variables: &[ConfigVar]) -> Vec<String> {
    let text = |it: &ConfigVar| match &it.value {
        Some(Value::Static(text)) => format!("{}={text}", it.name),
        other => format!("{}={other:?}", it.name),
    };
    variables.iter().map(text).collect()
}

/// What an instance of `P/A` gets in a workspace, with the label env=prod.
fn in_force(variables: &Variables, workspace: &str) -> Vec<String> {
    let app = App { project: "P".into(), name: "A".into() };
    let labels = [("env".into(), "prod".into())].into();
    shown(&variables.resolve(&View::of_instance(&app, workspace, &labels)))
}

#[test]
fn scope_outranks_workspace_and_that_the_selector() {
    for (texts, expected) in [
        (&["* V=1", "p V=2", "p/a V=3"][..], "3"),
        (&["p/a V=3", "p V=2", "* V=1"], "3"),
        (&["* @w V=1", "p V=2"], "2"),
        (&["p @w V=1", "p V=2"], "1"),
        (&["p @w V=1", "p ?env==prod V=2"], "1"),
        (&["p V=1", "p ?env==prod V=2"], "2"),
        (&["p ?env==prod V=1", "p ?env_!=_test V=2"], "2"),
        (&["p V=1", "p ?env==test V=2"], "1"),
        (&["p V=1", "p ?absent==x V=2"], "1"),
        (&["p V=1", "p @other V=2"], "1"),
        (&["p V=1", "p/b V=2", "q V=3"], "1"),
        (&["p V=1", "p !any V=2", "p !R V=3"], "1"),
    ] {
        let expected = format!("V={expected}");
        assert_eq!(in_force(&stored(texts), "W"), [expected], "{texts:?}");
    }
}

#[test]
fn names_differ_in_case_and_come_sorted() {
    let variables = stored(&["p b=1", "p B=2", "p a=3", "* A=4"]);
    assert_eq!(in_force(&variables, "w"), ["A=4", "B=2", "a=3", "b=1"]);
}

#[test]
fn setting_replaces_the_same_and_an_empty_value_deletes_it() {
    let mut variables = stored(&["p V=1", "p @w V=2", "p ?env==prod V=3"]);
    let set = |variables: &mut Variables, texts: &[&str]| {
        variables.set(texts.iter().map(|it| variable(it)).collect())
    };
    set(&mut variables, &["p @W V=9"]).expect("valid");
    assert_eq!(in_force(&variables, "w"), ["V=9"]);
    set(&mut variables, &["p @w V="]).expect("valid");
    assert_eq!(in_force(&variables, "w"), ["V=3"]);
    // What is deleted goes first, wherever it stands.
    set(&mut variables, &["p V=5", "p V="]).expect("valid");
    variables.delete(vec![variable("p ?env==prod V=whatever")]).expect("valid");
    assert_eq!(in_force(&variables, "w"), ["V=5"]);
    let unset = ConfigVar { value: Some(Value::Unset(())), ..variable("p V=x") };
    variables.set(vec![unset]).expect("valid");
    assert!(variables.0.is_empty());
}

#[test]
fn one_wrong_variable_leaves_all_as_it_was() {
    let mut variables = stored(&["p V=1"]);
    let large = "x".repeat(MAX_SCOPE);
    for wrong in
        ["p ?env== V=2", "p =2", &format!("p V={large}"), "p/ V=2", &format!("p {large}=2")]
    {
        let request = vec![variable("p V="), variable("p W=2"), variable(wrong)];
        assert!(variables.set(request).is_err(), "{}", &wrong[..8.min(wrong.len())]);
        assert_eq!(in_force(&variables, "w"), ["V=1"]);
    }
    assert!(variables.set(vec![]).is_err());
    let many = (0..40_000).map(|it| variable(&format!("p V{it}=1"))).collect();
    assert!(variables.set(many).is_err());
}

#[test]
fn no_target_means_everybody_and_old_fields_win() {
    let mut variables = Variables::default();
    let mut everybody = variable("p V=1");
    everybody.target = None;
    let mut old = variable("p W=2");
    let application = r#ref::Application { project: "p".into(), application: "a".into() };
    old.unused_scope = Some(UnusedScope::Application(application));
    let mut runners = variable("p/a X=3");
    let target = Some(runner::Target::Any(r#ref::RunnerAny {}));
    runners.unused_scope = Some(UnusedScope::Runner(r#ref::Runner { target }));
    variables.set(vec![everybody, old, runners]).expect("valid");
    assert_eq!(in_force(&variables, "w"), ["V=1", "W=2"]);
    let scopes: Vec<_> = variables.0.keys().cloned().collect();
    assert_eq!(scopes, [Scope::Global, Scope::Application("p".into(), "a".into())]);
}

#[test]
fn who_asks_for_a_project_is_shown_all_and_a_runner_its_own() {
    let variables = stored(&["* V=1", "p V=2", "p @w V=3", "p/a V=4", "p !any R=5", "p !X R=6"]);
    let ask = |request: ConfigGetRequest| {
        shown(&variables.resolve(&View::of_request(request).expect("valid")))
    };
    let project = config_get_request::Scope::Project(r#ref::Project { project: "P".into() });
    let request = ConfigGetRequest { scope: Some(project.clone()), ..Default::default() };
    assert_eq!(ask(request.clone()), ["V=1", "V=2", "V=3"]);
    assert_eq!(ask(ConfigGetRequest { prefix: "v".into(), ..request.clone() }).len(), 3);
    assert_eq!(ask(ConfigGetRequest { prefix: "x".into(), ..request }).len(), 0);
    let application = config_get_request::Scope::Application(r#ref::Application {
        project: "p".into(),
        application: "a".into(),
    });
    for (id, expected) in [("x", "R=6"), ("y", "R=5")] {
        let runner = Some(r#ref::RunnerId { id: id.into() });
        let scope = Some(application.clone());
        assert_eq!(ask(ConfigGetRequest { scope, runner, ..Default::default() }), [expected]);
    }
}

#[test]
fn a_destroyed_project_takes_its_variables_along() {
    let mut variables = stored(&["* A=1", "p B=2", "p/a C=3", "q D=4"]);
    variables.forget_project("P");
    assert_eq!(in_force(&variables, "w"), ["A=1"]);
    assert_eq!(variables.0.len(), 2);
}
