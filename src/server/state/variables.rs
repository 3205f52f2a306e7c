//! Config variables: what is set for whom, and what of it an instance gets.
//!
//! A variable is one (target, name); names differ in case, as the environment's do. Every selector
//! was read when it was set, so resolving fails never.
#[cfg(test)]
mod tests;

use super::{App, Labels, key, shown};
use crate::proto::config_var::target::AppScope;
use crate::proto::config_var::{Target, UnusedScope, Value};
use crate::proto::r#ref::{self, runner};
use crate::proto::{ConfigGetRequest, ConfigVar, config_get_request};
use crate::server::refusal::Refusal;
use crate::server::selector::Selector;
use crate::server::wire;
use std::collections::BTreeMap;

/// For one application at most three times as much is in force: global, its project's, its own.
/// A snapshot has to fit a message of 4 MiB.
const MAX_SCOPE: usize = 1 << 20;
const MAX_SCOPE_VARIABLES: usize = 4_096;
const MAX_NAME: usize = 4_096;
const MAX_VARIABLES: usize = 100_000;

#[derive(Default)]
pub(crate) struct Variables(BTreeMap<Scope, Vec<Variable>>);

/// Whom something is for, from all to one; names as keys.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Scope {
    Global,
    Project(String),
    Application(String, String),
}

#[derive(Debug, Clone, PartialEq)]
struct Variable {
    /// As it was written, for whoever asks; beside what of it was understood.
    written: ConfigVar,
    target: Narrowing,
}

/// What of a scope's instances a variable is for.
#[derive(Debug, Clone, PartialEq, Default)]
struct Narrowing {
    workspace: Option<String>,
    selector: Option<Selector>,
    runner: Option<Runner>,
}

#[derive(Debug, Clone, PartialEq)]
enum Runner {
    Any,
    Id(String),
    /// By labels, which runners of ours do not have.
    Labels(Labels),
}

/// Who asks, and what for.
pub(crate) struct View {
    scope: Scope,
    workspace: Option<String>,
    labels: Labels,
    runner: Option<String>,
    prefix: String,
}

/// One wish of a set or delete request, understood.
struct Change {
    scope: Scope,
    variable: Variable,
    deletes: bool,
}

pub(crate) fn is_dynamic(variable: &ConfigVar) -> bool {
    matches!(variable.value, Some(Value::Dynamic(_)))
}

impl Variables {
    /// All of the request or nothing; what it deletes goes first.
    pub(crate) fn set(&mut self, wanted: Vec<ConfigVar>) -> Result<(), Refusal> {
        self.apply(wanted, false)
    }

    /// Deletes each target and name, whatever the values are.
    pub(crate) fn delete(&mut self, wanted: Vec<ConfigVar>) -> Result<(), Refusal> {
        self.apply(wanted, true)
    }

    /// Sorted by name. A project is shown what is set, unmerged; all others what is in force.
    pub(crate) fn resolve(&self, view: &View) -> Vec<ConfigVar> {
        let mut found: Vec<&Variable> = Vec::new();
        for scope in view.scope.and_wider() {
            let stored = self.0.get(&scope).into_iter().flatten();
            let mut stored: Vec<_> = stored.filter(|it| view.shows(it)).collect();
            stored.sort_by_key(|it| it.target.rank());
            found.extend(stored);
        }
        if matches!(view.scope, Scope::Project(_)) {
            found.sort_by(|one, other| one.written.name.cmp(&other.written.name));
            return found.into_iter().map(|it| it.written.clone()).collect();
        }
        let merged: BTreeMap<&str, &Variable> =
            found.into_iter().map(|it| (it.written.name.as_str(), it)).collect(); // the last wins
        merged.into_values().map(|it| it.written.clone()).collect()
    }

    pub(super) fn forget_project(&mut self, name: &str) {
        self.0.retain(|scope, _| !scope.is_of(name));
    }

