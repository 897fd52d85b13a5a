//! Reads one TOML document against the schema.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::file::Lines;
use super::load::Loader;
use super::problem::{Fault, Origin, Problem};
use super::value::{self, Value, ValueError};
use super::{route, schema::Section};
use crate::suggest;

/// A document being read: its place, and the problems found so far.
pub(super) struct Document<'d> {
    path: Arc<Path>,
    lines: Lines<'d>,
    problems: Vec<Problem>,
    /// The lines with a syntax error, counted from 1.
    broken: Vec<usize>,
}

/// Takes every value of the document into the configuration and notes every problem. Values that
/// are right count even when others are not: whether they are used is for the caller to say.
pub(super) fn read(loader: &mut Loader<'_>, path: &Path, text: &str) {
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut document = Document {
        path: path.into(),
        lines: Lines::new(text),
        problems: Vec::new(),
        broken: Vec::new(),
    };
    for error in errors {
        let place = error.span().unwrap_or_default();
        document.broken.push(document.lines.position(place.start).line);
        let message = error.message().lines().collect::<Vec<_>>().join(", ");
        document.report(place, None, Fault::Syntax(message), None);
    }
    for (name, value) in by_place(table.get_ref()) {
        if document.is_broken(name.span()) {
            continue;
        }
        let known = loader.schema.sections().iter().find(|section| section.name == name.get_ref());
        match known.copied() {
            Some(section) => document.section(loader, section, value),
            None if name.get_ref() == route::NAME => route::read(loader, &mut document, value),
            None => document.unknown_section(loader, name),
        }
    }
    let place = |problem: &Problem| match &problem.origin {
        Origin::File { position, .. } => *position,
        _ => None,
    };
    document.problems.sort_by_key(place);
    for problem in document.problems {
        loader.report(problem);
    }
}

impl Document<'_> {
    fn section(&mut self, loader: &mut Loader<'_>, section: Section, value: &Spanned<DeValue<'_>>) {
        let DeValue::Table(table) = value.get_ref() else {
            let hint = Some(format!("write [{}] above its keys", section.name));
            return self.wrong_type(value, section.name, "a table", hint);
        };
        for (name, value) in by_place(table) {
            let path = format!("{}.{}", section.name, name.get_ref());
            if self.is_broken(name.span()) || self.is_broken(value.span()) {
                continue;
            }
            let Some(key) = section.keys.iter().find(|key| key.name == name.get_ref()) else {
                let hint = unknown_key_hint(loader, section, name.get_ref());
                self.report(name.span(), Some(path), Fault::UnknownKey, hint);
                continue;
            };
            match Value::from_toml(&key.kind, value.get_ref(), loader.schema.backends()) {
                Ok(read) => loader.assign(section.name, key.name, read, self.origin(value.span())),
                Err(error) => {
                    let text = value.get_ref().as_str().unwrap_or_default();
                    let hint = value::nearest_value(&key.kind, text, loader.schema.backends());
                    self.report(value.span(), Some(path), error.into(), hint);
                }
            }
        }
    }

    fn unknown_section(&mut self, loader: &Loader<'_>, name: &Spanned<DeString<'_>>) {
        let text = name.get_ref();
        let names = loader.schema.sections().iter().map(|section| section.name);
        let near = suggest::nearest(text, names.chain([route::NAME]));
        let hint = near
            .map(|near| format!("did you mean [{near}]?"))
            .or_else(|| belongs_under(loader, text));
        self.report(name.span(), Some(text.to_string()), Fault::UnknownSection, hint);
    }

    /// Whether a syntax error lies on the lines of this place. What the parser makes of such lines
    /// is a guess, neither to be used nor to be complained about once more.
    fn is_broken(&self, place: Range<usize>) -> bool {
        if self.broken.is_empty() {
            return false;
        }
        let line = |offset| self.lines.position(offset).line;
        let lines = line(place.start)..=line(place.end);
        self.broken.iter().any(|broken| lines.contains(broken))
    }

    /// Notes that a value is not of the type that is needed there.
    pub(super) fn wrong_type(
        &mut self,
        value: &Spanned<DeValue<'_>>,
        key: &str,
        expected: &str,
        hint: Option<String>,
    ) {
        let found = value::in_words(value.get_ref());
        let fault = ValueError::Expected { expected: expected.to_owned(), found };
        self.report(value.span(), Some(key.to_owned()), fault.into(), hint);
    }

    /// Notes a problem at a place of the document.
    pub(super) fn report(
        &mut self,
        place: Range<usize>,
        key: Option<String>,
        fault: Fault,
        hint: Option<String>,
    ) {
        // The loader stops at its own limit; one more is enough to make it say so.
        if self.problems.len() <= super::load::MOST_PROBLEMS {
            self.problems.push(Problem { origin: self.origin(place), key, fault, hint });
        }
    }

    /// The place of a value.
    pub(super) fn origin(&self, place: Range<usize>) -> Origin {
        let position = Some(self.lines.position(place.start));
        Origin::File { path: Arc::clone(&self.path), position }
    }
}

/// The entries of a table in the order of the document.
pub(super) fn by_place<'t, 'i>(
    table: &'t DeTable<'i>,
) -> Vec<(&'t Spanned<DeString<'i>>, &'t Spanned<DeValue<'i>>)> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(name, _)| name.span().start);
    entries
}

fn unknown_key_hint(loader: &Loader<'_>, section: Section, name: &str) -> Option<String> {
    let names = || section.keys.iter().map(|key| key.name);
    suggest::nearest(name, names())
        .map(|near| format!("did you mean {near:?}?"))
        .or_else(|| belongs_under(loader, name))
        .or_else(|| {
            let all = names().collect::<Vec<_>>().join(", ");
            (!all.is_empty()).then(|| format!("the keys of [{}] are {all}", section.name))
        })
}

/// Where a key that is right in another section belongs.
fn belongs_under(loader: &Loader<'_>, name: &str) -> Option<String> {
    let (section, _) = loader.schema.keys().find(|(_, key)| key.name == name)?;
    Some(format!("{name:?} belongs under [{section}]"))
}
