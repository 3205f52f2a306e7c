//! Config sources: addresses and credentials of the plugins that dynamic variables come from.
use super::variables::Scope;
use super::{App, key, shown, weight};
use crate::proto::{
    ConfigSource, GetConfigSourceRequest, config_source, get_config_source_request,
};
use crate::server::refusal::Refusal;
use crate::server::wire;
use std::collections::BTreeMap;

/// A snapshot carries those of three scopes, beside the variables, in a message of 4 MiB.
const MAX_SCOPE: usize = 128 * 1024;
const MAX_SCOPE_SOURCES: usize = 64;
const MAX_SOURCES: usize = 10_000;

/// By scope, workspace and type; in a scope those without a workspace come first.
#[derive(Default)]
pub(crate) struct Sources(BTreeMap<(Scope, Option<String>, String), ConfigSource>);

impl Sources {
    /// Replaces the whole of it; a source that says `delete` is deleted.
    pub(crate) fn set(&mut self, source: Option<ConfigSource>) -> Result<(), Refusal> {
        let mut source = source.ok_or_else(|| Refusal::missing("config_source"))?;
        let id = identify(&source)?;
        if source.delete {
            self.0.remove(&id);
            return Ok(());
        }
        if weight(&source.config) > MAX_SCOPE / 2 {
            return Err(Refusal::invalid("config_source.config", "is larger than 64 KiB"));
        }
        let others = self.0.iter().filter(|(it, _)| it.0 == id.0 && **it != id);
        let (count, bytes) = others.fold((1, weight(&source.config)), |(count, bytes), (_, it)| {
            (count + 1, bytes + weight(&it.config))
        });
        if count > MAX_SCOPE_SOURCES || bytes > MAX_SCOPE || self.0.len() >= MAX_SOURCES {
            let text = format!("one scope holds at most {MAX_SCOPE_SOURCES} sources, 128 KiB");
            return Err(Refusal::too_many(text));
        }
        source.hash = hash(&source);
        self.0.insert(id, source);
        Ok(())
    }

    pub(crate) fn delete(&mut self, source: Option<ConfigSource>) -> Result<(), Refusal> {
        self.set(source.map(|it| ConfigSource { delete: true, ..it }))
    }

    /// All that hold for the application there; of one type the last is the one to use.
    pub(crate) fn visible(&self, app: &App, workspace: &str) -> Vec<ConfigSource> {
        let scopes = Scope::of_app(app).and_wider();
        self.select(|scope| scopes.contains(scope), Some(workspace), "")
    }