    fn apply(&mut self, wanted: Vec<ConfigVar>, delete: bool) -> Result<(), Refusal> {
        if wanted.is_empty() {
            return Err(Refusal::missing("variables"));
        }
        let changes = wanted.into_iter().map(|it| Change::of(it, delete));
        let changes = changes.collect::<Result<Vec<_>, _>>()?;
        // Tried on a copy of the scopes it is about, so that a refusal leaves all as it was.
        let mut scopes: BTreeMap<Scope, Vec<Variable>> = BTreeMap::new();
        for it in &changes {
            let stored = || self.0.get(&it.scope).cloned().unwrap_or_default();
            scopes.entry(it.scope.clone()).or_insert_with(stored);
        }
        for (deleting, it) in
            [true, false].into_iter().flat_map(|d| changes.iter().map(move |it| (d, it)))
        {
            let Some(stored) = scopes.get_mut(&it.scope).filter(|_| it.deletes == deleting) else {
                continue;
            };
            stored.retain(|old| !old.is_same(&it.variable));
            if !deleting {
                stored.push(it.variable.clone());
            }
        }
        scopes.iter().try_for_each(|(_, stored)| check_size(stored))?;
        let untouched = self.0.iter().filter(|(scope, _)| !scopes.contains_key(scope));
        let total: usize = untouched.chain(&scopes).map(|(_, stored)| stored.len()).sum();
        if total > MAX_VARIABLES {
            return Err(Refusal::too_many(format!("more than {MAX_VARIABLES} variables")));
        }
        self.0.extend(scopes);
        self.0.retain(|_, stored| !stored.is_empty());
        Ok(())
    }
}

impl View {
    pub(crate) fn of_instance(app: &App, workspace: &str, labels: &Labels) -> Self {
        Self {
            scope: Scope::of_app(app),
            workspace: Some(workspace.into()),
            labels: labels.clone(),
            runner: None,
            prefix: String::new(),
        }
    }

    pub(crate) fn of_request(request: ConfigGetRequest) -> Result<Self, Refusal> {
        use config_get_request::Scope as Asked;
        Ok(Self {
            scope: match &request.scope {
                Some(Asked::Application(it)) => Scope::of_app(&wire::app(Some(it), "application")?),
                Some(Asked::Project(it)) => {
                    Scope::Project(key(&wire::project(Some(it), "project")?))
                }
                None => return Err(Refusal::missing("scope")),
            },
            workspace: wire::some_workspace(request.workspace.as_ref()),
            labels: request.labels.into_iter().collect(),
            runner: request.runner.map(|it| it.id),
            prefix: request.prefix.to_lowercase(),
        })
    }

    fn shows(&self, variable: &Variable) -> bool {
        let Narrowing { workspace, selector, runner } = &variable.target;
        let runs = match (&self.runner, runner) {
            (None, None) => true,
            (Some(_), Some(Runner::Any)) => true,
            (Some(id), Some(Runner::Id(only))) => key(id) == key(only),
            (None, Some(_)) | (Some(_), None | Some(Runner::Labels(_))) => false,
        };
        let here = match (&self.workspace, workspace) {
            (Some(here), Some(only)) => key(here) == key(only),
            (None, _) | (_, None) => true,
        };
        runs && here
            && selector.as_ref().is_none_or(|it| it.matches(&self.labels))
            && variable.written.name.to_lowercase().starts_with(&self.prefix)
    }
}

impl Variable {
    fn is_same(&self, other: &Self) -> bool {
        self.written.name == other.written.name && self.target == other.target
    }

    /// Its bytes in a message, tag and length included.
    fn weight(&self) -> usize {
        prost::Message::encoded_len(&self.written) + 8
    }
}

impl Narrowing {
    /// Within a scope the higher one wins: a workspace, then the longer selector, then the runner.
    fn rank(&self) -> (bool, usize, bool) {
        let selector = self.selector.as_ref().map_or(0, |it| it.text().len());
        (self.workspace.is_some(), selector, matches!(self.runner, Some(Runner::Id(_))))
    }
}

impl Change {
    fn of(mut wanted: ConfigVar, delete: bool) -> Result<Self, Refusal> {
        check_name(&wanted)?;
        let target = target_of(&mut wanted);
        let scope = match &target.app_scope {
            // Nothing said means all; the original ends itself here.
            None | Some(AppScope::Global(_)) => Scope::Global,
            Some(AppScope::Project(it)) => {
                Scope::Project(key(&wire::project(Some(it), "variables.target.project")?))
            }
            Some(AppScope::Application(it)) => {
                Scope::of_app(&wire::app(Some(it), "variables.target.application")?)
            }
        };
        let narrowing = Narrowing {
            workspace: wire::some_workspace(target.workspace.as_ref()).map(|it| key(&it)),
            selector: selector_of(&target.label_selector)?,
            runner: target.runner.as_ref().map(runner_of).transpose()?,
        };
        // An empty text deletes too: that is how the original's CLI deletes.
        let deletes = delete
            || match &wanted.value {
                None | Some(Value::Unset(())) => true,
                Some(Value::Static(text)) => text.is_empty(),
                Some(Value::Dynamic(it)) if it.from.is_empty() => {
                    return Err(Refusal::missing("variables.dynamic.from"));
                }
                Some(Value::Dynamic(_)) => false,
            };
        wanted.target = Some(target);
        Ok(Self { scope, variable: Variable { written: wanted, target: narrowing }, deletes })
    }
}

