//! What can be configured: sections, keys, kinds and defaults, as data.

use std::fmt;

/// The prefix of environment variables that set a key.
pub const ENVIRONMENT_PREFIX: &str = "PROXMOX_LXCRI_";

/// A section of the configuration: a TOML table.
#[derive(Debug, Clone, Copy)]
pub struct Section {
    /// The table's name; for a backend's section the backend's name.
    pub name: &'static str,
    /// What the section is for: one or two sentences of Markdown.
    pub doc: &'static str,
    /// The keys, in the order in which they are shown.
    pub keys: &'static [Key],
}

/// A key of a section. Every key has an effect; a key that nothing reads does not exist.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// The name, in lower case with `_`.
    pub name: &'static str,
    /// Which values it takes.
    pub kind: Kind,
    /// The value where nothing is configured, written as in an environment variable; `None` when
    /// the key may be unset.
    pub default: Option<&'static str>,
    /// What the key does: one or two sentences of Markdown.
    pub doc: &'static str,
}

/// The values a key takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    String,
    /// An absolute path. Options of the command line may give a relative one, which counts from the
    /// working directory.
    Path,
    /// `true` or `false`.
    Bool,
    /// A whole number within bounds, both allowed.
    Integer {
        /// The least.
        min: i64,
        /// The most.
        max: i64,
    },
    /// A length of time above zero as text: numbers with the units d, h, m, s, ms.
    Duration,
    /// One of a few words.
    Choice(&'static [&'static str]),
    /// The name of one of the program's backends.
    Backend,
    /// A list of texts; with commas between them in the environment.
    StringList,
}

impl fmt::Display for Kind {
    /// The kind in words that follow "expected".
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::String => formatter.write_str("a string"),
            Self::Path => formatter.write_str("an absolute path"),
            Self::Bool => formatter.write_str("true or false"),
            Self::Integer { min, max } => write!(formatter, "a whole number from {min} to {max}"),
            Self::Duration => formatter.write_str("a duration such as \"30s\" or \"1h30m\""),
            Self::Choice(choices) => write!(formatter, "one of {}", choices.join(", ")),
            Self::Backend => formatter.write_str("the name of a backend"),
            Self::StringList => formatter.write_str("a list of strings"),
        }
    }
}

/// Two declarations that exclude each other: a mistake of the program, not of its user.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// Two sections of one name.
    #[error("the configuration section {0} is declared twice")]
    SectionTwice(&'static str),
    /// Two keys that one environment variable would set.
    #[error("the configuration keys {0} and {1} share an environment variable")]
    VariableTwice(String, String),
}

/// Everything that can be configured.
#[derive(Debug, Clone)]
pub struct Schema {
    sections: Vec<Section>,
    backends: Vec<&'static str>,
}

/// Runtime settings that no backend owns.
pub const RUNTIME: Section = Section {
    name: "runtime",
    doc: "What holds for every container, whichever backend runs it.",
    keys: &[
        Key {
            name: "root",
            kind: Kind::Path,
            default: Some("/run/proxmox-lxcri"),
            doc: "The directory of the containers' state, on a tmpfs so that a reboot clears it. \
                  For users other than root it is `$XDG_RUNTIME_DIR/proxmox-lxcri` where that \
                  variable is set. The option `--root` sets it, too.",
        },
        Key {
            name: "data_root",
            kind: Kind::Path,
            default: Some("/var/lib/proxmox-lxcri"),
            doc: "The directory of everything that outlives a boot: images, root filesystems, \
                  containers made of images, volumes.",
        },
        Key {
            name: "default_backend",
            kind: Kind::Backend,
            default: Some("native"),
            doc: "The backend of containers for which neither `--backend` nor a route nor an \
                  annotation chooses one.",
        },
        Key {
            name: "backend_annotation",
            kind: Kind::Bool,
            default: Some("false"),
            doc: "Whether the bundle's annotation `io.proxmox-lxcri.backend` may choose the \
                  backend of containers that no route matches. Whoever writes bundles can then \
                  leave the sandbox of the default backend.",
        },
        Key {
            name: "hook_timeout",
            kind: Kind::Duration,
            default: None,
            doc: "How long a hook without a `timeout` of its own may run before it is killed and \
                  counts as failed. Without it such a hook may run for ever.",
        },
    ],
};

