//! What a backend does with every field of `config.json`, as data: applied, refused or ignored.
//!
//! Nothing is dropped silently. Before anything is made, [`Coverage::check`] walks the document's
//! bytes: a refused field that is set is an error, an ignored or unknown one a warning. A row that
//! claims "applied" names the conformance case that reads the effect back from the kernel; a row
//! without a name does not compile ([`Coverage::new`]), and a test keeps the names true.

use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// What a backend does with one field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Treatment {
    /// It has its effect, and `test` is the conformance case that shows it.
    Applied {
        /// Name of the case, such as `process/exit_code`.
        test: &'static str,
    },
    /// Leaving it out would change security or meaning, so `create` fails before making anything.
    Refused {
        /// Why, as the end of a sentence.
        because: &'static str,
    },
    /// Harmless to leave out; the user is told.
    Ignored {
        /// Why, as the end of a sentence.
        because: &'static str,
    },
}

/// One field and its treatment.
///
/// `path` is dotted, lists are written `[]`: `mounts[].options`. A row speaks for everything below
/// its path that has no row of its own, and `path=value` speaks for one value of a scalar.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The field.
    pub path: &'static str,
    /// What becomes of it.
    pub treatment: Treatment,
}

/// The whole table of a backend.
#[derive(Clone, Copy, Debug)]
pub struct Coverage {
    rows: &'static [Row],
}

/// A field of a document that is not simply applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Dotted path, with `=value` where the value decided.
    pub field: String,
    /// Why.
    pub because: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.field, self.because)
    }
}

/// What [`Coverage::check`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// Reasons to refuse the document.
    pub refused: Vec<Finding>,
    /// Things to tell the user.
    pub ignored: Vec<Finding>,
}

/// The most findings of one sort that are kept.
const FINDINGS_MAX: usize = 64;

const NOT_A_LIST: &str = "must be an object, not a list";

const UNKNOWN: &str = "is not a field of the runtime specification that this version knows";

/// A row that is applied, with the conformance case that proves it.
pub const fn applied(path: &'static str, test: &'static str) -> Row {
    Row { path, treatment: Treatment::Applied { test } }
}

/// A row that is refused.
pub const fn refused(path: &'static str, because: &'static str) -> Row {
    Row { path, treatment: Treatment::Refused { because } }
}

/// A row that is ignored with a warning.
pub const fn ignored(path: &'static str, because: &'static str) -> Row {
    Row { path, treatment: Treatment::Ignored { because } }
}

impl Coverage {
    /// The table over `rows`. In a constant, a row without a test or reason fails the build.
    pub const fn new(rows: &'static [Row]) -> Self {
        let mut index = 0;
        while index < rows.len() {
            let said = match rows[index].treatment {
                Treatment::Applied { test } => test,
                Treatment::Refused { because } | Treatment::Ignored { because } => because,
            };
            assert!(!said.is_empty(), "a coverage row names neither a test nor a reason");
            assert!(!rows[index].path.is_empty(), "a coverage row names no field");
            index += 1;
        }
        Self { rows }
    }

    /// Whether a field has its effect.
    pub fn applies(&self, path: &str) -> bool {
        let row = self.rows.iter().find(|row| row.path == path);
        row.is_some_and(|row| matches!(row.treatment, Treatment::Applied { .. }))
    }

    /// All rows, as written.
    pub fn rows(&self) -> &'static [Row] {
        self.rows
    }

    /// Judges a document that [`crate::oci::Spec::parse`] has accepted. What cannot be walked to its
    /// end, because it is nested deeper than serde_json follows, is refused: a field could hide
    /// there.
    pub fn check(&self, config: &[u8]) -> Findings {
        let mut walk = Walk { coverage: self, path: String::new(), findings: Findings::default() };
        let mut deserializer = serde_json::Deserializer::from_slice(config);
        let root = Node { walk: &mut walk, governed_by: None };
        if let Err(error) = root.deserialize(&mut deserializer) {
            let because = format!("cannot be checked: {error}");
            walk.findings.refused.push(Finding { field: "config.json".to_owned(), because });
        }
        walk.findings
    }

    fn row(&self, path: &str) -> Option<&'static Row> {
        self.rows.iter().find(|row| row.path == path)
    }

    fn has_rows_below(&self, path: &str) -> bool {
        self.rows.iter().any(|row| {
            row.path.strip_prefix(path).is_some_and(|rest| rest.starts_with(['.', '[', '=']))
        })
    }
}

