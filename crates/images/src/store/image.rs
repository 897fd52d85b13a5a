//! The images of the store, and finding one by what users type.

use std::time::SystemTime;

use super::index::{INDEX_DIGEST, is_manifest, name_of};
use super::{REF_NAME, Store, StoreError};
use crate::digest::Digest;
use crate::document::{Descriptor, ImageConfig, Manifest, Platform};

/// An image with all its names.
#[derive(Debug)]
pub struct Image {
    /// In the order of the alphabet. None where another image took the last one.
    pub names: Vec<String>,
    /// Its manifest.
    pub manifest: Descriptor,
    /// The index it was chosen from, where it came through one.
    pub index_digest: Option<Digest>,
    /// What the manifest and the configuration say; an error where one of them is missing or
    /// damaged.
    pub contents: Result<Contents, StoreError>,
}

/// What an image consists of.
#[derive(Clone, Debug)]
pub struct Contents {
    /// The configuration. Its digest is the image's id, as Docker shows it.
    pub config: Descriptor,
    /// The layers, lowest first.
    pub layers: Vec<Descriptor>,
    /// What the configuration says.
    pub image_config: ImageConfig,
    /// What it runs on.
    pub platform: Platform,
    /// When it was made, where it says so in a way we understand.
    pub created: Option<SystemTime>,
    /// The bytes of all blobs, as they lie in the store. A blob that occurs twice counts once.
    pub size: u64,
}

/// The fewest digits of an id that stand for an image.
const FEWEST_DIGITS: usize = 4;
/// An error names so many images.
const MOST_MATCHES: usize = 10;

impl Image {
    /// The id that Docker shows: the digest of the configuration, or the manifest's where the
    /// image is damaged.
    pub fn id(&self) -> &Digest {
        self.contents.as_ref().map_or(&self.manifest.digest, |contents| &contents.config.digest)
    }

    /// Its first name, or the beginning of its id.
    pub fn title(&self) -> &str {
        self.names.first().map_or_else(|| self.id().short(), String::as_str)
    }

    /// Whether one of its digests is this one.
    pub(super) fn has_digest(&self, digest: &Digest) -> bool {
        self.manifest.digest == *digest
            || self.id() == digest
            || self.index_digest.as_ref() == Some(digest)
    }

    fn has_id(&self, prefix: &str) -> bool {
        [&self.manifest.digest, self.id()].iter().any(|digest| digest.hex().starts_with(prefix))
    }
}

impl Store {
    /// All images, those without a name last, in the order of their names.
    ///
    /// # Errors
    /// Only the index's; a damaged image is one of the list.
    pub fn images(&self) -> Result<Vec<Image>, StoreError> {
        let entries = self.entries()?;
        let mut digests: Vec<&Digest> =
            entries.iter().filter(|entry| is_manifest(entry)).map(|entry| &entry.digest).collect();
        digests.sort();
        digests.dedup();
        let images = digests.into_iter().filter_map(|digest| self.image(&entries, digest));
        let mut images: Vec<Image> = images.collect();
        images.sort_by(|one, other| {
            let key = |image: &Image| (image.names.is_empty(), image.names.first().cloned());
            key(one).cmp(&key(other))
        });
        Ok(images)
    }

    /// The image that a text stands for: a full name, a digest (of the manifest, the configuration
    /// or the index it was chosen from, alone or behind a name and `@`), or at least four digits
    /// of the id or of the manifest's digest.
    ///
    /// # Errors
    /// None, or several; the index's.
    pub fn resolve(&self, text: &str) -> Result<Image, StoreError> {
        let entries = self.entries()?;
        // The common case reads one image and not all.
        if let Some(entry) = entries.iter().find(|entry| name_of(entry) == Some(text))
            && let Some(image) = self.image(&entries, &entry.digest)
        {
            return Ok(image);
        }
        let wanted = Wanted::parse(text);
        let mut matches = self.images()?;
        matches.retain(|image| match &wanted {
            Some(Wanted::Digest(digest)) => image.has_digest(digest),
            Some(Wanted::Id(prefix)) => image.has_id(prefix),
            None => false,
        });
        match matches.len() {
            0 => Err(StoreError::NotFound { text: bounded(text) }),
            1 => Ok(matches.remove(0)),
            _ => Err(ambiguous(text, &matches)),
        }
    }

    /// What a manifest and its configuration say.
    ///
    /// # Errors
    /// One of them is missing, damaged or no such document.
    pub fn contents(&self, manifest: &Descriptor) -> Result<Contents, StoreError> {
        let what = format!("manifest {}", manifest.digest);
        let Manifest { config, layers, .. } = Manifest::parse(&what, &self.document(manifest)?)?;
        let what = format!("configuration {}", config.digest);
        let image_config = ImageConfig::parse(&what, &self.document(&config)?)?;
        let mut blobs: Vec<&Descriptor> = layers.iter().chain([&config, manifest]).collect();
        blobs.sort_by(|one, other| one.digest.cmp(&other.digest));
        blobs.dedup_by(|one, other| one.digest == other.digest);
        let size = blobs.iter().fold(0_u64, |sum, blob| sum.saturating_add(blob.size));
        let platform = platform_of(&image_config);
        let created = image_config.created.as_deref();
        let created = created.and_then(|text| lxcri_core::time::parse_rfc3339(text).ok());
        Ok(Contents { config, layers, image_config, platform, created, size })
    }

    fn image(&self, entries: &[Descriptor], digest: &Digest) -> Option<Image> {
        let all = || entries.iter().filter(|entry| entry.digest == *digest && is_manifest(entry));
        let mut manifest = all().next()?.clone();
        let mut names: Vec<String> =
            all().filter_map(|entry| name_of(entry).map(ToOwned::to_owned)).collect();
        names.sort();
        names.dedup();
        let origin = all().find_map(|entry| entry.annotations.get(INDEX_DIGEST));
        let index_digest = origin.and_then(|text| text.parse().ok());
        manifest.annotations.remove(REF_NAME);
        let contents = self.contents(&manifest);
        Some(Image { names, manifest, index_digest, contents })
    }
}

/// What a configuration says it runs on.
pub(crate) fn platform_of(config: &ImageConfig) -> Platform {
    Platform {
        architecture: config.architecture.clone(),
        os: config.os.clone(),
        os_version: None,
        variant: config.variant.clone(),
    }
}

/// A text that is no name.
enum Wanted<'a> {
    Digest(Digest),
    Id(&'a str),
}

impl<'a> Wanted<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let text = text.rsplit_once('@').map_or(text, |(_, digest)| digest);
        if let Ok(digest) = text.parse() {
            return Some(Self::Digest(digest));
        }
        let digits = text.strip_prefix("sha256:").unwrap_or(text);
        let is_digit = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        (digits.len() >= FEWEST_DIGITS && digits.bytes().all(is_digit)).then_some(Self::Id(digits))
    }
}

fn ambiguous(text: &str, images: &[Image]) -> StoreError {
    let title = |image: &Image| format!("{} ({})", image.id().short(), image.title());
    let matches = images.iter().take(MOST_MATCHES).map(title).collect();
    StoreError::Ambiguous { text: bounded(text), matches }
}

pub(super) fn bounded(text: &str) -> String {
    text.chars().take(160).collect()
}
