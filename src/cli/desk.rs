//! What every command needs at hand: its call, the style of its output, the contexts, a link to
//! the server, and which application is meant.
use super::args::{Call, truth};
use super::connect::{self, Client, Link};
use super::context::store::Store;
use super::context::{Context, chosen};
use super::failure::{Failure, Outcome};
use super::project::{self, Names};
use super::render::Style;
use super::target::{self, Flags, Target};
use crate::proto::{GetProjectRequest, ListProjectsRequest, PaginationRequest, r#ref};
use std::io::{ErrorKind, IsTerminal, Read, Write};

pub(crate) struct Desk<'a> {
    pub(crate) call: &'a Call,
    pub(crate) style: Style,
}

/// Where a command acts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) project: String,
    pub(crate) application: String,
    pub(crate) workspace: String,
}

impl Place {
    pub(crate) fn application(&self) -> r#ref::Application {
        r#ref::Application { application: self.application.clone(), project: self.project.clone() }
    }

    pub(crate) fn workspace(&self) -> r#ref::Workspace {
        r#ref::Workspace { workspace: self.workspace.clone() }
    }
}

/// An environment variable that says something.
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|it| !it.is_empty())
}

/// A line on standard error; if that is closed there is nobody left to tell.
pub(crate) fn tell(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// A result on standard output.
///
/// # Errors
/// Nobody reads it: silent when the pipe was closed, with the status that a shell gives SIGPIPE.
pub(crate) fn print(text: &str) -> Outcome {
    print_bytes(text.as_bytes())
}

pub(crate) fn print_bytes(bytes: &[u8]) -> Outcome {
    let mut out = std::io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).map(|()| 0).map_err(|error| unwritten(&error))
}

pub(crate) fn unwritten(error: &std::io::Error) -> Failure {
    match error.kind() {
        ErrorKind::BrokenPipe => Failure { text: String::new(), status: 141 },
        _ => Failure::new(format!("standard output: {error}")),
    }
}

impl<'a> Desk<'a> {
    /// # Errors
    /// A variable of ours has no value that it can have.
    pub(crate) fn new(call: &'a Call) -> Result<Self, Failure> {
        let plain = match variable("WAYPOINT_PLAIN") {
            None => false,
            Some(text) => truth(&text).ok_or_else(|| {
                Failure::new(format!("WAYPOINT_PLAIN: {text:?} is not true or false"))
            })?,
        };
        let plain = plain || (call.command.flag("plain").is_some() && call.switch("plain"));
        let no_color = variable("NO_COLOR");
        let style = Style::new(std::io::stdout().is_terminal(), plain, no_color.as_deref());
        Ok(Self { call, style })
    }

    /// The last value of a flag that this command may not have.
    fn flag(&self, name: &str) -> Option<&str> {
        self.call.command.flag(name).and_then(|_| self.call.given(name))
    }

