//! Redirects, followed by hand: registries send us for blobs to object stores, which must not see
//! what the registry knows us by.

use ureq::http::Method;

use super::Client;
use super::error::{Error, told};
use super::exchange::{Answer, Call, drain};
use super::token::Authorization;
use super::transport::{Outgoing, Payload};
use super::url::{Scheme, Url};

/// The most redirects of one request.
const MOST: usize = 5;

impl Client {
    /// Sends a request, and reads on where it is sent to. Only GET and HEAD follow.
    pub(super) fn follow(
        &self,
        call: &mut Call<'_>,
        authorization: Option<&Authorization>,
    ) -> Result<Answer, Error> {
        let mut seen: Vec<Url> = Vec::new();
        let mut url = call.url.clone();
        loop {
            let home = url.same_origin(&call.endpoint.origin);
            let authorization = authorization.filter(|_| home).map(Authorization::header);
            let known = authorization.is_some();
            let response = self.transport.send(Outgoing {
                method: call.method.clone(),
                url: &url,
                trust: call.endpoint.trust_of(&url),
                headers: &call.headers,
                authorization: authorization.as_deref(),
                payload: reborrow(&mut call.payload),
                wait: call.wait,
                what: call.what,
            })?;
            let answer = Answer::new(response, url, known);
            let follows = call.method == Method::GET || call.method == Method::HEAD;
            if !matches!(answer.status, 301 | 302 | 303 | 307 | 308) || !follows {
                return Ok(answer);
            }
            let next = next(&answer, call)?;
            let from = answer.url.clone();
            seen.push(from);
            drain(answer.body);
            let refused = |problem: String| Error::Redirect { what: call.what.to_owned(), problem };
            if seen.contains(&next) {
                return Err(refused(format!("it leads in a circle, to {next}")));
            }
            if seen.len() > MOST {
                return Err(refused(format!("more than {MOST} in a row")));
            }
            url = next;
        }
    }
}

/// Where an answer sends us, if we go there.
fn next(answer: &Answer, call: &Call<'_>) -> Result<Url, Error> {
    let refused = |problem: String| Error::Redirect { what: call.what.to_owned(), problem };
    let location =
        answer.header("location").ok_or_else(|| refused("it leads nowhere".to_owned()))?;
    let next = answer.url.join(location).map_err(|problem| {
        let shown = location.split('?').next().unwrap_or_default();
        refused(format!("{:?}: {problem}", told(shown)))
    })?;
    let falls = answer.url.scheme() == Scheme::Https && next.scheme() == Scheme::Http;
    if falls && !call.endpoint.insecure {
        return Err(refused(format!("from https to {next}")));
    }
    Ok(next)
}

/// The same payload for one more request. A reader is never sent twice: requests with one neither
/// follow redirects nor are repeated.
fn reborrow<'a>(payload: &'a mut Payload<'_>) -> Payload<'a> {
    match payload {
        Payload::Nothing => Payload::Nothing,
        Payload::Bytes(bytes) => Payload::Bytes(bytes),
        Payload::Reader(reader, length) => Payload::Reader(&mut **reader, *length),
    }
}
