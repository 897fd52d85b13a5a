//! An image layout in a tar.

use std::collections::BTreeMap;

use super::{Item, Writer};
use crate::archive::ArchiveError;
use crate::archive::choose::FULL_NAME;
use crate::digest::Digest;
use crate::document::{Descriptor, Index};
use crate::store::{INDEX_DIGEST, REF_NAME};

pub(super) fn write(writer: &mut Writer<'_>, items: &[Item<'_>]) -> Result<(), ArchiveError> {
    let (mut blobs, mut index) = (BTreeMap::<Digest, u64>::new(), Index::empty());
    for item in items {
        let contents = writer.hold.store().contents(item.manifest)?;
        let all = contents.layers.iter().chain([&contents.config, item.manifest]);
        blobs.extend(all.map(|blob| (blob.digest.clone(), blob.size)));
        index.manifests.extend(entries(item));
    }
    writer.directory("blobs")?;
    let mut algorithm = "";
    for (digest, size) in &blobs {
        if digest.algorithm().name() != algorithm {
            algorithm = digest.algorithm().name();
            writer.directory(&format!("blobs/{algorithm}"))?;
        }
        let blob = writer.hold.store().open_blob(digest)?;
        writer.content(&format!("blobs/{algorithm}/{}", digest.hex()), digest, *size, blob)?;
    }
    let index = serde_json::to_vec(&index).map_err(|error| writer.failed(error.into()))?;
    writer.document("index.json", &index)?;
    writer.document("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)
}

/// One entry for each name, or one without.
fn entries(item: &Item<'_>) -> Vec<Descriptor> {
    let mut entry = item.manifest.clone();
    entry.annotations.remove(REF_NAME);
    entry.annotations.remove(INDEX_DIGEST);
    if item.names.is_empty() {
        return vec![entry];
    }
    let named = |name: &String| {
        let mut entry = entry.clone();
        entry.annotations.insert(REF_NAME.to_owned(), name.clone());
        entry.annotations.insert(FULL_NAME.to_owned(), name.clone());
        entry
    };
    item.names.iter().map(named).collect()
}
