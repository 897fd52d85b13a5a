//! Lays the sources over one another: defaults, files, environment, options.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::problem::{Fault, Origin, Problem, Problems};
use super::schema::{self, ENVIRONMENT_PREFIX, Key, Kind, Schema};
use super::sources::{FILE_VARIABLE, Files, Override, Sources, has_prefix};
use super::value::{self, Value};
use super::{Config, Setting, document, file};
use crate::suggest;

/// After this many problems the reading stops reporting: nobody reads on.
pub(super) const MOST_PROBLEMS: usize = 100;

/// A configuration in the making.
pub(super) struct Loader<'s> {
    pub(super) schema: &'s Schema,
    pub(super) config: Config,
    problems: Vec<Problem>,
}

/// Reads the configuration from all sources.
///
/// # Errors
/// Every problem of every source, when there is any: a value that cannot be taken as it was meant
/// must not silently become the default.
pub fn load(schema: &Schema, sources: &Sources) -> Result<Config, Problems> {
    match load_leniently(schema, sources) {
        (config, None) => Ok(config),
        (_, Some(problems)) => Err(problems),
    }
}

/// Reads whatever is right, and says what is not: for `kill`, `delete`, `state` and `list`, which a
/// broken file must not keep from reaching a container. What is wrong keeps its earlier value.
pub fn load_leniently(schema: &Schema, sources: &Sources) -> (Config, Option<Problems>) {
    let mut loader = Loader::new(schema);
    match sources.files() {
        Files::Named(path) => loader.read_named(&path),
        Files::Directory(directory) => loader.read_directory(&directory),
        Files::Nowhere => {}
    }
    for (name, value) in &sources.environment {
        if name != FILE_VARIABLE && has_prefix(name, ENVIRONMENT_PREFIX) {
            loader.take_variable(name, value);
        }
    }
    loader.take_user_root(sources);
    for set in &sources.overrides {
        loader.take_override(sources, set);
    }
    loader.finish()
}

/// Checks files, or directories laid out as `/etc/proxmox-lxcri` is, without regard to environment
/// and options. An empty list means that all is well.
pub fn check(schema: &Schema, paths: &[PathBuf]) -> Vec<Problem> {
    let mut loader = Loader::new(schema);
    for path in paths {
        if path.is_dir() {
            let before = loader.config.files.len() + loader.problems.len();
            loader.read_directory(path);
            if loader.config.files.len() + loader.problems.len() == before {
                loader.report_file(path, Fault::NoFiles);
            }
        } else {
            loader.read_named(path);
        }
    }
    loader.problems
}

impl<'s> Loader<'s> {
    fn new(schema: &'s Schema) -> Self {
        let mut loader = Self {
            schema,
            config: Config { settings: Vec::new(), routes: Vec::new(), files: Vec::new() },
            problems: Vec::new(),
        };
        for (section, key) in schema.keys() {
            let default = key.default.and_then(|text| {
                Value::from_text(&key.kind, text, schema.backends())
                    .map_err(|error| loader.refuse(section, key.name, Origin::Default, error))
                    .ok()
            });
            let setting = Setting { section, key, value: default, origin: Origin::Default };
            loader.config.settings.push(setting);
        }
        loader
    }

    fn finish(self) -> (Config, Option<Problems>) {
        let problems = (!self.problems.is_empty()).then_some(Problems(self.problems));
        (self.config, problems)
    }

    fn read_named(&mut self, path: &Path) {
        if !self.read_file(path) {
            let absent = std::io::Error::from(std::io::ErrorKind::NotFound);
            self.report_file(path, absent.into());
        }
    }

    fn read_directory(&mut self, directory: &Path) {
        self.read_file(&directory.join("config.toml"));
        let drop_ins = directory.join("conf.d");
        match file::list(&drop_ins) {
            Ok(files) => {
                for path in files {
                    // One that went away since it was listed is as good as never there.
                    self.read_file(&path);
                }
            }
            Err(fault) => self.report_file(&drop_ins, fault),
        }
    }

    /// Reads one file; false when it does not exist.
    fn read_file(&mut self, path: &Path) -> bool {
        match file::read(path) {
            Ok(None) => return false,
            Ok(Some(text)) => {
                self.config.files.push(path.to_owned());
                document::read(self, path, &text);
            }
            Err(fault) => self.report_file(path, fault),
        }
        true
    }

