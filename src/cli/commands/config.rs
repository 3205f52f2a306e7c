//! `waypoint config`: the app's variables.
use crate::cli::desk::{Desk, print, project_ref};
use crate::cli::failure::{Failure, Outcome};
use crate::proto::config_get_request::Scope;
use crate::proto::config_var::target::AppScope;
use crate::proto::config_var::{Target, Value};
use crate::proto::{
    ConfigDeleteRequest, ConfigGetRequest, ConfigSetRequest, ConfigVar, r#ref, r#ref::runner,
};
use std::io::{IsTerminal, Read};

/// A request holds at most 4 MiB; who pipes more has the wrong file.
const MAX_PIPE: u64 = 4 * 1024 * 1024;

pub(crate) async fn set(desk: &Desk<'_>) -> Outcome {
    let pairs = arguments(desk)?;
    let pairs: Vec<_> = pairs.iter().map(|it| pair(it)).collect::<Result<_, _>>()?;
    let mut client = desk.link().await?.client;
    let target = target(desk, &mut client).await?;
    let variables = pairs
        .into_iter()
        .map(|(name, value)| variable(&target, name, Value::Static(value.to_owned())))
        .collect();
    client.set_config(ConfigSetRequest { variables }).await?;
    Ok(0)
}

pub(crate) async fn delete(desk: &Desk<'_>) -> Outcome {
    let names = arguments(desk)?;
    let mut client = desk.link().await?.client;
    let target = target(desk, &mut client).await?;
    let variables = names.iter().map(|it| variable(&target, it, Value::Unset(()))).collect();
    client.delete_config(ConfigDeleteRequest { variables }).await?;
    Ok(0)
}

pub(crate) async fn get(desk: &Desk<'_>) -> Outcome {
    let call = desk.call;
    let (json, raw) = (call.switch("json"), call.switch("raw"));
    if json && raw {
        return Err(Failure::new("-json and -raw exclude each other"));
    }
    let prefix = call.rest.first().cloned().unwrap_or_default();
    let mut client = desk.link().await?.client;
    let mut request = ConfigGetRequest { prefix: prefix.clone(), ..Default::default() };
    if call.switch("runner") {
        request.runner = Some(r#ref::RunnerId::default());
    }
    if call.given("app").is_some() {
        let place = desk.place(&mut client).await?;
        request.workspace = Some(place.workspace());
        request.labels = call.pairs("label");
        request.scope = Some(Scope::Application(place.application()));
    } else {
        request.scope = Some(Scope::Project(project_ref(&desk.project(&mut client).await?)));
    }
    let variables = client.get_config(request).await?.into_inner().variables;
    match (json, raw) {
        (true, _) => print(&as_json(&variables)),
        (_, true) => print(&as_lines(&variables, &prefix)?),
        _ => print(&desk.style.table(&HEADINGS, &rows(&variables))),
    }
}

const HEADINGS: [&str; 5] = ["SCOPE", "NAME", "VALUE", "WORKSPACE", "LABELS"];

/// `NAME=VALUE`, or nothing behind the name's end.
fn pair(text: &str) -> Result<(&str, &str), Failure> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name, value)),
        // The value may be a secret, so the text is quoted up to its first blank at most.
        _ => Err(Failure::new(format!(
            "{:?} is no NAME=VALUE",
            text.split_whitespace().next().unwrap_or("").chars().take(40).collect::<String>()
        ))),
    }
}

/// What stands on the command line, or in a pipe, one a line.
fn arguments(desk: &Desk<'_>) -> Result<Vec<String>, Failure> {
    if !desk.call.rest.is_empty() {
        return Ok(desk.call.rest.clone());
    }
    let nothing =
        || Failure::new(format!("`{}` needs {}", desk.call.command.path(), desk.call.command.tail));
    let input = std::io::stdin();
    if input.is_terminal() {
        return Err(nothing());
    }
    let mut text = String::new();
    input
        .lock()
        .take(MAX_PIPE + 1)
        .read_to_string(&mut text)
        .map_err(|error| Failure::new(format!("standard input: {error}")))?;
    if text.len() as u64 > MAX_PIPE {
        return Err(Failure::new("standard input: more than 4 MiB"));
    }
    let lines: Vec<_> =
        text.lines().filter(|it| !it.trim().is_empty()).map(str::to_owned).collect();
    if lines.is_empty() { Err(nothing()) } else { Ok(lines) }
}