    fn connection(&self) -> Flags<'_> {
        let switch = |name| self.flag(name).map(|it| it == "true");
        Flags {
            address: self.flag("server-addr"),
            tls: switch("server-tls"),
            skip_verify: switch("server-tls-skip-verify"),
        }
    }

    /// The context that is meant, if any.
    pub(crate) fn context(&self) -> Result<Option<Context>, Failure> {
        let Ok(store) = Store::of_environment() else { return Ok(None) };
        match chosen(variable("WAYPOINT_CONTEXT").as_deref(), store.default()?) {
            Some(name) => Ok(Some(store.load(&name)?)),
            None => Ok(None),
        }
    }

    pub(crate) fn target(&self) -> Result<Target, Failure> {
        // Who names the server needs no context, and no working one.
        let context = match self.connection().address {
            Some(_) => self.context().ok().flatten(),
            None => self.context()?,
        };
        self.target_of(context.as_ref())
    }

    /// With this context instead of the one that is meant.
    pub(crate) fn target_of(&self, context: Option<&Context>) -> Result<Target, Failure> {
        Ok(target::resolve(&self.connection(), &variable, context)?)
    }

    pub(crate) async fn link(&self) -> Result<Link, Failure> {
        connect::dial(&self.target()?).await
    }

    /// The context, if the server is the context's and not one from elsewhere.
    fn own_context(&self) -> Option<Context> {
        let elsewhere =
            self.connection().address.is_some() || variable("WAYPOINT_SERVER_ADDR").is_some();
        self.context().ok().flatten().filter(|_| !elsewhere)
    }

    pub(crate) fn workspace(&self) -> String {
        self.flag("workspace")
            .map(str::to_owned)
            .or_else(|| variable("WAYPOINT_WORKSPACE"))
            .or_else(|| self.own_context().map(|it| it.workspace))
            .filter(|it| !it.is_empty())
            .unwrap_or_else(|| "default".into())
    }

    /// From the flag, the context, `waypoint.hcl`; else the server's only one.
    pub(crate) async fn project(&self, client: &mut Client) -> Result<String, Failure> {
        let named = self
            .flag("project")
            .map(str::to_owned)
            .or_else(|| self.own_context().map(|it| it.project).filter(|it| !it.is_empty()))
            .or_else(|| Some(names_here().project).filter(|it| !it.is_empty()));
        if let Some(project) = named {
            return Ok(project);
        }
        let pagination = Some(PaginationRequest::default());
        let answer = client.list_projects(ListProjectsRequest { pagination }).await?.into_inner();
        only("project", "-project", answer.projects.into_iter().map(|it| it.project).collect())
    }

    /// The application as well: from the flag, from where the project came, else the only one.
    pub(crate) async fn place(&self, client: &mut Client) -> Result<Place, Failure> {
        let project = self.project(client).await?;
        let here = names_here();
        let of_files = self
            .own_context()
            .filter(|it| it.project == project && !it.application.is_empty())
            .map(|it| it.application)
            .or_else(|| match here.applications.as_slice() {
                [only] if here.project == project => Some(only.clone()),
                _ => None,
            });
        let application = match self.flag("app").map(str::to_owned).or(of_files) {
            Some(application) => application,
            None => {
                let request = GetProjectRequest {
                    project: Some(r#ref::Project { project: project.clone() }),
                };
                let answer = client.get_project(request).await?.into_inner();
                let all = answer.project.unwrap_or_default().applications;
                only("application", "-app", all.into_iter().map(|it| it.name).collect())?
            }
        };
        Ok(Place { project, application, workspace: self.workspace() })
    }
}

/// The one there is.
///
/// # Errors
/// There is none, or the user has to choose; some are named.
fn only(what: &str, flag: &str, mut all: Vec<String>) -> Result<String, Failure> {
    if all.len() == 1
        && let Some(one) = all.pop()
    {
        return Ok(one);
    }
    if all.is_empty() {
        return Err(Failure::new(format!("the server knows no {what}; {flag} names one")));
    }
    let count = all.len();
    all.sort();
    all.truncate(10);
    let dots = if count > all.len() { ", ..." } else { "" };
    Err(Failure::new(format!(
        "{count} {what}s to choose from, {flag} names one: {}{dots}",
        all.join(", ")
    )))
}

/// What `waypoint.hcl` says, here or in a directory above.
fn names_here() -> Names {
    let Ok(here) = std::env::current_dir() else { return Names::default() };
    let found = here.ancestors().find_map(|it| std::fs::File::open(it.join("waypoint.hcl")).ok());
    let mut text = String::new();
    match found.map(|it| it.take(project::MAX_FILE).read_to_string(&mut text)) {
        Some(Ok(_)) => project::names(&text),
        _ => Names::default(),
    }
}

/// An empty scope with this project, for the messages that want one.
pub(crate) fn project_ref(project: &str) -> r#ref::Project {
    r#ref::Project { project: project.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_is_taken_and_several_are_named() {
        let names = |all: &[&str]| all.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
        assert_eq!(only("project", "-project", names(&["a"])), Ok("a".into()));
        let said = only("project", "-project", names(&["b", "a"])).expect_err("two").text;
        assert_eq!(said, "2 projects to choose from, -project names one: a, b");
        let said = only("application", "-app", names(&[])).expect_err("none").text;
        assert!(said.contains("-app"));
    }
}
