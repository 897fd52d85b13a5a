//! What a program is and can do, by its own `--version` and `features` (OCI runtime-spec
//! `features.md`). Read once and kept below the state root until the program's file changes: two
//! starts of a program are more than a whole `create` may cost.

use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::ask;
use crate::error::CrunError;
use crate::program::name_of;

/// What containers of one state root share: these facts, and crun's compiled seccomp filters. The
/// name is no container's id.
const SHARED: &str = "@crun";

/// What crun calls itself.
pub(crate) const CRUN: &str = "crun";

/// What is known of a program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Facts {
    of: Identity,
    /// What it calls itself: `crun`, `runc`, `youki`.
    pub(crate) name: String,
    /// Its version.
    pub(crate) version: String,
    /// Its features document; `None` for versions that do not have the command.
    pub(crate) features: Option<Features>,
}

/// A file that stays the same one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Identity {
    path: PathBuf,
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// The parts of a features document that decide something here. An empty list is one that the
/// program does not give.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Features {
    pub(crate) oci_version_max: String,
    pub(crate) mount_options: Vec<String>,
    pub(crate) linux: LinuxFeatures,
}

/// `linux` of the features document.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct LinuxFeatures {
    pub(crate) seccomp: SeccompFeatures,
}

/// `linux.seccomp` of the features document.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct SeccompFeatures {
    pub(crate) enabled: bool,
    pub(crate) actions: Vec<String>,
    pub(crate) operators: Vec<String>,
    pub(crate) archs: Vec<String>,
    pub(crate) known_flags: Vec<String>,
}

impl Facts {
    /// Of the program at `path`: as remembered below `root`, else by asking it.
    pub(crate) fn of(path: &Path, root: &Path) -> Result<Self, CrunError> {
        let of = Identity::of(path)?;
        if let Some(facts) = recall(root)
            && facts.of == of
        {
            return Ok(facts);
        }
        let (name, version) = version(path)?;
        let features = match ask::anything(path, &["features"]) {
            Ok(bytes) => Some(parse(path, &bytes)?),
            Err(error @ CrunError::Failed { .. }) => {
                log::debug!("{name} {version} has no features document: {error}");
                None
            }
            Err(error) => return Err(error),
        };
        Ok(Self { of, name, version, features })
    }

    /// Keeps them for later commands, where they are not kept yet. The state root must be there.
    pub(crate) fn remember(&self, root: &Path) {
        if recall(root).as_ref() == Some(self) {
            return;
        }
        // Only time is lost where this fails: the next command asks again.
        if let Err(error) = self.write(root) {
            log::debug!("cannot keep what {} can do: {error}", self.name);
        }
    }

    fn write(&self, root: &Path) -> std::io::Result<()> {
        let directory = make_shared(root)?;
        let temporary = directory.join(format!(".program.{}", std::process::id()));
        let mut options = std::fs::OpenOptions::new();
        let file = options.write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
        serde_json::to_writer(file, self)?;
        std::fs::rename(&temporary, directory.join("program.json"))
    }

    /// Whether this is crun, which takes `--config`.
    pub(crate) fn is_crun(&self) -> bool {
        self.name == CRUN
    }
}

/// Makes the shared directory and gives its path.
pub(crate) fn make_shared(root: &Path) -> std::io::Result<PathBuf> {
    let directory = root.join(SHARED);
    match std::fs::DirBuilder::new().mode(0o700).create(&directory) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(directory),
    }
}

/// What was kept. A damaged file is as good as none.
fn recall(root: &Path) -> Option<Facts> {
    let bytes = std::fs::read(root.join(SHARED).join("program.json")).ok()?;
    serde_json::from_slice(&bytes).ok()
}

