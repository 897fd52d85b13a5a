//! Proving who we are: `Basic`, and tokens from the service that a registry names (the distribution
//! project's "Token Authentication" and "OAuth 2"; module documentation: who gets credentials).

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use ureq::http::{HeaderMap, HeaderName, Method, header};

use super::Client;
use super::challenge::{self, Bearer, Challenge};
use super::credentials::{Credentials, Secret};
use super::endpoint::Endpoint;
use super::error::{Error, told};
use super::exchange::{Answer, Call};
use super::repository::Repository;
use super::transport::{Outgoing, Payload, Trust, Wait};
use super::url::{Scheme, Url, form};

/// The most bytes of a token service's answer.
const MAX_ANSWER: u64 = 1 << 20;

/// The most bytes of a token: it has to fit into a header.
const MAX_TOKEN: usize = 32 * 1024;

/// How long a token holds that does not say so (token specification: 60 s), and the longest we keep
/// one.
const SHORTEST: Duration = Duration::from_secs(60);
const LONGEST: Duration = Duration::from_secs(3600);

/// A token is not used in its last seconds.
const MARGIN: Duration = Duration::from_secs(10);

/// The most `WWW-Authenticate` headers that are read.
const MOST_HEADERS: usize = 8;

/// What we call ourselves to OAuth 2.
const CLIENT_ID: &str = "proxmox-lxcri";

/// What a token must allow.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Scope {
    /// The repository and what is done with it, `repository:NAME:pull`; several for a mount.
    words: Vec<String>,
    /// The repository, to find credentials by.
    repository: String,
}

impl Scope {
    /// Reading.
    pub(super) fn pull(repository: &Repository) -> Self {
        Self::of(repository.name(), &["pull"])
    }

    /// Reading and writing.
    pub(super) fn push(repository: &Repository) -> Self {
        Self::of(repository.name(), &["pull,push"])
    }

    /// Writing to one and reading from another.
    pub(super) fn mount(repository: &Repository, from: &str) -> Self {
        let mut scope = Self::push(repository);
        scope.words.push(format!("repository:{from}:pull"));
        scope
    }

    /// Nothing but to be known.
    pub(super) fn login() -> Self {
        Self { words: Vec::new(), repository: String::new() }
    }

    fn of(name: &str, actions: &[&str]) -> Self {
        let words = actions.iter().map(|actions| format!("repository:{name}:{actions}")).collect();
        Self { words, repository: name.to_owned() }
    }
}

/// The value of an `Authorization` header.
#[derive(Clone)]
pub(super) struct Authorization(Secret);

impl Authorization {
    fn basic(user: &str, secret: &Secret) -> Self {
        let pair = BASE64_STANDARD.encode(format!("{user}:{}", secret.reveal()));
        Self(Secret::new(format!("Basic {pair}")))
    }

    fn bearer(token: &str) -> Self {
        Self(Secret::new(format!("Bearer {token}")))
    }

    pub(super) fn header(&self) -> String {
        self.0.reveal().to_owned()
    }
}

impl fmt::Debug for Authorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What let us in before, and until when.
#[derive(Debug, Default)]
pub(super) struct Tokens(Mutex<HashMap<(Url, Scope), Kept>>);

/// What let us in, and until when it does.
type Kept = (Authorization, Option<Instant>);

/// The most that is remembered.
const MAX_TOKENS: usize = 1_000;

impl Tokens {
    /// What lets us in, if it still does.
    pub(super) fn of(&self, endpoint: &Endpoint, scope: &Scope) -> Option<Authorization> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (authorization, end) = all.get(&(endpoint.origin.clone(), scope.clone()))?;
        end.is_none_or(|end| Instant::now() < end).then(|| authorization.clone())
    }

    /// It does not let us in any more.
    pub(super) fn forget(&self, endpoint: &Endpoint, scope: &Scope) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(&(endpoint.origin.clone(), scope.clone()));
    }

    pub(super) fn keep(
        &self,
        endpoint: &Endpoint,
        scope: &Scope,
        authorization: Authorization,
        end: Option<Instant>,
    ) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MAX_TOKENS {
            all.clear();
        }
        all.insert((endpoint.origin.clone(), scope.clone()), (authorization, end));
    }
}

/// What a token service answers.
#[derive(Default, Deserialize)]
struct Handed {
    #[serde(default)]
    token: Option<String>,
    #[serde(default)]
    access_token: Option<String>,
    #[serde(default)]
    expires_in: Option<u64>,
}

impl Client {
    /// Answers the challenge of an answer 401, with stored credentials or, where there are none, as
    /// anybody.
    pub(super) fn authorise(
        &self,
        endpoint: &Endpoint,
        scope: &Scope,
        headers: &HeaderMap,
        what: &str,
    ) -> Result<(), Error> {
        let found = self.settings.credentials.find(&endpoint.host, &scope.repository)?;
        self.answer(endpoint, scope, headers, found.as_ref(), what)
    }

