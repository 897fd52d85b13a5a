//! Platforms: `os/architecture[/variant]` in Go's words (image-spec image-index.md, "platform").

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What an image runs on.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Platform {
    /// GOARCH, such as `amd64`.
    pub architecture: String,
    /// GOOS, such as `linux`.
    pub os: String,
    /// `os.version`, which only Windows uses.
    #[serde(rename = "os.version", default, skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
    /// The processor's variant, such as `v7` of `arm`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

/// A text that is no platform.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no platform: os/architecture[/variant] is, such as linux/arm64 or linux/arm/v7")]
pub struct InvalidPlatform(pub String);

impl Platform {
    /// This machine's.
    pub fn host() -> Self {
        let (architecture, variant) = match std::env::consts::ARCH {
            "x86_64" => ("amd64", None),
            "aarch64" => ("arm64", Some("v8")),
            "arm" => ("arm", Some("v7")),
            "powerpc64" => ("ppc64le", None),
            other => (other, None),
        };
        Self {
            architecture: architecture.to_owned(),
            os: "linux".to_owned(),
            os_version: None,
            variant: variant.map(ToOwned::to_owned),
        }
    }

    /// How well an image for `offered` runs where `self` is wanted: higher is better, `None` not at
    /// all. An offer without a variant fits every wish; older variants of `arm` and `amd64` run on
    /// newer processors; `arm64` and `arm64/v8` are one.
    pub fn rank(&self, offered: &Self) -> Option<u8> {
        if self.os != offered.os || self.architecture != offered.architecture {
            return None;
        }
        let (wanted, given) = (self.level(), offered.level());
        (given <= wanted).then_some(given)
    }

    /// The number of the variant, or of what stands for a missing one.
    fn level(&self) -> u8 {
        let variant = self.variant.as_deref().and_then(|text| text.strip_prefix('v'));
        match (variant.and_then(|number| number.parse().ok()), self.architecture.as_str()) {
            (Some(number), _) => number,
            (None, "arm64") => 8,
            (None, "arm") => 7,
            (None, "amd64") => 1,
            (None, _) => 0,
        }
    }
}

impl FromStr for Platform {
    type Err = InvalidPlatform;

    fn from_str(text: &str) -> Result<Self, InvalidPlatform> {
        let parts: Vec<&str> = text.split('/').collect();
        let is_word = |part: &&str| {
            !part.is_empty()
                && part.len() <= 64
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
        };
        let (os, architecture, variant) = match parts.as_slice() {
            _ if !parts.iter().all(is_word) => return Err(InvalidPlatform(text.to_owned())),
            [os, architecture] => (*os, *architecture, None),
            [os, architecture, variant] => (*os, *architecture, Some((*variant).to_owned())),
            _ => return Err(InvalidPlatform(text.to_owned())),
        };
        let architecture = match architecture {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        Ok(Self {
            architecture: architecture.to_owned(),
            os: os.to_owned(),
            os_version: None,
            variant,
        })
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant.iter().try_for_each(|variant| write!(f, "/{variant}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_and_prints() {
        for text in ["linux/amd64", "linux/arm/v7", "linux/riscv64"] {
            assert_eq!(text.parse::<Platform>().unwrap().to_string(), text);
        }
        assert_eq!("linux/aarch64".parse::<Platform>().unwrap().to_string(), "linux/arm64");
        for text in ["", "linux", "linux/", "/amd64", "linux/amd64/", "a/b/c/d", "linux/am d64"] {
            assert!(text.parse::<Platform>().is_err(), "{text}");
        }
    }

    #[test]
    fn ranks_variants() {
        let platform = |text: &str| text.parse::<Platform>().unwrap();
        let rank = |wanted: &str, offered: &str| platform(wanted).rank(&platform(offered));
        assert!(rank("linux/arm/v7", "linux/arm/v7") > rank("linux/arm/v7", "linux/arm/v6"));
        assert_eq!(rank("linux/arm/v6", "linux/arm/v7"), None);
        assert!(rank("linux/arm64", "linux/arm64/v8").is_some());
        assert!(rank("linux/amd64", "linux/amd64").is_some());
        assert_eq!(rank("linux/amd64", "linux/amd64/v3"), None);
        assert!(rank("linux/amd64/v3", "linux/amd64/v2") > rank("linux/amd64/v3", "linux/amd64"));
        assert_eq!(rank("linux/amd64", "windows/amd64"), None);
    }
}
