//! One request to a registry, with everything that can come of it: it asks who we are, sends us
//! elsewhere, or wants us to wait.

use std::io::Read;
use std::time::{Duration, Instant};

use serde::Deserialize;
use ureq::Body;
use ureq::http::{HeaderMap, HeaderName, Method, Response};

use super::Client;
use super::endpoint::Endpoint;
use super::error::{Error, told};
use super::token::Scope;
use super::transport::{Payload, Wait, explain};
use super::url::Url;

/// The most bytes that are read of an answer that is a failure.
const MAX_REFUSAL: u64 = 64 * 1024;

/// How long it is read, once bytes have come.
const SOON: Duration = Duration::from_secs(2);

/// A request that the registry may let us repeat.
pub(super) struct Call<'a> {
    pub(super) endpoint: &'a Endpoint,
    /// What a token must allow.
    pub(super) scope: &'a Scope,
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: Vec<(HeaderName, String)>,
    pub(super) payload: Payload<'a>,
    pub(super) wait: Wait,
    /// What is asked for, for messages.
    pub(super) what: &'a str,
}

/// An answer whose body is unread.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Body,
    /// The host that answered in the end.
    pub(super) url: Url,
    /// Whether credentials or a token were sent.
    pub(super) known: bool,
}

impl Answer {
    pub(super) fn new(response: Response<Body>, url: Url, known: bool) -> Self {
        let (head, body) = response.into_parts();
        Self { status: head.status.as_u16(), headers: head.headers, body, url, known }
    }

    /// A header that is text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// `Content-Type` without its parameters, in lower case.
    pub(super) fn media_type(&self) -> Option<String> {
        let kind = self.header("content-type")?.split(';').next().unwrap_or_default();
        Some(kind.trim().to_ascii_lowercase())
    }

    fn is_html(&self) -> bool {
        self.media_type().is_some_and(|kind| kind == "text/html" || kind.ends_with("xhtml+xml"))
    }

    /// The whole body, at most `limit` bytes.
    pub(super) fn bytes(self, limit: u64, what: &str) -> Result<Vec<u8>, Error> {
        let too_large = || Error::TooLarge { what: what.to_owned(), limit };
        if self.body.content_length().is_some_and(|length| length > limit) {
            return Err(too_large());
        }
        let host = self.url.authority();
        let mut bytes = Vec::new();
        let mut reader = self.body.into_reader().take(limit.saturating_add(1));
        reader.read_to_end(&mut bytes).map_err(|error| explain(error.into(), &host, what))?;
        if bytes.len() as u64 > limit {
            return Err(too_large());
        }
        Ok(bytes)
    }

    /// The answer, if its status is one of `wanted` and it is none of a web site; else what it means.
    pub(super) fn expect(self, call_host: &str, what: &str, wanted: &[u16]) -> Result<Self, Error> {
        if self.is_html() && (wanted.contains(&self.status) || self.status == 404) {
            return Err(Error::NotARegistry {
                host: self.url.authority(),
                answer: "text/html".to_owned(),
            });
        }
        if wanted.contains(&self.status) {
            return Ok(self);
        }
        let (status, known) = (self.status, self.known);
        let (what, host) = (what.to_owned(), call_host.to_owned());
        let message = self.refusal();
        Err(match status {
            404 => Error::NotFound { what, message },
            401 | 403 => Error::Denied { what, host, message, known },
            _ => Error::Status { what, status, message },
        })
    }

    /// What the registry says of a failure, after ": ", or nothing (distribution-spec, "Error codes").
    fn refusal(self) -> String {
        // A failure that cannot be read is one without words.
        let parsed = serde_json::from_slice::<Refusal>(&beginning(self.body)).unwrap_or_default();
        let words = parsed.errors.into_iter().next().map(|first| match first.message {
            message if message.is_empty() => first.code,
            message => message,
        });
        words
            .or(parsed.details)
            .filter(|words| !words.is_empty())
            .map_or_else(String::new, |words| format!(": {}", told(&words)))
    }
}

#[derive(Default, Deserialize)]
struct Refusal {
    #[serde(default)]
    errors: Vec<OneRefusal>,
    /// Token services answer so.
    #[serde(default)]
    details: Option<String>,
}

#[derive(Deserialize)]
struct OneRefusal {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

/// Reads a short rest, so that the connection can be used again.
pub(super) fn drain(body: Body) {
    drop(beginning(body));
}

/// What comes of a body soon: whoever sends it slowly is not waited for.
fn beginning(body: Body) -> Vec<u8> {
    let start = Instant::now();
    let mut reader = body.into_reader().take(MAX_REFUSAL);
    let mut bytes = Vec::new();
    let mut piece = [0; 8192];
    while let Ok(length @ 1..) = reader.read(&mut piece) {
        bytes.extend_from_slice(&piece[..length]);
        if start.elapsed() > SOON {
            break;
        }
    }
    bytes
}

impl Client {
    /// Asks, proves who we are where the registry wants to know, follows redirects, and waits where it
    /// asks us to.
    pub(super) fn exchange(&self, call: &mut Call<'_>) -> Result<Answer, Error> {
        let mut asked = false;
        let mut waits = 0;
        loop {
            let authorization = self.tokens.of(call.endpoint, call.scope);
            let answer = self.follow(call, authorization.as_ref())?;
            let repeatable = !matches!(call.payload, Payload::Reader(..));
            match answer.status {
                // Only the registry itself may ask.
                401 if !asked && repeatable && answer.url.same_origin(&call.endpoint.origin) => {
                    asked = true;
                    self.tokens.forget(call.endpoint, call.scope);
                    let headers = answer.headers.clone();
                    drain(answer.body);
                    self.authorise(call.endpoint, call.scope, &headers, call.what)?;
                }
                429 | 503 if repeatable && waits < self.settings.retry.tries => {
                    self.wait(waits, answer)?;
                    waits += 1;
                }
                _ => return Ok(answer),
            }
        }
    }

    /// The same for a document: a connection that breaks, or a server that stumbles, is tried again.
    pub(super) fn ask(&self, call: &mut Call<'_>) -> Result<Answer, Error> {
        let mut tries = 0;
        loop {
            tries += 1;
            let last = tries >= self.settings.retry.tries.min(3);
            match self.exchange(call) {
                Err(Error::Broken { .. }) if !last => self.pause(tries),
                Ok(answer) if matches!(answer.status, 500 | 502 | 504) && !last => {
                    drain(answer.body);
                    self.pause(tries);
                }
                other => return other,
            }
        }
    }

    fn wait(&self, waits: u32, answer: Answer) -> Result<(), Error> {
        let asked = answer.header("retry-after").and_then(|text| text.trim().parse::<u64>().ok());
        let host = answer.url.authority();
        drain(answer.body);
        let Some(seconds) = asked else {
            self.pause(waits + 1);
            return Ok(());
        };
        let wait = Duration::from_secs(seconds);
        if wait > self.settings.retry.longest {
            return Err(Error::Throttled { host, seconds });
        }
        log::info!("{host} asks to be left alone for {seconds} s");
        std::thread::sleep(wait);
        Ok(())
    }

    /// Waits before try number `failures` + 1.
    pub(super) fn pause(&self, failures: u32) {
        let retry = &self.settings.retry;
        let factor = 1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
        std::thread::sleep(retry.pause.saturating_mul(factor.max(1)).min(retry.longest));
    }
}
