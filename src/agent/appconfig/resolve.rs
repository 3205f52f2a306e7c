//! All variables of a snapshot become one view: what the child's environment gets on top.
//!
//! A variable that cannot be used is left out by name and the rest goes on: one mistake must not
//! keep the others from the app.
use crate::agent::link::wire::{Value, Variable};
use crate::seam::block::{MAX_BLOCK, MAX_STRING, MAX_STRINGS};
use crate::seam::message::LogLevel;
use std::collections::BTreeMap;
use std::fmt;

/// Variables that replace or join those the container was started with.
pub(crate) type Overrides = BTreeMap<String, String>;

/// The variable that is ours as well as the app's.
const LOG_LEVEL: &str = "WAYPOINT_LOG_LEVEL";

#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct View {
    pub(super) overrides: Overrides,
    /// What the application's configuration says of our own level, if anything.
    pub(super) log_level: Option<LogLevel>,
    pub(super) complaints: Vec<Complaint>,
}

/// A variable, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Complaint {
    pub(super) variable: String,
    pub(super) fault: Fault,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    NoName,
    Name,
    Nul,
    TooLong,
    TooMany,
    TooMuch,
    File,
    Dynamic { source: String },
    Template,
    LogLevel,
}

/// The last of several with the same name holds.
pub(super) fn resolve(variables: &[Variable]) -> View {
    let mut view = View::default();
    for variable in variables {
        match text(variable) {
            Ok(Some(text)) => {
                if text.is_template {
                    view.complain(variable, Fault::Template);
                }
                view.overrides.insert(variable.name.clone(), text.value);
            }
            Ok(None) => {}
            Err(fault) => view.complain(variable, fault),
        }
    }
    view.bound();
    if let Some(text) = view.overrides.get(LOG_LEVEL) {
        view.log_level = LogLevel::parse(text);
        if view.log_level.is_none() {
            view.complaints.push(Complaint { variable: LOG_LEVEL.into(), fault: Fault::LogLevel });
        }
    }
    view
}

struct Text {
    value: String,
    is_template: bool,
}

/// The value to export; `None` for what is not exported on purpose.
fn text(variable: &Variable) -> Result<Option<Text>, Fault> {
    let name = &variable.name;
    // A path wins over internal, as in Waypoint. Source: protocol.md 7.1.
    let value = match &variable.value {
        Value::Dynamic { source, .. } => return Err(Fault::Dynamic { source: source.clone() }),
        Value::Static(_) if variable.is_path => return Err(Fault::File),
        Value::Static(_) if variable.internal => return Ok(None),
        Value::Static(value) => value,
    };
    if name.is_empty() {
        return Err(Fault::NoName);
    }
    if name.contains(['=', '\0']) {
        return Err(Fault::Name);
    }
    if value.contains('\0') {
        return Err(Fault::Nul);
    }
    let text = literal(value);
    if size(name, &text.value) > MAX_STRING {
        return Err(Fault::TooLong);
    }
    Ok(Some(text))
}

/// A text without expressions is itself, its escapes undone: `$${` is how `waypoint.hcl` writes a
/// `${`. What has an expression in it stays as it was written. Source: protocol.md 7.5.
fn literal(value: &str) -> Text {
    let plain = value.replace("$${", "").replace("%%{", "");
    let is_template = plain.contains("${") || plain.contains("%{");
    let value = match is_template {
        true => value.to_owned(),
        false => value.replace("$${", "${").replace("%%{", "%{"),
    };
    Text { value, is_template }
}

/// In a block: `NAME=value` and a NUL.
fn size(name: &str, value: &str) -> usize {
    name.len().saturating_add(value.len()).saturating_add(2)
}

impl View {
    fn complain(&mut self, variable: &Variable, fault: Fault) {
        self.complaints.push(Complaint { variable: variable.name.clone(), fault });
    }

