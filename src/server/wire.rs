//! References as the wire has them become names; what is missing is named.
use super::refusal::Refusal;
use super::state::App;
use crate::proto::r#ref;

const MAX_NAME: usize = 256;
const TOO_LONG: &str = "is longer than 256 bytes";

/// # Errors
/// `InvalidArgument` if the reference is missing, or one of its two names is.
pub(crate) fn app(
    reference: Option<&r#ref::Application>,
    field: &'static str,
) -> Result<App, Refusal> {
    let reference = reference.ok_or_else(|| Refusal::missing(field))?;
    if reference.application.is_empty() || reference.project.is_empty() {
        return Err(Refusal::invalid(field, "needs the names of a project and an application"));
    }
    if reference.application.len() > MAX_NAME || reference.project.len() > MAX_NAME {
        return Err(Refusal::invalid(field, TOO_LONG));
    }
    Ok(App { project: reference.project.clone(), name: reference.application.clone() })
}

pub(crate) fn project(
    reference: Option<&r#ref::Project>,
    field: &'static str,
) -> Result<String, Refusal> {
    let name = reference.map(|it| it.project.clone()).filter(|it| !it.is_empty());
    let name = name.ok_or_else(|| Refusal::missing(field))?;
    if name.len() > MAX_NAME { Err(Refusal::invalid(field, TOO_LONG)) } else { Ok(name) }
}

pub(crate) fn workspace(
    reference: Option<&r#ref::Workspace>,
    field: &'static str,
) -> Result<String, Refusal> {
    some_workspace(reference).ok_or_else(|| Refusal::missing(field))
}

/// A reference with an empty name, which the original's CLI sends for "no flag", is none.
pub(crate) fn some_workspace(reference: Option<&r#ref::Workspace>) -> Option<String> {
    reference.map(|it| it.workspace.clone()).filter(|it| !it.is_empty())
}
