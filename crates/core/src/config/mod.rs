//! The configuration: TOML files, then environment, then options of the command line.
//!
//! Rooms describe their keys as data ([`Section`], [`Key`]); a [`Schema`] collects them with the
//! core's own; [`load`] reads every [`Sources`] against it and yields a [`Config`], or every problem
//! there is with file, line, column and the nearest valid name. No file is needed.
//!
//! | user | files |
//! | --- | --- |
//! | any, with `--config FILE` or `PROXMOX_LXCRI_CONFIG=FILE` | that file and no other |
//! | root | `/etc/proxmox-lxcri/config.toml`, then `/etc/proxmox-lxcri/conf.d/*.toml` |
//! | others | the same two below `$XDG_CONFIG_HOME/proxmox-lxcri` (`~/.config/proxmox-lxcri`) |
//!
//! Later files win key by key; the routes of all files are tried in the order of reading. What a
//! program does with it:
//!
//! ```
//! use std::path::{Path, PathBuf};
//! use lxcri_core::config::{self, Key, Kind, Override, Schema, Section, Sources};
//!
//! // A room's part:
//! const CRUN: Section = Section {
//!     name: "crun",
//!     doc: "The backend that drives another OCI runtime.",
//!     keys: &[Key {
//!         name: "path",
//!         kind: Kind::String,
//!         default: None,
//!         doc: "The program. Without it: the first of crun, runc, youki on `PATH`.",
//!     }],
//! };
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // The program's part; `--root /tmp/state` was given.
//! let schema = Schema::new([CRUN], ["native", "crun"])?;
//! let flags = vec![Override {
//!     flag: "--root",
//!     section: "runtime",
//!     key: "root",
//!     value: "/tmp/state".into(),
//! }];
//! let sources = Sources::of_this_process(None, flags);
//! # let sources = Sources { environment: vec![], euid: 0, system_directory: "/nonexistent".into(), ..sources };
//! let config = match config::load(&schema, &sources) {
//!     Ok(config) => config,
//!     Err(problems) => {
//!         for problem in &problems {
//!             log::error!("{problem}"); // "/etc/…/config.toml:3:1: runtime.rot: unknown key"
//!             // and problem.hint for the `hint:` line
//!         }
//!         return Err(problems.into());
//!     }
//! };
//!
//! // A value of a key with a default, and one that may be unset:
//! let root: &Path = config.get("runtime", "root")?;
//! let program: Option<&str> = config.get("crun", "path")?;
//! assert_eq!((root, program), (Path::new("/tmp/state"), None));
//!
//! // `config show`, `config check FILE`, docs/reference/config.md:
//! assert!(config.to_toml().contains("root = \"/tmp/state\"  # option --root"));
//! assert_eq!(config::check(&schema, &[PathBuf::from("/nonexistent")]).len(), 1);
//! assert!(schema.to_markdown().starts_with("# Configuration"));
//! # Ok(())
//! # }
//! ```

mod document;
mod duration;
mod file;
mod load;
mod problem;
mod reference;
mod route;
mod schema;
mod show;
mod sources;
mod value;

#[cfg(test)]
mod tests;

use std::path::PathBuf;

pub use load::{check, load, load_leniently};
pub use problem::{Fault, Origin, Position, Problem, Problems};
pub use schema::{ENVIRONMENT_PREFIX, Key, Kind, LOGGING, RUNTIME, Schema, SchemaError, Section};
pub use sources::{FILE_VARIABLE, Override, SYSTEM_DIRECTORY, Sources};
pub use value::{FromValue, Value, ValueError};

use crate::routing::Route;

/// The configuration that holds, with the origin of every value.
#[derive(Debug, Clone)]
pub struct Config {
    settings: Vec<Setting>,
    routes: Vec<Route>,
    files: Vec<PathBuf>,
}

/// One key with the value that holds.
#[derive(Debug, Clone)]
pub struct Setting {
    /// The section of the key.
    pub section: &'static str,
    /// The key as it was declared.
    pub key: &'static Key,
    /// The value, `None` when the key is not set and has no default.
    pub value: Option<Value>,
    /// Where the value came from.
    pub origin: Origin,
}

/// A question the configuration cannot answer: a mistake of the program, not of its user.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// No section brought such a key.
    #[error("no configuration key {0}.{1} was declared")]
    Undeclared(String, String),
    /// The key's kind is not the type asked for.
    #[error("the configuration key {0}.{1} was declared as {2} and is read as something else")]
    OtherKind(String, String, Kind),
    /// The key may be unset, so that it must be read as an `Option`.
    #[error("the configuration key {0}.{1} has no default and is read as if it had one")]
    MayBeUnset(String, String),
}

impl Config {
    /// The value of a key as `&str`, `&Path`, `bool`, `i64`, `Duration` or `&[String]`, or an
    /// `Option` of these when the key has no default.
    ///
    /// # Errors
    /// [`LookupError`] when the key was not declared, or not with a kind and default that fit the
    /// type. This does not depend on what the user configured: one test that calls this shows that
    /// the call is right.
    pub fn get<'a, T: FromValue<'a>>(&'a self, section: &str, key: &str) -> Result<T, LookupError> {
        let name = || (section.to_owned(), key.to_owned());
        let setting = self.setting(section, key).ok_or_else(|| {
            let (section, key) = name();
            LookupError::Undeclared(section, key)
        })?;
        let other_kind = || {
            let (section, key) = name();
            LookupError::OtherKind(section, key, setting.key.kind)
        };
        let may_be_unset = || {
            let (section, key) = name();
            LookupError::MayBeUnset(section, key)
        };
        if !T::fits(&setting.key.kind) {
            return Err(other_kind());
        }
        if setting.key.default.is_none() && T::unset().is_none() {
            return Err(may_be_unset());
        }
        match &setting.value {
            Some(value) => T::from_value(value).ok_or_else(other_kind),
            None => T::unset().ok_or_else(may_be_unset),
        }
    }

    /// Where a key's value came from; `None` for a key that was not declared.
    pub fn origin(&self, section: &str, key: &str) -> Option<&Origin> {
        self.setting(section, key).map(|setting| &setting.origin)
    }

    /// All keys with their values, section by section.
    pub fn settings(&self) -> &[Setting] {
        &self.settings
    }

    /// The routes, in the order in which they are tried.
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// The files that were read, in this order.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    fn setting(&self, section: &str, key: &str) -> Option<&Setting> {
        self.settings.iter().find(|set| set.section == section && set.key.name == key)
    }
}
