//! What `docker save` and `podman save` write: `manifest.json`, a configuration for each image, and
//! layers, either as `<id>/layer.tar` (links among them), as `<digest>.tar`, or, since Docker 25,
//! as blobs of an image layout. The names are only names; what counts is what manifest.json says
//! (moby, image/spec/spec.md, "Combined Image JSON + Filesystem Changeset Format").

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::content::Shelf;
use super::layers::{self, Layer};
use super::{ArchiveError, Imported, Job, choose};
use crate::document::{
    Descriptor, DocumentError, ImageConfig, MAX_LAYERS, MAX_MANIFESTS, Manifest, media_type,
};
use crate::store::platform_of;

/// An image of `manifest.json`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Saved {
    /// The member that is the configuration.
    pub(super) config: String,
    /// Its names; `null` where there are none.
    #[serde(default)]
    pub(super) repo_tags: Option<Vec<String>>,
    /// The members that are its layers, lowest first.
    #[serde(default)]
    pub(super) layers: Option<Vec<String>>,
}

/// Imports the image that was asked for, or the only one.
pub(super) fn import(job: &Job<'_>, shelf: &dyn Shelf) -> Result<Imported, ArchiveError> {
    let saved = choose(job, parse(job, &job.document(shelf, "manifest.json", None)?)?)?;
    let bytes = job.document(shelf, &saved.config, None)?;
    let what = format!("configuration {:?}", saved.config);
    let config = ImageConfig::parse(&what, &bytes).map_err(job.document_error())?;
    let names = saved.layers.unwrap_or_default();
    job.check_count(names.len(), config.rootfs.diff_ids.len())?;
    let layers: Vec<Layer> = names
        .into_iter()
        .zip(config.rootfs.diff_ids.iter().cloned())
        .map(|(name, diff_id)| Layer { name, wanted: None, diff_id })
        .collect();
    let layers = layers::copy(job, shelf, &layers)?;
    let config_descriptor = job.hold.put_document(media_type::CONFIG, &bytes)?;
    let mut manifest = put_manifest(job, config_descriptor, &layers)?;
    manifest.platform = Some(platform_of(&config));
    Ok(Imported { manifest, names: saved.repo_tags.unwrap_or_default(), layers })
}

/// Writes the manifest of an image that had none.
pub(super) fn put_manifest(
    job: &Job<'_>,
    config: Descriptor,
    layers: &[(Descriptor, crate::digest::Digest)],
) -> Result<Descriptor, ArchiveError> {
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(media_type::MANIFEST.to_owned()),
        artifact_type: None,
        config,
        layers: layers.iter().map(|(layer, _)| layer.clone()).collect(),
        annotations: BTreeMap::new(),
    };
    let bytes = serde_json::to_vec(&manifest)
        .map_err(|error| job.refuse(&format!("no manifest can be made: {error}")))?;
    Ok(job.hold.put_document(media_type::MANIFEST, &bytes)?)
}

fn parse(job: &Job<'_>, bytes: &[u8]) -> Result<Vec<Saved>, ArchiveError> {
    let what = "\"manifest.json\"".to_owned();
    let saved: Vec<Saved> = serde_json::from_slice(bytes).map_err(|source| {
        let kind = "list of saved images";
        job.document_error()(DocumentError::Parse { what: what.clone(), kind, source })
    })?;
    let most = saved.iter().filter_map(|image| image.layers.as_ref()).map(Vec::len).max();
    if saved.len() > MAX_MANIFESTS || most.is_some_and(|most| most > MAX_LAYERS) {
        let problem = format!("{} images, up to {} layers", saved.len(), most.unwrap_or(0));
        return Err(job.document_error()(DocumentError::Invalid { what, problem }));
    }
    Ok(saved)
}

fn choose(job: &Job<'_>, mut saved: Vec<Saved>) -> Result<Saved, ArchiveError> {
    let archive = job.archive.clone();
    let names = || -> Vec<String> {
        let name = |image: &Saved| match image.repo_tags.as_deref() {
            None | Some([]) => vec![image.config.clone()],
            Some(names) => names.to_vec(),
        };
        saved.iter().flat_map(name).collect()
    };
    let at = match job.image {
        Some(wanted) => {
            let is_wanted = |image: &Saved| is_called(image, wanted);
            saved.iter().position(is_wanted).ok_or_else(|| ArchiveError::NoImage {
                archive,
                wanted: wanted.to_owned(),
                names: names(),
            })?
        }
        None if saved.is_empty() => return Err(job.refuse("it has no image")),
        None if saved.len() > 1 => return Err(ArchiveError::Several { archive, names: names() }),
        None => 0,
    };
    Ok(saved.swap_remove(at))
}

/// By a name, or by the id, which is what the configuration is called.
fn is_called(image: &Saved, wanted: &str) -> bool {
    let mut tags = image.repo_tags.iter().flatten();
    let id = wanted.strip_prefix("sha256:").unwrap_or(wanted);
    let config = image.config.rsplit('/').next().unwrap_or_default();
    tags.any(|tag| choose::is_same(tag, wanted))
        || (id.len() == 64 && config.strip_suffix(".json").unwrap_or(config) == id)
}
