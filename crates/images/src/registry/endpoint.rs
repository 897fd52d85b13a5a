//! How a registry is reached. Most are with TLS and nothing else. One on this machine may do without,
//! as with Docker; one that the user calls insecure may do without, or have any certificate, as with
//! Podman. Which it is, is found out once.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use ureq::http::Method;

use super::Client;
use super::error::Error;
use super::transport::{Outgoing, Payload, Trust, Wait};
use super::url::{Scheme, Url};

/// A registry that was reached.
#[derive(Clone, Debug)]
pub(super) struct Endpoint {
    /// The registry's name, as users write it.
    pub(super) host: String,
    /// The root of its API's host.
    pub(super) origin: Url,
    /// How sure we are that it is the registry.
    pub(super) trust: Trust,
    /// Whether the user does not insist on TLS.
    pub(super) insecure: bool,
}

impl Endpoint {
    /// How far an address is trusted that this registry names: never more than it deserves, and the
    /// registry's own host as far as the registry.
    pub(super) fn trust_of(&self, url: &Url) -> Trust {
        match url.scheme() {
            Scheme::Http => Trust::Plain,
            Scheme::Https
                if self.trust == Trust::Unverified && url.host() == self.origin.host() =>
            {
                Trust::Unverified
            }
            Scheme::Https => Trust::Verified,
        }
    }
}

/// The registries that were reached, by name and by whether they are insecure.
#[derive(Debug, Default)]
pub(super) struct Endpoints(Mutex<HashMap<(String, bool), Endpoint>>);

impl Client {
    /// The endpoint of a registry.
    pub(super) fn endpoint(&self, host: &str, insecure: bool) -> Result<Endpoint, Error> {
        let key = (host.to_owned(), insecure);
        let known =
            self.endpoints.0.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        if let Some(endpoint) = known {
            return Ok(endpoint);
        }
        let endpoint = self.find_endpoint(host, insecure)?;
        let mut all = self.endpoints.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(all.entry(key).or_insert(endpoint).clone())
    }

    fn find_endpoint(&self, host: &str, insecure: bool) -> Result<Endpoint, Error> {
        let at = |scheme, trust| {
            let address = address_of(host);
            let origin = Url::of_host(scheme, address).map_err(|problem| Error::Invalid {
                what: "registry",
                text: host.to_owned(),
                problem,
            })?;
            Ok::<_, Error>(Endpoint { host: host.to_owned(), origin, trust, insecure })
        };
        let secure = at(Scheme::Https, Trust::Verified)?;
        if !insecure && !secure.origin.is_loopback() {
            return Ok(secure);
        }
        let error = match self.knock(&secure) {
            Ok(()) => return Ok(secure),
            Err(error) => error,
        };
        match error {
            Error::Certificate { problem, .. } if insecure => {
                let endpoint = at(Scheme::Https, Trust::Unverified)?;
                self.knock(&endpoint)?;
                log::warn!("{host} is an insecure registry: {problem}, and nobody checks it");
                Ok(endpoint)
            }
            Error::Connect { .. } | Error::Broken { .. } | Error::Nonsense { .. } => {
                let endpoint = at(Scheme::Http, Trust::Plain)?;
                self.knock(&endpoint)?;
                if !endpoint.origin.is_loopback() {
                    log::warn!("{host} is an insecure registry: nothing is encrypted or checked");
                }
                Ok(endpoint)
            }
            error => Err(error),
        }
    }

    /// Whether anybody answers HTTP there; what it answers does not matter.
    fn knock(&self, endpoint: &Endpoint) -> Result<(), Error> {
        let url = endpoint.origin.at("/v2/").unwrap_or_else(|_| endpoint.origin.clone());
        let answer = self.transport.send(Outgoing {
            method: Method::GET,
            url: &url,
            trust: endpoint.trust,
            headers: &[],
            authorization: None,
            payload: Payload::Nothing,
            wait: Wait::Document,
            what: &endpoint.host,
        })?;
        super::exchange::drain(answer.into_body());
        Ok(())
    }
}

/// Where the API of a registry is: Docker Hub has it on a host of another name.
fn address_of(host: &str) -> &str {
    if super::credentials::is_hub(host) { "registry-1.docker.io" } else { host }
}
