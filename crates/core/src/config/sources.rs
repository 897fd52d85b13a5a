//! Where a configuration is read from. Everything about the process comes in through [`Sources`]:
//! the loader itself reads no environment, no user id and no working directory.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::schema::ENVIRONMENT_PREFIX;

/// The directory of root's configuration.
pub const SYSTEM_DIRECTORY: &str = "/etc/proxmox-lxcri";
/// The variable that names one file to read instead of the directory.
pub const FILE_VARIABLE: &str = "PROXMOX_LXCRI_CONFIG";
/// What our files are kept under in the directories of the XDG base directory specification.
const XDG_NAME: &str = "proxmox-lxcri";

/// A key that an option of the command line sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Override {
    /// The option as the user typed it, such as `--root`.
    pub flag: &'static str,
    /// The section of the key it sets.
    pub section: &'static str,
    /// The key it sets.
    pub key: &'static str,
    /// The value, written as in an environment variable.
    pub value: OsString,
}

/// What configuration depends on.
#[derive(Debug, Clone)]
pub struct Sources {
    /// The value of `--config`: this one file and no other.
    pub config_flag: Option<PathBuf>,
    /// What other options set. A later entry wins over an earlier one for the same key.
    pub overrides: Vec<Override>,
    /// The environment; only `PROXMOX_LXCRI_*`, `XDG_*` and `HOME` are looked at.
    pub environment: Vec<(OsString, OsString)>,
    /// The effective user: 0 reads [`Sources::system_directory`], others their own directory.
    pub euid: u32,
    /// The working directory, from which relative paths in options count.
    pub working_directory: Option<PathBuf>,
    /// [`SYSTEM_DIRECTORY`], but for tests.
    pub system_directory: PathBuf,
}

/// The files to read.
pub(super) enum Files {
    /// One file, which must exist.
    Named(PathBuf),
    /// `config.toml` and `conf.d/*.toml` in a directory; nothing of it needs to exist.
    Directory(PathBuf),
    /// A user without a home: nowhere to look.
    Nowhere,
}

impl Sources {
    /// What this process was started with. The one place of the library that reads the process's
    /// environment, user id and working directory, for programs to call once.
    pub fn of_this_process(config_flag: Option<PathBuf>, overrides: Vec<Override>) -> Self {
        let relevant = |name: &OsStr| {
            name == "HOME" || has_prefix(name, "XDG_") || has_prefix(name, ENVIRONMENT_PREFIX)
        };
        Self {
            config_flag,
            overrides,
            environment: std::env::vars_os().filter(|(name, _)| relevant(name)).collect(),
            euid: rustix::process::geteuid().as_raw(),
            working_directory: std::env::current_dir().ok(),
            system_directory: SYSTEM_DIRECTORY.into(),
        }
    }

    /// The files to read: `--config`, else `PROXMOX_LXCRI_CONFIG`, else the user's directory.
    pub(super) fn files(&self) -> Files {
        if let Some(path) = &self.config_flag {
            return Files::Named(path.clone());
        }
        if let Some(path) = self.variable(FILE_VARIABLE) {
            return Files::Named(path.into());
        }
        if self.euid == 0 {
            return Files::Directory(self.system_directory.clone());
        }
        let home = || self.directory("HOME").map(|home| home.join(".config"));
        match self.directory("XDG_CONFIG_HOME").map(Path::to_owned).or_else(home) {
            Some(base) => Files::Directory(base.join(XDG_NAME)),
            None => Files::Nowhere,
        }
    }

    /// The default of `runtime.root` for users other than root, and the variable it comes from.
    pub(super) fn user_root(&self) -> Option<(&'static str, PathBuf)> {
        const VARIABLE: &str = "XDG_RUNTIME_DIR";
        if self.euid == 0 {
            return None;
        }
        self.directory(VARIABLE).map(|base| (VARIABLE, base.join(XDG_NAME)))
    }

    /// A relative path in an option, made absolute; `.` components go away, `..` stays.
    pub(super) fn absolute(&self, path: &str) -> Option<PathBuf> {
        if path.is_empty() {
            return None;
        }
        let joined = match &self.working_directory {
            Some(directory) => directory.join(path),
            None => PathBuf::from(path),
        };
        joined.is_absolute().then(|| joined.components().collect())
    }

    /// A variable that is set to something. An empty value counts as unset, as shells use it.
    fn variable(&self, wanted: &str) -> Option<&OsStr> {
        self.environment
            .iter()
            .find(|(name, value)| name == wanted && !value.is_empty())
            .map(|(_, value)| value.as_os_str())
    }

    /// A directory from a variable. Relative ones are ignored, as the XDG base directory
    /// specification demands.
    fn directory(&self, name: &str) -> Option<&Path> {
        self.variable(name).map(Path::new).filter(|path| path.is_absolute())
    }
}

/// Whether a variable's name starts with the prefix, whatever bytes follow.
pub(super) fn has_prefix(name: &OsStr, prefix: &str) -> bool {
    name.as_encoded_bytes().starts_with(prefix.as_bytes())
}
