//! Label selectors: `env == "prod" and not tier in "db,cache"`, over a deployment's labels.
//!
//! The language is that of the original (go-bexpr). One difference, on purpose: a text is read when
//! it is set, never when it is used, so no stored selector can take an application down.
mod parse;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

/// No text is longer, and no expression nests deeper: both are read by recursion.
pub(crate) const MAX_TEXT: usize = 1024;
const MAX_DEPTH: usize = 32;

/// A selector that can be evaluated, and its text as it was written.
#[derive(Debug, Clone)]
pub(crate) struct Selector {
    text: String,
    expression: Expression,
}

#[derive(Debug, Clone)]
enum Expression {
    And(Box<Expression>, Box<Expression>),
    Or(Box<Expression>, Box<Expression>),
    Not(Box<Expression>),
    Test { label: String, test: Test, negated: bool },
}

#[derive(Debug, Clone)]
enum Test {
    Is(String),
    Contains(String),
    Empty,
    Matches(regex::Regex),
}

/// Where a text stops being a selector; `at` counts characters from 1.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Malformed {
    at: usize,
    why: String,
}

/// A label that is asked for is not there: the whole expression does not match, whatever
/// else it says. Source: protocol, section "Label selector language".
struct Absent;

impl Selector {
    pub(crate) fn parse(text: &str) -> Result<Self, Malformed> {
        Ok(Self { text: text.into(), expression: parse::parse(text)? })
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.expression.holds(labels).unwrap_or(false)
    }
}

/// Two selectors are the same if they are written the same.
impl PartialEq for Selector {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Expression {
    /// From left to right, and no further than needed.
    fn holds(&self, labels: &BTreeMap<String, String>) -> Result<bool, Absent> {
        Ok(match self {
            Self::And(left, right) => left.holds(labels)? && right.holds(labels)?,
            Self::Or(left, right) => left.holds(labels)? || right.holds(labels)?,
            Self::Not(it) => !it.holds(labels)?,
            Self::Test { label, test, negated } => {
                test.holds(labels.get(label).ok_or(Absent)?) != *negated
            }
        })
    }
}

impl Test {
    fn holds(&self, value: &str) -> bool {
        match self {
            Self::Is(it) => value == it,
            Self::Contains(it) => value.contains(it),
            Self::Empty => value.is_empty(),
            Self::Matches(it) => it.is_match(value),
        }
    }
}

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} at character {}", self.why, self.at)
    }
}

impl std::error::Error for Malformed {}
