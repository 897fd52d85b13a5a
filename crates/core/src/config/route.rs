//! Reads `[[route]]`, the rules by which a backend is chosen.

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};
use wildmatch::WildMatch;

use super::document::{Document, by_place};
use super::load::Loader;
use super::problem::Fault;
use super::schema::Kind;
use super::value::{self, Value};
use crate::routing::Route;
use crate::suggest;

/// The name of the array of tables.
pub(super) const NAME: &str = "route";

/// A key of a route and what it does.
pub(super) struct RouteKey {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) doc: &'static str,
}

/// The keys of a route, in the order in which they are shown.
pub(super) const KEYS: [RouteKey; 4] = [
    RouteKey { name: "id", kind: Kind::String, doc: "A pattern for the container's id." },
    RouteKey {
        name: "bundle",
        kind: Kind::String,
        doc: "A pattern for the absolute path of the bundle.",
    },
    RouteKey {
        name: "annotation",
        kind: Kind::String,
        doc: "The key of an annotation the bundle must carry, `=`, and a pattern for its value.",
    },
    RouteKey {
        name: "backend",
        kind: Kind::Backend,
        doc: "The backend of the containers that match.",
    },
];

/// Takes the routes of a document into the configuration, after those of earlier files.
pub(super) fn read(
    loader: &mut Loader<'_>,
    document: &mut Document<'_>,
    value: &Spanned<DeValue<'_>>,
) {
    let hint = || Some(format!("write [[{NAME}]] above each route"));
    let DeValue::Array(routes) = value.get_ref() else {
        return document.wrong_type(value, NAME, "a list of tables", hint());
    };
    for item in routes {
        let DeValue::Table(table) = item.get_ref() else {
            document.wrong_type(item, NAME, "a table", hint());
            continue;
        };
        if let Some(route) = read_one(loader, document, item, table) {
            loader.config.routes.push(route);
        }
    }
}

/// One route, or `None` when something about it is wrong: a route that lost a pattern would match
/// more than it should.
fn read_one(
    loader: &Loader<'_>,
    document: &mut Document<'_>,
    item: &Spanned<DeValue<'_>>,
    table: &DeTable<'_>,
) -> Option<Route> {
    let place = document.origin(item.span()).to_string();
    let mut route =
        Route { id: None, bundle: None, annotation: None, backend: String::new(), place };
    let mut sound = true;
    for (name, value) in by_place(table) {
        sound &= take_key(loader, document, &mut route, name, value);
    }
    let missing = if sound && route.backend.is_empty() {
        Fault::RouteWithoutBackend
    } else if sound && route.is_unconditional() {
        let hint = "runtime.default_backend is the backend of all other containers";
        let fault = Fault::RouteWithoutPattern;
        document.report(item.span(), Some(NAME.to_owned()), fault, Some(hint.to_owned()));
        return None;
    } else {
        return sound.then_some(route);
    };
    document.report(item.span(), Some(NAME.to_owned()), missing, None);
    None
}

/// Sets one key of a route; false when it was wrong, which has been reported then.
fn take_key(
    loader: &Loader<'_>,
    document: &mut Document<'_>,
    route: &mut Route,
    name: &Spanned<DeString<'_>>,
    value: &Spanned<DeValue<'_>>,
) -> bool {
    let path = format!("{NAME}.{}", name.get_ref());
    let Some(key) = KEYS.iter().find(|key| key.name == name.get_ref()) else {
        let names = KEYS.iter().map(|key| key.name);
        let hint = match suggest::nearest(name.get_ref(), names.clone()) {
            Some(near) => format!("did you mean {near:?}?"),
            None => format!("the keys of a route are {}", names.collect::<Vec<_>>().join(", ")),
        };
        document.report(name.span(), Some(path), Fault::UnknownKey, Some(hint));
        return false;
    };
    let text = match Value::from_toml(&key.kind, value.get_ref(), loader.schema.backends()) {
        Ok(Value::String(text)) => text,
        Ok(_) => String::new(),
        Err(error) => {
            let text = value.get_ref().as_str().unwrap_or_default();
            let hint = value::nearest_value(&key.kind, text, loader.schema.backends());
            document.report(value.span(), Some(path), error.into(), hint);
            return false;
        }
    };
    match key.name {
        "id" => route.id = Some(WildMatch::new(&text)),
        "bundle" => route.bundle = Some(WildMatch::new(&text)),
        "backend" => route.backend = text,
        _ => match text.split_once('=') {
            Some((key, pattern)) if !key.is_empty() => {
                route.annotation = Some((key.to_owned(), WildMatch::new(pattern)));
            }
            _ => {
                document.report(value.span(), Some(path), Fault::RouteAnnotation, None);
                return false;
            }
        },
    }
    true
}
