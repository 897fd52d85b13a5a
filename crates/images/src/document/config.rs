//! The image configuration (image-spec config.md), with Docker's additions.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{DocumentError, MAX_LAYERS, parse};
use crate::digest::Digest;

/// What an image says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageConfig {
    /// When it was made, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// Who made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// GOARCH.
    #[serde(default)]
    pub architecture: String,
    /// GOOS.
    #[serde(default)]
    pub os: String,
    /// The processor's variant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// What containers of it are like.
    #[serde(default)]
    pub config: Option<Config>,
    /// The layers as they unpack.
    #[serde(default)]
    pub rootfs: RootFs,
}

/// The layers by the digests of their plain tar streams.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootFs {
    /// Always `layers`.
    #[serde(rename = "type", default)]
    pub kind: String,
    /// One per layer, lowest first.
    #[serde(default)]
    pub diff_ids: Vec<Digest>,
}

/// What a container of the image runs, unless its user says otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Config {
    /// `user[:group]`, names or numbers.
    pub user: String,
    /// `80/tcp` and the like.
    pub exposed_ports: Option<BTreeMap<String, serde_json::Value>>,
    /// `NAME=VALUE`.
    pub env: Option<Vec<String>>,
    /// The first words.
    pub entrypoint: Option<Vec<String>>,
    /// The words after them, which users replace.
    pub cmd: Option<Vec<String>>,
    /// Paths whose content outlives the container.
    pub volumes: Option<BTreeMap<String, serde_json::Value>>,
    /// Where it starts.
    pub working_dir: String,
    /// Free words.
    pub labels: Option<BTreeMap<String, String>>,
    /// What asks it to end, `SIGTERM` or a number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_signal: Option<String>,
    /// Docker's: how to see whether it is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Healthcheck>,
}

/// Docker's health check. Durations are nanoseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Healthcheck {
    /// `["NONE"]`, `["CMD", …]` or `["CMD-SHELL", "…"]`.
    pub test: Vec<String>,
    /// Between two checks.
    pub interval: i64,
    /// After which a check has failed.
    pub timeout: i64,
    /// In which failures do not count.
    pub start_period: i64,
    /// Failures in a row until it is not well.
    pub retries: i64,
}

impl ImageConfig {
    /// Parses a configuration; `what` names it in errors.
    ///
    /// # Errors
    /// No JSON of this shape, too many layers, or words that cannot be words of a process: NUL in
    /// any, a newline in `Env` or `User`.
    pub fn parse(what: &str, bytes: &[u8]) -> Result<Self, DocumentError> {
        let config: Self = parse(what, "image configuration", bytes)?;
        match config.problem() {
            Some(problem) => Err(DocumentError::Invalid { what: what.to_owned(), problem }),
            None => Ok(config),
        }
    }

    fn problem(&self) -> Option<String> {
        if self.rootfs.diff_ids.len() > MAX_LAYERS {
            return Some(format!("{} layers", self.rootfs.diff_ids.len()));
        }
        self.config.as_ref().and_then(Config::problem)
    }
}

impl Config {
    fn problem(&self) -> Option<String> {
        let breaks = |text: &String| text.contains(['\n', '\r', '\0']);
        if breaks(&self.user) {
            return Some(format!("User {:?} has a line break or NUL", self.user));
        }
        let env = self.env.iter().flatten();
        if let Some(entry) = env.clone().find(|entry| entry.contains('\0')) {
            return Some(format!("Env {entry:?} has a NUL"));
        }
        // Values of several lines are in use (certificates); a name with one is an attack.
        let has_bad_name = |entry: &&String| {
            entry
                .split_once('=')
                .is_none_or(|(name, _)| name.is_empty() || name.contains(['\n', '\r']))
        };
        if let Some(entry) = env.clone().find(has_bad_name) {
            return Some(format!("Env {entry:?} is not NAME=VALUE"));
        }
        let words = self.entrypoint.iter().flatten().chain(self.cmd.iter().flatten());
        let mut others = words.chain([&self.working_dir]);
        others.find(|text| text.contains('\0')).map(|text| format!("{text:?} has a NUL"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(config: &str) -> String {
        let text = format!(r#"{{"os": "linux", "architecture": "amd64", "config": {config}}}"#);
        ImageConfig::parse("c", text.as_bytes()).map_or_else(|e| e.to_string(), |_| "fine".into())
    }

    #[test]
    fn hostile_words() {
        assert_eq!(
            message(r#"{"User": "root\nx"}"#),
            r#"c: User "root\nx" has a line break or NUL"#
        );
        assert_eq!(message(r#"{"Env": ["A\nB=c"]}"#), r#"c: Env "A\nB=c" is not NAME=VALUE"#);
        assert_eq!(message(r#"{"Env": ["A=b\nc"]}"#), "fine");
        assert_eq!(message(r#"{"Env": ["=x"]}"#), r#"c: Env "=x" is not NAME=VALUE"#);
        assert_eq!(message(r#"{"Cmd": ["a\u0000"]}"#), r#"c: "a\0" has a NUL"#);
        assert_eq!(
            message(r#"{"Env": null, "Cmd": null, "Labels": null, "Volumes": null}"#),
            "fine"
        );
        assert_eq!(message("null"), "fine");
    }
}
