//! Pushing: what is there already stays, what another repository has is mounted, the rest is sent.

use std::io::{self, Read};

use ureq::http::{Method, header};

use super::Client;
use super::endpoint::Endpoint;
use super::error::{Error, told};
use super::exchange::{Answer, Call, drain};
use super::manifest::{digest_of, invalid_path, told_digest};
use super::repository::{Label, Repository, name_problem};
use super::token::Scope;
use super::transport::{Payload, Wait};
use super::url::{Scheme, Url};
use crate::digest::Digest;
use crate::document::Descriptor;

/// How a blob got into a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// It was there.
    Present,
    /// It came from another repository of the same registry.
    Mounted,
    /// It was sent.
    Sent,
}

/// Opens a blob's content, from its first byte.
type Source<'a> = &'a mut dyn FnMut() -> io::Result<Box<dyn Read>>;

/// Where a push goes.
struct Push<'a> {
    endpoint: &'a Endpoint,
    scope: Scope,
    repository: &'a Repository,
    descriptor: &'a Descriptor,
    what: String,
}

impl Client {
    /// Whether a repository has a blob.
    ///
    /// # Errors
    /// The registry's.
    pub fn blob_exists(&self, repository: &Repository, digest: &Digest) -> Result<bool, Error> {
        let what = format!("blob {digest} of {repository}");
        let endpoint = &self.endpoint(repository.host(), repository.insecure())?;
        let path = format!("/v2/{}/blobs/{digest}", repository.name());
        let url = at(endpoint, repository, &path)?;
        let scope = &Scope::push(repository);
        let answer = self.request(endpoint, scope, Method::HEAD, url, &what)?;
        match answer.expect(repository.host(), &what, &[200]) {
            Ok(answer) => {
                drain(answer.body);
                Ok(true)
            }
            Err(Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Gets a blob into a repository. `from` is another repository of the same registry that has it,
    /// if one is known; `source` is opened for each try.
    ///
    /// # Errors
    /// The registry's; what the source says; a registry that sends the content elsewhere in the clear.
    pub fn push_blob(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
        from: Option<&str>,
        source: Source<'_>,
    ) -> Result<Pushed, Error> {
        if self.blob_exists(repository, &descriptor.digest)? {
            return Ok(Pushed::Present);
        }
        let endpoint = &self.endpoint(repository.host(), repository.insecure())?;
        let what = format!("blob {} of {repository}", descriptor.digest);
        let scope = Scope::push(repository);
        let push = Push { endpoint, scope, repository, descriptor, what };
        if let Some(from) = from
            && self.mount(&push, from)?
        {
            return Ok(Pushed::Mounted);
        }
        let mut failures = 0;
        loop {
            match self.send_blob(&push, source) {
                Err(error) if error.is_passing() && failures + 1 < self.settings.retry.tries => {
                    failures += 1;
                    log::info!("{error}; begins anew");
                    self.pause(failures);
                }
                other => return other.map(|()| Pushed::Sent),
            }
        }
    }

    /// Puts a manifest or index, under a tag or its digest. Everything it names must be there.
    ///
    /// # Errors
    /// The registry's; a digest as `label`, or in the answer, that is not that of `bytes`.
    pub fn push_manifest(
        &self,
        repository: &Repository,
        label: &str,
        media_type: &str,
        bytes: &[u8],
    ) -> Result<Digest, Error> {
        let label = Label::parse(label)?;
        let what = label.of(repository);
        let digest = match &label {
            Label::Tag(_) => Digest::of(bytes),
            Label::Digest(digest) => {
                let found = digest_of(digest.algorithm(), bytes);
                if found != *digest {
                    return Err(Error::Digest { what, found });
                }
                found
            }
        };
        let endpoint = &self.endpoint(repository.host(), repository.insecure())?;
        let path = format!("/v2/{}/manifests/{label}", repository.name());
        let mut call = Call {
            endpoint,
            scope: &Scope::push(repository),
            method: Method::PUT,
            url: at(endpoint, repository, &path)?,
            headers: vec![(header::CONTENT_TYPE, media_type.to_owned())],
            payload: Payload::Bytes(bytes),
            wait: Wait::Document,
            what: &what,
        };
        let answer = self.ask(&mut call)?.expect(repository.host(), &what, &[200, 201, 202])?;
        let told = told_digest(&answer);
        drain(answer.body);
        match told {
            Some(found) if found != digest && found.algorithm() == digest.algorithm() => {
                Err(Error::Digest { what: format!("{what} ({digest})"), found })
            }
            _ => Ok(digest),
        }
    }

    /// Whether the registry took the blob over from another repository. Where it does not, it has begun
    /// an upload, which we leave to it to forget.
    fn mount(&self, push: &Push<'_>, from: &str) -> Result<bool, Error> {
        let Push { endpoint, repository, descriptor, what, .. } = push;
        if let Some(problem) = name_problem(from) {
            return Err(Error::Invalid { what: "repository", text: told(from), problem });
        }
        let path = format!("/v2/{}/blobs/uploads/", repository.name());
        let url = at(endpoint, repository, &path)?
            .with("mount", &descriptor.digest.to_string())
            .with("from", from);
        let scope = &Scope::mount(repository, from);
        let answer = self.request(endpoint, scope, Method::POST, url, what);
        // Who may not read there may still push here.
        let answer = match answer.and_then(|one| one.expect(&endpoint.host, what, &[201, 202])) {
            Err(Error::Denied { .. } | Error::NotFound { .. } | Error::Status { .. }) => {
                return Ok(false);
            }
            other => other?,
        };
        let mounted = answer.status == 201;
        drain(answer.body);
        Ok(mounted)
    }

    /// Begins an upload, sends everything in one PATCH and closes it, as Docker and Podman do.
    fn send_blob(&self, push: &Push<'_>, source: Source<'_>) -> Result<(), Error> {
        let Push { endpoint, repository, descriptor, what, scope } = push;
        let path = format!("/v2/{}/blobs/uploads/", repository.name());
        let url = at(endpoint, repository, &path)?;
        let answer = self.request(endpoint, scope, Method::POST, url, what)?;
        let answer = answer.expect(&endpoint.host, what, &[202])?;
        let place = location(&answer, endpoint, what)?;
        drain(answer.body);
        let mut reader = source().map_err(|source| Error::Source { what: what.clone(), source })?;
        let answer = self.exchange(&mut Call {
            endpoint,
            scope,
            method: Method::PATCH,
            url: place,
            headers: vec![(header::CONTENT_TYPE, "application/octet-stream".to_owned())],
            payload: Payload::Reader(&mut reader, descriptor.size),
            wait: Wait::Commit,
            what,
        })?;
        let answer = answer.expect(&endpoint.host, what, &[201, 202, 204])?;
        let place = location(&answer, endpoint, what)?;
        drain(answer.body);
        let url = place.with("digest", &descriptor.digest.to_string());
        let answer = self.request(endpoint, scope, Method::PUT, url, what)?;
        let answer = answer.expect(&endpoint.host, what, &[201, 204])?;
        drain(answer.body);
        Ok(())
    }

    fn request(
        &self,
        endpoint: &Endpoint,
        scope: &Scope,
        method: Method,
        url: Url,
        what: &str,
    ) -> Result<Answer, Error> {
        let payload = match method {
            Method::HEAD | Method::GET => Payload::Nothing,
            _ => Payload::Bytes(&[]),
        };
        let wait = if method == Method::PUT { Wait::Commit } else { Wait::Document };
        let headers = Vec::new();
        self.exchange(&mut Call { endpoint, scope, method, url, headers, payload, wait, what })
    }
}

fn at(endpoint: &Endpoint, repository: &Repository, path: &str) -> Result<Url, Error> {
    endpoint.origin.at(path).map_err(|problem| invalid_path(repository, problem))
}

/// Where an upload goes on: relative or absolute, and never from TLS to the clear.
fn location(answer: &Answer, endpoint: &Endpoint, what: &str) -> Result<Url, Error> {
    let refused = |problem: String| Error::Redirect { what: what.to_owned(), problem };
    let text = answer
        .header("location")
        .ok_or_else(|| refused("the upload goes on nowhere".to_owned()))?;
    let url = answer.url.join(text).map_err(|problem| {
        let shown = text.split('?').next().unwrap_or_default();
        refused(format!("{:?}: {problem}", told(shown)))
    })?;
    let falls = endpoint.origin.scheme() == Scheme::Https && url.scheme() == Scheme::Http;
    if falls && !endpoint.insecure {
        return Err(refused(format!("the upload goes from https on to {url}")));
    }
    Ok(url)
}
