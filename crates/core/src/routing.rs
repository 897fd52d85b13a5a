//! Which backend a container goes to, and why.
//!
//! The order is: the `--backend` flag, the administrator's routes (first match wins), the bundle's
//! annotation where the configuration allows it, the default backend. A route stands before the
//! annotation because a pod's author must not leave the sandbox an administrator chose.

use std::path::Path;

use wildmatch::WildMatch;

use crate::suggest;

/// The bundle annotation that names a backend, where `backend_annotation` allows it.
pub const ANNOTATION: &str = "io.proxmox-lxcri.backend";

/// Annotation values in messages are cut to this many characters: they come from strangers.
const SHOWN: usize = 64;

/// A rule that picks a backend: every pattern that is given must match.
///
/// In patterns `*` stands for any run of characters, `/` included, and `?` for exactly one; there
/// is no escape. Patterns match the whole text.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    /// Matches the container's id.
    pub id: Option<WildMatch>,
    /// Matches the absolute path of the bundle.
    pub bundle: Option<WildMatch>,
    /// An annotation the bundle must carry: its key, literally, and a pattern for its value.
    pub annotation: Option<(String, WildMatch)>,
    /// The backend of the containers that match.
    pub backend: String,
    /// Where the route was written, such as `/etc/proxmox-lxcri/config.toml:12:1`.
    pub place: String,
}

impl Route {
    /// Whether the route says nothing about which containers it is for.
    pub fn is_unconditional(&self) -> bool {
        self.id.is_none() && self.bundle.is_none() && self.annotation.is_none()
    }

    fn matches(&self, question: &Question<'_>) -> bool {
        let id = self.id.as_ref().is_none_or(|id| id.matches(question.id));
        let bundle = self
            .bundle
            .as_ref()
            .is_none_or(|bundle| bundle.matches(&question.bundle.to_string_lossy()));
        let annotation = self.annotation.as_ref().is_none_or(|(key, pattern)| {
            (question.annotations)(key).is_some_and(|value| pattern.matches(value))
        });
        // A route without any pattern never comes out of the loader; should one be built by hand,
        // it must not swallow every container.
        !self.is_unconditional() && id && bundle && annotation
    }
}

/// Everything the choice depends on.
#[derive(Clone, Copy)]
pub struct Question<'a> {
    /// The value of `--backend`.
    pub flag: Option<&'a str>,
    /// The routes, in the order in which they are tried.
    pub routes: &'a [Route],
    /// Whether the bundle's annotation may choose (`[runtime] backend_annotation`).
    pub annotation_allowed: bool,
    /// The backend of all others (`[runtime] default_backend`).
    pub default: &'a str,
    /// The names of all backends of this program.
    pub known: &'a [&'a str],
    /// The container's id.
    pub id: &'a str,
    /// The absolute path of the bundle.
    pub bundle: &'a Path,
    /// Looks an annotation of the bundle up by its key.
    pub annotations: &'a dyn Fn(&str) -> Option<&'a str>,
}

impl std::fmt::Debug for Question<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Question")
            .field("flag", &self.flag)
            .field("routes", &self.routes.len())
            .field("annotation_allowed", &self.annotation_allowed)
            .field("default", &self.default)
            .field("id", &self.id)
            .field("bundle", &self.bundle)
            .finish_non_exhaustive()
    }
}

/// The backend that was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The backend's name, one of the known ones.
    pub backend: String,
    /// What decided, in words: for the debug log.
    pub because: String,
    /// That the bundle's annotation asked for something else and was not followed.
    pub warning: Option<String>,
}

/// Why no backend could be chosen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RoutingError {
    /// A name that no backend has.
    #[error("unknown backend {name:?}, asked for by {asked_by}")]
    UnknownBackend {
        /// The name, cut to a length fit for a message.
        name: String,
        /// Who named it: the flag, a route and its place, the annotation, the default.
        asked_by: String,
        /// What would have been right.
        hint: String,
    },
}

impl RoutingError {
    /// What the user can do, for a `hint:` line.
    pub fn hint(&self) -> &str {
        let Self::UnknownBackend { hint, .. } = self;
        hint
    }
}

/// Chooses the backend of a container that is about to be created.
///
/// # Errors
/// [`RoutingError::UnknownBackend`] when what decides names a backend that does not exist. The
/// search does not go on to the next rule then: another sandbox than the one asked for would be
/// a surprise.
pub fn choose(question: &Question<'_>) -> Result<Choice, RoutingError> {
    let wish = (question.annotations)(ANNOTATION);
    let (backend, because) = decide(question, wish);
    if !question.known.contains(&backend) {
        return Err(unknown(backend, because, question.known));
    }
    let warning = wish.and_then(|wish| overruled(question, wish, backend, &because));
    Ok(Choice { backend: backend.to_owned(), because, warning })
}

fn decide<'a>(question: &Question<'a>, wish: Option<&'a str>) -> (&'a str, String) {
    if let Some(flag) = question.flag {
        return (flag, "--backend".to_owned());
    }
    if let Some(route) = question.routes.iter().find(|route| route.matches(question)) {
        return (&route.backend, format!("the route at {}", route.place));
    }
    match wish {
        Some(wish) if question.annotation_allowed => (wish, format!("the annotation {ANNOTATION}")),
        _ => (question.default, "runtime.default_backend".to_owned()),
    }
}

/// The warning owed to somebody whose annotation was not followed.
fn overruled(question: &Question<'_>, wish: &str, backend: &str, because: &str) -> Option<String> {
    let wish_shown = shown(wish);
    if !question.annotation_allowed {
        return Some(format!(
            "the annotation {ANNOTATION} = {wish_shown:?} is ignored: runtime.backend_annotation \
             is false"
        ));
    }
    (wish != backend)
        .then(|| format!("the annotation {ANNOTATION} = {wish_shown:?} is overruled by {because}"))
}

