//! The directory of contexts: one file each, and which one is the default. Files hold tokens, so
//! they are 0600 from their first byte, and replaced by rename, never written in place.
use super::{Context, MAX_FILE, check_name};
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

const DEFAULT: &str = "_default.hcl";

#[derive(Debug, Clone)]
pub(crate) struct Store {
    directory: PathBuf,
}

impl Store {
    /// Where the environment says: `XDG_CONFIG_HOME`, else `.config` below `HOME`.
    ///
    /// # Errors
    /// Neither variable is an absolute path.
    pub(crate) fn of_environment() -> Result<Self, String> {
        let absolute =
            |name| std::env::var_os(name).map(PathBuf::from).filter(|it| it.is_absolute());
        absolute("XDG_CONFIG_HOME")
            .or_else(|| absolute("HOME").map(|it| it.join(".config")))
            .map(|it| Self::new(it.join("waypoint/context")))
            .ok_or_else(|| {
                "no place for contexts: neither XDG_CONFIG_HOME nor HOME is an absolute path".into()
            })
    }

    pub(crate) fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The names, sorted; none without a directory.
    pub(crate) fn names(&self) -> Result<Vec<String>, String> {
        let entries = match fs::read_dir(&self.directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(format!("{}: {error}", self.directory.display())),
        };
        let mut names: Vec<String> = entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter_map(|file| file.strip_suffix(".hcl").map(str::to_owned))
            .filter(|name| check_name(name).is_ok())
            .collect();
        names.sort();
        Ok(names)
    }

    /// # Errors
    /// There is none of this name, or its file is not what it should be.
    pub(crate) fn load(&self, name: &str) -> Result<Context, String> {
        check_name(name)?;
        let path = self.path(name);
        match read(&path) {
            Ok(Some(text)) => super::parse(&path.display().to_string(), &text),
            Ok(None) => Err(format!("no context {name:?}; `waypoint context list` lists them")),
            Err(wrong) => Err(wrong),
        }
    }

    /// Writes it; the first one ever becomes the default.
    pub(crate) fn save(&self, name: &str, context: &Context) -> Result<(), String> {
        check_name(name)?;
        let first = self.names()?.is_empty();
        self.replace(&format!("{name}.hcl"), super::write(context).as_bytes())?;
        if first { self.set_default(name) } else { Ok(()) }
    }

    /// A name that is not there is gone already.
    pub(crate) fn delete(&self, name: &str) -> Result<(), String> {
        check_name(name)?;
        let was_default = self.default()?.as_deref() == Some(name);
        remove(&self.path(name))?;
        if was_default { self.clear_default() } else { Ok(()) }
    }

    /// `to` is overwritten; a default stays one under its new name.
    pub(crate) fn rename(&self, from: &str, to: &str) -> Result<(), String> {
        let context = self.load(from)?;
        let was_default = self.default()?.as_deref() == Some(from);
        self.save(to, &context)?;
        if was_default {
            self.set_default(to)?;
        }
        if from == to { Ok(()) } else { remove(&self.path(from)) }
    }

    /// The default's name: where the link leads, or what the file says.
    pub(crate) fn default(&self) -> Result<Option<String>, String> {
        let path = self.directory.join(DEFAULT);
        let name = match fs::read_link(&path) {
            Ok(target) => target
                .file_name()
                .and_then(|it| it.to_str())
                .map(|it| it.strip_suffix(".hcl").unwrap_or(it).to_owned()),
            // Not a link: a plain file with the name in it, or nothing.
            Err(_) => read(&path)?.map(|it| it.trim().to_owned()).filter(|it| !it.is_empty()),
        };
        if let Some(name) = &name {
            check_name(name).map_err(|wrong| format!("{}: {wrong}", path.display()))?;
        }
        Ok(name)
    }

    /// # Errors
    /// There is no such context.
    pub(crate) fn set_default(&self, name: &str) -> Result<(), String> {
        self.load(name)?;
        let place = self.directory.join(format!("_default.{}", std::process::id()));
        remove(&place)?;
        let linked = std::os::unix::fs::symlink(format!("{name}.hcl"), &place)
            .and_then(|()| fs::rename(&place, self.directory.join(DEFAULT)));
        match linked {
            Ok(()) => Ok(()),
            // A file system without links: the name in a file means the same.
            Err(_) => self.replace(DEFAULT, format!("{name}\n").as_bytes()),
        }
    }

    pub(crate) fn clear_default(&self) -> Result<(), String> {
        remove(&self.directory.join(DEFAULT))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(format!("{name}.hcl"))
    }

    fn replace(&self, file: &str, content: &[u8]) -> Result<(), String> {
        let path = self.directory.join(file);
        let place = self.directory.join(format!("_{file}.{}", std::process::id()));
        let written = fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.directory)
            .and_then(|()| {
                let _ = fs::remove_file(&place); // of an earlier process that had our number
                let mut out =
                    fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&place)?;
                out.write_all(content)?;
                out.sync_all()
            })
            .and_then(|()| fs::rename(&place, &path));
        written.map_err(|error| {
            let _ = fs::remove_file(&place);
            format!("{}: {error}", path.display())
        })
    }
}

/// `None`: there is no such file.
fn read(path: &Path) -> Result<Option<String>, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut text = String::new();
    file.take(MAX_FILE as u64 + 1).read_to_string(&mut text).map_err(failed)?;
    Ok(Some(text))
}

fn remove(path: &Path) -> Result<(), String> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(format!("{}: {error}", path.display()))
        }
        _ => Ok(()),
    }
}
