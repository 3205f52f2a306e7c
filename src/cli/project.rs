//! What `waypoint.hcl` says of names: the project, and the apps. The rest of that language is not
//! read; names stand at the start of a line in every file that people write.

/// No file is longer that we look into.
pub(crate) const MAX_FILE: u64 = 1024 * 1024;

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Names {
    pub(crate) project: String,
    pub(crate) applications: Vec<String>,
}

/// Reads the names; what it does not know it passes over.
pub(crate) fn names(text: &str) -> Names {
    let mut names = Names::default();
    for line in text.lines() {
        if let Some(value) = line.strip_prefix("project").and_then(assigned) {
            names.project = value.to_owned();
        } else if let Some(rest) = line.strip_prefix("app ")
            && let Some(name) = in_quotes(rest.trim_start())
        {
            names.applications.push(name.to_owned());
        }
    }
    names
}

fn assigned(rest: &str) -> Option<&str> {
    in_quotes(rest.trim_start().strip_prefix('=')?.trim_start())
}

fn in_quotes(text: &str) -> Option<&str> {
    let (value, _) = text.strip_prefix('"')?.split_once('"')?;
    (!value.is_empty() && !value.contains(['\\', '$'])).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_project_and_apps_are_found() {
        let text = "project = \"shop\"\n\napp \"web\" {\n  project = \"no\"\n}\napp   \"api\"{}\n# app \"x\"\n";
        let applications = vec!["web".to_owned(), "api".to_owned()];
        assert_eq!(names(text), Names { project: "shop".into(), applications });
    }

    #[test]
    fn what_is_no_plain_name_is_passed_over() {
        for text in ["project = var.x", "project = \"\"", "projects = \"a\"", "app \"${x}\" {", ""]
        {
            assert_eq!(names(text), Names::default(), "{text}");
        }
    }
}
