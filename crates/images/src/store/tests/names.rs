//! Names, and finding images by them.

use super::*;

#[test]
fn a_name_stands_for_one_image() {
    let fixture = Fixture::new();
    let (one, two) = (fixture.image("1", &["a"]), fixture.image("2", &["a", "b"]));
    let hold = fixture.hold();
    assert_eq!(hold.tag("docker.io/library/x:1", &one).unwrap(), None);
    assert_eq!(hold.tag("docker.io/library/x:latest", &one).unwrap(), None);
    assert_eq!(fixture.store.images().unwrap().len(), 1);
    let before = hold.tag("docker.io/library/x:latest", &two).unwrap().unwrap();
    assert_eq!(before.digest, one.digest);
    assert_eq!(fixture.names(), ["docker.io/library/x:1", "docker.io/library/x:latest"]);
    // The last name of the first moves, too: it stays without one.
    hold.tag("docker.io/library/x:1", &two).unwrap();
    let images = fixture.store.images().unwrap();
    let names: Vec<_> = images.iter().map(|image| image.names.len()).collect();
    assert_eq!(names, [2, 0]);
    assert_eq!(images[1].manifest.digest, one.digest);
}

#[test]
fn naming_again_changes_nothing() {
    let fixture = Fixture::new();
    let manifest = fixture.tagged("a/b:1", &["x"]);
    let path = fixture.store.directory().join("index.json");
    let inode = || std::os::unix::fs::MetadataExt::ino(&path.metadata().unwrap());
    let before = inode();
    fixture.hold().tag("a/b:1", &manifest).unwrap();
    fixture.hold().keep(&manifest).unwrap();
    assert_eq!(inode(), before);
}