/// Where the log goes and how much of it.
pub const LOGGING: Section = Section {
    name: "logging",
    doc: "Where messages go. Errors are on standard error in any case; standard output never \
          carries a message.",
    keys: &[
        Key {
            name: "level",
            kind: Kind::Choice(&["error", "warn", "info", "debug", "trace"]),
            default: Some("warn"),
            doc: "The least important messages that are still logged. The options `--log-level` \
                  and `--debug` set it, too.",
        },
        Key {
            name: "format",
            kind: Kind::Choice(&["text", "json"]),
            default: Some("text"),
            doc: "The form of the log file's lines: `text` as logrus writes it, `json` with the \
                  fields `level`, `msg` and `time`, which containerd and Podman read. The option \
                  `--log-format` sets it, too.",
        },
        Key {
            name: "file",
            kind: Kind::Path,
            default: None,
            doc: "A file to append the log to, made with mode 0600 where it does not exist; its \
                  directory must exist. The option `--log` sets it, too.",
        },
        Key {
            name: "journald",
            kind: Kind::Bool,
            default: Some("false"),
            doc: "Whether systemd's journal gets the log, with the identifier `proxmox-lxcri`. \
                  Standard error then has errors alone, as with a log file.",
        },
    ],
};

impl Schema {
    /// The core's sections and those that the rooms bring, and the names of all backends.
    ///
    /// # Errors
    /// [`SchemaError`] when two declarations exclude each other.
    pub fn new(
        rooms: impl IntoIterator<Item = Section>,
        backends: impl IntoIterator<Item = &'static str>,
    ) -> Result<Self, SchemaError> {
        let mut sections = vec![RUNTIME, LOGGING];
        for room in rooms {
            if sections.iter().any(|section| section.name == room.name) || room.name == "route" {
                return Err(SchemaError::SectionTwice(room.name));
            }
            sections.push(room);
        }
        let schema = Self { sections, backends: backends.into_iter().collect() };
        schema.check_variables()?;
        Ok(schema)
    }

    /// The sections, core's first.
    pub fn sections(&self) -> &[Section] {
        &self.sections
    }

    /// The names of all backends.
    pub fn backends(&self) -> &[&'static str] {
        &self.backends
    }

    /// All keys with their sections.
    pub(super) fn keys(&self) -> impl Iterator<Item = (&'static str, &'static Key)> + '_ {
        self.sections.iter().flat_map(|section| section.keys.iter().map(|key| (section.name, key)))
    }

    fn check_variables(&self) -> Result<(), SchemaError> {
        let mut seen: Vec<(String, &str, &str)> = Vec::new();
        for (section, key) in self.keys() {
            let variable = variable(section, key.name);
            if let Some((_, other, name)) = seen.iter().find(|(known, ..)| *known == variable) {
                let keys = (format!("{other}.{name}"), format!("{section}.{}", key.name));
                return Err(SchemaError::VariableTwice(keys.0, keys.1));
            }
            seen.push((variable, section, key.name));
        }
        Ok(())
    }
}

/// The environment variable that sets a key: `PROXMOX_LXCRI_<SECTION>_<KEY>`, `-` as `_`.
pub(super) fn variable(section: &str, key: &str) -> String {
    format!("{ENVIRONMENT_PREFIX}{section}_{key}").to_ascii_uppercase().replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::super::value::Value;
    use super::*;

    const fn key(name: &'static str) -> Key {
        Key { name, kind: Kind::String, default: None, doc: "" }
    }

    #[test]
    fn declarations_must_not_collide() {
        const A: &[Key] = &[key("c_d")];
        const B: &[Key] = &[key("d")];
        let section = |name, keys| Section { name, doc: "", keys };
        assert!(Schema::new([section("b", A), section("b-e", B)], []).is_ok());
        let twice = Schema::new([section("runtime", A)], []).unwrap_err();
        assert_eq!(twice, SchemaError::SectionTwice("runtime"));
        let route = Schema::new([section("route", A)], []).unwrap_err();
        assert_eq!(route, SchemaError::SectionTwice("route"));
        let shared = Schema::new([section("b", A), section("b-c", B)], []).unwrap_err();
        assert_eq!(shared, SchemaError::VariableTwice("b.c_d".into(), "b-c.d".into()));
    }

    #[test]
    fn core_defaults_are_of_their_kind() {
        let schema = Schema::new([], ["native"]).unwrap();
        for (section, key) in schema.keys() {
            if let Some(default) = key.default {
                let value = Value::from_text(&key.kind, default, schema.backends());
                assert!(value.is_ok(), "{section}.{}: {value:?}", key.name);
            }
        }
    }

    #[test]
    fn variables_are_spelt_in_capitals() {
        assert_eq!(variable("proxmox-lxc", "token_file"), "PROXMOX_LXCRI_PROXMOX_LXC_TOKEN_FILE");
    }
}
