//! `pull`: from a registry into the store.
//!
//! What was pulled is whole and verified, but has no name yet: that is the caller's to give, when
//! nothing can go wrong any more.

use std::collections::BTreeMap;

use crate::archive::{Imported, Listeners};
use crate::digest::Digest;
use crate::document::{
    Descriptor, DocumentError, ImageConfig, Index, Manifest, Platform, media_type,
};
use crate::parallel::{self, GivenUp};
use crate::progress::{Ended, Stage};
use crate::reference::Reference;
use crate::registries::{Endpoint, LookupError, Registries};
use crate::registry::{self, BlobError, Client, Fetched, Piece, Repository};
use crate::store::{Hold, INDEX_DIGEST, Ingest, StoreError, platform_of};

/// How deep an index may lie in another.
const DEEPEST_INDEX: usize = 4;

/// Why an image could not be pulled.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    /// registries.conf does not let the name through.
    #[error(transparent)]
    Lookup(#[from] LookupError),
    /// The registry, or the way to it.
    #[error(transparent)]
    Registry(#[from] registry::Error),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A document that is none.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// The image is for others.
    #[error("{reference}: no image for {wanted}; there is one for {}", or_none(offered))]
    Platform {
        /// The image.
        reference: String,
        /// What was wanted.
        wanted: String,
        /// What there is.
        offered: Vec<String>,
    },
    /// Its parts do not fit together.
    #[error("{reference}: {problem}")]
    Image {
        /// The image.
        reference: String,
        /// What is wrong.
        problem: String,
    },
}

fn or_none(offered: &[String]) -> String {
    if offered.is_empty() { "none at all".to_owned() } else { offered.join(", ") }
}

impl PullError {
    /// What the user can do about it, a line each.
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::Lookup(error) => error.hints(),
            Self::Registry(error) => error.hints(),
            Self::Store(error) => error.hints(),
            Self::Platform { .. } => {
                vec!["--platform chooses another, such as --platform linux/arm64".to_owned()]
            }
            _ => Vec::new(),
        }
    }
}

/// What is wanted, and by whom it is served.
#[derive(Debug)]
pub struct Pull<'a> {
    /// Its name, with a tag or a digest.
    pub reference: &'a Reference,
    /// Which of several platforms.
    pub platform: &'a Platform,
    /// Mirrors, and what is blocked.
    pub registries: &'a Registries,
    /// The client.
    pub client: &'a Client,
    /// How many blobs come at once.
    pub downloads: usize,
}

/// Pulls an image: from the first mirror that has it, else from its registry. Blobs that are in the
/// store are not asked for; one that was begun is gone on with.
///
/// # Errors
/// The registry's, where no mirror had it. Whole blobs and beginnings of blobs stay in the store.
pub fn pull(hold: &Hold, pull: &Pull<'_>, listeners: Listeners<'_>) -> Result<Imported, PullError> {
    let endpoints = pull.registries.endpoints(pull.reference)?;
    let mut endpoints = endpoints.into_iter().peekable();
    while let Some(endpoint) = endpoints.next() {
        let job =
            Job { hold, pull, endpoint: &endpoint, repository: repository(&endpoint)?, listeners };
        match job.image() {
            Err(error @ (PullError::Registry(_) | PullError::Platform { .. }))
                if endpoints.peek().is_some() =>
            {
                listeners.progress.note(&format!("passed over: {error}"));
            }
            result => return result,
        }
    }
    let problem = "registries.conf leaves no place to pull it from".to_owned();
    Err(PullError::Image { reference: pull.reference.to_string(), problem })
}

/// The repository of an endpoint.
pub(crate) fn repository(endpoint: &Endpoint) -> Result<Repository, registry::Error> {
    let Endpoint { reference, insecure, .. } = endpoint;
    Repository::new(reference.registry(), reference.repository(), *insecure)
}

/// One image at one endpoint.
struct Job<'a> {
    hold: &'a Hold,
    pull: &'a Pull<'a>,
    endpoint: &'a Endpoint,
    repository: Repository,
    listeners: Listeners<'a>,
}

