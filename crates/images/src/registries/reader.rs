//! Takes typed values out of a TOML document, and says where they are wrong.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use lxcri_core::suggest;
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::error::{Fault, RegistriesError};

pub(super) type Result<T> = std::result::Result<T, RegistriesError>;
pub(super) type Value<'t> = Spanned<DeValue<'t>>;

/// What a table may hold, or what words a value may be.
pub(super) type Words = &'static [&'static str];

/// A file being read.
pub(super) struct Reader {
    pub(super) path: Arc<Path>,
    /// Where each line begins, in bytes.
    starts: Vec<usize>,
}

/// A text, its full key, and where it stands.
pub(super) struct Text<'v> {
    pub(super) key: String,
    pub(super) text: &'v str,
    pub(super) place: Range<usize>,
}

impl Reader {
    pub(super) fn new(path: &Path, text: &str) -> Self {
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let starts = std::iter::once(0).chain(ends.map(|(at, _)| at + 1)).collect();
        Self { path: path.into(), starts }
    }

    /// A text of a table with its full key and place. An empty one counts as none, as for the other
    /// tools.
    pub(super) fn text_of<'v>(
        &self,
        table: &'v DeTable<'_>,
        path: &str,
        name: &str,
    ) -> Result<Option<Text<'v>>> {
        let Some(value) = table.get(name) else { return Ok(None) };
        let key = format!("{path}.{name}");
        let text = self.string(&key, value)?;
        Ok((!text.is_empty()).then(|| Text { key, text, place: value.span() }))
    }

    /// A truth of a table.
    pub(super) fn boolean_of(
        &self,
        table: &DeTable<'_>,
        path: &str,
        name: &str,
    ) -> Result<Option<bool>> {
        match table.get(name).map(|value| (value, value.get_ref())) {
            None => Ok(None),
            Some((_, DeValue::Boolean(truth))) => Ok(Some(*truth)),
            Some((value, _)) => {
                Err(self.wrong_type(&format!("{path}.{name}"), value, "true or false"))
            }
        }
    }

    /// A text.
    pub(super) fn string<'v>(&self, key: &str, value: &'v Value<'_>) -> Result<&'v str> {
        match value.get_ref() {
            DeValue::String(text) => Ok(text),
            _ => Err(self.wrong_type(key, value, "a string")),
        }
    }

    /// A list of texts.
    pub(super) fn strings<'v>(
        &self,
        key: &str,
        value: &'v Value<'_>,
    ) -> Result<Vec<(&'v str, Range<usize>)>> {
        let DeValue::Array(items) = value.get_ref() else {
            return Err(self.wrong_type(key, value, "a list of strings"));
        };
        items.iter().map(|item| Ok((self.string(key, item)?, item.span()))).collect()
    }

    /// A list of tables.
    pub(super) fn tables<'v, 't>(
        &self,
        key: &str,
        value: &'v Value<'t>,
    ) -> Result<Vec<(&'v DeTable<'t>, Range<usize>)>> {
        let DeValue::Array(items) = value.get_ref() else {
            let mut error = self.wrong_type(key, value, "a list of tables");
            error.hint = Some(format!("write [[{key}]], in two pairs of brackets"));
            return Err(error);
        };
        let table = |item: &'v Value<'t>| match item.get_ref() {
            DeValue::Table(table) => Ok((table, item.span())),
            _ => Err(self.wrong_type(key, item, "a table")),
        };
        items.iter().map(table).collect()
    }

    /// Refuses a key that nothing reads: it would be one more line that has no effect.
    pub(super) fn known(
        &self,
        path: &str,
        keys: Words,
        name: &Spanned<DeString<'_>>,
    ) -> Result<()> {
        let text = name.get_ref();
        if keys.iter().any(|key| key == text) {
            return Ok(());
        }
        let key = format!("{path}{}", clipped(text));
        let mut error = self.error(name.span(), Some(&key), Fault::UnknownKey);
        error.hint = suggest::nearest(text, keys.iter().copied())
            .map(|near| format!("did you mean {near}?"));
        Err(error)
    }

    /// The error for a word that is none of those allowed.
    pub(super) fn word(
        &self,
        key: &str,
        value: &Value<'_>,
        word: &str,
        words: Words,
    ) -> RegistriesError {
        self.error(value.span(), Some(key), Fault::Word(clipped(word), words))
    }

    /// The error for a value of another type.
    pub(super) fn wrong_type(
        &self,
        key: &str,
        value: &Value<'_>,
        expected: &'static str,
    ) -> RegistriesError {
        let found = match value.get_ref() {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) | DeValue::Float(_) => "a number",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        self.error(value.span(), Some(key), Fault::Type { expected, found })
    }

    /// An error with a hint.
    pub(super) fn hinted(
        &self,
        place: Range<usize>,
        key: &str,
        fault: Fault,
        hint: &str,
    ) -> RegistriesError {
        let mut error = self.error(place, Some(key), fault);
        error.hint = Some(hint.to_owned());
        error
    }

    /// An error at a place.
    pub(super) fn error(
        &self,
        place: Range<usize>,
        key: Option<&str>,
        fault: Fault,
    ) -> RegistriesError {
        let mut error = RegistriesError::of_file(&self.path, fault);
        error.line = Some(self.line(place.start));
        error.key = key.map(str::to_owned);
        error
    }

    /// The line of a place, counted from 1.
    pub(super) fn line(&self, offset: usize) -> usize {
        self.starts.partition_point(|start| *start <= offset)
    }
}

/// The entries of a table in the order of the file.
pub(super) fn by_place<'t, 'i>(
    table: &'t DeTable<'i>,
) -> Vec<(&'t Spanned<DeString<'i>>, &'t Value<'i>)> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(name, _)| name.span().start);
    entries
}

/// So much of a text as is shown.
pub(super) fn clipped(text: &str) -> String {
    text.chars().take(160).collect()
}