#[test]
fn an_image_without_a_name_gets_one() {
    let fixture = Fixture::new();
    let manifest = fixture.image("1", &["a"]);
    let hold = fixture.hold();
    hold.keep(&manifest).unwrap();
    assert_eq!(fixture.store.images().unwrap()[0].names, Vec::<String>::new());
    hold.tag("a/b:1", &manifest).unwrap();
    assert_eq!(fixture.store.images().unwrap().len(), 1);
    fixture.store.untag("a/b:1").unwrap();
    assert_eq!(fixture.store.images().unwrap()[0].names, Vec::<String>::new());
    let error = fixture.store.untag("a/b:1").unwrap_err().to_string();
    assert_eq!(error, r#"no image "a/b:1""#);
}

#[test]
fn what_gets_no_name() {
    let fixture = Fixture::new();
    let (hold, manifest) = (fixture.hold(), fixture.image("1", &["a"]));
    let long = "x".repeat(521);
    let cases = [
        ("", "\"\" cannot be the name of an image: it is empty"),
        ("a b", "characters other than visible ASCII"),
        ("a\u{1b}[31m", "characters other than visible ASCII"),
        ("ä", "characters other than visible ASCII"),
        (long.as_str(), "it is too long"),
    ];
    for (name, message) in cases {
        let error = hold.tag(name, &manifest).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
        assert!(!error.contains(char::is_control), "{error}");
    }
    let layer = hold.tag("a/b:1", &blob("a")).unwrap_err().to_string();
    assert!(layer.contains("is no image manifest but"), "{layer}");
    let missing = Descriptor::of(media_type::MANIFEST, b"nothing");
    assert!(hold.tag("a/b:1", &missing).is_err() && hold.keep(&missing).is_err());
    assert!(fixture.names().is_empty());
}

#[test]
fn an_image_says_what_it_is() {
    let fixture = Fixture::new();
    let manifest = fixture.tagged("a/b:1", &["one", "two", "two"]);
    let image = fixture.store.resolve("a/b:1").unwrap();
    let contents = image.contents.unwrap();
    assert_eq!(contents.layers.len(), 3);
    assert_eq!(contents.platform.to_string(), "linux/amd64");
    let created = lxcri_core::time::parse_rfc3339("2026-01-02T03:04:05Z").unwrap();
    assert_eq!(contents.created, Some(created));
    // The layer that occurs twice lies there once.
    assert_eq!(contents.size, manifest.size + contents.config.size + 3 + 3);
}

#[test]
fn found_by_name_digest_and_id() {
    let fixture = Fixture::new();
    let manifest = fixture.image("1", &["a"]);
    let origin = Digest::of(b"an index");
    let mut entry = manifest.clone();
    entry.annotations.insert(INDEX_DIGEST.to_owned(), origin.to_string());
    fixture.hold().tag("docker.io/library/x:1", &entry).unwrap();
    fixture.tagged("docker.io/library/y:1", &["b"]);
    let image = fixture.store.resolve("docker.io/library/x:1").unwrap();
    let id = image.id().clone();
    let texts = [
        manifest.digest.to_string(),
        origin.to_string(),
        id.to_string(),
        format!("docker.io/library/x@{origin}"),
        format!("docker.io/library/x:1@{}", manifest.digest),
        id.short().to_owned(),
        format!("sha256:{}", id.short()),
        manifest.digest.hex()[..6].to_owned(),
    ];
    for text in texts {
        let found = fixture.store.resolve(&text).unwrap();
        assert_eq!(found.manifest.digest, manifest.digest, "{text}");
    }
    assert_eq!(image.index_digest, Some(origin));
    for text in ["", "x", "docker.io/library/x", &id.hex()[..3], "sha256:", "@", "zzzz"] {
        let error = fixture.store.resolve(text).unwrap_err();
        assert_eq!(error.to_string(), format!("no image {text:?}"));
    }
}

#[test]
fn an_id_of_several_images_lists_them() {
    let fixture = Fixture::new();
    // Sixteen first digits: of 300 images some share four.
    let manifests: Vec<Descriptor> =
        (0..300).map(|number| fixture.image(&number.to_string(), &[])).collect();
    let hold = fixture.hold();
    for manifest in &manifests {
        hold.keep(manifest).unwrap();
    }
    let images = fixture.store.images().unwrap();
    let mut prefixes: Vec<&str> = images
        .iter()
        .flat_map(|i| [i.id().hex(), i.manifest.digest.hex()])
        .map(|h| &h[..4])
        .collect();
    prefixes.sort_unstable();
    let twice = prefixes.windows(2).find(|pair| pair[0] == pair[1]).expect("600 of 65536")[0];
    let error = fixture.store.resolve(twice).unwrap_err();
    assert!(matches!(&error, StoreError::Ambiguous { matches, .. } if matches.len() >= 2));
    assert!(error.to_string().starts_with(&format!("{twice:?} stands for ")), "{error}");
}

#[test]
fn a_damaged_image_does_not_hide_the_others() {
    let fixture = Fixture::new();
    let damaged = fixture.tagged("a/damaged:1", &["a"]);
    fixture.tagged("a/good:1", &["b"]);
    write(&fixture.store, &format!("blobs/sha256/{}", damaged.digest.hex()), "{}");
    let images = fixture.store.images().unwrap();
    assert_eq!(fixture.names(), ["a/damaged:1", "a/good:1"]);
    assert!(images[0].contents.is_err() && images[1].contents.is_ok());
    assert_eq!(images[0].id(), &damaged.digest);
}

/// What skopeo puts there with --all is not ours, but harmless.
#[test]
fn an_index_among_the_entries_is_no_image() {
    let fixture = Fixture::new();
    let mut entry = Descriptor::of(media_type::INDEX, b"{}");
    entry.annotations.insert(REF_NAME.to_owned(), "strange".to_owned());
    let index = serde_json::json!({ "schemaVersion": 2, "manifests": [entry] });
    write(&fixture.store, "index.json", &index.to_string());
    assert!(fixture.store.images().unwrap().is_empty());
    assert!(fixture.store.resolve("strange").is_err());
}

#[test]
fn names_of_many_processes_are_all_kept() {
    let fixture = Fixture::new();
    let manifest = fixture.image("1", &["a"]);
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (fixture, manifest) = (&fixture, &manifest);
            scope.spawn(move || {
                for number in 0..10 {
                    fixture.hold().tag(&format!("a/b:{thread}-{number}"), manifest).unwrap();
                }
            });
        }
    });
    assert_eq!(fixture.names().len(), 80);
}