impl Job<'_> {
    fn image(&self) -> Result<Imported, PullError> {
        let top = self.fetch(&label(&self.endpoint.reference))?;
        let index_digest = is_index(top.media_type).then(|| top.digest.clone());
        let fetched = self.choose(top)?;
        let what = format!("manifest {} of {}", fetched.digest, self.repository);
        let manifest = Manifest::parse(&what, &fetched.bytes)?;
        let config = self.config(&manifest)?;
        let diff_ids = &config.rootfs.diff_ids;
        if diff_ids.len() != manifest.layers.len() {
            let (layers, named) = (manifest.layers.len(), diff_ids.len());
            return Err(self.refuse(format!("{layers} layers, but {named} diff_ids")));
        }
        self.layers(&manifest.layers, diff_ids)?;
        let mut descriptor = self.hold.put_document(fetched.media_type, &fetched.bytes)?;
        descriptor.platform = Some(platform_of(&config));
        let origin = index_digest.map(|digest| (INDEX_DIGEST.to_owned(), digest.to_string()));
        descriptor.annotations = BTreeMap::from_iter(origin);
        let layers = manifest.layers.into_iter().zip(diff_ids.iter().cloned()).collect();
        Ok(Imported { manifest: descriptor, names: vec![self.pull.reference.to_string()], layers })
    }

    fn refuse(&self, problem: String) -> PullError {
        PullError::Image { reference: self.pull.reference.to_string(), problem }
    }

    fn fetch(&self, label: &str) -> Result<Fetched, registry::Error> {
        self.pull.client.manifest(&self.repository, label)
    }

    /// The manifest for the platform that is wanted, through any indexes.
    fn choose(&self, mut fetched: Fetched) -> Result<Fetched, PullError> {
        for _ in 0..DEEPEST_INDEX {
            if !is_index(fetched.media_type) {
                return Ok(fetched);
            }
            let what = format!("index {} of {}", fetched.digest, self.repository);
            let index = Index::parse(&what, &fetched.bytes)?;
            let Some(entry) = index.select(self.pull.platform) else {
                return Err(self.no_platform(&index));
            };
            fetched = self.fetch(&entry.digest.to_string())?;
        }
        Err(self.refuse(format!("more than {DEEPEST_INDEX} indexes in one another")))
    }

    fn no_platform(&self, index: &Index) -> PullError {
        let platforms = index.manifests.iter().filter_map(|entry| entry.platform.as_ref());
        let mut offered: Vec<String> = platforms.map(ToString::to_string).collect();
        offered.sort();
        offered.dedup();
        PullError::Platform {
            reference: self.pull.reference.to_string(),
            wanted: self.pull.platform.to_string(),
            offered,
        }
    }

    fn config(&self, manifest: &Manifest) -> Result<ImageConfig, PullError> {
        let descriptor = &manifest.config;
        let bytes = if self.hold.store().contains(&descriptor.digest) {
            self.hold.store().document(descriptor)?
        } else {
            let bytes = self.pull.client.document(&self.repository, descriptor)?;
            self.hold.put_document(&descriptor.media_type, &bytes)?;
            bytes
        };
        let what = format!("configuration {} of {}", descriptor.digest, self.repository);
        Ok(ImageConfig::parse(&what, &bytes)?)
    }

    /// Several at a time; each is told of as soon as it is whole.
    fn layers(&self, layers: &[Descriptor], diff_ids: &[Digest]) -> Result<(), PullError> {
        let layers: Vec<_> = layers.iter().zip(diff_ids).collect();
        parallel::each(&layers, self.pull.downloads, |number, (layer, diff_id), given_up| {
            self.blob(layer, given_up)?;
            (self.listeners.on_layer)(number, layer, diff_id);
            Ok(())
        })
    }

    fn blob(&self, descriptor: &Descriptor, given_up: &GivenUp) -> Result<(), PullError> {
        let progress = self.listeners.progress;
        let name = descriptor.digest.short();
        let mut task = progress.begin(Stage::Pull, name, Some(descriptor.size));
        let Ingest::Partial(mut partial) = self.hold.ingest(descriptor)? else {
            task.end(Ended::Present);
            return Ok(());
        };
        let offset = partial.offset();
        task.advance(offset);
        let taken = self.pull.client.blob(&self.repository, descriptor, offset, &mut |piece| {
            match piece {
                _ if given_up.is_set() => return Err(Taken::Elsewhere),
                Piece::Restart => partial.restart().map_err(Taken::Store)?,
                Piece::Bytes(bytes) => {
                    partial.write(bytes).map_err(Taken::Store)?;
                    task.advance(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
                }
            }
            Ok(())
        });
        match taken {
            Ok(()) => partial.commit()?,
            Err(BlobError::Registry(error)) => return Err(error.into()),
            Err(BlobError::Taker(Taken::Store(error))) => return Err(error.into()),
            Err(BlobError::Taker(Taken::Elsewhere)) => {
                // The other blob's reason is the one that is told.
                return Err(self.refuse("given up".to_owned()));
            }
        }
        task.end(Ended::Done);
        Ok(())
    }
}

/// Why the bytes of a blob are not taken any more.
#[derive(Debug)]
enum Taken {
    Store(StoreError),
    /// Another blob has failed, and the image with it.
    Elsewhere,
}

/// What to ask a registry for: the digest decides.
pub(crate) fn label(reference: &Reference) -> String {
    match (reference.digest(), reference.tag()) {
        (Some(digest), _) => digest.to_string(),
        (None, Some(tag)) => tag.to_owned(),
        (None, None) => crate::reference::LATEST.to_owned(),
    }
}

fn is_index(kind: &str) -> bool {
    [media_type::INDEX, media_type::DOCKER_INDEX].contains(&kind)
}
