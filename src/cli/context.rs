//! A context: which server, with which token, and what is meant when nothing is said. Kept by
//! `store.rs` as a file of HCL that the original's CLI reads and writes too.
//!
//! Context: the original refuses attributes that it does not know, and has none for project and
//! application. Choice: they stand in comments of a shape of their own, `#! project = "web"`.
//! Cost: the original drops them when it rewrites the file; then a server's only app is found
//! anyway.
mod hcl;
pub(crate) mod store;
#[cfg(test)]
mod tests;

pub(crate) use hcl::{parse, write};

/// No file is longer; a real one has some 500 bytes.
pub(crate) const MAX_FILE: usize = 64 * 1024;
/// Names become file names.
const MAX_NAME: usize = 128;

/// What is empty is not said.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Context {
    pub(crate) workspace: String,
    pub(crate) project: String,
    pub(crate) application: String,
    pub(crate) server: Server,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Server {
    pub(crate) address: String,
    pub(crate) tls: bool,
    pub(crate) tls_skip_verify: bool,
    pub(crate) address_internal: String,
    pub(crate) require_auth: bool,
    pub(crate) auth_token: String,
    pub(crate) platform: String,
}

/// A context's name, fit for a file: no separator, no leading dot, dash or underscore.
///
/// # Errors
/// One line that names the name.
pub(crate) fn check_name(name: &str) -> Result<(), String> {
    let fit = |it: char| it.is_ascii_alphanumeric() || matches!(it, '.' | '-' | '_');
    if name.is_empty() || name.len() > MAX_NAME {
        return Err(format!("a context's name has 1 to {MAX_NAME} characters, not {}", name.len()));
    }
    if name.starts_with('_') {
        return Err(format!("context {name:?}: names that begin with _ are reserved"));
    }
    if name.starts_with(['.', '-']) || !name.chars().all(fit) {
        return Err(format!(
            "context {name:?}: a name is letters, digits, '.', '-' and '_', a letter or digit first"
        ));
    }
    Ok(())
}

/// The name that `WAYPOINT_CONTEXT` and the default context choose; `-` chooses none.
pub(crate) fn chosen(variable: Option<&str>, default: Option<String>) -> Option<String> {
    match variable.filter(|it| !it.is_empty()) {
        Some("-") => None,
        Some(name) => Some(name.to_owned()),
        None => default,
    }
}