/// The target, whichever way it was said; old clients have fields of their own, which win.
fn target_of(wanted: &mut ConfigVar) -> Target {
    let mut target = wanted.target.take().unwrap_or_default();
    match wanted.unused_scope.take() {
        None => {}
        Some(UnusedScope::Application(it)) => target.app_scope = Some(AppScope::Application(it)),
        Some(UnusedScope::Project(it)) => target.app_scope = Some(AppScope::Project(it)),
        Some(UnusedScope::Runner(it)) => {
            target.app_scope = Some(AppScope::Global(r#ref::Global {}));
            target.runner = Some(it);
        }
    }
    target.app_scope.get_or_insert(AppScope::Global(r#ref::Global {}));
    target
}

fn selector_of(text: &str) -> Result<Option<Selector>, Refusal> {
    if text.is_empty() {
        return Ok(None);
    }
    let read = Selector::parse(text);
    read.map(Some).map_err(|why| Refusal::invalid("variables.target.label_selector", why))
}

fn runner_of(runner: &r#ref::Runner) -> Result<Runner, Refusal> {
    match &runner.target {
        Some(runner::Target::Any(_)) => Ok(Runner::Any),
        Some(runner::Target::Id(it)) => Ok(Runner::Id(it.id.clone())),
        Some(runner::Target::Labels(it)) => {
            Ok(Runner::Labels(it.labels.clone().into_iter().collect()))
        }
        None => Err(Refusal::missing("variables.target.runner.target")),
    }
}

/// What no environment and no file system takes is refused here, not at some entrypoint.
fn check_name(variable: &ConfigVar) -> Result<(), Refusal> {
    let name = &variable.name;
    if name.is_empty() || name.len() > MAX_NAME || name.contains('\0') {
        let why = format!("must be 1 to {MAX_NAME} bytes without NUL, not \"{}\"", shown(name));
        return Err(Refusal::invalid("variables.name", why));
    }
    if !variable.name_is_path && name.contains('=') {
        let why = format!("\"{}\" has a =, which no environment variable may have", shown(name));
        return Err(Refusal::invalid("variables.name", why));
    }
    if matches!(&variable.value, Some(Value::Static(text)) if text.contains('\0') && !variable.name_is_path)
    {
        let why = format!(
            "the value of {} has a NUL, which no environment variable may have",
            shown(name)
        );
        return Err(Refusal::invalid("variables.static", why));
    }
    Ok(())
}

fn check_size(stored: &[Variable]) -> Result<(), Refusal> {
    let weight: usize = stored.iter().map(Variable::weight).sum();
    if stored.len() > MAX_SCOPE_VARIABLES || weight > MAX_SCOPE {
        let text = format!(
            "one scope holds at most {MAX_SCOPE_VARIABLES} variables and {MAX_SCOPE} bytes; \
             this would make {} and {weight}",
            stored.len()
        );
        return Err(Refusal::too_many(text));
    }
    Ok(())
}

impl Scope {
    pub(crate) fn of_app(app: &App) -> Self {
        let (project, name) = app.key();
        Self::Application(project, name)
    }

    /// The widest first.
    pub(crate) fn and_wider(&self) -> Vec<Self> {
        match self {
            Self::Global => vec![Self::Global],
            Self::Project(_) => vec![Self::Global, self.clone()],
            Self::Application(project, _) => {
                vec![Self::Global, Self::Project(project.clone()), self.clone()]
            }
        }
    }

    pub(crate) fn is_of(&self, project: &str) -> bool {
        match self {
            Self::Global => false,
            Self::Project(it) | Self::Application(it, _) => *it == key(project),
        }
    }
}