    /// Leaves out what one block does not hold, by order of name.
    fn bound(&mut self) {
        let (mut strings, mut bytes) = (0_usize, 0_usize);
        let complaints = &mut self.complaints;
        self.overrides.retain(|name, value| {
            let longer = bytes.saturating_add(size(name, value));
            let fault = match () {
                () if strings >= MAX_STRINGS => Fault::TooMany,
                () if longer > MAX_BLOCK => Fault::TooMuch,
                () => {
                    (strings, bytes) = (strings.saturating_add(1), longer);
                    return true;
                }
            };
            complaints.push(Complaint { variable: name.clone(), fault });
            false
        });
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.variable;
        match &self.fault {
            Fault::NoName => write!(f, "a config variable without a name is left out"),
            Fault::Name => write!(f, "config variable {name:?} is left out: its name has = or NUL"),
            Fault::Nul => write!(f, "config variable {name} is left out: its value has a NUL"),
            Fault::TooLong => {
                write!(
                    f,
                    "config variable {name} is left out: it is longer than {MAX_STRING} bytes"
                )
            }
            Fault::TooMany => {
                write!(f, "config variable {name} is left out: more than {MAX_STRINGS} variables")
            }
            Fault::TooMuch => {
                write!(f, "config variable {name} is left out: more than {MAX_BLOCK} bytes in all")
            }
            Fault::File => {
                write!(f, "config file {name} is not written: this version has no config files")
            }
            Fault::Dynamic { source } => write!(
                f,
                "config variable {name} is left out: this version has no config source {source}"
            ),
            Fault::Template => write!(
                f,
                "config variable {name} has an expression, which this version does not evaluate: \
                 it is exported as it is written"
            ),
            Fault::LogLevel => write!(
                f,
                "{name} is none of off, error, warn, info, debug, trace: our own level stays"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variable(name: &str, value: &str) -> Variable {
        Variable {
            name: name.into(),
            value: Value::Static(value.into()),
            internal: false,
            is_path: false,
        }
    }

    fn overrides(view: &View) -> Vec<(&str, &str)> {
        view.overrides.iter().map(|(name, value)| (&**name, &**value)).collect()
    }

    fn faults(view: &View) -> Vec<(&str, &Fault)> {
        view.complaints.iter().map(|it| (&*it.variable, &it.fault)).collect()
    }

    #[test]
    fn the_last_value_of_a_name_holds_and_an_empty_one_is_a_value() {
        let view = resolve(&[variable("A", "1"), variable("B", ""), variable("A", "2=2")]);
        assert_eq!(overrides(&view), [("A", "2=2"), ("B", "")]);
        assert_eq!(faults(&view), []);
    }

    #[test]
    fn what_cannot_be_exported_is_named_and_the_rest_goes_on() {
        let dynamic = Value::Dynamic { source: "vault".into(), parameters: BTreeMap::new() };
        let long = "x".repeat(MAX_STRING);
        let view = resolve(&[
            variable("", "x"),
            variable("A=B", "x"),
            variable("N\0", "x"),
            variable("NUL", "a\0b"),
            variable("LONG", &long),
            Variable { is_path: true, internal: true, ..variable("/etc/app", "x") },
            Variable { internal: true, ..variable("HIDDEN", "x") },
            Variable { value: dynamic, ..variable("SECRET", "") },
            variable("GOOD", "yes"),
        ]);
        assert_eq!(overrides(&view), [("GOOD", "yes")]);
        assert_eq!(
            faults(&view),
            [
                ("", &Fault::NoName),
                ("A=B", &Fault::Name),
                ("N\0", &Fault::Name),
                ("NUL", &Fault::Nul),
                ("LONG", &Fault::TooLong),
                ("/etc/app", &Fault::File),
                ("SECRET", &Fault::Dynamic { source: "vault".into() }),
            ]
        );
    }

    #[test]
    fn as_much_as_a_block_holds_is_exported() {
        let half = "x".repeat(MAX_STRING - 3);
        let many: Vec<_> = ('A'..='Z').map(|it| variable(&it.to_string(), &half)).collect();
        let view = resolve(&many);
        assert_eq!(view.overrides.len(), MAX_BLOCK / MAX_STRING);
        assert_eq!(view.complaints.len(), 26 - MAX_BLOCK / MAX_STRING);
        assert!(view.complaints.iter().all(|it| it.fault == Fault::TooMuch));
        let many: Vec<_> = (0..=MAX_STRINGS).map(|it| variable(&format!("{it:05}"), "")).collect();
        let view = resolve(&many);
        assert_eq!(faults(&view), [(&*format!("{MAX_STRINGS:05}"), &Fault::TooMany)]);
        let block = crate::seam::block::write_env(view.overrides);
        assert!(crate::seam::block::Env::parse(&block).is_ok());
    }

    #[test]
    fn escapes_are_undone_and_expressions_stay_as_they_are() {
        for (written, exported, is_template) in [
            ("plain $HOME 100%", "plain $HOME 100%", false),
            ("a$${b}", "a${b}", false),
            ("%%{if}", "%{if}", false),
            ("${config.env.A}", "${config.env.A}", true),
            ("$${a} %{ if b }", "$${a} %{ if b }", true),
            ("a${b", "a${b", true),
        ] {
            let view = resolve(&[variable("A", written)]);
            assert_eq!(overrides(&view), [("A", exported)]);
            let expected = if is_template { vec![("A", &Fault::Template)] } else { vec![] };
            assert_eq!(faults(&view), expected, "{written}");
        }
    }

    #[test]
    fn the_log_level_is_ours_and_exported_too() {
        let view = resolve(&[variable("WAYPOINT_LOG_LEVEL", " Debug ")]);
        assert_eq!(view.log_level, Some(LogLevel::Debug));
        assert_eq!(overrides(&view), [("WAYPOINT_LOG_LEVEL", " Debug ")]);
        let view = resolve(&[variable("WAYPOINT_LOG_LEVEL", "loud")]);
        assert_eq!(view.log_level, None);
        assert_eq!(faults(&view), [("WAYPOINT_LOG_LEVEL", &Fault::LogLevel)]);
    }
}