fn unknown(name: &str, asked_by: String, known: &[&str]) -> RoutingError {
    let hint = match suggest::nearest(name, known.iter().copied()) {
        Some(near) => format!("did you mean {near:?}?"),
        None => format!("the backends are {}", known.join(", ")),
    };
    RoutingError::UnknownBackend { name: shown(name), asked_by, hint }
}

fn shown(text: &str) -> String {
    text.chars().take(SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[&str] = &["native", "crun", "lxc"];

    fn route(id: &str, bundle: &str, annotation: &str, backend: &str) -> Route {
        let glob = |pattern: &str| (!pattern.is_empty()).then(|| WildMatch::new(pattern));
        Route {
            id: glob(id),
            bundle: glob(bundle),
            annotation: annotation
                .split_once('=')
                .map(|(key, value)| (key.to_owned(), WildMatch::new(value))),
            backend: backend.to_owned(),
            place: format!("routes.toml:{backend}"),
        }
    }

    struct Case {
        flag: Option<&'static str>,
        routes: Vec<Route>,
        wish: Option<&'static str>,
        allowed: bool,
        backend: &'static str,
        because: &'static str,
        warns: Option<&'static str>,
    }

    fn ask(case: &Case) -> Result<Choice, RoutingError> {
        let annotations = |key: &str| match key {
            ANNOTATION => case.wish,
            "tier" => Some("front-end"),
            _ => None,
        };
        choose(&Question {
            flag: case.flag,
            routes: &case.routes,
            annotation_allowed: case.allowed,
            default: "native",
            known: KNOWN,
            id: "web-1",
            bundle: Path::new("/run/bundles/web-1"),
            annotations: &annotations,
        })
    }

    #[test]
    fn the_order_is_flag_routes_annotation_default() {
        let case = |flag, routes, wish, allowed, (backend, because), warns| Case {
            flag,
            routes,
            wish,
            allowed,
            backend,
            because,
            warns,
        };
        let web = || vec![route("web-*", "", "", "lxc")];
        let by_default = ("native", "runtime.default_backend");
        let by_flag = ("crun", "--backend");
        let by_route = ("lxc", "the route at routes.toml:lxc");
        let by_annotation = ("crun", "the annotation io.proxmox-lxcri.backend");
        let cases = [
            case(None, vec![], None, false, by_default, None),
            case(Some("crun"), web(), None, false, by_flag, None),
            case(Some("crun"), web(), Some("lxc"), true, by_flag, Some("overruled by --backend")),
            case(None, web(), None, false, by_route, None),
            case(None, web(), Some("crun"), true, by_route, Some("overruled by the route")),
            case(None, web(), Some("lxc"), true, by_route, None),
            case(None, web(), Some("crun"), false, by_route, Some("is ignored")),
            case(None, vec![], Some("crun"), true, by_annotation, None),
            case(None, vec![], Some("crun"), false, by_default, Some("is ignored")),
            case(None, vec![], Some("\x1b[2Jx"), false, by_default, Some("\\u{1b}[2Jx")),
        ];
        for (number, case) in cases.iter().enumerate() {
            let choice = ask(case).unwrap();
            assert_eq!(choice.backend, case.backend, "case {number}");
            assert_eq!(choice.because, case.because, "case {number}");
            match (case.warns, &choice.warning) {
                (None, None) => {}
                (Some(part), Some(text)) => assert!(text.contains(part), "case {number}: {text}"),
                other => panic!("case {number}: {other:?}"),
            }
        }
    }

    #[test]
    fn all_given_patterns_must_match_and_the_first_route_wins() {
        let cases = [
            (vec![route("web-?", "", "", "lxc")], "lxc"),
            (vec![route("web", "", "", "lxc")], "native"),
            (vec![route("", "/run/*/web-1", "", "lxc")], "lxc"),
            (vec![route("", "/run/*", "", "lxc"), route("web-*", "", "", "crun")], "lxc"),
            (vec![route("db-*", "", "", "lxc"), route("web-*", "", "", "crun")], "crun"),
            (vec![route("web-*", "/srv/*", "", "lxc")], "native"),
            (vec![route("", "", "tier=front-*", "crun")], "crun"),
            (vec![route("", "", "tier=back-*", "crun")], "native"),
            (vec![route("", "", "absent=*", "crun")], "native"),
            (vec![route("web-*", "/run/*", "tier=*", "crun")], "crun"),
            (vec![route("", "", "", "crun")], "native"),
        ];
        for (number, (routes, backend)) in cases.into_iter().enumerate() {
            let case = Case {
                flag: None,
                routes,
                wish: None,
                allowed: false,
                backend,
                because: "",
                warns: None,
            };
            assert_eq!(ask(&case).unwrap().backend, backend, "case {number}");
        }
    }

    #[test]
    fn an_unknown_name_is_an_error_that_says_who_asked() {
        let mut case = Case {
            flag: Some("naitve"),
            routes: vec![route("*", "", "", "kvm")],
            wish: Some("lcx"),
            allowed: true,
            backend: "",
            because: "",
            warns: None,
        };
        let error = ask(&case).unwrap_err();
        assert_eq!(error.to_string(), "unknown backend \"naitve\", asked for by --backend");
        assert_eq!(error.hint(), "did you mean \"native\"?");
        case.flag = None;
        let error = ask(&case).unwrap_err();
        assert!(error.to_string().ends_with("the route at routes.toml:kvm"), "{error}");
        assert_eq!(error.hint(), "the backends are native, crun, lxc");
        case.routes.clear();
        assert_eq!(ask(&case).unwrap_err().hint(), "did you mean \"lxc\"?");
    }
}
