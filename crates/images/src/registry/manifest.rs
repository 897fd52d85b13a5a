//! Manifests and indexes.

use serde::Deserialize;
use serde::de::IgnoredAny;
use ureq::http::{HeaderName, Method, header};

use super::Client;
use super::error::Error;
use super::exchange::{Answer, Call, drain};
use super::repository::{Label, Repository};
use super::token::Scope;
use super::transport::{Payload, Wait};
use crate::digest::{Algorithm, Digest, Hasher};
use crate::document::{MAX_DOCUMENT, media_type};

/// The header with a manifest's digest.
pub(super) const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// What we understand, the best first.
const KINDS: [&str; 4] = [
    media_type::INDEX,
    media_type::MANIFEST,
    media_type::DOCKER_INDEX,
    media_type::DOCKER_MANIFEST,
];

/// A manifest or an index, as it is in the registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// The digest of `bytes`.
    pub digest: Digest,
    /// One of the four types of manifests and indexes.
    pub media_type: &'static str,
    /// The document, to the byte; at most [`MAX_DOCUMENT`].
    pub bytes: Vec<u8>,
}

/// What a registry says of a manifest without handing it out. Nothing of it is verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its digest; some registries do not tell.
    pub digest: Option<Digest>,
    /// Its type, where it is one of the four.
    pub media_type: Option<&'static str>,
    /// Its size in bytes, where it is told.
    pub size: Option<u64>,
}

impl Client {
    /// Fetches the manifest or index that a tag or digest names. Asked for by digest, the answer has
    /// that digest; asked for by tag, it has the one that the registry tells, if it does.
    ///
    /// # Errors
    /// There is none, we may not, it is too large, it is something else; see [`Error`].
    pub fn manifest(&self, repository: &Repository, label: &str) -> Result<Fetched, Error> {
        let label = Label::parse(label)?;
        let what = label.of(repository);
        let answer = self.ask_for_manifest(repository, &label, Method::GET, &what)?;
        let answer = answer.expect(repository.host(), &what, &[200])?;
        let told = told_digest(&answer);
        let header = answer.media_type();
        let bytes = answer.bytes(MAX_DOCUMENT, &what)?;
        let wanted = match &label {
            Label::Digest(digest) => Some(digest.clone()),
            Label::Tag(_) => None,
        };
        for expected in [wanted.as_ref(), told.as_ref()].into_iter().flatten() {
            let found = digest_of(expected.algorithm(), &bytes);
            if found != *expected {
                let what = if wanted.is_some() { what } else { format!("{what} ({expected})") };
                return Err(Error::Digest { what, found });
            }
        }
        let media_type = kind_of(header.as_deref(), &bytes)
            .map_err(|problem| Error::Document { what: what.clone(), problem })?;
        let digest = wanted.unwrap_or_else(|| Digest::of(&bytes));
        Ok(Fetched { digest, media_type, bytes })
    }

    /// What a tag or digest names, without fetching it; nothing where there is no such thing.
    ///
    /// # Errors
    /// As [`Client::manifest`].
    pub fn head_manifest(
        &self,
        repository: &Repository,
        label: &str,
    ) -> Result<Option<Found>, Error> {
        let label = Label::parse(label)?;
        let what = label.of(repository);
        let answer = self.ask_for_manifest(repository, &label, Method::HEAD, &what)?;
        let answer = match answer.expect(repository.host(), &what, &[200]) {
            Err(Error::NotFound { .. }) => return Ok(None),
            other => other?,
        };
        let found = Found {
            digest: told_digest(&answer),
            media_type: answer.media_type().and_then(|kind| known(&kind)),
            size: answer.header("content-length").and_then(|text| text.parse().ok()),
        };
        drain(answer.body);
        Ok(Some(found))
    }

    fn ask_for_manifest(
        &self,
        repository: &Repository,
        label: &Label,
        method: Method,
        what: &str,
    ) -> Result<Answer, Error> {
        let endpoint = self.endpoint(repository.host(), repository.insecure())?;
        let path = format!("/v2/{}/manifests/{label}", repository.name());
        let url = endpoint.origin.at(&path).map_err(|problem| invalid_path(repository, problem))?;
        self.ask(&mut Call {
            endpoint: &endpoint,
            scope: &Scope::pull(repository),
            method,
            url,
            headers: vec![(header::ACCEPT, KINDS.join(", "))],
            payload: Payload::Nothing,
            wait: Wait::Document,
            what,
        })
    }
}