    /// Answers a challenge with these credentials.
    pub(super) fn answer(
        &self,
        endpoint: &Endpoint,
        scope: &Scope,
        headers: &HeaderMap,
        credentials: Option<&Credentials>,
        what: &str,
    ) -> Result<(), Error> {
        let challenges = challenges(headers, &endpoint.host)?;
        let bearer = challenges.iter().find_map(|challenge| match challenge {
            Challenge::Bearer(bearer) => Some(bearer),
            Challenge::Basic => None,
        });
        let (authorization, end) = match (bearer, credentials) {
            (Some(bearer), _) => self.token(endpoint, scope, bearer, credentials, what)?,
            (None, Some(Credentials::Password { user, secret })) => {
                (Authorization::basic(user, secret), None)
            }
            (None, Some(Credentials::IdentityToken(_))) => {
                return Err(Error::Challenge {
                    host: endpoint.host.clone(),
                    problem: "it wants a password, and only an identity token is stored".to_owned(),
                });
            }
            (None, None) => {
                let (what, host) = (what.to_owned(), endpoint.host.clone());
                return Err(Error::Denied { what, host, message: String::new(), known: false });
            }
        };
        self.tokens.keep(endpoint, scope, authorization, end);
        Ok(())
    }

    fn token(
        &self,
        endpoint: &Endpoint,
        scope: &Scope,
        bearer: &Bearer,
        credentials: Option<&Credentials>,
        what: &str,
    ) -> Result<Kept, Error> {
        let realm = realm(endpoint, bearer, credentials.is_some())?;
        let asked = Instant::now();
        let answer = match credentials {
            Some(Credentials::IdentityToken(token)) => {
                self.buy(endpoint, &realm, bearer, scope, token, what)?
            }
            Some(Credentials::Password { user, secret }) => {
                self.fetch(endpoint, &realm, bearer, scope, Some((user, secret)), what)?
            }
            None => self.fetch(endpoint, &realm, bearer, scope, None, what)?,
        };
        let document = format!("token of {}", realm.authority());
        let known = credentials.is_some();
        let answer = Answer { known, ..answer }.expect(&endpoint.host, what, &[200])?;
        let bytes = answer.bytes(MAX_ANSWER, &document)?;
        let (token, holds) = parse_answer(&bytes)
            .map_err(|problem| Error::Document { what: document, problem: problem.to_owned() })?;
        Ok((Authorization::bearer(&token), Some(asked + holds - MARGIN)))
    }

    /// Asks for a token by GET, with name and password or without.
    fn fetch(
        &self,
        endpoint: &Endpoint,
        realm: &Url,
        bearer: &Bearer,
        scope: &Scope,
        password: Option<(&String, &Secret)>,
        what: &str,
    ) -> Result<Answer, Error> {
        let mut url = realm.clone();
        if let Some(service) = &bearer.service {
            url = url.with("service", service);
        }
        for word in &scope.words {
            url = url.with("scope", word);
        }
        if let Some((user, _)) = password {
            url = url.with("account", user);
        }
        let authorization = password.map(|(user, secret)| Authorization::basic(user, secret));
        // The realm is home here: what is sent goes to it alone, wherever it may redirect to.
        let service = Endpoint {
            host: endpoint.host.clone(),
            origin: realm.clone(),
            trust: endpoint.trust_of(realm),
            insecure: endpoint.insecure,
        };
        let mut call = Call {
            endpoint: &service,
            scope,
            method: Method::GET,
            url,
            headers: Vec::new(),
            payload: Payload::Nothing,
            wait: Wait::Document,
            what,
        };
        self.follow(&mut call, authorization.as_ref())
    }

    /// Buys a token with a refresh token by POST. Such an answer is not followed anywhere.
    fn buy(
        &self,
        endpoint: &Endpoint,
        realm: &Url,
        bearer: &Bearer,
        scope: &Scope,
        token: &Secret,
        what: &str,
    ) -> Result<Answer, Error> {
        let fields = [
            ("grant_type", "refresh_token"),
            ("client_id", CLIENT_ID),
            ("service", bearer.service.as_deref().unwrap_or_default()),
            ("scope", &scope.words.join(" ")),
            ("refresh_token", token.reveal()),
        ];
        let pairs = fields.iter().map(|(name, value)| format!("{name}={}", form(value)));
        let body = pairs.collect::<Vec<_>>().join("&");
        let kind = "application/x-www-form-urlencoded".to_owned();
        let headers: [(HeaderName, String); 1] = [(header::CONTENT_TYPE, kind)];
        let response = self.transport.send(Outgoing {
            method: Method::POST,
            url: realm,
            trust: endpoint.trust_of(realm),
            headers: &headers,
            authorization: None,
            payload: Payload::Bytes(body.as_bytes()),
            wait: Wait::Document,
            what,
        })?;
        Ok(Answer::new(response, realm.clone(), true))
    }
}

