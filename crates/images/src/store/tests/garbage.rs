//! Removing, pruning, verifying.

use std::sync::mpsc::channel;
use std::time::Duration;

use super::*;
use crate::progress::Silent;

fn users(digests: &[&Digest]) -> impl Fn() -> Users + use<> {
    let used: BTreeSet<Digest> = digests.iter().map(|digest| (*digest).clone()).collect();
    move || Ok(used.clone())
}

fn prune(fixture: &Fixture, all: bool) -> Pruned {
    let options = PruneOptions { all, ..PruneOptions::default() };
    fixture.store.prune(options, &nobody, &|| panic!("nobody holds it")).unwrap()
}

#[test]
fn an_image_goes_with_its_last_name() {
    let fixture = Fixture::new();
    let manifest = fixture.tagged("a/b:1", &["shared", "own"]);
    fixture.hold().tag("a/b:2", &manifest).unwrap();
    fixture.tagged("a/c:1", &["shared"]);
    let removed = fixture.store.remove("a/b:1", false, &nobody).unwrap();
    assert_eq!(removed, Removed { names: vec!["a/b:1".to_owned()], ..Removed::default() });
    let removed = fixture.store.remove("a/b:2", false, &nobody).unwrap();
    assert_eq!((removed.names, removed.blobs.len()), (vec!["a/b:2".to_owned()], 3));
    assert!(removed.image.is_some() && !removed.is_postponed && removed.bytes > 3);
    assert!(fixture.has("shared") && !fixture.has("own"));
    assert_eq!(fixture.names(), ["a/c:1"]);
    assert!(fixture.store.verify(&Silent, false).unwrap().is_empty());
}

#[test]
fn an_image_in_use_is_kept() {
    let fixture = Fixture::new();
    let manifest = fixture.tagged("a/b:1", &["own"]);
    let used = users(&[&manifest.digest]);
    let error = fixture.store.remove("a/b:1", false, &used).unwrap_err();
    assert_eq!(error.to_string(), "image a/b:1 is used by a container");
    assert!(error.hints()[0].contains("--force"));
    assert_eq!(fixture.names(), ["a/b:1"]);
    // A further name may go.
    fixture.hold().tag("a/b:2", &manifest).unwrap();
    fixture.store.remove("a/b:2", false, &used).unwrap();
    // By force the name goes, and nothing else.
    let removed = fixture.store.remove("a/b:1", true, &used).unwrap();
    assert_eq!((removed.names.len(), removed.blobs.len()), (1, 0));
    assert!(fixture.has("own") && fixture.names().is_empty());
    assert!(fixture.store.resolve(&manifest.digest.to_string()).is_ok());
}

#[test]
fn an_image_in_use_by_its_id_is_kept() {
    let fixture = Fixture::new();
    fixture.tagged("a/b:1", &["own"]);
    let image = fixture.store.resolve("a/b:1").unwrap();
    assert!(fixture.store.remove("a/b:1", false, &users(&[image.id()])).is_err());
}

#[test]
fn several_names_need_force() {
    let fixture = Fixture::new();
    let manifest = fixture.tagged("a/b:1", &["own"]);
    fixture.hold().tag("a/b:2", &manifest).unwrap();
    let id = manifest.digest.short();
    let error = fixture.store.remove(id, false, &nobody).unwrap_err().to_string();
    assert!(error.ends_with("has several names: a/b:1, a/b:2"), "{error}");
    let removed = fixture.store.remove(id, true, &nobody).unwrap();
    assert_eq!(removed.names, ["a/b:1", "a/b:2"]);
    assert!(!fixture.has("own"));
}

#[test]
fn nothing_goes_while_nobody_knows_the_containers() {
    let fixture = Fixture::new();
    fixture.tagged("a/b:1", &["own"]);
    let unknown = || -> Users { Err("state.json is damaged".into()) };
    let message = "cannot tell which images containers use: state.json is damaged";
    let error = fixture.store.remove("a/b:1", true, &unknown).unwrap_err();
    assert_eq!(error.to_string(), message);
    let options = PruneOptions { all: true, ..PruneOptions::default() };
    let error = fixture.store.prune(options, &unknown, &|| {}).unwrap_err();
    assert_eq!(error.to_string(), message);
    assert!(fixture.has("own") && fixture.names() == ["a/b:1"]);
}

/// Somebody makes a container of an image that is removed at the same time.
#[test]
fn what_is_held_is_removed_later() {
    let fixture = Fixture::new();
    let manifest = fixture.tagged("a/b:1", &["own"]);
    let hold = fixture.hold();
    let removed = fixture.store.remove("a/b:1", false, &nobody).unwrap();
    assert!(removed.is_postponed && removed.blobs.is_empty());
    assert!(fixture.has("own") && fixture.names().is_empty());
    drop(hold);
    let pruned = prune(&fixture, false);
    assert_eq!(pruned.images, [manifest.digest]);
    assert!(!fixture.has("own"));
}

