//! Out of the store, and back into another.

use super::*;

/// A store with an image from a layout.
fn filled(image: &Image) -> (Fixture, Descriptor) {
    let fixture = Fixture::new();
    let files = layout(&[image], &[entry(&image.manifest(), None, None)]);
    let path = fixture.file("x", &tar_of(&files));
    let manifest = fixture.import_path(Transport::OciArchive, &path).result.unwrap().manifest;
    (fixture, manifest)
}

fn exported(fixture: &Fixture, manifest: &Descriptor, names: &[&str], format: Format) -> Vec<u8> {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let mut bytes = Vec::new();
    let items = [Item { manifest, names: &names }];
    export(&fixture.hold(), &items, format, &mut bytes, &Silent).unwrap();
    bytes
}

#[test]
fn what_is_exported_is_imported() {
    let image = Image::new("export", 3);
    let (fixture, manifest) = filled(&image);
    let names = ["docker.io/library/a:1", "docker.io/library/a:2"];
    for (format, transport) in
        [(Format::Oci, Transport::OciArchive), (Format::Docker, Transport::DockerArchive)]
    {
        let bytes = exported(&fixture, &manifest, &names, format);
        assert_eq!(bytes, exported(&fixture, &manifest, &names, format), "not twice the same");
        let other = Fixture::new();
        let path = other.file("x", &bytes);
        assert_eq!(detect(&path).unwrap(), Transport::AnyArchive);
        let outcome = other.import_path(transport, &path);
        let imported = assert_imported(&other, outcome, &image);
        assert_eq!(imported.names, names);
        let is_same = imported.manifest.digest == manifest.digest;
        assert_eq!(is_same, format == Format::Oci);
        let mut sorted: Vec<String> = members(&bytes);
        sorted.sort();
        assert_eq!(members(&bytes), sorted, "not in order");
    }
}

fn members(bytes: &[u8]) -> Vec<String> {
    let mut archive = ::tar::Archive::new(bytes);
    let entries = archive.entries().unwrap();
    entries.map(|entry| entry.unwrap().path().unwrap().display().to_string()).collect()
}

#[test]
fn a_docker_archive_has_plain_layers() {
    let image = Image::new("export", 2);
    let (fixture, manifest) = filled(&image);
    let names = ["docker.io/library/a:1", "docker.io/library/a@sha256:00"];
    let bytes = exported(&fixture, &manifest, &names, Format::Docker);
    let mut archive = ::tar::Archive::new(bytes.as_slice());
    let mut found = 0;
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().display().to_string();
        let mut content = Vec::new();
        std::io::copy(&mut entry, &mut content).unwrap();
        if let Some(hex) = name.strip_suffix("/layer.tar") {
            assert_eq!(Digest::of(&content).hex(), hex);
            found += 1;
        } else if name == "manifest.json" {
            let list: Value = serde_json::from_slice(&content).unwrap();
            assert_eq!(list[0]["RepoTags"], json!(["docker.io/library/a:1"]));
        }
    }
    assert_eq!(found, 2);
}

#[test]
fn several_images_share_their_layers() {
    let (mut one, two) = (Image::new("export", 2), Image::new("export", 3));
    one.layers.truncate(2);
    let (fixture, first) = filled(&one);
    let files = layout(&[&two], &[entry(&two.manifest(), None, None)]);
    let path = fixture.file("y", &tar_of(&files));
    let second = fixture.import_path(Transport::OciArchive, &path).result.unwrap().manifest;
    let (names, none) = (vec!["a/b:1".to_owned()], Vec::new());
    let items =
        [Item { manifest: &first, names: &names }, Item { manifest: &second, names: &none }];
    for format in [Format::Oci, Format::Docker] {
        let mut bytes = Vec::new();
        export(&fixture.hold(), &items, format, &mut bytes, &Silent).unwrap();
        let mut names = members(&bytes);
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count, "a member twice");
        let other = Fixture::new();
        let path = other.file("x", &bytes);
        let wanted = Origin::Path(&path);
        let outcome = other.import(Transport::AnyArchive, wanted, Some("a/b:1"));
        assert_imported(&other, outcome, &one);
    }
}

#[test]
fn a_file_is_there_whole_or_not_at_all() {
    let image = Image::new("export", 2);
    let (fixture, manifest) = filled(&image);
    let directory = fixture.path("out");
    std::fs::create_dir(&directory).unwrap();
    let path = directory.join("a.tar");
    let items = [Item { manifest: &manifest, names: &[] }];
    let write = |format| export_to(&fixture.hold(), &items, format, &path, &Silent);
    let left = || std::fs::read_dir(&directory).unwrap().count();
    write(Format::Oci).unwrap();
    let good = std::fs::read(&path).unwrap();
    assert_eq!(good, exported(&fixture, &manifest, &[], Format::Oci));
    // A damaged layer: the old file stays, and nothing else.
    let layer = image.blobs().swap_remove(1);
    let blob = fixture.path("images").join(blob_name(&layer.0.digest));
    let mut bytes = layer.1.clone();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&blob, &bytes).unwrap();
    let error = write(Format::Oci).unwrap_err().to_string();
    assert!(error.starts_with("wrong content: "), "{error}");
    assert!(write(Format::Docker).is_err());
    bytes.truncate(bytes.len() / 2);
    std::fs::write(&blob, &bytes).unwrap();
    assert!(write(Format::Oci).is_err() && write(Format::Docker).is_err());
    std::fs::remove_file(&blob).unwrap();
    let error = write(Format::Oci).unwrap_err().to_string();
    assert!(error.ends_with("is not in the store"), "{error}");
    assert_eq!((std::fs::read(&path).unwrap(), left()), (good, 1));
}

#[test]
fn a_stream_that_is_full() {
    let (fixture, manifest) = filled(&Image::new("export", 1));
    let items = [Item { manifest: &manifest, names: &[] }];
    let full = Path::new("/dev/full");
    let error = export_to(&fixture.hold(), &items, Format::Oci, full, &Silent).unwrap_err();
    assert!(error.to_string().contains("No space left on device"), "{error}");
    assert!(!full.metadata().unwrap().is_file());
}
