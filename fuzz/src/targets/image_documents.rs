//! Manifests, indexes and configurations of images.
//!
//! What is read is written the same, has bounded parts, and digests that are safe as file names.

use lxcri_images::digest::Digest;
use lxcri_images::document::{ImageConfig, Index, MAX_LAYERS, MAX_MANIFESTS, Manifest, Platform};
use serde::Serialize;

use crate::broken::{Outcome, holds, never, same};

pub(super) fn run(input: &[u8]) -> Outcome {
    if let Ok(manifest) = Manifest::parse("m", input) {
        let again = Manifest::parse("m", &written(&manifest)?);
        same(&again.map_err(never("is read back"))?, &manifest, "a manifest reads back")?;
        holds(manifest.layers.len() <= MAX_LAYERS, "layers have a bound")?;
        let mut blobs = manifest.layers.iter().chain([&manifest.config]);
        blobs.try_for_each(|blob| is_safe(&blob.digest))?;
    }
    if let Ok(index) = Index::parse("i", input) {
        let again = Index::parse("i", &written(&index)?);
        same(&again.map_err(never("is read back"))?, &index, "an index reads back")?;
        holds(index.manifests.len() <= MAX_MANIFESTS, "entries have a bound")?;
        index.manifests.iter().try_for_each(|entry| is_safe(&entry.digest))?;
        let host = Platform::host();
        let fits = |chosen: &Platform| chosen.os == host.os;
        let chosen = index.select(&host).map(|entry| entry.platform.as_ref().is_some_and(fits));
        holds(chosen != Some(false), "what is chosen is for this machine")?;
    }
    if let Ok(config) = ImageConfig::parse("c", input) {
        let again = ImageConfig::parse("c", &written(&config)?);
        same(&again.map_err(never("is read back"))?, &config, "a configuration reads back")?;
        holds(config.rootfs.diff_ids.len() <= MAX_LAYERS, "layers have a bound")?;
        config.rootfs.diff_ids.iter().try_for_each(is_safe)?;
        let container = config.config.unwrap_or_default();
        let has_break = container.user.contains(['\n', '\r', '\0']);
        holds(!has_break, "a user is one line")?;
        let mut environment = container.env.iter().flatten();
        holds(environment.all(|entry| !entry.contains('\0')), "a variable has no NUL")?;
    }
    Ok(())
}

fn written<T: Serialize>(document: &T) -> Result<Vec<u8>, crate::broken::Broken> {
    serde_json::to_vec(document).map_err(never("a document is written"))
}

fn is_safe(digest: &Digest) -> Outcome {
    let is_hex = digest.hex().bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    holds(is_hex && matches!(digest.hex().len(), 64 | 128), "a digest is a file name")?;
    same(&digest.to_string().parse().as_ref(), &Ok(digest), "a digest reads back")
}
