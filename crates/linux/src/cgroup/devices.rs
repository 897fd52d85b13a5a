//! Device rules: what of config.json is checked here, and what every container may use anyway.

use super::error::{Error, Result};
use super::resources::{DeviceRule, DeviceType};

/// A set of reading, writing and making device nodes. The bits are those of
/// `BPF_DEVCG_ACC_*` (kernel: include/uapi/linux/bpf.h).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access(u8);

impl Access {
    /// mknod(2).
    pub const MKNOD: Self = Self(1);
    /// Open for reading.
    pub const READ: Self = Self(2);
    /// Open for writing.
    pub const WRITE: Self = Self(4);
    /// All three.
    pub const ALL: Self = Self(7);

    /// The bits, for programs and comparisons.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.0
    }

    pub(super) const fn from_bits(bits: u8) -> Self {
        Self(bits & Self::ALL.0)
    }

    /// The letters as v1 files take them.
    pub(super) fn letters(self) -> String {
        let known = [(Self::READ, 'r'), (Self::WRITE, 'w'), (Self::MKNOD, 'm')];
        known.into_iter().filter(|(a, _)| self.0 & a.0 != 0).map(|(_, letter)| letter).collect()
    }

    fn parse(text: &str) -> Option<Self> {
        let bits = text.chars().try_fold(0, |bits, letter| match letter {
            'r' => Some(bits | Self::READ.0),
            'w' => Some(bits | Self::WRITE.0),
            'm' => Some(bits | Self::MKNOD.0),
            _ => None,
        })?;
        (bits != 0).then_some(Self(bits))
    }
}

/// A checked device rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Whether it allows or denies.
    pub allow: bool,
    /// Which type of device.
    pub kind: DeviceType,
    /// The major number, `None` for all.
    pub major: Option<u32>,
    /// The minor number, `None` for all.
    pub minor: Option<u32>,
    /// What it is about.
    pub access: Access,
}

const fn character(major: Option<u32>, minor: Option<u32>, access: Access) -> Rule {
    Rule { allow: true, kind: DeviceType::Char, major, minor, access }
}

/// What every container may use, whatever its configuration says: appended after its rules, as runc
/// and crun do. Making nodes is harmless because the rules are asked again when one is opened.
pub const DEFAULT_ALLOWED_DEVICES: [Rule; 10] = [
    character(None, None, Access::MKNOD),
    Rule { allow: true, kind: DeviceType::Block, major: None, minor: None, access: Access::MKNOD },
    character(Some(1), Some(3), Access::ALL), // null
    character(Some(1), Some(5), Access::ALL), // zero
    character(Some(1), Some(7), Access::ALL), // full
    character(Some(1), Some(8), Access::ALL), // random
    character(Some(1), Some(9), Access::ALL), // urandom
    character(Some(5), Some(0), Access::ALL), // tty
    character(Some(5), Some(2), Access::ALL), // ptmx
    character(Some(136), None, Access::ALL),  // pts/*, which is what console is bound from
];

impl Rule {
    /// Checks one entry of config.json; `index` is its place in the list, for messages.
    ///
    /// # Errors
    /// When the access is empty or has unknown letters, or a number is out of range.
    pub fn parse(entry: &DeviceRule, index: usize) -> Result<Self> {
        let invalid = |field: &str, value: String, reason| Error::Invalid {
            field: format!("devices[{index}].{field}"),
            value,
            reason,
        };
        let number = |field: &str, value: Option<i64>| match value {
            None | Some(-1) => Ok(None),
            Some(value) => u32::try_from(value)
                .map(Some)
                .map_err(|_| invalid(field, value.to_string(), "is not a device number")),
        };
        let letters = entry.access.as_deref().unwrap_or_default();
        Ok(Self {
            allow: entry.allow,
            kind: entry.kind.unwrap_or(DeviceType::All),
            major: number("major", entry.major)?,
            minor: number("minor", entry.minor)?,
            access: Access::parse(letters).ok_or_else(|| {
                invalid("access", format!("{letters:?}"), "is not one or more of `rwm`")
            })?,
        })
    }

    /// Whether the rule is about every device and every access.
    pub(super) fn is_total(&self) -> bool {
        self.kind == DeviceType::All
            && self.major.is_none()
            && self.minor.is_none()
            && self.access == Access::ALL
    }
}

/// The rules of a container: first everything is denied, then config.json's in order, then the
/// defaults.
pub(super) fn complete(entries: &[DeviceRule]) -> Result<Vec<Rule>> {
    let deny_all =
        Rule { allow: false, kind: DeviceType::All, major: None, minor: None, access: Access::ALL };
    let mut rules = vec![deny_all];
    for (index, entry) in entries.iter().enumerate() {
        rules.push(Rule::parse(entry, index)?);
    }
    rules.extend(DEFAULT_ALLOWED_DEVICES);
    Ok(rules)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(access: Option<&str>, major: Option<i64>) -> DeviceRule {
        let access = access.map(str::to_owned);
        DeviceRule { allow: true, kind: None, major, minor: None, access }
    }

    #[test]
    fn rules_are_checked() {
        let rule = Rule::parse(&entry(Some("wr"), Some(-1)), 0).unwrap();
        assert_eq!(rule.access.letters(), "rw");
        assert_eq!((rule.kind, rule.major), (DeviceType::All, None));
        assert!(!rule.is_total());
        assert!(Rule::parse(&entry(Some("rwm"), None), 0).unwrap().is_total());
        for (access, major) in [
            (None, None),
            (Some(""), None),
            (Some("rx"), None),
            (Some("r w"), None),
            (Some("r"), Some(-2)),
            (Some("r"), Some(1 << 32)),
            (Some("r"), Some(i64::MIN)),
        ] {
            let e = Rule::parse(&entry(access, major), 7).unwrap_err();
            assert!(e.to_string().starts_with("devices[7]."), "{e}");
        }
    }

    #[test]
    fn defaults_come_last() {
        let rules = complete(&[entry(Some("rwm"), Some(10))]).unwrap();
        assert!(!rules[0].allow && rules[0].is_total());
        assert_eq!(rules[1].major, Some(10));
        assert_eq!(rules[2..], DEFAULT_ALLOWED_DEVICES);
    }
}
