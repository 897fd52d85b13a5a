//! Tests of the store: whole lives of blobs, names and garbage, on a real file system.

mod garbage;
mod ingest;
mod names;

use std::collections::BTreeSet;
use std::path::Path;

use super::*;
use crate::document::{Descriptor, media_type};

/// A store in a directory of its own.
struct Fixture {
    _directory: tempfile::TempDir,
    store: Store,
}

impl Fixture {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path().join("a/images")).unwrap();
        Self { _directory: directory, store }
    }

    fn hold(&self) -> Hold {
        self.store.hold(Purpose::Pull).unwrap()
    }

    /// An image of some layers, which is in the store and has no name. `salt` makes it another.
    fn image(&self, salt: &str, layers: &[&str]) -> Descriptor {
        let hold = self.hold();
        let put = |kind: &str, text: &str| hold.put_document(kind, text.as_bytes()).unwrap();
        let diff_ids: Vec<Digest> = layers.iter().map(|text| Digest::of(text.as_bytes())).collect();
        let config = serde_json::json!({
            "created": "2026-01-02T03:04:05Z",
            "author": salt,
            "architecture": "amd64",
            "os": "linux",
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
        });
        let config = put(media_type::CONFIG, &config.to_string());
        let layers: Vec<Descriptor> =
            layers.iter().map(|text| put(media_type::LAYER, text)).collect();
        let manifest = serde_json::json!({
            "schemaVersion": 2, "mediaType": media_type::MANIFEST,
            "config": config, "layers": layers,
        });
        put(media_type::MANIFEST, &manifest.to_string())
    }

    /// An image with a name.
    fn tagged(&self, name: &str, layers: &[&str]) -> Descriptor {
        let manifest = self.image(name, layers);
        self.hold().tag(name, &manifest).unwrap();
        manifest
    }

    fn has(&self, text: &str) -> bool {
        self.store.contains(&Digest::of(text.as_bytes()))
    }

    fn names(&self) -> Vec<String> {
        self.store.images().unwrap().into_iter().flat_map(|image| image.names).collect()
    }

    /// What lies in `ingest` besides locks.
    fn ingest(&self) -> Vec<String> {
        let items = std::fs::read_dir(self.store.directory().join("ingest")).unwrap();
        let names = items.map(|item| item.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> =
            names.filter(|name| !["lock", "index.lock"].contains(&name.as_str())).collect();
        names.sort();
        names
    }
}

type Users = Result<BTreeSet<Digest>, Box<dyn std::error::Error + Send + Sync>>;

/// No container uses anything.
fn nobody() -> Users {
    Ok(BTreeSet::new())
}

fn blob(text: &str) -> Descriptor {
    Descriptor::of(media_type::LAYER, text.as_bytes())
}

/// The only entry of a directory below the store.
fn write(store: &Store, name: &str, text: &str) {
    std::fs::write(store.directory().join(name), text).unwrap();
}

#[test]
fn a_new_store_is_an_image_layout() {
    let fixture = Fixture::new();
    let read = |name: &str| std::fs::read_to_string(fixture.store.directory().join(name)).unwrap();
    assert_eq!(read("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#);
    let index =
        format!(r#"{{"schemaVersion":2,"mediaType":"{}","manifests":[]}}"#, media_type::INDEX);
    assert_eq!(read("index.json"), index);
    let again = Store::open(fixture.store.directory()).unwrap();
    assert!(again.images().unwrap().is_empty());
    again.sync().unwrap();
}

#[test]
fn nobody_else_can_look_inside() {
    use std::os::unix::fs::PermissionsExt;
    let fixture = Fixture::new();
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    let directory = fixture.store.directory();
    for path in [directory, directory.parent().unwrap(), &directory.join("blobs")] {
        assert_eq!(mode(path), 0o700, "{}", path.display());
    }
    assert_eq!(mode(&directory.join("index.json")), 0o600);
}

#[test]
fn a_store_that_was_half_made_is_made() {
    let directory = tempfile::tempdir().unwrap();
    for made in [vec![], vec!["ingest"], vec!["ingest", "blobs", "blobs/sha256"]] {
        let path = directory.path().join(made.len().to_string());
        std::fs::create_dir(&path).unwrap();
        for name in made {
            std::fs::create_dir(path.join(name)).unwrap();
        }
        assert!(Store::open(&path).unwrap().images().unwrap().is_empty());
    }
}

/// Somebody has names in it already; only `oci-layout` is missing.
#[test]
fn a_half_made_store_keeps_its_index() {
    let fixture = Fixture::new();
    fixture.tagged("a/b:1", &["x"]);
    std::fs::remove_file(fixture.store.directory().join("oci-layout")).unwrap();
    Store::open(fixture.store.directory()).unwrap();
    assert_eq!(fixture.names(), ["a/b:1"]);
}

#[test]
fn other_directories_are_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("passwd"), "").unwrap();
    let error = Store::open(directory.path()).unwrap_err();
    assert!(error.to_string().ends_with(r#"is no image store: it has "passwd" and no oci-layout"#));
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    assert_eq!(error.hints(), ["give an empty directory, or one that does not exist yet"]);
}

#[test]
fn damage_of_our_own_files_is_named() {
    let fixture = Fixture::new();
    let message = || {
        Store::open(fixture.store.directory())
            .and_then(|store| store.images())
            .map_or_else(|error| error.to_string(), |_| "fine".to_owned())
    };
    for text in ["", "{", "[]", r#"{"schemaVersion":1,"manifests":[]}"#] {
        write(&fixture.store, "index.json", text);
        assert!(message().contains("index.json is damaged: "), "{text}: {}", message());
    }
    write(&fixture.store, "oci-layout", r#"{"imageLayoutVersion":"2.0.0"}"#);
    assert!(message().contains(r#"version "2.0.0" of the image layout"#), "{}", message());
    write(&fixture.store, "oci-layout", &"x".repeat(5000));
    assert!(message().contains("oci-layout is damaged: more than 4096 bytes"), "{}", message());
}

#[test]
fn an_index_without_bound_is_refused() {
    let fixture = Fixture::new();
    let entry = serde_json::to_string(&blob("x")).unwrap();
    let entries = vec![entry.as_str(); MAX_IMAGES + 1].join(",");
    write(
        &fixture.store,
        "index.json",
        &format!(r#"{{"schemaVersion":2,"manifests":[{entries}]}}"#),
    );
    let error = fixture.store.images().unwrap_err().to_string();
    assert!(error.contains("50001 entries"), "{error}");
}
