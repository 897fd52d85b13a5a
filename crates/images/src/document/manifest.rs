//! Descriptors, manifests and indexes (image-spec descriptor.md, manifest.md, image-index.md), in
//! the OCI form and in Docker's version 2, schema 2, which differ in media types only.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{DocumentError, MAX_LAYERS, MAX_MANIFESTS, Platform, parse};
use crate::digest::Digest;

/// Media types.
pub mod media_type {
    /// OCI image manifest.
    pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    /// OCI image index.
    pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
    /// OCI image configuration.
    pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
    /// OCI layer, plain.
    pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
    /// OCI layer, gzip.
    pub const LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
    /// OCI layer, zstd.
    pub const LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
    /// Docker's manifest.
    pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
    /// Docker's index.
    pub const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
    /// Docker's configuration.
    pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
    /// Docker's layer, plain.
    pub const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";
    /// Docker's layer, gzip.
    pub const DOCKER_LAYER_GZIP: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
}

/// A pointer to content, with what it must be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// The content's type.
    pub media_type: String,
    /// The content's digest.
    pub digest: Digest,
    /// The content's bytes.
    pub size: u64,
    /// Places outside of the registry. Never fetched from (CVE-2020-15157).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
    /// Free words, such as `org.opencontainers.image.ref.name`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "or_default")]
    pub annotations: BTreeMap<String, String>,
    /// In an index: what it runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
}

impl Descriptor {
    /// Points to `size` bytes of `media_type`.
    pub fn new(media_type: &str, digest: Digest, size: u64) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest,
            size,
            urls: Vec::new(),
            annotations: BTreeMap::new(),
            platform: None,
        }
    }

    /// Points to these bytes.
    pub fn of(media_type: &str, content: &[u8]) -> Self {
        let size = u64::try_from(content.len()).unwrap_or(u64::MAX);
        Self::new(media_type, Digest::of(content), size)
    }
}

/// An image for one platform.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Always 2.
    pub schema_version: u64,
    /// Its own type; optional in OCI, always there in Docker's form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// What an artifact is, when it is no image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The configuration.
    pub config: Descriptor,
    /// The layers, lowest first.
    pub layers: Vec<Descriptor>,
    /// Free words.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "or_default")]
    pub annotations: BTreeMap<String, String>,
}

impl Manifest {
    /// Parses a manifest; `what` names it in errors.
    ///
    /// # Errors
    /// No JSON of this shape, not schema 2, no image, more than [`MAX_LAYERS`] layers.
    pub fn parse(what: &str, bytes: &[u8]) -> Result<Self, DocumentError> {
        let manifest: Self = parse(what, "image manifest", bytes)?;
        let invalid = |problem| Err(DocumentError::Invalid { what: what.to_owned(), problem });
        if manifest.schema_version != 2 {
            return invalid(format!("schema version {}, not 2", manifest.schema_version));
        }
        if manifest.layers.len() > MAX_LAYERS {
            let count = manifest.layers.len();
            return invalid(format!("{count} layers, more than the {MAX_LAYERS} a root can have"));
        }
        let config = manifest.config.media_type.as_str();
        if ![media_type::CONFIG, media_type::DOCKER_CONFIG].contains(&config) {
            return invalid(format!("not a container image but {config:?}"));
        }
        Ok(manifest)
    }
}

/// The same image for several platforms, or the names in a layout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// Always 2.
    pub schema_version: u64,
    /// Its own type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// Manifests, or further indexes.
    #[serde(default)]
    pub manifests: Vec<Descriptor>,
    /// Free words.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "or_default")]
    pub annotations: BTreeMap<String, String>,
}

impl Index {
    /// Without entries.
    pub fn empty() -> Self {
        Self {
            schema_version: 2,
            media_type: Some(media_type::INDEX.to_owned()),
            manifests: Vec::new(),
            annotations: BTreeMap::new(),
        }
    }