pub(super) fn invalid_path(repository: &Repository, problem: &'static str) -> Error {
    Error::Invalid { what: "repository", text: repository.to_string(), problem }
}

/// The digest of a document by any algorithm.
pub(super) fn digest_of(algorithm: Algorithm, bytes: &[u8]) -> Digest {
    let mut hasher = Hasher::new(algorithm);
    hasher.update(bytes);
    hasher.finish()
}

/// What the registry says the digest is. One by an algorithm that we do not know is none.
pub(super) fn told_digest(answer: &Answer) -> Option<Digest> {
    answer.header(CONTENT_DIGEST.as_str())?.trim().parse().ok()
}

/// The media type as we write it ourselves.
fn known(kind: &str) -> Option<&'static str> {
    KINDS.into_iter().find(|known| *known == kind)
}

/// What a document says it is.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shape {
    #[serde(default)]
    media_type: Option<String>,
    #[serde(default)]
    manifests: Option<IgnoredAny>,
    #[serde(default)]
    layers: Option<IgnoredAny>,
    #[serde(default)]
    config: Option<IgnoredAny>,
    /// Schema 1 alone has it.
    #[serde(default)]
    fs_layers: Option<IgnoredAny>,
}

/// What a document is. The header, the document's own word and its shape must agree: one that is a
/// manifest to one reader and an index to another could show them different images (CVE-2021-41190).
fn kind_of(header: Option<&str>, bytes: &[u8]) -> Result<&'static str, String> {
    let shape: Shape = serde_json::from_slice(bytes)
        .map_err(|error| format!("neither manifest nor index: {error}"))?;
    if shape.fs_layers.is_some() {
        return Err("a manifest of schema version 1, which is not supported".to_owned());
    }
    let is_index =
        match (shape.manifests.is_some(), shape.layers.is_some() || shape.config.is_some()) {
            (true, false) => true,
            (false, true) => false,
            (true, true) => return Err("manifest and index at once".to_owned()),
            (false, false) => return Err("neither manifest nor index".to_owned()),
        };
    let of_header = header.and_then(known);
    let own = shape.media_type.as_deref();
    let kind = match (own, of_header) {
        (Some(own), Some(header)) if own != header => {
            return Err(format!("sent as {header}, but says that it is {own:?}"));
        }
        (Some(own), _) => known(own).ok_or_else(|| format!("is of the type {own:?}"))?,
        (None, Some(header)) => header,
        (None, None) if is_index => media_type::INDEX,
        (None, None) => media_type::MANIFEST,
    };
    let says_index = matches!(kind, media_type::INDEX | media_type::DOCKER_INDEX);
    if says_index != is_index {
        return Err(format!("says that it is {kind}, but has not its parts"));
    }
    Ok(kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds() {
        let manifest = br#"{"config": {}, "layers": []}"#;
        let index = br#"{"manifests": []}"#;
        let docker = br#"{"mediaType": "application/vnd.docker.distribution.manifest.v2+json",
            "config": {}, "layers": []}"#;
        assert_eq!(kind_of(None, manifest), Ok(media_type::MANIFEST));
        assert_eq!(kind_of(Some("text/plain"), index), Ok(media_type::INDEX));
        assert_eq!(kind_of(Some(media_type::DOCKER_INDEX), index), Ok(media_type::DOCKER_INDEX));
        assert_eq!(kind_of(Some("application/json"), docker), Ok(media_type::DOCKER_MANIFEST));
        for (header, bytes) in [
            (None, &b"<html>"[..]),
            (None, b"{}"),
            (None, b"[]"),
            (None, br#"{"config": {}, "manifests": []}"#),
            (None, br#"{"fsLayers": []}"#),
            (None, br#"{"mediaType": "x", "layers": []}"#),
            (Some(media_type::INDEX), manifest),
            (Some(media_type::MANIFEST), index),
            (Some(media_type::MANIFEST), docker),
        ] {
            assert!(kind_of(header, bytes).is_err(), "{}", String::from_utf8_lossy(bytes));
        }
    }
}
