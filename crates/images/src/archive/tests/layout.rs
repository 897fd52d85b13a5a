//! Image layouts in directories and archives, and skopeo's directories.

use super::*;
use crate::store::INDEX_DIGEST;

/// One image with a name.
fn simple(name: Option<&str>) -> (Image, BTreeMap<String, Vec<u8>>) {
    let image = Image::new("simple", 3);
    let files = layout(&[&image], &[entry(&image.manifest(), name, None)]);
    (image, files)
}

#[test]
fn from_a_directory() {
    let (fixture, (image, files)) = (Fixture::new(), simple(Some("1.0")));
    unpack(&fixture.path("layout"), &files);
    let outcome = fixture.import_path(Transport::Layout, &fixture.path("layout"));
    let imported = assert_imported(&fixture, outcome, &image);
    assert_eq!(imported.names, ["1.0"]);
    assert_eq!(imported.manifest.digest, image.manifest().digest);
    assert_eq!(detect(&fixture.path("layout")).unwrap(), Transport::Layout);
}

#[test]
fn from_archives_of_every_kind() {
    let (image, files) = simple(Some("docker.io/library/a:1"));
    let plain = tar_of(&files);
    for bytes in [plain.clone(), gzip(&plain), zstd(&plain)] {
        let fixture = Fixture::new();
        let path = fixture.file("x", &bytes);
        assert_eq!(detect(&path).unwrap(), Transport::AnyArchive);
        let outcome = fixture.import_path(Transport::OciArchive, &path);
        assert_imported(&fixture, outcome, &image);
        let fixture = Fixture::new();
        let stream = Origin::Stream(Box::new(bytes.as_slice()));
        let outcome = fixture.import(Transport::AnyArchive, stream, None);
        let imported = assert_imported(&fixture, outcome, &image);
        assert_eq!(imported.names, ["docker.io/library/a:1"]);
    }
}

#[test]
fn from_a_fifo() {
    let (fixture, (image, files)) = (Fixture::new(), simple(None));
    let path = fixture.path("fifo");
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    assert!(detect(&path).unwrap_err().to_string().contains("no regular file"));
    std::thread::scope(|scope| {
        scope.spawn(|| std::fs::write(&path, tar_of(&files)).unwrap());
        let outcome = fixture.import_path(Transport::OciArchive, &path);
        assert_imported(&fixture, outcome, &image);
    });
}

/// What skopeo calls dir: blobs by their digits, next to the manifest.
#[test]
fn from_the_directory_of_skopeo() {
    let (fixture, image) = (Fixture::new(), Image::new("dir", 2));
    let mut blobs = image.blobs();
    let manifest = blobs.pop().unwrap().1;
    let mut files: BTreeMap<String, Vec<u8>> =
        blobs.into_iter().map(|(blob, bytes)| (blob.digest.hex().to_owned(), bytes)).collect();
    files.insert("manifest.json".to_owned(), manifest);
    files.insert("version".to_owned(), b"Directory Transport Version: 1.1\n".to_vec());
    unpack(&fixture.path("dir"), &files);
    assert_eq!(detect(&fixture.path("dir")).unwrap(), Transport::Directory);
    let outcome = fixture.import_path(Transport::Directory, &fixture.path("dir"));
    let imported = assert_imported(&fixture, outcome, &image);
    assert_eq!(imported.manifest.digest, image.manifest().digest);
}

#[test]
fn a_list_in_the_directory_of_skopeo() {
    let (fixture, image) = (Fixture::new(), Image::new("dir", 1));
    let mut blobs = image.blobs();
    let (descriptor, manifest) = blobs.pop().unwrap();
    let mut files: BTreeMap<String, Vec<u8>> =
        blobs.into_iter().map(|(blob, bytes)| (blob.digest.hex().to_owned(), bytes)).collect();
    files.insert(format!("{}.manifest.json", descriptor.digest.hex()), manifest);
    let entries = [entry(&descriptor, None, Some("linux/amd64"))];
    let list = json!({ "schemaVersion": 2, "manifests": entries }).to_string().into_bytes();
    files.insert("manifest.json".to_owned(), list.clone());
    unpack(&fixture.path("dir"), &files);
    let outcome = fixture.import_path(Transport::Directory, &fixture.path("dir"));
    let imported = assert_imported(&fixture, outcome, &image);
    assert_eq!(imported.manifest.annotations[INDEX_DIGEST], Digest::of(&list).to_string());
}

#[test]
fn what_is_there_is_not_copied_again() {
    let (fixture, (image, files)) = (Fixture::new(), simple(None));
    let path = fixture.file("x", &tar_of(&files));
    fixture.import_path(Transport::OciArchive, &path).result.unwrap();
    // Not even looked at: without its layers the archive is still good.
    let few: BTreeMap<String, Vec<u8>> =
        files.into_iter().filter(|(_, bytes)| !bytes.starts_with(&[0x1f, 0x8b])).collect();
    let path = fixture.file("few", &tar_of(&few));
    let outcome = fixture.import_path(Transport::OciArchive, &path);
    assert_imported(&fixture, outcome, &image);
}

