//! Tests of archives, made by hand so that each can be wrong in its own way.

mod docker;
mod export;
mod hostile;
mod layout;
mod rootfs;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Mutex;

use serde_json::{Value, json};

use super::*;
use crate::digest::Digest;
use crate::document::{Descriptor, media_type};
use crate::progress::Silent;
use crate::store::{Purpose, Store};

/// A store and a place for archives.
struct Fixture {
    directory: tempfile::TempDir,
    store: Store,
}

/// What an import gave: or its error, with what it told on the way.
struct Outcome {
    result: Result<Imported, ArchiveError>,
    told: BTreeMap<usize, (Descriptor, Digest)>,
}

impl Fixture {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path().join("images")).unwrap();
        Self { directory, store }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        std::fs::write(self.path(name), bytes).unwrap();
        self.path(name)
    }

    fn hold(&self) -> Hold {
        self.store.hold(Purpose::Import).unwrap()
    }

    fn import(&self, transport: Transport, origin: Origin<'_>, image: Option<&str>) -> Outcome {
        let (hold, told) = (self.hold(), Mutex::new(BTreeMap::new()));
        let on_layer = |number: usize, layer: &Descriptor, diff_id: &Digest| {
            assert!(self.store.contains(&layer.digest), "told too early");
            let before = told.lock().unwrap().insert(number, (layer.clone(), diff_id.clone()));
            assert!(before.is_none(), "told twice");
        };
        let platform = "linux/amd64".parse().unwrap();
        let request = Request { transport, origin, image, platform: &platform };
        let listeners = Listeners { progress: &Silent, on_layer: &on_layer };
        let result = import(&hold, request, listeners);
        Outcome { result, told: told.into_inner().unwrap() }
    }

    fn import_path(&self, transport: Transport, path: &Path) -> Outcome {
        self.import(transport, Origin::Path(path), None)
    }

    /// The message of an import that must fail and leave nothing but blobs.
    fn refused(&self, transport: Transport, bytes: &[u8]) -> String {
        let path = self.file("archive", bytes);
        let from_file = self.import_path(transport, &path).result.unwrap_err().to_string();
        let stream = Origin::Stream(Box::new(bytes));
        let from_stream = self.import(transport, stream, None).result.unwrap_err().to_string();
        let name = path.display().to_string();
        let message = from_file.replace(&name, "FILE");
        let streamed = from_stream.replace("standard input", "FILE");
        assert!(
            message == streamed || streamed.starts_with("FILE"),
            "{message} and {streamed} are of one archive"
        );
        self.assert_nothing_left();
        message
    }

    fn assert_nothing_left(&self) {
        assert!(self.store.images().unwrap().is_empty());
        let left: Vec<String> = std::fs::read_dir(self.path("images/ingest"))
            .unwrap()
            .map(|item| item.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.starts_with("new-"))
            .collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

/// Checks an import and its telling.
fn assert_imported(fixture: &Fixture, outcome: Outcome, image: &Image) -> Imported {
    let imported = outcome.result.unwrap();
    let diff_ids: Vec<&Digest> = imported.layers.iter().map(|(_, diff_id)| diff_id).collect();
    assert_eq!(diff_ids, image.diff_ids().iter().collect::<Vec<_>>());
    let told: Vec<_> = outcome.told.into_values().collect();
    assert_eq!(told, imported.layers);
    let contents = fixture.store.contents(&imported.manifest).unwrap();
    assert_eq!(contents.config.digest, Digest::of(&image.config()));
    assert_eq!(imported.manifest.platform.as_ref().unwrap().to_string(), "linux/amd64");
    fixture.hold().tag("test/image:1", &imported.manifest).unwrap();
    assert!(fixture.store.verify(&Silent, false).unwrap().is_empty());
    imported
}

/// An image that was made by hand.
#[derive(Clone)]
struct Image {
    /// The plain tars of its layers.
    layers: Vec<Vec<u8>>,
    architecture: &'static str,
}

impl Image {
    fn new(salt: &str, layers: usize) -> Self {
        let layer = |number: usize| {
            let text = format!("{salt} {number}");
            tar(&[("etc/", b""), (&format!("etc/{number}"), text.as_bytes())])
        };
        Self { layers: (0..layers).map(layer).collect(), architecture: "amd64" }
    }

    fn diff_ids(&self) -> Vec<Digest> {
        self.layers.iter().map(|layer| Digest::of(layer)).collect()
    }

    fn config(&self) -> Vec<u8> {
        let config = json!({
            "architecture": self.architecture, "os": "linux",
            "config": { "Cmd": ["true"] },
            "rootfs": { "type": "layers", "diff_ids": self.diff_ids() },
        });
        config.to_string().into_bytes()
    }

    /// The blobs of a layout, with compressed layers; the manifest is the last.
    fn blobs(&self) -> Vec<(Descriptor, Vec<u8>)> {
        let config = self.config();
        let mut blobs = vec![(Descriptor::of(media_type::CONFIG, &config), config)];
        for layer in &self.layers {
            let bytes = gzip(layer);
            blobs.push((Descriptor::of(media_type::LAYER_GZIP, &bytes), bytes));
        }
        let layers: Vec<&Descriptor> = blobs[1..].iter().map(|(layer, _)| layer).collect();
        let manifest = json!({
            "schemaVersion": 2, "mediaType": media_type::MANIFEST,
            "config": blobs[0].0, "layers": layers,
        });
        let manifest = manifest.to_string().into_bytes();
        blobs.push((Descriptor::of(media_type::MANIFEST, &manifest), manifest));
        blobs
    }

    fn manifest(&self) -> Descriptor {
        self.blobs().pop().unwrap().0
    }
}

/// A layout by file names: the images, and an index with these entries.
fn layout(images: &[&Image], entries: &[Value]) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for (descriptor, bytes) in images.iter().flat_map(|image| image.blobs()) {
        files.insert(blob_name(&descriptor.digest), bytes);
    }
    let index = json!({ "schemaVersion": 2, "manifests": entries });
    files.insert("index.json".to_owned(), index.to_string().into_bytes());
    files.insert("oci-layout".to_owned(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec());
    files
}

fn blob_name(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

/// An entry of an index.
fn entry(manifest: &Descriptor, name: Option<&str>, platform: Option<&str>) -> Value {
    let mut entry = manifest.clone();
    if let Some(name) = name {
        let key = "org.opencontainers.image.ref.name".to_owned();
        entry.annotations.insert(key, name.to_owned());
    }
    entry.platform = platform.map(|text| text.parse().unwrap());
    serde_json::to_value(entry).unwrap()
}

fn tar_of(files: &BTreeMap<String, Vec<u8>>) -> Vec<u8> {
    let members: Vec<(&str, &[u8])> =
        files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
    tar(&members)
}

/// A tar of files; a name that ends with a slash is a directory.
fn tar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = ::tar::Builder::new(Vec::new());
    for (name, bytes) in members {
        let mut header = ::tar::Header::new_gnu();
        header.set_size(u64::try_from(bytes.len()).unwrap());
        header.set_mode(0o644);
        if name.ends_with('/') {
            header.set_entry_type(::tar::EntryType::Directory);
        }
        builder.append_data(&mut header, name, *bytes).unwrap();
    }
    builder.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let level = flate2::Compression::fast();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    ::zstd::bulk::compress(bytes, 1).unwrap()
}

/// Writes files below a directory.
fn unpack(directory: &Path, files: &BTreeMap<String, Vec<u8>>) {
    for (name, bytes) in files {
        let path = directory.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}