fn challenges(headers: &HeaderMap, host: &str) -> Result<Vec<Challenge>, Error> {
    let failed =
        |problem: &str| Error::Challenge { host: host.to_owned(), problem: problem.to_owned() };
    let mut all = Vec::new();
    for value in headers.get_all(header::WWW_AUTHENTICATE).iter().take(MOST_HEADERS) {
        let text = value.to_str().map_err(|_| failed("it is no text"))?;
        all.extend(challenge::parse(text).map_err(failed)?);
    }
    if all.is_empty() {
        return Err(failed("neither Basic nor Bearer"));
    }
    Ok(all)
}

/// The token service's address, if we go there.
fn realm(endpoint: &Endpoint, bearer: &Bearer, with_credentials: bool) -> Result<Url, Error> {
    let refused = |problem| Error::Realm {
        host: endpoint.host.clone(),
        realm: told(bearer.realm.split('?').next().unwrap_or_default()),
        problem,
    };
    let url = Url::parse(&bearer.realm).map_err(refused)?;
    let own_host = url.host() == endpoint.origin.host();
    let verified = endpoint.trust == Trust::Verified;
    if url.scheme() == Scheme::Http && verified {
        return Err(refused("the registry is reached with TLS, and that is not"));
    }
    if url.scheme() == Scheme::Http && !own_host {
        return Err(refused("that is another host, and reached without TLS"));
    }
    if with_credentials && !verified && !own_host {
        return Err(refused(
            "that is another host, and nobody vouches for the registry that wants credentials there",
        ));
    }
    Ok(url)
}

/// The token and how long it holds.
fn parse_answer(bytes: &[u8]) -> Result<(String, Duration), &'static str> {
    // Not the parser's words: they could repeat the token.
    let handed: Handed =
        serde_json::from_slice(bytes).map_err(|_| "no JSON object with a token")?;
    let filled = |token: Option<String>| token.filter(|token| !token.is_empty());
    let token = filled(handed.token).or_else(|| filled(handed.access_token));
    let token = token.ok_or("there is no token in it")?;
    if token.len() > MAX_TOKEN || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("what it calls a token is none");
    }
    let holds = handed.expires_in.map_or(SHORTEST, Duration::from_secs);
    Ok((token, holds.clamp(SHORTEST, LONGEST)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_token_services() {
        let good = [
            (r#"{"token": "a"}"#, 60),
            (r#"{"access_token": "a", "expires_in": 300}"#, 300),
            (r#"{"token": "a", "access_token": "b", "expires_in": 1}"#, 60),
            (r#"{"token": "", "access_token": "a", "expires_in": 18446744073709551615}"#, 3600),
        ];
        for (text, seconds) in good {
            let expected = ("a".to_owned(), Duration::from_secs(seconds));
            assert_eq!(parse_answer(text.as_bytes()).unwrap(), expected, "{text}");
        }
        for text in ["", "{}", "[]", r#"{"token": "a\nb"}"#, r#"{"token": 1}"#, r#"{"token": "ä"}"#]
        {
            assert!(parse_answer(text.as_bytes()).is_err(), "{text}");
        }
        let long = format!(r#"{{"token": "{}"}}"#, "a".repeat(40_000));
        assert!(parse_answer(long.as_bytes()).is_err());
    }

    fn judge(origin: &str, trust: Trust, realm_text: &str, credentials: bool) -> bool {
        let endpoint = Endpoint {
            host: "r.example".to_owned(),
            origin: Url::parse(origin).unwrap(),
            trust,
            insecure: trust != Trust::Verified,
        };
        let bearer = Bearer { realm: realm_text.to_owned(), ..Bearer::default() };
        realm(&endpoint, &bearer, credentials).is_ok()
    }

    #[test]
    fn who_gets_credentials() {
        use Trust::{Plain, Unverified, Verified};
        let cases = [
            ("https://r.example/", Verified, "https://r.example/token", true, true),
            ("https://r.example/", Verified, "https://auth.example/token", true, true),
            ("https://r.example/", Verified, "http://r.example/token", false, false),
            ("https://r.example/", Verified, "http://169.254.169.254/", false, false),
            ("https://r.example/", Verified, "file:///etc/passwd", false, false),
            ("https://r.example/", Verified, "https://u:p@auth.example/", true, false),
            ("https://r.example/", Verified, "", false, false),
            ("https://r.example/", Unverified, "https://r.example:1/token", true, true),
            ("https://r.example/", Unverified, "https://auth.example/", true, false),
            ("https://r.example/", Unverified, "https://auth.example/", false, true),
            ("http://r.example/", Plain, "http://r.example:1/token", true, true),
            ("http://r.example/", Plain, "http://auth.example/", false, false),
            ("http://r.example/", Plain, "https://auth.example/", true, false),
            ("http://r.example/", Plain, "https://r.example.evil/", true, false),
        ];
        for (origin, trust, realm, credentials, yes) in cases {
            let judged = judge(origin, trust, realm, credentials);
            assert_eq!(judged, yes, "{origin} {trust:?} {realm} {credentials}");
        }
    }
}
