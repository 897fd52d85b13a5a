//! Which files make the configuration (containers-registries.conf(5), containers-registries.conf.d(5)).

use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::error::{Fault, RegistriesError};

/// More than any configuration needs, and little enough to be read at once.
const LARGEST: u64 = 1 << 20;

/// More drop-in files than any configuration needs.
const MOST_FILES: usize = 1000;

/// The variable with which podman, buildah and skopeo take another registries.conf.
const VARIABLE: &str = "CONTAINERS_REGISTRIES_CONF";

/// Where the configuration is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    /// A file that is read instead of `registries.conf` and must exist. Drop-ins count all the same.
    pub named: Option<PathBuf>,
    /// The directory of `registries.conf` and `registries.conf.d`, /etc/containers.
    pub system: PathBuf,
    /// The same of the user. Where it has a `registries.conf`, nothing of the system's is read;
    /// otherwise its drop-ins come after the system's.
    pub user: Option<PathBuf>,
    /// `short-name-aliases.conf`, in which other tools keep what users have chosen. It comes last.
    pub aliases: Option<PathBuf>,
}

impl Paths {
    /// The files of this process's user. `setting` is what our own configuration names; it wins
    /// over `CONTAINERS_REGISTRIES_CONF`.
    ///
    /// Root has no files of its own below its home: what `HOME` says under sudo must not decide
    /// which registries root trusts.
    pub fn of_this_process(setting: Option<PathBuf>) -> Self {
        let euid = rustix::process::geteuid().as_raw();
        Self::new(setting, euid, |name| std::env::var_os(name))
    }

    /// The files of a user with this environment.
    pub(super) fn new(
        setting: Option<PathBuf>,
        euid: u32,
        environment: impl Fn(&str) -> Option<OsString>,
    ) -> Self {
        let variable =
            |name| environment(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let home = || variable("HOME").filter(|home| home.is_absolute());
        let cache = || {
            let named = variable("XDG_CACHE_HOME").filter(|cache| cache.is_absolute());
            named.or_else(|| Some(home()?.join(".cache")))
        };
        let is_root = euid == 0;
        let cache = if is_root { Some("/var/cache".into()) } else { cache() };
        Self {
            named: setting.or_else(|| variable(VARIABLE)),
            system: "/etc/containers".into(),
            user: if is_root { None } else { home().map(|home| home.join(".config/containers")) },
            aliases: cache.map(|cache| cache.join("containers/short-name-aliases.conf")),
        }
    }

    /// The texts of all files but that of the aliases, in the order in which they count: later ones
    /// win.
    pub(super) fn read(&self) -> Result<Vec<(PathBuf, String)>, RegistriesError> {
        let mut texts = Vec::new();
        let directories = match self.main(&mut texts)? {
            Owner::User => vec![self.user.as_deref()],
            Owner::System => vec![Some(self.system.as_path()), self.user.as_deref()],
        };
        for directory in directories.into_iter().flatten() {
            for path in drop_ins(&directory.join("registries.conf.d"))? {
                // One that went away since it was listed is as good as never there.
                if let Some(text) = read(&path)? {
                    texts.push((path, text));
                }
            }
        }
        Ok(texts)
    }

    /// Reads the one registries.conf there is.
    fn main(&self, texts: &mut Vec<(PathBuf, String)>) -> Result<Owner, RegistriesError> {
        if let Some(path) = &self.named {
            let absent =
                || RegistriesError::of_file(path, Fault::Unreadable(ErrorKind::NotFound.into()));
            texts.push((path.clone(), read(path)?.ok_or_else(absent)?));
            return Ok(Owner::System);
        }
        let user = self.user.as_deref().map(|directory| (directory, Owner::User));
        for (directory, owner) in user.into_iter().chain([(self.system.as_path(), Owner::System)]) {
            let path = directory.join("registries.conf");
            if let Some(text) = read(&path)? {
                texts.push((path, text));
                return Ok(owner);
            }
        }
        Ok(Owner::System)
    }
}

/// Whose registries.conf was found.
enum Owner {
    User,
    System,
}

/// The `*.conf` files of a directory in lexical order; none when the directory does not exist.
fn drop_ins(directory: &Path) -> Result<Vec<PathBuf>, RegistriesError> {
    let failed = |error: std::io::Error| RegistriesError::of_file(directory, error);
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed)?;
        let is_directory = entry.file_type().map_err(failed)?.is_dir();
        if is_directory || Path::new(&entry.file_name()).extension() != Some(OsStr::new("conf")) {
            continue;
        }
        if files.len() == MOST_FILES {
            return Err(RegistriesError::of_file(directory, Fault::TooMany(MOST_FILES)));
        }
        files.push(entry.path());
    }
    files.sort();
    Ok(files)
}

/// Reads a file; `Ok(None)` when there is none.
pub(super) fn read(path: &Path) -> Result<Option<String>, RegistriesError> {
    let failed = |fault: Fault| RegistriesError::of_file(path, fault);
    // Without O_NONBLOCK opening a fifo would wait for a writer for ever.
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error.into())),
    };
    if !is_file(&file).map_err(|error| failed(error.into()))? {
        return Err(failed(Fault::NotAFile));
    }
    let mut bytes = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(|error| failed(error.into()))?;
    if bytes.len() as u64 > LARGEST {
        return Err(failed(Fault::TooLarge(LARGEST)));
    }
    String::from_utf8(bytes).map(Some).map_err(|_| failed(Fault::NotUtf8))
}

/// `/dev/null` counts as an empty file: it is how one asks for no configuration.
fn is_file(file: &File) -> std::io::Result<bool> {
    let metadata = file.metadata()?;
    let kind = metadata.file_type();
    let is_null = kind.is_char_device() && metadata.rdev() == rustix::fs::makedev(1, 3);
    Ok(kind.is_file() || is_null)
}