#[test]
fn an_import_goes_on_where_another_ended() {
    let (fixture, (image, files)) = (Fixture::new(), simple(None));
    let (layer, bytes) = image.blobs().swap_remove(2);
    let half = fixture.path("images/ingest").join(format!("sha256-{}", layer.digest.hex()));
    std::fs::write(&half, &bytes[..bytes.len() / 2]).unwrap();
    let path = fixture.file("x", &tar_of(&files));
    let outcome = fixture.import_path(Transport::OciArchive, &path);
    assert_imported(&fixture, outcome, &image);
    // A damaged beginning costs a second try, and no error.
    let fixture = Fixture::new();
    let half = fixture.path("images/ingest").join(format!("sha256-{}", layer.digest.hex()));
    std::fs::write(&half, [0; 9]).unwrap();
    let outcome = fixture.import_path(Transport::OciArchive, &path);
    assert_imported(&fixture, outcome, &image);
}

#[test]
fn one_of_several() {
    let (one, two) = (Image::new("one", 1), Image::new("two", 1));
    let entries = [
        entry(&one.manifest(), Some("docker.io/library/one:latest"), None),
        entry(&two.manifest(), Some("two"), None),
    ];
    let bytes = tar_of(&layout(&[&one, &two], &entries));
    let fixture = Fixture::new();
    let path = fixture.file("x", &bytes);
    let import = |name| fixture.import(Transport::OciArchive, Origin::Path(&path), name);
    for name in ["one", "one:latest", "docker.io/library/one:latest"] {
        assert_imported(&fixture, import(Some(name)), &one);
    }
    let digest = two.manifest().digest.to_string();
    for name in ["two", digest.as_str()] {
        assert_imported(&fixture, import(Some(name)), &two);
    }
    let error = import(None).result.unwrap_err();
    let message =
        format!(r#"{} has several images: "docker.io/library/one:latest", "two""#, path.display());
    assert_eq!(error.to_string(), message);
    assert_eq!(error.hints(), ["name one of them after a colon: TRANSPORT:PATH:NAME"]);
    let error = import(Some("three")).result.unwrap_err().to_string();
    assert!(error.contains(r#"has no image "three"; it has "docker.io"#), "{error}");
}

#[test]
fn one_of_several_platforms() {
    let (one, mut two) = (Image::new("one", 1), Image::new("two", 1));
    two.architecture = "arm64";
    let fixture = Fixture::new();
    // Directly in the index, under one name or none.
    for name in [None, Some("1.0")] {
        let entries = [
            entry(&two.manifest(), name, Some("linux/arm64/v8")),
            entry(&one.manifest(), name, Some("linux/amd64")),
        ];
        let path = fixture.file("x", &tar_of(&layout(&[&one, &two], &entries)));
        let outcome = fixture.import(Transport::OciArchive, Origin::Path(&path), name);
        assert_imported(&fixture, outcome, &one);
    }
    // Behind a second index, as registries have it.
    let entries = [
        entry(&two.manifest(), None, Some("linux/arm64/v8")),
        entry(&one.manifest(), None, Some("linux/amd64")),
    ];
    let inner = json!({ "schemaVersion": 2, "manifests": entries }).to_string().into_bytes();
    let descriptor = Descriptor::of(media_type::INDEX, &inner);
    let mut files = layout(&[&one, &two], &[entry(&descriptor, Some("1.0"), None)]);
    files.insert(blob_name(&descriptor.digest), inner);
    let path = fixture.file("x", &tar_of(&files));
    let outcome = fixture.import_path(Transport::OciArchive, &path);
    let imported = assert_imported(&fixture, outcome, &one);
    assert_eq!(imported.manifest.annotations[INDEX_DIGEST], descriptor.digest.to_string());
    assert_eq!(imported.names, ["1.0"]);
}

#[test]
fn no_platform_fits() {
    let (fixture, mut image) = (Fixture::new(), Image::new("one", 1));
    image.architecture = "s390x";
    let manifest = image.manifest();
    let entries = [
        entry(&manifest, None, Some("linux/s390x")),
        entry(&Descriptor::of(media_type::MANIFEST, b"x"), None, Some("linux/arm/v7")),
    ];
    let message = fixture.refused(Transport::OciArchive, &tar_of(&layout(&[&image], &entries)));
    let wanted = r#"FILE has nothing for linux/amd64; it has "linux/s390x", "linux/arm/v7""#;
    assert_eq!(message, wanted);
}

#[test]
fn an_index_that_leads_to_itself() {
    let fixture = Fixture::new();
    // No digest leads to itself; a chain that is too long does as well.
    let mut files = layout(&[], &[]);
    let mut entry = entry(&Descriptor::of(media_type::MANIFEST, b"x"), None, Some("linux/amd64"));
    for _ in 0..6 {
        let bytes = json!({ "schemaVersion": 2, "manifests": [entry] }).to_string().into_bytes();
        let descriptor = Descriptor::of(media_type::INDEX, &bytes);
        files.insert(blob_name(&descriptor.digest), bytes);
        entry = super::entry(&descriptor, None, Some("linux/amd64"));
    }
    let index = json!({ "schemaVersion": 2, "manifests": [entry] });
    files.insert("index.json".to_owned(), index.to_string().into_bytes());
    let message = fixture.refused(Transport::OciArchive, &tar_of(&files));
    assert_eq!(message, "FILE: more than 4 indexes within one another");
}

#[test]
fn links_of_a_directory_stay_inside() {
    let (fixture, (_, files)) = (Fixture::new(), simple(None));
    unpack(&fixture.path("layout"), &files);
    let index = fixture.path("layout/index.json");
    std::fs::rename(&index, fixture.path("outside.json")).unwrap();
    std::os::unix::fs::symlink("../outside.json", &index).unwrap();
    let outcome = fixture.import_path(Transport::Layout, &fixture.path("layout"));
    let error = outcome.result.unwrap_err().to_string();
    assert!(error.ends_with(r#"has no "index.json""#), "{error}");
}
