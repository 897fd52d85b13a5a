//! The tags of a repository.

use serde::Deserialize;
use ureq::http::Method;

use super::Client;
use super::error::{Error, told};
use super::exchange::{Answer, Call};
use super::manifest::invalid_path;
use super::repository::{Label, Repository};
use super::token::Scope;
use super::transport::{Payload, Wait};
use super::url::Url;
use crate::document::MAX_DOCUMENT;

/// The most pages and the most tags that are read.
const MAX_PAGES: usize = 200;
const MAX_TAGS: usize = 100_000;

#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    tags: Option<Vec<String>>,
}

impl Client {
    /// The tags of a repository, in the registry's order. What is no tag is left out.
    ///
    /// # Errors
    /// The registry's; more pages or tags than anybody needs.
    pub fn tags(&self, repository: &Repository) -> Result<Vec<String>, Error> {
        let endpoint = &self.endpoint(repository.host(), repository.insecure())?;
        let what = format!("tags of {repository}");
        let path = format!("/v2/{}/tags/list", repository.name());
        let first =
            endpoint.origin.at(&path).map_err(|problem| invalid_path(repository, problem))?;
        let mut next = Some(first.with("n", "1000"));
        let mut all = Vec::new();
        for _ in 0..MAX_PAGES {
            let Some(url) = next else { return Ok(all) };
            let answer = self.ask(&mut Call {
                endpoint,
                scope: &Scope::pull(repository),
                method: Method::GET,
                url,
                headers: Vec::new(),
                payload: Payload::Nothing,
                wait: Wait::Document,
                what: &what,
            })?;
            let answer = answer.expect(repository.host(), &what, &[200])?;
            next = following(&answer, &endpoint.origin);
            let bytes = answer.bytes(MAX_DOCUMENT, &what)?;
            let page: Page = serde_json::from_slice(&bytes).map_err(|error| Error::Document {
                what: what.clone(),
                problem: told(&error.to_string()),
            })?;
            let tags = page.tags.unwrap_or_default();
            all.extend(
                tags.into_iter().filter(|tag| matches!(Label::parse(tag), Ok(Label::Tag(_)))),
            );
            if all.len() > MAX_TAGS {
                break;
            }
        }
        Err(Error::Document { what, problem: format!("more than {MAX_TAGS}") })
    }
}

/// The next page, `Link: </v2/…>; rel="next"`, if it is on the same registry.
fn following(answer: &Answer, origin: &Url) -> Option<Url> {
    let (link, rest) = answer.header("link")?.trim().strip_prefix('<')?.split_once('>')?;
    if !rest.replace(['"', ' '], "").starts_with(";rel=next") {
        return None;
    }
    answer.url.join(link).ok().filter(|url| url.same_origin(origin))
}