#[test]
fn a_prune_takes_what_nothing_names() {
    let fixture = Fixture::new();
    fixture.tagged("a/b:1", &["kept"]);
    let old = fixture.image("old", &["gone", "kept"]);
    fixture.hold().keep(&old).unwrap();
    fixture.hold().put_document(media_type::LAYER, b"garbage").unwrap();
    let pruned = prune(&fixture, false);
    assert_eq!((pruned.images, pruned.names.len(), pruned.blobs.len()), (vec![old.digest], 0, 4));
    assert!(fixture.has("kept") && !fixture.has("gone") && !fixture.has("garbage"));
    assert_eq!(prune(&fixture, false), Pruned::default());
    let pruned = prune(&fixture, true);
    assert_eq!(pruned.names, ["a/b:1"]);
    assert!(!fixture.has("kept"));
    let blobs = fixture.store.directory().join("blobs/sha256");
    assert_eq!(std::fs::read_dir(blobs).unwrap().count(), 0);
}

#[test]
fn a_prune_keeps_what_containers_use() {
    let fixture = Fixture::new();
    let named = fixture.tagged("a/b:1", &["one"]);
    let unnamed = fixture.image("2", &["two"]);
    fixture.hold().keep(&unnamed).unwrap();
    // Not even in the index any more.
    let forgotten = fixture.image("3", &["three"]);
    fixture.hold().put_document(media_type::LAYER, b"four").unwrap();
    let four = Digest::of(b"four");
    let used = users(&[&named.digest, &unnamed.digest, &forgotten.digest, &four]);
    let options = PruneOptions { all: true, ..PruneOptions::default() };
    let pruned = fixture.store.prune(options, &used, &|| {}).unwrap();
    assert_eq!(pruned, Pruned::default());
    assert!(["one", "two", "three", "four"].iter().all(|text| fixture.has(text)));
}

#[test]
fn a_prune_waits_for_who_pulls() {
    let fixture = Fixture::new();
    let hold = fixture.hold();
    let (say, heard) = channel();
    std::thread::scope(|scope| {
        let store = &fixture.store;
        let pruning = scope.spawn(move || {
            let options = PruneOptions::default();
            store.prune(options, &nobody, &|| say.send(()).unwrap()).unwrap()
        });
        heard.recv().unwrap();
        // Blobs that no name needs yet are safe now.
        let manifest = fixture.image("1", &["a"]);
        hold.tag("a/b:1", &manifest).unwrap();
        drop(hold);
        assert_eq!(pruning.join().unwrap(), Pruned::default());
    });
    assert!(fixture.store.verify(&Silent, false).unwrap().is_empty());
    assert_eq!(fixture.names(), ["a/b:1"]);
}

#[test]
fn a_prune_takes_beginnings_that_are_old() {
    let fixture = Fixture::new();
    let (young, old) = (blob("young"), blob("old"));
    let path = |blob: &Descriptor| {
        fixture.store.directory().join(format!("ingest/sha256-{}", blob.digest.hex()))
    };
    for blob in [&young, &old] {
        std::fs::write(path(blob), "y").unwrap();
    }
    let before = std::time::SystemTime::now() - Duration::from_secs(8 * 24 * 60 * 60);
    std::fs::File::open(path(&old)).unwrap().set_modified(before).unwrap();
    write(&fixture.store, "ingest/new-1-1", "of a killed import");
    let pruned = prune(&fixture, false);
    assert_eq!((pruned.partials, pruned.bytes), (2, 19));
    assert_eq!(fixture.ingest(), [format!("sha256-{}", young.digest.hex())]);
}

#[test]
fn damage_is_found_and_repaired() {
    let fixture = Fixture::new();
    fixture.tagged("a/b:1", &["layer one", "layer two"]);
    fixture.tagged("a/c:1", &["layer three"]);
    let damaged = Digest::of(b"layer one");
    write(&fixture.store, &format!("blobs/sha256/{}", damaged.hex()), "layer 0ne");
    std::fs::remove_file(fixture.store.blob_path(&Digest::of(b"layer three"))).unwrap();
    let texts = |repair| -> Vec<String> {
        let damage = fixture.store.verify(&Silent, repair).unwrap();
        damage.iter().map(ToString::to_string).collect()
    };
    let missing = format!("image a/c:1: blob {} is not in the store", Digest::of(b"layer three"));
    let got = Digest::of(b"layer 0ne");
    let bad = format!("blob {damaged} is damaged: its content is {got}");
    assert_eq!(texts(false), [bad.clone(), missing.clone()]);
    assert!(fixture.has("layer one"));
    let bad = format!("blob {damaged} was damaged and is removed: its content is {got}");
    let lost = format!("image a/b:1: blob {damaged} is not in the store");
    assert_eq!(texts(true), [bad, lost, missing]);
    // A pull fetches it again.
    fixture.hold().put_document(media_type::LAYER, b"layer one").unwrap();
    assert_eq!(texts(false).len(), 1);
}

#[test]
fn a_damaged_manifest_is_reported_once() {
    let fixture = Fixture::new();
    let manifest = fixture.tagged("a/b:1", &["a"]);
    write(&fixture.store, &format!("blobs/sha256/{}", manifest.digest.hex()), "");
    let damage = fixture.store.verify(&Silent, true).unwrap();
    assert_eq!(damage.len(), 2, "{damage:?}");
    // The name stays, and so nobody takes another image for it.
    assert_eq!(fixture.names(), ["a/b:1"]);
    assert_eq!(prune(&fixture, false).names.len(), 0);
}
