//! All the server knows, in memory: facts and a moment come in, answers go out. No I/O, no clock.
//!
//! `hub.rs` holds the one instance and wakes whoever waits for a change of it. Records that only
//! pass through (projects, deployments) are kept as the wire's messages, so that nothing of them is
//! lost; what is decided upon (variables, instances, sessions, lines) has types of its own.
pub(crate) mod catalog;
pub(crate) mod deployments;
pub(crate) mod fleet;
pub(crate) mod logs;
pub(crate) mod sources;
pub(crate) mod users;
pub(crate) mod variables;

use super::moment::Moment;
use super::refusal::Refusal;
use super::token::Key;
use crate::proto::{EntrypointConfig, ServerConfig, entrypoint_config, server_config};
use std::collections::{BTreeMap, HashMap};

/// The server's whole state.
pub(crate) struct State {
    pub(crate) catalog: catalog::Catalog,
    pub(crate) users: users::Users,
    pub(crate) variables: variables::Variables,
    pub(crate) sources: sources::Sources,
    pub(crate) fleet: fleet::Fleet,
    pub(crate) logs: logs::Logs,
    pub(crate) settings: ServerConfig,
    key: Option<Key>,
}

/// What names an application, as it was written. Look-ups go by `key`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct App {
    pub(crate) project: String,
    pub(crate) name: String,
}

/// Labels of a deployment, sorted.
pub(crate) type Labels = BTreeMap<String, String>;

impl State {
    pub(crate) fn new(moment: &Moment) -> Self {
        Self {
            catalog: catalog::Catalog::default(),
            users: users::Users::default(),
            variables: variables::Variables::default(),
            sources: sources::Sources::default(),
            fleet: fleet::Fleet::default(),
            logs: logs::Logs::default(),
            settings: ServerConfig {
                cookie: format!("WPC{}", moment.ulid(0)),
                ..Default::default()
            },
            key: None,
        }
    }

    /// Makes the first user and the key; once only.
    pub(crate) fn bootstrap(&mut self, moment: &Moment) -> Result<Key, Refusal> {
        if self.key.is_some() {
            return Err(Refusal::denied("the server has been bootstrapped before"));
        }
        self.users.create_default();
        Ok(self.key.insert(Key::new(moment.random)).clone())
    }

    /// What signs; `None` before the bootstrap, when there can be no valid token either.
    pub(crate) fn key(&self) -> Option<&Key> {
        self.key.as_ref()
    }

    /// Replaces address and platform; the cookie stays for ever.
    pub(crate) fn configure(&mut self, wanted: ServerConfig) -> Result<(), Refusal> {
        let [address] = wanted.advertise_addrs.as_slice() else {
            return Err(Refusal::invalid("config.advertise_addrs", "must be exactly one address"));
        };
        if address.addr.is_empty() || address.addr.len() > 512 || wanted.platform.len() > 512 {
            return Err(Refusal::invalid("config", "an address of 1 to 512 bytes is required"));
        }
        self.advertise(address.clone());
        self.settings.platform = wanted.platform;
        Ok(())
    }

    pub(crate) fn advertise(&mut self, address: server_config::AdvertiseAddr) {
        self.settings.advertise_addrs = vec![address];
    }

    /// All an instance has to know now. `None`: its deployment is gone.
    pub(crate) fn snapshot(&self, instance: &fleet::Instance) -> Option<EntrypointConfig> {
        let deployment = self.catalog.deployment(&instance.deployment)?;
        let labels: Labels = deployment.labels.clone().into_iter().collect();
        let view = variables::View::of_instance(&instance.app, &instance.workspace, &labels);
        let env_vars = self.variables.resolve(&view);
        let config_sources = if env_vars.iter().any(variables::is_dynamic) {
            self.sources.visible(&instance.app, &instance.workspace)
        } else {
            Vec::new()
        };
        Some(EntrypointConfig {
            exec: self.fleet.sessions(&instance.id),
            env_vars,
            config_sources,
            file_change_signal: self.catalog.file_change_signal(&instance.app),
            url_service: None,
            deployment: Some(entrypoint_config::DeploymentInfo {
                component: deployment.component.clone(),
                labels: deployment.labels.clone(),
            }),
        })
    }

    /// Forgets a project and everything that belongs to it.
    pub(crate) fn destroy_project(&mut self, name: &str) -> Result<(), Refusal> {
        self.catalog.destroy_project(name)?;
        self.variables.forget_project(name);
        self.sources.forget_project(name);
        Ok(())
    }
}

impl App {
    pub(crate) fn key(&self) -> (String, String) {
        (key(&self.project), key(&self.name))
    }

    pub(crate) fn reference(&self) -> crate::proto::r#ref::Application {
        crate::proto::r#ref::Application {
            project: self.project.clone(),
            application: self.name.clone(),
        }
    }
}

impl std::fmt::Display for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.project, self.name)
    }
}

/// Names and identifiers are the same in any case.
pub(crate) fn key(name: &str) -> String {
    name.to_lowercase()
}

/// A name that may be given to something new.
pub(crate) fn check_name(field: &'static str, name: &str, most: usize) -> Result<(), Refusal> {
    let allowed = |it: char| it.is_ascii_alphanumeric() || it == '_' || it == '-';
    if name.is_empty() || most < name.len() || !name.chars().all(allowed) {
        let why = format!("must be 1 to {most} letters, digits, _ or -, not \"{}\"", shown(name));
        return Err(Refusal::invalid(field, why));
    }
    Ok(())
}

/// A stranger's text as an error may show it.
pub(crate) fn shown(text: &str) -> String {
    text.chars().take(64).flat_map(char::escape_debug).collect()
}

/// The bytes of a map's texts, for the limits.
pub(crate) fn weight(map: &HashMap<String, String>) -> usize {
    map.iter().map(|(name, value)| name.len() + value.len()).sum()
}
