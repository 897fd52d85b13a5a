//! The kinds of values, how they are read from text and TOML, and how they are handed out.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::de::DeValue;

use super::duration;
use super::schema::Kind;
use crate::suggest;

/// A value of the configuration, of the kind its key has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Of a string, a choice or a backend's name.
    String(String),
    /// An absolute path.
    Path(PathBuf),
    /// True or false.
    Bool(bool),
    /// A whole number within its key's bounds.
    Integer(i64),
    /// A length of time, more than zero.
    Duration(Duration),
    /// A list of strings, perhaps empty.
    List(Vec<String>),
}

/// Why something is not a value of the key's kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// Another type of TOML value, or a text that does not read as the kind.
    #[error("expected {expected}, found {found}")]
    Expected {
        /// The kind, in words.
        expected: String,
        /// What was there, in words or quoted.
        found: String,
    },
    /// A NUL byte, which no path, argument or protocol of the kernel can carry.
    #[error("holds a NUL byte")]
    Nul,
}

/// Texts in messages are cut to this many characters.
const SHOWN: usize = 64;

impl Value {
    /// Reads a value as it stands in a default, an environment variable or an option. The items of
    /// a list are separated by commas.
    pub(super) fn from_text(
        kind: &Kind,
        text: &str,
        backends: &[&str],
    ) -> Result<Self, ValueError> {
        if text.contains('\0') {
            return Err(ValueError::Nul);
        }
        let value = match kind {
            Kind::String => Some(Self::String(text.to_owned())),
            Kind::Path => Path::new(text).is_absolute().then(|| Self::Path(text.into())),
            Kind::Bool => text.parse().ok().map(Self::Bool),
            Kind::Integer { min, max } => {
                text.parse().ok().filter(|number| (min..=max).contains(&number)).map(Self::Integer)
            }
            Kind::Duration => duration::parse(text).map(Self::Duration),
            Kind::Choice(choices) => choices.contains(&text).then(|| Self::String(text.to_owned())),
            Kind::Backend => backends.contains(&text).then(|| Self::String(text.to_owned())),
            Kind::StringList if text.is_empty() => Some(Self::List(Vec::new())),
            Kind::StringList => Some(Self::List(text.split(',').map(str::to_owned).collect())),
        };
        value.ok_or_else(|| expected(kind, backends, quoted(text)))
    }

    /// Reads a value of a TOML document.
    pub(super) fn from_toml(
        kind: &Kind,
        value: &DeValue<'_>,
        backends: &[&str],
    ) -> Result<Self, ValueError> {
        match (kind, value) {
            (Kind::Bool, DeValue::Boolean(value)) => Ok(Self::Bool(*value)),
            (Kind::Integer { min, max }, DeValue::Integer(number)) => {
                i64::from_str_radix(number.as_str(), number.radix())
                    .ok()
                    .filter(|number| (min..=max).contains(&number))
                    .map(Self::Integer)
                    .ok_or_else(|| expected(kind, backends, number.to_string()))
            }
            (Kind::StringList, DeValue::Array(items)) => items
                .iter()
                .map(|item| match item.get_ref() {
                    DeValue::String(text) if text.contains('\0') => Err(ValueError::Nul),
                    DeValue::String(text) => Ok(text.to_string()),
                    other => Err(expected(kind, backends, in_words(other))),
                })
                .collect::<Result<_, _>>()
                .map(Self::List),
            (Kind::Bool | Kind::Integer { .. } | Kind::StringList, other) => {
                Err(expected(kind, backends, in_words(other)))
            }
            (_, DeValue::String(text)) => Self::from_text(kind, text, backends),
            (_, other) => Err(expected(kind, backends, in_words(other))),
        }
    }