/// State of one walk over a document.
struct Walk<'t> {
    coverage: &'t Coverage,
    path: String,
    findings: Findings,
}

impl Walk<'_> {
    /// Records what `row` says of a value that is really there.
    fn judge(&mut self, field: &str, row: Option<&'static Row>) {
        let (list, because) = match row.map(|row| row.treatment) {
            Some(Treatment::Applied { .. }) => return,
            Some(Treatment::Refused { because }) => (&mut self.findings.refused, because),
            Some(Treatment::Ignored { because }) => (&mut self.findings.ignored, because),
            None => (&mut self.findings.ignored, UNKNOWN),
        };
        // Nobody reads more, and a document may hold any number of unknown names.
        if list.len() < FINDINGS_MAX && !list.iter().any(|finding| finding.field == field) {
            list.push(Finding { field: field.to_owned(), because: because.to_owned() });
        }
    }
}

/// One value of the document, governed by the nearest row above it.
struct Node<'w, 't> {
    walk: &'w mut Walk<'t>,
    governed_by: Option<&'static Row>,
}

impl<'w, 't> Node<'w, 't> {
    fn row(&self) -> Option<&'static Row> {
        self.walk.coverage.row(&self.walk.path).or(self.governed_by)
    }

    fn scalar(self, value: &str, is_empty: bool) {
        let field = format!("{}={value}", self.walk.path);
        if let Some(row) = self.walk.coverage.row(&field) {
            return self.walk.judge(&field, Some(row));
        }
        let row = self.row();
        // An empty value of a field that has no effect here asks for nothing.
        if !is_empty {
            let path = self.walk.path.clone();
            self.walk.judge(&path, row);
        }
    }

    /// Visits a value one step further down and takes the step back.
    fn below<S, F>(&mut self, row: Option<&'static Row>, step: &str, visit: F) -> S
    where
        F: FnOnce(Node<'_, 't>) -> S,
    {
        let length = self.walk.path.len();
        if !self.walk.path.is_empty() && !step.starts_with('[') {
            self.walk.path.push('.');
        }
        self.walk.path.push_str(step);
        let result = visit(Node { walk: self.walk, governed_by: row });
        self.walk.path.truncate(length);
        result
    }

    /// Whether rows speak of named fields right below here.
    fn is_object_by_table(&self) -> bool {
        let path = self.walk.path.as_str();
        self.walk.coverage.rows.iter().any(|row| match row.path.strip_prefix(path) {
            Some(rest) if path.is_empty() => !rest.is_empty(),
            Some(rest) => rest.starts_with('.'),
            None => false,
        })
    }

    /// Whether nothing below here can be anything but applied.
    fn is_settled(&self, row: Option<&'static Row>) -> bool {
        matches!(row.map(|row| row.treatment), Some(Treatment::Applied { .. }))
            && !self.walk.coverage.has_rows_below(&self.walk.path)
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_, '_> {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("any JSON value")
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<(), E> {
        self.scalar(if value { "true" } else { "false" }, !value);
        Ok(())
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<(), E> {
        self.scalar(&value.to_string(), false);
        Ok(())
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<(), E> {
        self.scalar(&value.to_string(), value == 0);
        Ok(())
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<(), E> {
        self.scalar(&value.to_string(), false);
        Ok(())
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<(), E> {
        self.scalar(value, value.is_empty());
        Ok(())
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<(), A::Error> {
        // serde reads a list as a struct, field by field; fields without names would go unseen.
        if self.is_object_by_table() {
            let path = self.walk.path.as_str();
            let field = if path.is_empty() { "config.json" } else { path }.to_owned();
            let because = NOT_A_LIST.to_owned();
            self.walk.findings.refused.push(Finding { field, because });
        }
        let row = self.row();
        if self.is_settled(row) {
            while items.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(());
        }
        while self.below(row, "[]", |node| items.next_element_seed(node))?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut entries: A) -> Result<(), A::Error> {
        let row = self.row();
        if self.is_settled(row) {
            while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(());
        }
        let mut is_empty = true;
        while let Some(key) = entries.next_key::<std::borrow::Cow<'de, str>>()? {
            is_empty = false;
            // A name that looks like a path must not be taken for one.
            let step = if key.contains(['.', '[', '=']) { format!("{key:?}").into() } else { key };
            self.below(row, &step, |node| entries.next_value_seed(node))?;
        }
        // `{}` below a field's own place is an entry of a map, such as one of netDevices.
        if is_empty && row.is_some() && self.walk.coverage.row(&self.walk.path).is_none() {
            let path = self.walk.path.clone();
            self.walk.judge(&path, row);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: Coverage = Coverage::new(&[
        applied("ociVersion", "t"),
        applied("process", "t"),
        refused("process.scheduler", "comes later"),
        applied("linux.namespaces", "t"),
        refused("linux.namespaces[].type=time", "this kernel has none"),
        ignored("linux.intelRdt", "no hardware"),
        applied("annotations", "t"),
        refused("mounts[].uidMappings", "comes later"),
        applied("mounts", "t"),
    ]);

    fn check(text: &str) -> (Vec<String>, Vec<String>) {
        let findings = TABLE.check(text.as_bytes());
        let names = |list: Vec<Finding>| list.into_iter().map(|f| f.field).collect();
        (names(findings.refused), names(findings.ignored))
    }

    #[test]
    fn the_nearest_row_decides() {
        let table = [
            (r#"{"process": {"args": ["sh"], "cwd": "/"}}"#, vec![], vec![]),
            (
                r#"{"process": {"scheduler": {"policy": "SCHED_RR"}}}"#,
                vec!["process.scheduler.policy"],
                vec![],
            ),
            (
                r#"{"linux": {"namespaces": [{"type": "pid"}, {"type": "time"}]}}"#,
                vec!["linux.namespaces[].type=time"],
                vec![],
            ),
            (r#"{"linux": {"intelRdt": {"closID": "x"}}}"#, vec![], vec!["linux.intelRdt.closID"]),
            (
                r#"{"linux": {"new": 1}, "vm": {"kernel": "k"}}"#,
                vec![],
                vec!["linux.new", "vm.kernel"],
            ),
            (r#"{"annotations": {"process.scheduler": "x", "a.b": "c"}}"#, vec![], vec![]),
            (
                r#"{"mounts": [{"uidMappings": [{"size": 1}]}, {"uidMappings": [{"size": 1}]}]}"#,
                vec!["mounts[].uidMappings[].size"],
                vec![],
            ),
        ];
        for (text, refused, ignored) in table {
            let (got_refused, got_ignored) = check(text);
            assert_eq!(
                (got_refused, got_ignored),
                (
                    refused.iter().map(ToString::to_string).collect(),
                    ignored.iter().map(ToString::to_string).collect()
                ),
                "{text}"
            );
        }
    }

    #[test]
    fn empty_values_ask_for_nothing() {
        let text = r#"{"process": {"scheduler": {"policy": "", "nice": 0, "x": null, "y": []}},
            "linux": {"intelRdt": null, "other": false}}"#;
        assert_eq!(check(text), (vec![], vec![]));
    }

    #[test]
    fn a_list_is_no_object() {
        let table = [
            (r#"{"process": [false, {"policy": "x"}]}"#, vec!["process"]),
            (r#"{"mounts": [["/x", "bind"]]}"#, vec!["mounts[]"]),
            (r#"["1.0.2"]"#, vec!["config.json"]),
        ];
        for (text, refused) in table {
            assert_eq!(check(text).0, refused, "{text}");
        }
    }

    #[test]
    fn names_are_no_paths_and_entries_of_a_map_are_requests() {
        let text = r#"{"process.args": ["x"], "linux": {"intelRdt": {"a": {}}}}"#;
        let ignored = ["\"process.args\"[]", "linux.intelRdt.a"];
        assert_eq!(check(text), (vec![], ignored.map(str::to_owned).to_vec()));
    }

    #[test]
    fn what_cannot_be_walked_is_refused() {
        let deep = format!("{{\"x\": {}1{}}}", "[".repeat(200), "]".repeat(200));
        for text in ["", "{", "[[[", deep.as_str()] {
            let (refused, _) = check(text);
            assert!(refused.iter().any(|field| field == "config.json"), "{text:?}: {refused:?}");
        }
    }
}