    /// Parses an index; `what` names it in errors.
    ///
    /// # Errors
    /// No JSON of this shape, not schema 2, more than [`MAX_MANIFESTS`] entries.
    pub fn parse(what: &str, bytes: &[u8]) -> Result<Self, DocumentError> {
        let index: Self = parse(what, "image index", bytes)?;
        let invalid = |problem| Err(DocumentError::Invalid { what: what.to_owned(), problem });
        if index.schema_version != 2 {
            return invalid(format!("schema version {}, not 2", index.schema_version));
        }
        if index.manifests.len() > MAX_MANIFESTS {
            return invalid(format!("{} entries", index.manifests.len()));
        }
        Ok(index)
    }

    /// The entry that fits a platform best; the first of equals, as image-index.md says. Where none
    /// does, the first image that does not say what it is for: `platform` is optional there.
    pub fn select(&self, wanted: &Platform) -> Option<&Descriptor> {
        let ranked = self.manifests.iter().filter_map(|entry| {
            // An attestation is no image; buildx marks it as of an unknown platform.
            let platform = entry.platform.as_ref()?;
            wanted.rank(platform).map(|rank| (rank, entry))
        });
        let mut best: Option<(u8, &Descriptor)> = None;
        for (rank, entry) in ranked {
            if best.is_none_or(|(highest, _)| rank > highest) {
                best = Some((rank, entry));
            }
        }
        let unlabelled = |entry: &&Descriptor| {
            let kinds = [media_type::MANIFEST, media_type::DOCKER_MANIFEST];
            entry.platform.is_none() && kinds.contains(&entry.media_type.as_str())
        };
        best.map(|(_, entry)| entry).or_else(|| self.manifests.iter().find(unlabelled))
    }
}

/// `null` where a map belongs is what some tools write for an empty one.
fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn descriptor(media_type: &str) -> Descriptor {
        Descriptor::of(media_type, b"x")
    }

    fn manifest(layers: usize) -> Manifest {
        Manifest {
            schema_version: 2,
            media_type: None,
            artifact_type: None,
            config: descriptor(media_type::CONFIG),
            layers: vec![descriptor(media_type::LAYER); layers],
            annotations: BTreeMap::new(),
        }
    }

    #[test]
    fn reads_what_it_writes() {
        let written = serde_json::to_vec(&manifest(2)).unwrap();
        assert_eq!(Manifest::parse("m", &written).unwrap(), manifest(2));
    }

    #[test]
    fn refuses_with_a_reason() {
        let mut old = manifest(1);
        old.schema_version = 1;
        let mut artifact = manifest(1);
        artifact.config.media_type = "application/vnd.oci.empty.v1+json".to_owned();
        let cases = [
            (manifest(10_000), "m: 10000 layers, more than the 500 a root can have"),
            (old, "m: schema version 1, not 2"),
            (artifact, "m: not a container image but \"application/vnd.oci.empty.v1+json\""),
        ];
        for (manifest, message) in cases {
            let bytes = serde_json::to_vec(&manifest).unwrap();
            assert_eq!(Manifest::parse("m", &bytes).unwrap_err().to_string(), message);
        }
        let html = Manifest::parse("m", b"<html>").unwrap_err().to_string();
        assert!(html.starts_with("m is no image manifest: expected value at line 1"), "{html}");
    }

    #[test]
    fn selects_a_platform() {
        let mut index = Index::empty();
        for (number, platform) in ["linux/arm/v6", "linux/arm/v7", "linux/amd64"].iter().enumerate()
        {
            let mut entry = descriptor(media_type::MANIFEST);
            entry.size = u64::try_from(number).unwrap();
            entry.platform = Some(platform.parse().unwrap());
            index.manifests.push(entry);
        }
        let size = |wanted: &str| index.select(&wanted.parse().unwrap()).map(|entry| entry.size);
        assert_eq!(size("linux/arm/v7"), Some(1));
        assert_eq!(size("linux/arm/v6"), Some(0));
        assert_eq!(size("linux/amd64"), Some(2));
        assert_eq!(size("linux/s390x"), None);
        let mut entry = descriptor(media_type::MANIFEST);
        entry.size = 9;
        index.manifests.insert(0, entry);
        let size = |wanted: &str| index.select(&wanted.parse().unwrap()).map(|entry| entry.size);
        assert_eq!((size("linux/amd64"), size("linux/s390x")), (Some(2), Some(9)));
    }
}