    fn take_variable(&mut self, name: &OsStr, value: &OsStr) {
        let name = name.to_string_lossy().into_owned();
        let keys = || self.schema.keys();
        let found = keys().find(|(section, key)| schema::variable(section, key.name) == name);
        let Some((section, key)) = found else {
            let names: Vec<_> = keys().map(|(s, key)| schema::variable(s, key.name)).collect();
            let near = suggest::nearest(&name, names.iter().map(String::as_str));
            let hint = near.map(|near| format!("did you mean {near}?"));
            let origin = Origin::Environment(name);
            return self.report(Problem { origin, key: None, fault: Fault::UnknownVariable, hint });
        };
        self.take_text(section, key, value, Origin::Environment(name));
    }

    fn take_override(&mut self, sources: &Sources, set: &Override) {
        let origin = Origin::Flag(set.flag);
        let found = self.schema.keys().find(|(s, key)| *s == set.section && key.name == set.key);
        let Some((section, key)) = found else {
            let key = Some(format!("{}.{}", set.section, set.key));
            return self.report(Problem { origin, key, fault: Fault::UnknownKey, hint: None });
        };
        let absolute = match (&key.kind, set.value.to_str()) {
            (Kind::Path, Some(path)) => sources.absolute(path),
            _ => None,
        };
        let value = absolute.as_ref().map_or(set.value.as_os_str(), |path| path.as_os_str());
        self.take_text(section, key, value, origin);
    }

    /// Another default for users who cannot write to root's directory. It stands below everything
    /// that somebody configured.
    fn take_user_root(&mut self, sources: &Sources) {
        const SECTION: &str = schema::RUNTIME.name;
        let untouched = self.config.origin(SECTION, "root") == Some(&Origin::Default);
        if let (true, Some((variable, root))) = (untouched, sources.user_root()) {
            let origin = Origin::Environment(variable.to_owned());
            match root.into_os_string().into_string() {
                Ok(root) => self.assign(SECTION, "root", Value::Path(root.into()), origin),
                Err(_) => {
                    self.report(Problem { origin, key: None, fault: Fault::NotUtf8, hint: None });
                }
            }
        }
    }

    fn take_text(
        &mut self,
        section: &'static str,
        key: &'static Key,
        value: &OsStr,
        origin: Origin,
    ) {
        let Some(text) = value.to_str() else {
            let path = Some(format!("{section}.{}", key.name));
            let fault = Fault::NotUtf8;
            return self.report(Problem { origin, key: path, fault, hint: None });
        };
        match Value::from_text(&key.kind, text, self.schema.backends()) {
            Ok(value) => self.assign(section, key.name, value, origin),
            Err(error) => {
                let hint = value::nearest_value(&key.kind, text, self.schema.backends());
                let path = Some(format!("{section}.{}", key.name));
                self.report(Problem { origin, key: path, fault: error.into(), hint });
            }
        }
    }

    /// Gives a key a value, whatever it had before.
    pub(super) fn assign(&mut self, section: &str, key: &str, value: Value, origin: Origin) {
        let mut settings = self.config.settings.iter_mut();
        if let Some(setting) = settings.find(|set| set.section == section && set.key.name == key) {
            setting.value = Some(value);
            setting.origin = origin;
        }
    }

    fn refuse(&mut self, section: &str, key: &str, origin: Origin, error: value::ValueError) {
        let key = Some(format!("{section}.{key}"));
        self.report(Problem { origin, key, fault: error.into(), hint: None });
    }

    fn report_file(&mut self, path: &Path, fault: Fault) {
        let origin = Origin::File { path: path.into(), position: None };
        self.report(Problem { origin, key: None, fault, hint: None });
    }

    /// Notes a problem, up to a number that can still be read.
    pub(super) fn report(&mut self, problem: Problem) {
        match self.problems.len() {
            MOST_PROBLEMS.. => {}
            count if count + 1 == MOST_PROBLEMS => {
                self.problems.push(Problem {
                    fault: Fault::TooMany,
                    key: None,
                    hint: None,
                    ..problem
                });
            }
            _ => self.problems.push(problem),
        }
    }
}