    pub(crate) fn get(
        &self,
        request: &GetConfigSourceRequest,
    ) -> Result<Vec<ConfigSource>, Refusal> {
        use get_config_source_request::Scope as Asked;
        let scope = request.scope.as_ref().ok_or_else(|| Refusal::missing("scope"))?;
        let scopes = match scope {
            Asked::Global(_) => Some(vec![Scope::Global]),
            Asked::Project(it) => {
                Some(Scope::Project(key(&wire::project(Some(it), "project")?)).and_wider())
            }
            Asked::Application(it) => {
                Some(Scope::of_app(&wire::app(Some(it), "application")?).and_wider())
            }
            Asked::All(_) => None,
        };
        let workspace = wire::some_workspace(request.workspace.as_ref());
        let asked = |it: &Scope| scopes.as_ref().is_none_or(|scopes| scopes.contains(it));
        Ok(self.select(asked, workspace.as_deref(), &request.r#type))
    }

    pub(super) fn forget_project(&mut self, name: &str) {
        self.0.retain(|(scope, ..), _| !scope.is_of(name));
    }

    fn select(
        &self,
        asked: impl Fn(&Scope) -> bool,
        workspace: Option<&str>,
        prefix: &str,
    ) -> Vec<ConfigSource> {
        let here = |only: &Option<String>| match (workspace, only) {
            (Some(here), Some(only)) => key(here) == *only,
            (None, _) | (_, None) => true,
        };
        let mut found: Vec<_> = self
            .0
            .iter()
            .filter(|((scope, only, kind), _)| {
                asked(scope) && here(only) && kind.starts_with(prefix)
            })
            .collect();
        // A workspace outranks the scope here, other than with variables. The sort is stable.
        found.sort_by_key(|((_, only, _), _)| only.is_some());
        found.into_iter().map(|(_, it)| it.clone()).collect()
    }
}

fn identify(source: &ConfigSource) -> Result<(Scope, Option<String>, String), Refusal> {
    let scope = match &source.scope {
        None => return Err(Refusal::missing("config_source.scope")),
        Some(config_source::Scope::Global(_)) => Scope::Global,
        Some(config_source::Scope::Project(it)) => {
            Scope::Project(key(&wire::project(Some(it), "config_source.project")?))
        }
        Some(config_source::Scope::Application(it)) => {
            Scope::of_app(&wire::app(Some(it), "config_source.application")?)
        }
    };
    if source.r#type.is_empty() || source.r#type.len() > 128 {
        let why = format!("must be 1 to 128 bytes, not \"{}\"", shown(&source.r#type));
        return Err(Refusal::invalid("config_source.type", why));
    }
    let workspace = wire::some_workspace(source.workspace.as_ref()).map(|it| key(&it));
    Ok((scope, workspace, source.r#type.clone()))
}

/// Of the content, in an order of its own: a receiver sees by it that something changed.
/// FNV-1a. Source: draft-eastlake-fnv, 64 bits.
fn hash(source: &ConfigSource) -> u64 {
    let sorted: BTreeMap<_, _> = source.config.iter().collect();
    let texts = sorted.into_iter().flat_map(|(name, value)| [name, value]);
    let bytes = texts.flat_map(|it| it.bytes().chain([0xff])); // which no UTF-8 text has
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::r#ref;

    fn source(scope: Option<config_source::Scope>, workspace: &str, value: &str) -> ConfigSource {
        ConfigSource {
            scope,
            workspace: Some(r#ref::Workspace { workspace: workspace.into() }),
            r#type: "vault".into(),
            config: [("addr".into(), value.into())].into(),
            ..Default::default()
        }
    }

    fn global() -> Option<config_source::Scope> {
        Some(config_source::Scope::Global(r#ref::Global {}))
    }

    fn project() -> Option<config_source::Scope> {
        Some(config_source::Scope::Project(r#ref::Project { project: "P".into() }))
    }

    fn values(sources: &Sources, workspace: &str) -> Vec<String> {
        let app = App { project: "p".into(), name: "a".into() };
        let visible = sources.visible(&app, workspace);
        visible.into_iter().map(|it| it.config["addr"].clone()).collect()
    }

    #[test]
    fn the_last_one_visible_is_the_most_specific() {
        let mut sources = Sources::default();
        for (scope, workspace, value) in
            [(global(), "w", "3"), (project(), "", "2"), (global(), "", "1"), (project(), "v", "4")]
        {
            sources.set(Some(source(scope, workspace, value))).expect("valid");
        }
        assert_eq!(values(&sources, "W"), ["1", "2", "3"]);
        assert_eq!(values(&sources, "v"), ["1", "2", "4"]);
        sources.forget_project("p");
        assert_eq!(values(&sources, "v"), ["1"]);
    }

    #[test]
    fn the_same_source_is_replaced_and_its_hash_tells() {
        let mut sources = Sources::default();
        let hashes: Vec<u64> = ["1", "2", "1"]
            .into_iter()
            .map(|value| {
                sources.set(Some(source(global(), "", value))).expect("valid");
                assert_eq!(values(&sources, ""), [value]);
                sources.0.values().next().expect("one").hash
            })
            .collect();
        assert!(hashes[0] == hashes[2] && hashes[0] != hashes[1]);
        sources.delete(Some(source(global(), "", ""))).expect("valid");
        assert!(sources.0.is_empty());
    }

    #[test]
    fn what_is_missing_is_named() {
        let mut sources = Sources::default();
        for (wanted, field) in [
            (None, "config_source: is required"),
            (Some(source(None, "", "")), "config_source.scope: is required"),
        ] {
            assert_eq!(sources.set(wanted).map_err(|it| it.to_string()), Err(field.into()));
        }
        let large = source(global(), "", &"x".repeat(MAX_SCOPE));
        assert!(sources.set(Some(large)).is_err());
    }
}
