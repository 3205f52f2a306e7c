//! Projects, their applications, and the workspaces in which something was done with them.
use super::deployments::Deployments;
use super::{App, check_name, key};
use crate::proto::{self, Application, Project, Workspace, r#ref, workspace};
use crate::server::moment::Moment;
use crate::server::refusal::Refusal;
use prost_types::Timestamp;
use std::collections::BTreeMap;

const MAX_NAME: usize = 128;
/// Source: protocol, section "Vocabulary".
const MAX_WORKSPACE: usize = 38;
const MAX_PROJECTS: usize = 10_000;
const MAX_APPLICATIONS: usize = 1_000;
const MAX_WORKSPACES: usize = 10_000;
/// With its README and its file; what one message may carry is 4 MiB.
const MAX_PROJECT: usize = 1 << 20;

#[derive(Default)]
pub(crate) struct Catalog {
    projects: BTreeMap<String, Entry>,
    /// Made on purpose, with the name as it was written.
    workspaces: BTreeMap<String, String>,
    /// By workspace, project and application: there was an operation then.
    activity: BTreeMap<(String, String, String), (App, Timestamp)>,
    pub(super) deployments: Deployments,
}

struct Entry {
    /// Without its applications, which are beside it.
    project: Project,
    applications: BTreeMap<String, Application>,
}

/// What workspaces are asked about.
pub(crate) enum Scope {
    Global,
    Project(String),
    Application(App),
}

impl Catalog {
    /// Creates or replaces; the applications stay whatever the request says.
    pub(crate) fn upsert_project(&mut self, mut project: Project) -> Result<Project, Refusal> {
        check_name("project.name", &project.name, MAX_NAME)?;
        if prost::Message::encoded_len(&project) > MAX_PROJECT {
            return Err(Refusal::invalid("project", "is larger than 1 MiB"));
        }
        project.applications.clear();
        match self.projects.get_mut(&key(&project.name)) {
            Some(entry) => {
                // The spelling stays: applications and deployments refer to it.
                project.name.clone_from(&entry.project.name);
                entry.project = project.clone();
            }
            None => self.insert_project(project.clone())?,
        }
        self.project(&project.name)
    }

    pub(crate) fn project(&self, name: &str) -> Result<Project, Refusal> {
        let entry = self.entry(name)?;
        let applications = entry.applications.values().cloned().collect();
        Ok(Project { applications, ..entry.project.clone() })
    }

    pub(crate) fn projects(&self) -> Vec<r#ref::Project> {
        let name = |it: &Entry| r#ref::Project { project: it.project.name.clone() };
        self.projects.values().map(name).collect()
    }

    pub(super) fn destroy_project(&mut self, name: &str) -> Result<(), Refusal> {
        self.entry(name)?;
        self.projects.remove(&key(name));
        self.activity.retain(|(_, project, _), _| *project != key(name));
        self.deployments.forget_project(name);
        Ok(())
    }

    pub(crate) fn application(&self, app: &App) -> Result<Application, Refusal> {
        let entry = self.entry(&app.project)?;
        let found = entry.applications.get(&key(&app.name)).cloned();
        found.ok_or_else(|| Refusal::not_found("application", super::shown(&app.to_string())))
    }

    /// Creates the application in a project that exists, or changes its signal.
    pub(crate) fn upsert_application(
        &mut self,
        app: &App,
        file_change_signal: &str,
    ) -> Result<Application, Refusal> {
        if file_change_signal.len() > 32 {
            return Err(Refusal::invalid("file_change_signal", "is longer than 32 bytes"));
        }
        self.entry(&app.project)?;
        let application = self.ensure_application(app)?;
        application.file_change_signal = file_change_signal.into();
        Ok(application.clone())
    }

    /// The application's own signal, else its project's, else none.
    pub(crate) fn file_change_signal(&self, app: &App) -> String {
        let Some(entry) = self.projects.get(&key(&app.project)) else { return String::new() };
        let own = entry.applications.get(&key(&app.name)).map(|it| &it.file_change_signal);
        own.filter(|it| !it.is_empty()).unwrap_or(&entry.project.file_change_signal).clone()
    }

    /// Something was done: project, application and workspace exist from now on.
    /// The signal of an application that exists stays untouched.
    pub(super) fn touch(
        &mut self,
        app: &App,
        workspace: &str,
        moment: &Moment,
    ) -> Result<App, Refusal> {
        check_name("deployment.workspace", workspace, MAX_WORKSPACE)?;
        check_name("deployment.application.project", &app.project, MAX_NAME)?;
        check_name("deployment.application.application", &app.name, MAX_NAME)?;
        self.ensure_workspace(workspace)?;
        if !self.projects.contains_key(&key(&app.project)) {
            self.insert_project(Project { name: app.project.clone(), ..Default::default() })?;
        }
        let known = self.ensure_application(app)?;
        let project = known.project.as_ref().map(|it| it.project.clone()).unwrap_or_default();
        let app = App { project, name: known.name.clone() };
        let (project, name) = app.key();
        self.activity.insert((key(workspace), project, name), (app.clone(), moment.timestamp()));
        Ok(app)
    }

    pub(crate) fn upsert_workspace(&mut self, name: &str) -> Result<Workspace, Refusal> {
        check_name("workspace.name", name, MAX_WORKSPACE)?;
        self.ensure_workspace(name)?;
        self.workspace(name)
    }

    pub(crate) fn workspace(&self, name: &str) -> Result<Workspace, Refusal> {
        let written = self.workspaces.get(&key(name));
        let written = written.ok_or_else(|| Refusal::not_found("workspace", super::shown(name)))?;
        Ok(self.describe(written, &Scope::Global))
    }

    /// All workspaces, or those in which something was done in the scope.
    pub(crate) fn workspaces(&self, scope: &Scope) -> Vec<Workspace> {
        let all = self.workspaces.values().map(|it| self.describe(it, scope));
        all.filter(|it| matches!(scope, Scope::Global) || !it.projects.is_empty()).collect()
    }

    /// What was done in a project, by workspace.
    pub(crate) fn workspaces_of(&self, project: &str) -> Vec<workspace::Project> {
        let scope = Scope::Project(project.into());
        self.workspaces(&scope).into_iter().flat_map(|it| it.projects).collect()
    }

    fn describe(&self, name: &str, scope: &Scope) -> Workspace {
        let mut projects: BTreeMap<&str, workspace::Project> = BTreeMap::new();
        for ((workspace, project, _), (app, at)) in &self.activity {
            if *workspace != key(name) || !scope.holds(app) {
                continue;
            }
            let entry = projects.entry(project).or_insert_with(|| workspace::Project {
                project: Some(r#ref::Project { project: app.project.clone() }),
                workspace: Some(r#ref::Workspace { workspace: name.into() }),
                ..Default::default()
            });
            entry.applications.push(workspace::Application {
                application: Some(app.reference()),
                active_time: Some(*at),
            });
            entry.active_time = newest(entry.active_time, Some(*at));
        }
        let projects: Vec<_> = projects.into_values().collect();
        let active_time = projects.iter().fold(None, |at, it| newest(at, it.active_time));
        Workspace { name: name.into(), projects, active_time }
    }

    fn entry(&self, name: &str) -> Result<&Entry, Refusal> {
        self.projects
            .get(&key(name))
            .ok_or_else(|| Refusal::not_found("project", super::shown(name)))
    }

    fn insert_project(&mut self, project: Project) -> Result<(), Refusal> {
        if self.projects.len() >= MAX_PROJECTS {
            return Err(Refusal::too_many(format!("there are {MAX_PROJECTS} projects already")));
        }
        let applications = BTreeMap::new();
        self.projects.insert(key(&project.name), Entry { project, applications });
        Ok(())
    }

    fn ensure_workspace(&mut self, name: &str) -> Result<(), Refusal> {
        if !self.workspaces.contains_key(&key(name)) && self.workspaces.len() >= MAX_WORKSPACES {
            let text = format!("there are {MAX_WORKSPACES} workspaces already");
            return Err(Refusal::too_many(text));
        }
        self.workspaces.entry(key(name)).or_insert_with(|| name.into());
        Ok(())
    }

    fn ensure_application(&mut self, app: &App) -> Result<&mut Application, Refusal> {
        check_name("application.name", &app.name, MAX_NAME)?;
        let entry = self
            .projects
            .get_mut(&key(&app.project))
            .ok_or_else(|| Refusal::not_found("project", super::shown(&app.project)))?;
        let name = key(&app.name);
        if !entry.applications.contains_key(&name) && entry.applications.len() >= MAX_APPLICATIONS {
            let text = format!("the project has {MAX_APPLICATIONS} applications already");
            return Err(Refusal::too_many(text));
        }
        let project = r#ref::Project { project: entry.project.name.clone() };
        Ok(entry.applications.entry(name).or_insert_with(|| proto::Application {
            project: Some(project),
            name: app.name.clone(),
            file_change_signal: String::new(),
        }))
    }
}

impl Scope {
    fn holds(&self, app: &App) -> bool {
        match self {
            Self::Global => true,
            Self::Project(name) => key(name) == key(&app.project),
            Self::Application(it) => it.key() == app.key(),
        }
    }
}

fn newest(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    one.into_iter().chain(other).max_by_key(|it| (it.seconds, it.nanos))
}
