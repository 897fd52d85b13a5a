//! What `docker load` reads in every version: plain layers as `<digest>/layer.tar`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::num::NonZero;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::{Item, Writer};
use crate::archive::ArchiveError;
use crate::archive::compression::HEAD;
use crate::archive::docker::Saved;
use crate::digest::{Digest, Hasher};
use crate::document::Descriptor;
use crate::layer::Compression;
use crate::store::{Hold, StoreError};

pub(super) fn write(writer: &mut Writer<'_>, items: &[Item<'_>]) -> Result<(), ArchiveError> {
    let (mut configs, mut layers) = (BTreeMap::new(), BTreeMap::new());
    let mut saved = Vec::new();
    for item in items {
        let contents = writer.hold.store().contents(item.manifest)?;
        let diff_ids = contents.image_config.rootfs.diff_ids;
        if diff_ids.len() != contents.layers.len() {
            let problem = format!("{} layers, {} diff_ids", contents.layers.len(), diff_ids.len());
            let archive = item.manifest.digest.to_string();
            return Err(ArchiveError::Refused { archive, problem });
        }
        saved.push(Saved {
            config: format!("{}.json", contents.config.digest.hex()),
            repo_tags: Some(item.names.iter().filter(is_tag).cloned().collect()),
            layers: Some(diff_ids.iter().map(member).collect()),
        });
        configs.insert(contents.config.digest.clone(), contents.config);
        layers.extend(diff_ids.into_iter().zip(contents.layers));
    }
    // The size stands in the header, before the content: all layers are decoded twice.
    let sizes = plain_sizes(writer.hold, &layers)?;
    for (member, part) in parts(&configs, &layers) {
        match part {
            Part::Config(config) => {
                let bytes = writer.hold.store().document(config)?;
                writer.document(&member, &bytes)?;
            }
            Part::Layer(diff_id, layer) => {
                writer.directory(diff_id.hex())?;
                let plain = plain(writer.hold, layer)?;
                let size = sizes.get(diff_id).copied().unwrap_or(0);
                writer.content(&member, diff_id, size, plain)?;
            }
        }
    }
    let saved = serde_json::to_vec(&saved).map_err(|error| writer.failed(error.into()))?;
    writer.document("manifest.json", &saved)
}

/// Docker takes no name that ends with a digest.
fn is_tag(name: &&String) -> bool {
    !name.contains('@')
}

fn member(diff_id: &Digest) -> String {
    format!("{}/layer.tar", diff_id.hex())
}

enum Part<'a> {
    Config(&'a Descriptor),
    Layer(&'a Digest, &'a Descriptor),
}

/// All members in the order of their names.
fn parts<'a>(
    configs: &'a BTreeMap<Digest, Descriptor>,
    layers: &'a BTreeMap<Digest, Descriptor>,
) -> BTreeMap<String, Part<'a>> {
    let configs =
        configs.iter().map(|(id, config)| (format!("{}.json", id.hex()), Part::Config(config)));
    let layers = layers.iter().map(|(id, layer)| (member(id), Part::Layer(id, layer)));
    configs.chain(layers).collect()
}

/// The plain tar of a layer.
fn plain(hold: &Hold, layer: &Descriptor) -> Result<Box<dyn Read + Send>, StoreError> {
    let blob: File = hold.store().open_blob(&layer.digest)?;
    let failed = || StoreError::io("read", hold.store().directory());
    let mut head = [0; HEAD];
    let count = blob.read_at(&mut head, 0).map_err(failed())?;
    let compression =
        Compression::by_magic(&head[..count]).map_err(|name| StoreError::Damaged {
            path: hold.store().directory().join("blobs").join(layer.digest.to_string()),
            problem: format!("compressed with {name}"),
        })?;
    compression.decoder(blob).map_err(failed())
}

/// Decodes every layer, several at a time, and compares the digests before anything is written.
fn plain_sizes(
    hold: &Hold,
    layers: &BTreeMap<Digest, Descriptor>,
) -> Result<BTreeMap<Digest, u64>, StoreError> {
    let layers: Vec<_> = layers.iter().collect();
    let (next, results) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        while let Some((diff_id, layer)) = layers.get(next.fetch_add(1, Ordering::Relaxed)) {
            let result = plain_size(hold, diff_id, layer).map(|size| ((*diff_id).clone(), size));
            results.lock().unwrap_or_else(PoisonError::into_inner).push(result);
        }
    };
    let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
    std::thread::scope(|scope| {
        for _ in 1..processors.min(layers.len()) {
            scope.spawn(work);
        }
        work();
    });
    results.into_inner().unwrap_or_else(PoisonError::into_inner).into_iter().collect()
}

fn plain_size(hold: &Hold, diff_id: &Digest, layer: &Descriptor) -> Result<u64, StoreError> {
    let (mut plain, mut size) = (plain(hold, layer)?, 0_u64);
    let mut hasher = Hasher::new(diff_id.algorithm());
    let mut buffer = vec![0; 256 << 10];
    loop {
        let failed = StoreError::io("decompress a layer of", hold.store().directory());
        match plain.read(&mut buffer).map_err(failed)? {
            0 => break,
            count => {
                hasher.update(&buffer[..count]);
                size = size.saturating_add(u64::try_from(count).unwrap_or(0));
            }
        }
    }
    let got = hasher.finish();
    if got == *diff_id {
        return Ok(size);
    }
    Err(StoreError::WrongDigest { wanted: diff_id.clone(), got, resumed: false })
}
