//! `config.json` as a whole (OCI runtime-spec `config.md`), read with line and field in every error.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Hooks, IdMapping, Linux, Process, null_is_default};

/// A container's configuration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Spec {
    /// Version of the runtime specification the bundle was written for, in SemVer.
    pub oci_version: String,
    /// The container's process; absent only in specs nobody will start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<Process>,
    /// The root filesystem.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<Root>,
    /// Host name in the container's UTS namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// NIS domain name in the container's UTS namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domainname: Option<String>,
    /// Mounts, in order.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<Mount>,
    /// Programs to run at points of the container's life.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hooks: Option<Hooks>,
    /// Free-form metadata.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub annotations: BTreeMap<String, String>,
    /// Linux's own part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub linux: Option<Linux>,
}

/// The root filesystem.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Root {
    /// Absolute, or relative to the bundle.
    pub path: PathBuf,
    /// Whether the container sees it read-only.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub readonly: bool,
}

/// One mount.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mount {
    /// Where, inside the container; absolute (relative is read as below `/`, as runc does).
    pub destination: PathBuf,
    /// Filesystem type as in /proc/filesystems; absent or `bind`/`none` for bind mounts.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Device name, or a path on the host for a bind mount (relative to the bundle).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<PathBuf>,
    /// Options of mount(8) style.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
    /// User id mappings of an idmapped mount.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub uid_mappings: Vec<IdMapping>,
    /// Group id mappings of an idmapped mount.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub gid_mappings: Vec<IdMapping>,
}

/// Why a bundle's configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SpecError {
    /// The file is not there.
    #[error("JSON specification file {} not found: no such file or directory", path.display())]
    Missing {
        /// Path that was tried.
        path: PathBuf,
    },
    /// The file is there and cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// Path that was tried.
        path: PathBuf,
        /// The kernel's answer.
        source: std::io::Error,
    },
    /// Not JSON, or a value of the wrong kind.
    #[error("{}:{line}:{column}: {field}{problem}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// 1-based line.
        line: usize,
        /// 1-based column.
        column: usize,
        /// `field: `, or empty where the text is not JSON at all.
        field: String,
        /// What is wrong.
        problem: String,
    },
    /// `ociVersion` is missing, no version, or of another major version.
    #[error("{}: ociVersion: {version:?} is not supported, this runtime reads 1.x", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// As written.
        version: String,
    },
    /// A value that can be read and cannot be meant.
    #[error("{}: {field}: {problem}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Dotted path of the field.
        field: String,
        /// What is wrong.
        problem: String,
    },
}

impl Spec {
    /// Parses the bytes of `config.json`; `path` is only for messages.
    pub fn parse(bytes: &[u8], path: &Path) -> Result<Self, SpecError> {
        let spec: Self =
            serde_json::from_slice(bytes).map_err(|error| explain(bytes, path, &error))?;
        check_version(&spec.oci_version, path)?;
        Ok(spec)
    }

    /// The process to run, which every bundle that is to be run must have.
    pub fn require_process(&self, path: &Path) -> Result<&Process, SpecError> {
        let invalid = |field: &str, problem: &str| SpecError::Invalid {
            path: path.to_owned(),
            field: field.to_owned(),
            problem: problem.to_owned(),
        };
        let process =
            self.process.as_ref().ok_or_else(|| invalid("process", "property is missing"))?;
        if process.args.is_empty() {
            return Err(invalid("process.args", "must name a program"));
        }
        Ok(process)
    }

    /// `linux`, or its default where the bundle has none.
    pub fn linux(&self) -> std::borrow::Cow<'_, Linux> {
        self.linux
            .as_ref()
            .map_or_else(|| std::borrow::Cow::Owned(Linux::default()), std::borrow::Cow::Borrowed)
    }
}

/// Every 1.x version is meant to be read by a 1.x runtime; pre-releases of 1.0 too, as runc does.
fn check_version(version: &str, path: &Path) -> Result<(), SpecError> {
    let core = version.split(['-', '+']).next().unwrap_or_default();
    let numbers: Vec<_> = core.split('.').map(str::parse::<u32>).collect();
    match numbers.as_slice() {
        [Ok(1), Ok(_), Ok(_)] => Ok(()),
        _ => Err(SpecError::Version { path: path.to_owned(), version: version.to_owned() }),
    }
}

/// Reads a second time, keeping track of the field: that costs, so only after a failure.
fn explain(bytes: &[u8], path: &Path, error: &serde_json::Error) -> SpecError {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let field = match serde_path_to_error::deserialize::<_, Spec>(&mut deserializer) {
        Err(tracked) => prefix(&tracked.path().to_string()),
        Ok(_) => String::new(),
    };
    let text = error.to_string();
    let problem = text.rfind(" at line ").map_or(text.as_str(), |end| &text[..end]);
    SpecError::Parse {
        path: path.to_owned(),
        line: error.line(),
        column: error.column(),
        field,
        problem: problem.to_owned(),
    }
}

/// A path as `field: `; without its steps that have no name, because the text broke off there.
fn prefix(path: &str) -> String {
    let named = path.trim_end_matches(['?', '.']);
    if named.is_empty() { String::new() } else { format!("{named}: ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Spec, String> {
        Spec::parse(text.as_bytes(), Path::new("config.json")).map_err(|error| error.to_string())
    }

    #[test]
    fn errors_name_line_and_field() {
        let table = [
            (
                "{\"ociVersion\": \"1.0.2\",\n\"process\": {\"args\": \"sh\", \"cwd\": \"/\"}}",
                "config.json:2:24: process.args: invalid type: string \"sh\", expected a sequence",
            ),
            ("{", "config.json:1:1: EOF while parsing an object"),
            ("{\"process\": {3}}", "config.json:1:14: process: key must be a string"),
            ("", "config.json:1:0: EOF while parsing a value"),
            ("[]", "config.json:1:2: invalid length 0, expected struct Spec with 9 elements"),
            (
                "{\"ociVersion\": \"1.0.2\", \"mounts\": [{}]}",
                "config.json:1:37: mounts[0]: missing field `destination`",
            ),
        ];
        for (text, wanted) in table {
            assert_eq!(parse(text).unwrap_err(), wanted);
        }
    }

    #[test]
    fn versions() {
        for version in ["1.0.0", "1.0.2-dev", "1.3.0", "1.0.0-rc5", "1.2.1+dev"] {
            assert!(parse(&format!("{{\"ociVersion\": {version:?}}}")).is_ok(), "{version}");
        }
        for version in ["", "2.0.0", "0.9.0", "1", "1.0", "latest", "1.x.0"] {
            let error = parse(&format!("{{\"ociVersion\": {version:?}}}")).unwrap_err();
            assert!(error.contains("ociVersion"), "{error}");
        }
    }

    #[test]
    fn null_lists_are_empty() {
        let spec = parse("{\"ociVersion\": \"1.0.2\", \"mounts\": null, \"annotations\": null}");
        assert_eq!(spec.unwrap().mounts, vec![]);
    }

    #[test]
    fn a_deeply_nested_document_is_no_danger() {
        let nested = |depth: usize| {
            let (open, close) = ("[".repeat(depth), "]".repeat(depth));
            format!("{{\"ociVersion\": \"1.0.2\", \"mounts\": {open}{close}}}")
        };
        assert!(parse(&nested(100_000)).is_err());
        let ignored = nested(100_000).replace("mounts", "unknown");
        assert!(parse(&ignored).is_ok(), "skipped without recursion; coverage judges it");
    }
}
