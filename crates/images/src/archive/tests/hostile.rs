//! Bytes of somebody who means us no good.

use std::io::Read;

use super::*;

fn simple() -> Vec<u8> {
    let image = Image::new("simple", 2);
    tar_of(&layout(&[&image], &[entry(&image.manifest(), None, None)]))
}

/// A header with a check sum that is right.
fn header(name: &str, kind: u8, size: u64) -> [u8; 512] {
    let mut header = ::tar::Header::new_gnu();
    header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(::tar::EntryType::new(kind));
    header.set_size(size);
    header.set_cksum();
    *header.as_bytes()
}

/// A header, some bytes, and the end of an archive.
fn broken(headers: &[&[u8]]) -> String {
    let bytes = [headers.concat(), vec![0; 1024]].concat();
    Fixture::new().refused(Transport::AnyArchive, &bytes)
}

fn block(text: &str) -> [u8; 512] {
    let mut block = [0; 512];
    block[..text.len()].copy_from_slice(text.as_bytes());
    block
}

#[test]
fn an_archive_that_ends_too_early() {
    let bytes = simple();
    // In the last two blocks nothing is lost.
    let places = (0..bytes.len() - 1024).step_by(256).chain([1, 511, 513]);
    for at in places {
        let fixture = Fixture::new();
        let message = fixture.refused(Transport::AnyArchive, &bytes[..at]);
        let is_expected = ["FILE is cut off: it ends within ", "FILE has no "];
        assert!(is_expected.iter().any(|text| message.starts_with(text)), "{at}: {message}");
    }
}

#[test]
fn compressed_data_that_ends_too_early() {
    for bytes in [gzip(&simple()), zstd(&simple())] {
        for at in (7..bytes.len() - 1).step_by(97) {
            let message = Fixture::new().refused(Transport::AnyArchive, &bytes[..at]);
            assert!(message.starts_with("FILE is cut off: it ends within "), "{at}: {message}");
        }
    }
}

#[test]
fn sizes_that_lie() {
    let huge = header("blobs/x", b'0', u64::MAX);
    assert!(broken(&[&huge]).contains("a size beyond all files"), "{}", broken(&[&huge]));
    let large = header("index.json", b'0', 1 << 40);
    let fixture = Fixture::new();
    let message = fixture.refused(Transport::AnyArchive, &[large.as_slice(), &[0; 512]].concat());
    assert!(message.contains("it ends within \"index.json\""), "{message}");
    // The same by an extension.
    for size in ["18446744073709551615", "18446744073709551616", "-1", "x", ""] {
        let text = format!(" size={size}\n");
        let length = text.len() + if text.len() < 9 { 1 } else { 2 };
        let text = format!("{length}{text}");
        let extension = header("pax", b'x', u64::try_from(text.len()).unwrap());
        let message = broken(&[&extension, &block(&text), &header("index.json", b'0', 0)]);
        assert!(message.starts_with("FILE is no tar archive: a size "), "{size}: {message}");
    }
}

#[test]
fn extensions_without_bound() {
    let long = header("long", b'L', 1 << 40);
    assert!(broken(&[&long]).contains("a name longer than any path"));
    let named = [header("long", b'L', 2).as_slice(), &block("x")].concat();
    let many = named.repeat(20);
    assert!(broken(&[&many]).contains("more extensions than any name needs"));
    for text in ["7 path=x\n", "8 path=x", "x path=x\n", "99999999999999999999 a=b\n", "5 ab\n"] {
        let extension = header("pax", b'x', u64::try_from(text.len()).unwrap());
        let message = broken(&[&extension, &block(text), &header("a", b'0', 0)]);
        assert!(message.contains("an extension that is none"), "{text}: {message}");
    }
}

#[test]
fn an_extension_names_the_member_after_it() {
    let text = "18 path=index.json\n".replace("18", "19");
    let bytes = [
        header("pax", b'x', 19).as_slice(),
        &block(&text),
        &header("long", b'L', 4),
        &block("name"),
        &header("short", b'0', 3),
        &block("abc"),
        &header("other", b'0', 0),
        &[0; 1024],
    ]
    .concat();
    let table = Table::list("x", bytes.as_slice()).unwrap();
    // The later one counts, and the member after it has its own.
    assert_eq!(table.names().collect::<Vec<_>>(), ["name", "other"]);
    assert_eq!((table.size("name"), table.size("./name")), (Some(3), Some(3)));
}

#[test]
fn what_is_no_tar() {
    let message = broken(&[&block("<html>")]);
    assert_eq!(message, "FILE is no tar archive: wrong check sum of a header at byte 0");
    assert_eq!(broken(&[&header("a", b'S', 0)]).matches("sparse").count(), 1);
    for (bytes, name) in [(b"\xfd7zXZ\0..".as_slice(), "xz"), (b"BZh91AY", "bzip2")] {
        let message = Fixture::new().refused(Transport::AnyArchive, bytes);
        let wanted = format!("FILE: compressed with {name}; plain, gzip and zstd are understood");
        assert_eq!(message, wanted);
    }
    let message = Fixture::new().refused(Transport::AnyArchive, b"");
    assert_eq!(message, r#"FILE has no "manifest.json""#);
}

/// The same header for ever.
struct Endless(Vec<u8>, usize);

impl Read for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let rest = &self.0[self.1..];
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        self.1 = (self.1 + count) % self.0.len();
        Ok(count)
    }
}

