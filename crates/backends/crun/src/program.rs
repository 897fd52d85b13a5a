//! Which program is driven, and how it is called.

use std::ffi::OsStr;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use lxcri_core::backend::Probe;
use lxcri_core::config::Config;
use lxcri_core::error::{Error, RoomError};
use lxcri_core::store::Entry;

use crate::error::CrunError;
use crate::features::Facts;
use crate::part::Part;
use crate::{Crun, NAME};

/// The programs that are tried where none is configured, best first.
const KNOWN: [&str; 3] = ["crun", "runc", "youki"];

/// The directory of the program's own state in a container's directory.
pub(crate) const STATE_DIRECTORY: &str = "runtime";

impl Crun {
    /// The program for new containers.
    pub(crate) fn program(&self) -> Result<&Path, CrunError> {
        if let Some(program) = self.program.get() {
            return Ok(program);
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        let found = find(self.configured.as_deref(), &path)?;
        Ok(self.program.get_or_init(|| found))
    }

    /// The program that made the container of `part`; where it is gone the one for new containers.
    pub(crate) fn program_of(&self, part: Option<&Part>) -> Result<PathBuf, CrunError> {
        match part {
            Some(part) if part.program.exists() => Ok(part.program.clone()),
            _ => Ok(self.program()?.to_owned()),
        }
    }

    /// What the program for new containers can do.
    pub(crate) fn facts(&self) -> Result<&Facts, CrunError> {
        if let Some(facts) = self.facts.get() {
            return Ok(facts);
        }
        let facts = Facts::of(self.program()?, &self.root)?;
        Ok(self.facts.get_or_init(|| facts))
    }
}

/// The beginning of every call about the container of `entry`. A name without a slash never reaches
/// it: what is started is what was found.
pub(crate) fn command(program: &Path, entry: &Entry) -> Command {
    let mut command = Command::new(program);
    command.arg("--root").arg(entry.file(STATE_DIRECTORY));
    command
}

/// Appends the container's id, which may look like an option.
pub(crate) fn push_id(command: &mut Command, entry: &Entry) {
    let id = entry.id().as_str();
    if id.starts_with('-') {
        command.arg("--");
    }
    command.arg(id);
}

/// The program's name in messages.
pub(crate) fn name_of(program: &Path) -> String {
    program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into_owned()
}

/// Finds the program, as an absolute path.
fn find(configured: Option<&str>, path: &OsStr) -> Result<PathBuf, CrunError> {
    let Some(wanted) = configured else {
        let found = KNOWN.iter().find_map(|name| on_path(name, path));
        return found
            .ok_or_else(|| CrunError::NotFound { tried: format!("{} are", KNOWN.join(", ")) });
    };
    let unusable = |because: &str| CrunError::Unusable {
        path: wanted.to_owned(),
        because: because.to_owned(),
    };
    if wanted.is_empty() {
        return Err(unusable("names no program"));
    }
    if !wanted.contains('/') {
        let found = on_path(wanted, path);
        return found.ok_or_else(|| CrunError::NotFound { tried: format!("{wanted} is") });
    }
    let program = Path::new(wanted);
    if !program.is_absolute() {
        return Err(unusable("is neither a name nor an absolute path"));
    }
    let metadata = std::fs::metadata(program).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => unusable("does not exist: no such file or directory"),
        _ => unusable(&format!("cannot be looked at: {error}")),
    })?;
    if !metadata.is_file() || metadata.permissions().mode() & 0o111 == 0 {
        return Err(unusable("is no executable file: permission denied"));
    }
    if is_this_program(&metadata) {
        return Err(unusable("is this program itself"));
    }
    Ok(program.to_owned())
}

/// The first executable file of that name. Relative entries of `PATH` are passed over: what runs
/// as root must not depend on where it is called. So is this program under another name (Debian
/// systems may install it as runc), which would call itself without end.
fn on_path(name: &str, path: &OsStr) -> Option<PathBuf> {
    std::env::split_paths(path).filter(|directory| directory.is_absolute()).find_map(|directory| {
        let program = directory.join(name);
        let metadata = std::fs::metadata(&program).ok()?;
        let runs = metadata.is_file() && metadata.permissions().mode() & 0o111 != 0;
        (runs && !is_this_program(&metadata)).then_some(program)
    })
}

fn is_this_program(file: &std::fs::Metadata) -> bool {
    std::fs::metadata("/proc/self/exe")
        .is_ok_and(|own| (own.dev(), own.ino()) == (file.dev(), file.ino()))
}

/// Whether there is a program, and which.
pub(crate) fn probe(config: &Config) -> Probe {
    match try_probe(config) {
        Ok(probe) => probe,
        Err(error) => {
            let hints = error.hints().into_iter().map(|hint| format!(" ({hint})"));
            Probe::No { because: error.to_string() + &hints.collect::<String>() }
        }
    }
}

fn try_probe(config: &Config) -> Result<Probe, Error> {
    let configured: Option<&str> = config.get(NAME, "path")?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let program = match find(configured, &path) {
        Ok(program) => program,
        Err(error) => {
            let hints = error.hints().join("; ");
            return Ok(Probe::No { because: format!("{error}; {hints}") });
        }
    };
    let (name, version) = crate::features::version(&program)?;
    Ok(Probe::Yes { version: format!("{name} {version}"), detail: program.display().to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn executable(path: &Path, mode: u32) {
        std::fs::write(path, "#!/bin/true\n").unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn the_first_known_program_on_the_path() {
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = (dir.path().join("one"), dir.path().join("two"));
        std::fs::create_dir_all(one.join("crun")).unwrap();
        std::fs::create_dir(&two).unwrap();
        executable(&one.join("runc"), 0o755);
        executable(&two.join("youki"), 0o755);
        executable(&two.join("other"), 0o644);
        let path = std::env::join_paths([Path::new("."), &one, &two]).unwrap();
        // A directory named crun is no program.
        assert_eq!(find(None, &path).unwrap(), one.join("runc"));
        assert_eq!(find(Some("youki"), &path).unwrap(), two.join("youki"));
        assert!(find(Some("other"), &path).is_err(), "not executable");
        assert!(find(Some("runc"), OsStr::new(".:relative")).is_err());
        let error = find(None, OsStr::new("/nonexistent")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "no OCI runtime program found: crun, runc, youki are not in $PATH"
        );
        assert!(error.hints()[0].contains("[crun]"));
    }

    #[test]
    fn a_path_is_taken_as_it_is_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("my runtime");
        executable(&program, 0o755);
        let text = program.to_str().unwrap();
        assert_eq!(find(Some(text), OsStr::new("")).unwrap(), program);
        let directory = dir.path().to_str().unwrap();
        let own = std::env::current_exe().unwrap();
        let table = [
            ("", "names no program"),
            ("./crun", "neither a name nor an absolute path"),
            ("/nonexistent/crun", "no such file or directory"),
            (directory, "permission denied"),
            (own.to_str().unwrap(), "this program itself"),
        ];
        for (wanted, words) in table {
            let error = find(Some(wanted), OsStr::new("")).unwrap_err().to_string();
            assert!(error.contains(words), "{wanted}: {error}");
        }
    }
}