impl Identity {
    fn of(path: &Path) -> Result<Self, CrunError> {
        let metadata = std::fs::metadata(path).map_err(CrunError::io("look at", path))?;
        Ok(Self {
            path: path.to_owned(),
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }
}

/// Name and version by `--version`.
pub(crate) fn version(program: &Path) -> Result<(String, String), CrunError> {
    let output = ask::anything(program, &["--version"])?;
    parse_version(&String::from_utf8_lossy(&output)).ok_or_else(|| CrunError::Answer {
        program: name_of(program),
        verb: "--version",
        problem: "its first line is not \"NAME version VERSION\"".to_owned(),
    })
}

/// The first line: `crun version 1.28`, `runc version 1.1.5+ds1`, `youki version: 0.5.4`.
fn parse_version(text: &str) -> Option<(String, String)> {
    let mut words = text.lines().next()?.split_whitespace();
    let name = words.next()?;
    let version = words.find(|word| word.trim_end_matches(':') != "version")?;
    let starts_with_digit = version.starts_with(|c: char| c.is_ascii_digit());
    starts_with_digit.then(|| (name.to_owned(), version.to_owned()))
}

fn parse(program: &Path, bytes: &[u8]) -> Result<Features, CrunError> {
    serde_json::from_slice(bytes).map_err(|error| CrunError::Answer {
        program: name_of(program),
        verb: "features",
        problem: error.to_string(),
    })
}

impl Features {
    /// Whether the program knows fields that the runtime specification has since 1.`minor`. A
    /// version that cannot be read knows no more than 1.0.
    pub(crate) fn knows_version(&self, minor: u32) -> bool {
        let mut numbers = self.oci_version_max.split(['.', '-', '+']).map(str::parse::<u32>);
        match (numbers.next(), numbers.next()) {
            (Some(Ok(1)), Some(Ok(known))) => known >= minor,
            (Some(Ok(major)), _) => major > 1,
            _ => minor == 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_lines_of_version() {
        let table = [
            ("crun version 1.28\ncommit: 54f1\n", Some(("crun", "1.28"))),
            ("runc version 1.1.5+ds1\nspec: 1.0.2-dev\n", Some(("runc", "1.1.5+ds1"))),
            ("youki version: 0.5.4\n", Some(("youki", "0.5.4"))),
            ("youki 0.3.2", Some(("youki", "0.3.2"))),
            ("", None),
            ("hello world", None),
            ("crun version", None),
            ("\n\n", None),
        ];
        for (text, wanted) in table {
            let wanted = wanted.map(|(name, version)| (name.to_owned(), version.to_owned()));
            assert_eq!(parse_version(text), wanted, "{text}");
        }
    }

    #[test]
    fn versions_of_the_specification() {
        let table = [
            ("1.0.2-dev", false),
            ("1.1.0+dev", true),
            ("1.2.1", true),
            ("2.0.0", true),
            ("", false),
            ("x", false),
            ("1", false),
        ];
        for (text, knows) in table {
            let features = Features { oci_version_max: text.to_owned(), ..Features::default() };
            assert_eq!(features.knows_version(1), knows, "{text}");
            assert!(features.knows_version(0) || text == "1", "{text}");
        }
    }

    #[test]
    fn documents() {
        let path = Path::new("/usr/bin/crun");
        let text = br#"{"mountOptions": ["ro"], "linux": {"namespaces": 1,
            "seccomp": {"enabled": true, "knownFlags": ["F"], "new": 1}}}"#;
        let features = parse(path, text).unwrap();
        assert_eq!(features.linux.seccomp.known_flags, ["F"]);
        assert_eq!(features.mount_options, ["ro"]);
        for text in ["", "[]x", "{\"mountOptions\": 7}"] {
            let error = parse(path, text.as_bytes()).unwrap_err().to_string();
            assert!(error.starts_with("cannot understand what crun features says"), "{error}");
        }
    }

    #[test]
    fn facts_are_kept_until_the_program_changes() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("fake");
        let count = dir.path().join("count");
        let script = |version: &str| {
            let text = format!(
                "#!/bin/sh\necho x >>{}\ncase $1 in --version) echo fake version {version};;\n\
                 *) echo '{{\"ociVersionMax\": \"1.1.0\"}}';; esac\n",
                count.display()
            );
            std::fs::write(&program, text).unwrap();
            std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        };
        let starts = || std::fs::read_to_string(&count).unwrap_or_default().lines().count();
        script("1.0");
        let first = Facts::of(&program, dir.path()).unwrap();
        first.remember(dir.path());
        assert_eq!((first.version.as_str(), starts()), ("1.0", 2));
        assert_eq!(Facts::of(&program, dir.path()).unwrap(), first);
        assert_eq!(starts(), 2, "asked again");
        script("1.10");
        assert_eq!(Facts::of(&program, dir.path()).unwrap().version, "1.10");
        std::fs::write(dir.path().join("@crun/program.json"), "{").unwrap();
        assert_eq!(Facts::of(&program, dir.path()).unwrap().version, "1.10");
    }
}