#[test]
fn members_without_end() {
    let endless = Endless(header("a", b'0', 0).to_vec(), 0);
    let error = Table::list("FILE", endless).unwrap_err().to_string();
    assert_eq!(error, "FILE: more than 100000 members, or names of 16 MiB");
    let long = "n".repeat(60_000);
    let extension = header("long", b'L', 60_000);
    let mut bytes = [extension.as_slice(), long.as_bytes()].concat();
    bytes.resize(512 + 60_000_usize.next_multiple_of(512), 0);
    bytes.extend_from_slice(&header("a", b'0', 0));
    let error = Table::list("FILE", Endless(bytes, 0)).unwrap_err().to_string();
    assert_eq!(error, "FILE: more than 100000 members, or names of 16 MiB");
}

/// 10 GB of zeros in 10 MB: nobody wants the member, so nobody keeps it.
#[test]
fn a_large_member_that_is_no_blob() {
    let fixture = Fixture::new();
    let size = 5 << 20;
    let zeros = vec![0; size];
    let message = fixture.refused(Transport::AnyArchive, &tar(&[("zeros", &zeros)]));
    assert_eq!(message, r#"FILE has no "manifest.json""#);
    let bytes = gzip(&tar(&[("zeros", &zeros)]));
    let message = fixture.refused(Transport::AnyArchive, &bytes);
    assert_eq!(message, r#"FILE: "zeros" is neither a blob nor a small document"#);
}

#[test]
fn documents_without_bound() {
    let huge = vec![b' '; (4 << 20) + 1];
    let message = |name: &str| {
        let members =
            [("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#.as_slice()), (name, &huge)];
        Fixture::new().refused(Transport::OciArchive, &tar(&members))
    };
    let wanted = r#"FILE: "index.json" is larger than 4 MiB: 4194305 bytes"#;
    assert_eq!(message("index.json"), wanted);
}

#[test]
fn a_layout_that_is_none() {
    let image = Image::new("bad", 2);
    type Files = BTreeMap<String, Vec<u8>>;
    let message = |change: &dyn Fn(&mut Files)| {
        let mut files = layout(&[&image], &[entry(&image.manifest(), None, None)]);
        change(&mut files);
        Fixture::new().refused(Transport::OciArchive, &tar_of(&files))
    };
    let set = |name: &str, text: &str| {
        let (name, text) = (name.to_owned(), text.to_owned());
        message(&move |files| drop(files.insert(name.clone(), text.clone().into_bytes())))
    };
    assert!(set("index.json", "<html>").contains("index.json is no image index"));
    assert!(set("index.json", "{}").contains("missing field `schemaVersion`"));
    let empty = set("index.json", r#"{"schemaVersion":2,"manifests":[]}"#);
    assert_eq!(empty, "FILE: it has no image");
    let version = set("oci-layout", r#"{"imageLayoutVersion":"2.0"}"#);
    assert_eq!(version, r#"FILE: an image layout of version "2.0""#);
    for descriptor in image.blobs().iter().map(|(descriptor, _)| descriptor) {
        let name = blob_name(&descriptor.digest);
        let text = message(&|files| drop(files.remove(&name)));
        assert_eq!(text, format!("FILE has no {name:?}"));
        let damage = |files: &mut BTreeMap<String, Vec<u8>>| files.get_mut(&name).unwrap()[5] ^= 1;
        let text = message(&damage);
        assert!(text.starts_with(&format!("FILE: {name:?}: wrong content: ")), "{text}");
        let cut = |files: &mut BTreeMap<String, Vec<u8>>| files.get_mut(&name).unwrap().truncate(9);
        let text = message(&cut);
        assert!(text.contains("has 9 bytes, not the "), "{text}");
    }
}

#[test]
fn manifests_that_cannot_be() {
    let image = Image::new("bad", 1);
    let with = |manifest: Value, kind: &str| {
        let bytes = manifest.to_string().into_bytes();
        let descriptor = Descriptor::of(kind, &bytes);
        let mut files = layout(&[&image], &[entry(&descriptor, None, None)]);
        files.insert(blob_name(&descriptor.digest), bytes);
        Fixture::new().refused(Transport::OciArchive, &tar_of(&files))
    };
    let blobs = image.blobs();
    let (config, layer) = (&blobs[0].0, &blobs[1].0);
    let manifest = |layers: usize| {
        let layers = vec![layer; layers];
        json!({ "schemaVersion": 2, "config": config, "layers": layers })
    };
    let many = with(manifest(10_000), media_type::MANIFEST);
    assert!(many.contains("10000 layers, more than the 500 a root can have"), "{many}");
    let two = with(manifest(2), media_type::MANIFEST);
    assert_eq!(two, "FILE: 2 layers, and the configuration has 1 diff_ids");
    let strange = with(manifest(1), "text/html");
    assert!(strange.ends_with(r#"is no image but "text/html""#), "{strange}");
    let mut large = manifest(1);
    large["layers"][0]["size"] = json!(u64::MAX);
    let large = with(large, media_type::MANIFEST);
    assert!(large.contains("bytes, not the 18446744073709551615 of its descriptor"), "{large}");
    let mut html = manifest(1);
    let page = Descriptor::of(media_type::CONFIG, &blobs[1].1);
    html["config"] = serde_json::to_value(&page).unwrap();
    let html = with(html, media_type::MANIFEST);
    assert!(html.contains("is no image configuration: "), "{html}");
}

#[test]
fn text_of_strangers_has_no_escapes() {
    let image = Image::new("bad", 1);
    let name = "\u{1b}[2J\nroot";
    let other = entry(&Descriptor::of(media_type::MANIFEST, b"x"), Some("x"), None);
    let entries = [entry(&image.manifest(), Some(name), None), other];
    let message =
        Fixture::new().refused(Transport::OciArchive, &tar_of(&layout(&[&image], &entries)));
    assert!(message.contains("has several images") && !message.contains(char::is_control));
}