async fn target(
    desk: &Desk<'_>,
    client: &mut crate::cli::connect::Client,
) -> Result<Target, Failure> {
    let call = desk.call;
    let scope = match call.text("scope") {
        "global" => AppScope::Global(r#ref::Global {}),
        "project" => AppScope::Project(project_ref(&desk.project(client).await?)),
        "app" => AppScope::Application(desk.place(client).await?.application()),
        other => {
            return Err(Failure::new(format!("-scope: {other:?} is not global, project or app")));
        }
    };
    Ok(Target {
        app_scope: Some(scope),
        workspace: call.given("workspace").map(|it| r#ref::Workspace { workspace: it.to_owned() }),
        label_selector: call.text("label-scope").to_owned(),
        runner: call
            .switch("runner")
            .then_some(r#ref::Runner { target: Some(runner::Target::Any(r#ref::RunnerAny {})) }),
    })
}

fn variable(target: &Target, name: &str, value: Value) -> ConfigVar {
    ConfigVar {
        target: Some(target.clone()),
        name: name.to_owned(),
        value: Some(value),
        ..Default::default()
    }
}

/// The value, or where it comes from.
fn shown(variable: &ConfigVar) -> String {
    match &variable.value {
        Some(Value::Static(text)) => text.clone(),
        Some(Value::Dynamic(value)) => format!("<dynamic via {}>", value.from),
        Some(Value::Unset(())) | None => String::new(),
    }
}

fn rows(variables: &[ConfigVar]) -> Vec<Vec<String>> {
    let row = |it: &ConfigVar| {
        let target = it.target.clone().unwrap_or_default();
        let scope = match target.app_scope {
            Some(AppScope::Application(app)) => format!("app: {}", app.application),
            Some(AppScope::Project(_)) => "project".into(),
            Some(AppScope::Global(_)) | None => "global".into(),
        };
        let workspace = target.workspace.unwrap_or_default().workspace;
        vec![scope, it.name.clone(), shown(it), workspace, target.label_selector]
    };
    variables.iter().map(row).collect()
}

fn as_json(variables: &[ConfigVar]) -> String {
    let object: serde_json::Map<_, _> =
        variables.iter().map(|it| (it.name.clone(), shown(it).into())).collect();
    format!("{}\n", serde_json::Value::Object(object))
}

/// All as `NAME=VALUE`; with a name the bare value of that one.
fn as_lines(variables: &[ConfigVar], name: &str) -> Result<String, Failure> {
    if name.is_empty() {
        return Ok(variables.iter().map(|it| format!("{}={}\n", it.name, shown(it))).collect());
    }
    variables
        .iter()
        .find(|it| it.name == name)
        .map(|it| format!("{}\n", shown(it)))
        .ok_or_else(|| Failure::new(format!("no variable is called {name:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::config_var::DynamicVal;

    fn sample() -> Vec<ConfigVar> {
        let app = r#ref::Application { application: "web".into(), project: "shop".into() };
        let target = |app_scope| Target {
            app_scope: Some(app_scope),
            label_selector: "a == b".into(),
            workspace: Some(r#ref::Workspace { workspace: "prod".into() }),
            ..Default::default()
        };
        let from = DynamicVal { from: "vault".into(), ..Default::default() };
        vec![
            variable(&target(AppScope::Application(app)), "URL", Value::Static("a=b".into())),
            variable(&Target::default(), "URL_KEY", Value::Dynamic(from)),
        ]
    }

    #[test]
    fn the_raw_form_is_the_bare_value_of_exactly_that_name() {
        assert_eq!(as_lines(&sample(), "URL"), Ok("a=b\n".into()));
        assert_eq!(as_lines(&sample(), ""), Ok("URL=a=b\nURL_KEY=<dynamic via vault>\n".into()));
        assert!(as_lines(&sample(), "UR").is_err_and(|it| it.text.contains("\"UR\"")));
    }

    #[test]
    fn rows_say_where_a_variable_holds() {
        assert_eq!(
            rows(&sample()),
            [
                ["app: web", "URL", "a=b", "prod", "a == b"],
                ["global", "URL_KEY", "<dynamic via vault>", "", ""],
            ]
        );
    }

    #[test]
    fn json_is_one_object_of_names() {
        assert_eq!(as_json(&sample()), "{\"URL\":\"a=b\",\"URL_KEY\":\"<dynamic via vault>\"}\n");
    }

    #[test]
    fn a_pair_needs_a_name_and_an_equals_sign() {
        assert_eq!(pair("A=b=c"), Ok(("A", "b=c")));
        assert_eq!(pair("A="), Ok(("A", "")));
        assert!(pair("=b").is_err());
        assert!(pair("A").is_err_and(|it| it.text.contains("\"A\"")));
    }
}
