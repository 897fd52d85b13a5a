//! Image layouts, in a directory or an archive (image-spec image-layout.md).

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::content::Shelf;
use super::layers::{self, Layer};
use super::{ArchiveError, Imported, Job, choose};
use crate::digest::Digest;
use crate::document::{Descriptor, DocumentError, ImageConfig, Index, Manifest, media_type};
use crate::store::{INDEX_DIGEST, REF_NAME, platform_of};

/// How many indexes may lead to one another.
const DEEPEST: usize = 4;

/// Under which names blobs and manifests lie.
pub(super) struct Names<'a> {
    pub(super) blob: &'a dyn Fn(&Digest) -> String,
    pub(super) manifest: &'a dyn Fn(&Digest) -> String,
}

/// Imports the image that was asked for, or the only one.
pub(super) fn import(job: &Job<'_>, shelf: &dyn Shelf) -> Result<Imported, ArchiveError> {
    check_version(job, shelf)?;
    let bytes = job.document(shelf, "index.json", None)?;
    let index = Index::parse("index.json", &bytes).map_err(job.document_error())?;
    let entry = choose::from_index(job, &index)?;
    let blob = |digest: &Digest| format!("blobs/{}/{}", digest.algorithm().name(), digest.hex());
    let names = Names { blob: &blob, manifest: &blob };
    let bytes = job.document(shelf, &blob(&entry.digest), Some(&entry))?;
    let titles = choose::names_with_digest(&index, &entry.digest);
    let mut imported = import_document(job, shelf, &names, entry, bytes)?;
    imported.names = titles;
    Ok(imported)
}

fn check_version(job: &Job<'_>, shelf: &dyn Shelf) -> Result<(), ArchiveError> {
    #[derive(Deserialize)]
    struct Layout {
        #[serde(rename = "imageLayoutVersion")]
        version: String,
    }
    // Not every program writes it.
    if shelf.find("oci-layout")?.is_none() {
        return Ok(());
    }
    let bytes = job.document(shelf, "oci-layout", None)?;
    match serde_json::from_slice::<Layout>(&bytes) {
        Ok(Layout { version }) if version.starts_with("1.") => Ok(()),
        Ok(Layout { version }) => {
            Err(job.refuse(&format!("an image layout of version {version:?}")))
        }
        Err(error) => Err(job.refuse(&format!("\"oci-layout\": {error}"))),
    }
}

/// Follows indexes to the manifest for the platform, and imports that.
pub(super) fn import_document(
    job: &Job<'_>,
    shelf: &dyn Shelf,
    names: &Names<'_>,
    mut entry: Descriptor,
    mut bytes: Vec<u8>,
) -> Result<Imported, ArchiveError> {
    let mut outermost: Option<Digest> = None;
    for _ in 0..=DEEPEST {
        if is_manifest(&entry.media_type) {
            let mut imported = import_manifest(job, shelf, names, &entry.media_type, &bytes)?;
            if let Some(origin) = outermost {
                let annotations = &mut imported.manifest.annotations;
                annotations.insert(INDEX_DIGEST.to_owned(), origin.to_string());
            }
            return Ok(imported);
        }
        if !is_index(&entry.media_type) {
            let Descriptor { digest, media_type, .. } = &entry;
            return Err(job.refuse(&format!("{digest} is no image but {media_type:?}")));
        }
        let what = format!("index {}", entry.digest);
        let index = Index::parse(&what, &bytes).map_err(job.document_error())?;
        outermost.get_or_insert(entry.digest);
        entry = choose::for_platform(job, &index.manifests)?.clone();
        bytes = job.document(shelf, &(names.manifest)(&entry.digest), Some(&entry))?;
    }
    Err(job.refuse(&format!("more than {DEEPEST} indexes within one another")))
}

fn import_manifest(
    job: &Job<'_>,
    shelf: &dyn Shelf,
    names: &Names<'_>,
    kind: &str,
    bytes: &[u8],
) -> Result<Imported, ArchiveError> {
    let digest = Digest::of(bytes);
    let what = format!("manifest {digest}");
    let manifest = Manifest::parse(&what, bytes).map_err(job.document_error())?;
    let config_name = (names.blob)(&manifest.config.digest);
    let config_bytes = job.document(shelf, &config_name, Some(&manifest.config))?;
    let what = format!("configuration {}", manifest.config.digest);
    let config = ImageConfig::parse(&what, &config_bytes).map_err(job.document_error())?;
    let diff_ids = config.rootfs.diff_ids.iter().cloned();
    job.check_count(manifest.layers.len(), diff_ids.len())?;
    let layers = manifest.layers.iter().zip(diff_ids).map(|(wanted, diff_id)| Layer {
        name: (names.blob)(&wanted.digest),
        wanted: Some(wanted.clone()),
        diff_id,
    });
    let layers = layers::copy(job, shelf, &layers.collect::<Vec<_>>())?;
    put(job, &manifest.config, &config_bytes)?;
    // Last: a manifest in the store has everything it needs.
    let mut descriptor = Descriptor::of(kind, bytes);
    put(job, &descriptor, bytes)?;
    descriptor.platform = Some(platform_of(&config));
    let names = manifest.annotations.get(REF_NAME).cloned().into_iter().collect();
    Ok(Imported { manifest: descriptor, names, layers })
}

/// Its own digest may be of another algorithm than ours would be.
fn put(job: &Job<'_>, wanted: &Descriptor, bytes: &[u8]) -> Result<(), ArchiveError> {
    let content = super::content::Content::Bytes(bytes.into());
    job.place(&content, Some(wanted), Box::new(crate::progress::Silent))?;
    Ok(())
}

impl Job<'_> {
    pub(super) fn document_error(&self) -> impl FnOnce(DocumentError) -> ArchiveError + use<'_> {
        |source| ArchiveError::Document { archive: self.archive.clone(), source }
    }

    pub(super) fn check_count(&self, layers: usize, diff_ids: usize) -> Result<(), ArchiveError> {
        if layers == diff_ids {
            return Ok(());
        }
        let problem = format!("{layers} layers, and the configuration has {diff_ids} diff_ids");
        Err(self.refuse(&problem))
    }
}

/// What a document says it is, or what it looks like.
pub(super) fn kind_of(job: &Job<'_>, bytes: &[u8]) -> Result<String, ArchiveError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Any {
        media_type: Option<String>,
        manifests: Option<IgnoredAny>,
    }
    let any: Any = serde_json::from_slice(bytes)
        .map_err(|error| job.refuse(&format!("\"manifest.json\": {error}")))?;
    let guess = if any.manifests.is_some() { media_type::INDEX } else { media_type::MANIFEST };
    Ok(any.media_type.unwrap_or_else(|| guess.to_owned()))
}

pub(super) fn is_index(kind: &str) -> bool {
    [media_type::INDEX, media_type::DOCKER_INDEX].contains(&kind)
}

fn is_manifest(kind: &str) -> bool {
    [media_type::MANIFEST, media_type::DOCKER_MANIFEST].contains(&kind)
}