    fn to_toml(&self) -> toml::Value {
        match self {
            Self::String(text) => toml::Value::String(text.clone()),
            // The loader makes paths from text alone: nothing is lost.
            Self::Path(path) => toml::Value::String(path.to_string_lossy().into_owned()),
            Self::Bool(value) => toml::Value::Boolean(*value),
            Self::Integer(number) => toml::Value::Integer(*number),
            Self::Duration(length) => toml::Value::String(duration::render(*length)),
            Self::List(items) => {
                toml::Value::Array(items.iter().cloned().map(toml::Value::String).collect())
            }
        }
    }
}

impl fmt::Display for Value {
    /// The value as TOML, on one line.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.to_toml())
    }
}

/// What the nearest right value would be, for a key whose values have names.
pub(super) fn nearest_value(kind: &Kind, text: &str, backends: &[&str]) -> Option<String> {
    let near = match kind {
        Kind::Choice(choices) => suggest::nearest(text, choices.iter().copied()),
        Kind::Backend => suggest::nearest(text, backends.iter().copied()),
        Kind::Bool => suggest::nearest(text, ["true", "false"]),
        _ => None,
    };
    if let Some(near) = near {
        return Some(format!("did you mean {near:?}?"));
    }
    let bare_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    (matches!(kind, Kind::Duration) && bare_number && text.len() < SHOWN)
        .then(|| format!("a duration has a unit: \"{text}s\" is {text} seconds"))
}

pub(super) fn quoted(text: &str) -> String {
    let cut: String = text.chars().take(SHOWN).collect();
    let ellipsis = if cut.len() < text.len() { "…" } else { "" };
    format!("{cut:?}{ellipsis}")
}

fn expected(kind: &Kind, backends: &[&str], found: String) -> ValueError {
    let expected = match kind {
        Kind::Backend => format!("a backend ({})", backends.join(", ")),
        other => other.to_string(),
    };
    ValueError::Expected { expected, found }
}

/// What a TOML value is, for "expected …, found …".
pub(super) fn in_words(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("the string {}", quoted(text)),
        DeValue::Integer(number) => {
            format!("the number {}", quoted(&number.to_string()).trim_matches('"'))
        }
        DeValue::Boolean(value) => value.to_string(),
        DeValue::Float(_) => "a number with a fraction".to_owned(),
        DeValue::Datetime(_) => "a date or time".to_owned(),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

/// A type in which [`Config::get`](super::Config::get) hands values out.
///
/// `&str` for strings, choices and backends, `&Path`, `bool`, `i64`, `Duration`, `&[String]`, and
/// `Option` of these for keys that have no default.
pub trait FromValue<'a>: Sized {
    /// Whether keys of this kind can be read as this type.
    fn fits(kind: &Kind) -> bool;
    /// The value as this type, `None` when it is of another.
    fn from_value(value: &'a Value) -> Option<Self>;
    /// What stands for a key that is not set, where the type has that.
    fn unset() -> Option<Self> {
        None
    }
}

macro_rules! from_value {
    ($type:ty, $kinds:pat, $variant:ident($inner:ident) => $out:expr) => {
        impl<'a> FromValue<'a> for $type {
            fn fits(kind: &Kind) -> bool {
                matches!(kind, $kinds)
            }
            fn from_value(value: &'a Value) -> Option<Self> {
                match value {
                    Value::$variant($inner) => Some($out),
                    _ => None,
                }
            }
        }
    };
}

from_value!(&'a str, Kind::String | Kind::Choice(_) | Kind::Backend, String(text) => text);
from_value!(&'a Path, Kind::Path, Path(path) => path);
from_value!(bool, Kind::Bool, Bool(value) => *value);
from_value!(i64, Kind::Integer { .. }, Integer(number) => *number);
from_value!(Duration, Kind::Duration, Duration(length) => *length);
from_value!(&'a [String], Kind::StringList, List(items) => items);

impl<'a, T: FromValue<'a>> FromValue<'a> for Option<T> {
    fn fits(kind: &Kind) -> bool {
        T::fits(kind)
    }
    fn from_value(value: &'a Value) -> Option<Self> {
        T::from_value(value).map(Some)
    }
    fn unset() -> Option<Self> {
        Some(None)
    }
}
