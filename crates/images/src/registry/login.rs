//! `login` and `logout`.

use ureq::http::Method;

use super::Client;
use super::credentials::{Credentials, LoggedOut, Secret};
use super::endpoint::Endpoint;
use super::error::Error;
use super::exchange::{Answer, Call, drain};
use super::token::Scope;
use super::transport::{Payload, Wait};

/// What the registry said to name and password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Login {
    /// They are right.
    Verified,
    /// It lets everybody in, so nobody knows whether they are right.
    Unasked,
}

impl Client {
    /// Lets the registry check a name and password, and keeps them where the settings say: for root and
    /// Podman alike in `/run/containers/0/auth.json`, which the next boot forgets.
    ///
    /// # Errors
    /// The registry does not take them: nothing is kept. They cannot be kept.
    pub fn login(
        &self,
        host: &str,
        insecure: bool,
        user: &str,
        secret: &Secret,
    ) -> Result<Login, Error> {
        let host = host.to_ascii_lowercase();
        let endpoint = &self.endpoint_of(&host, insecure)?;
        let scope = &Scope::login();
        let what = format!("login to {host}");
        let answer = self.ping(endpoint, scope, &what)?;
        let verdict = if answer.status == 401 {
            let headers = answer.headers.clone();
            drain(answer.body);
            let secret = secret.clone();
            let credentials = Credentials::Password { user: user.to_owned(), secret };
            self.answer(endpoint, scope, &headers, Some(&credentials), &what)?;
            drain(self.ping(endpoint, scope, &what)?.expect(&host, &what, &[200])?.body);
            Login::Verified
        } else {
            drain(answer.expect(&host, &what, &[200])?.body);
            log::warn!("{host} asks nobody for a password: it was not checked");
            Login::Unasked
        };
        self.settings.credentials.store(&host, user, secret)?;
        Ok(verdict)
    }

    /// Forgets name and password of a registry. It is not asked.
    ///
    /// # Errors
    /// The file with credentials, or a helper.
    pub fn logout(&self, host: &str) -> Result<LoggedOut, Error> {
        Ok(self.settings.credentials.forget(&host.to_ascii_lowercase())?)
    }

    /// A host that came from a user and not from a reference.
    fn endpoint_of(&self, host: &str, insecure: bool) -> Result<Endpoint, Error> {
        // Whatever is wrong with the host is found there.
        super::Repository::new(host, "any", insecure)?;
        self.endpoint(host, insecure)
    }

    /// The API's root (distribution-spec, "Determining Support"), without answering a challenge.
    fn ping(&self, endpoint: &Endpoint, scope: &Scope, what: &str) -> Result<Answer, Error> {
        let url = endpoint.origin.at("/v2/").unwrap_or_else(|_| endpoint.origin.clone());
        let authorization = self.tokens.of(endpoint, scope);
        let mut call = Call {
            endpoint,
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
}
