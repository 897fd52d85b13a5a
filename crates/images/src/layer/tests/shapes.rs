//! Honest archives of every shape.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};

use super::*;

#[test]
fn compressed_in_every_way() {
    let archive = Tar::default().file("a", b"some text ".repeat(100_000)).end();
    let (first, second) = archive.split_at(1_000_000);
    let skippable = [&[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"abc"].concat();
    for blob in [
        archive.clone(),
        gzip(&archive),
        [gzip(first), gzip(b""), gzip(second)].concat(),
        zstd_frame(&archive),
        [skippable, zstd_frame(first), zstd_frame(second)].concat(),
    ] {
        let place = Place::new(Mode::Overlay);
        let unpacked = place.unpack_blob(&blob, &Digest::of(&archive)).unwrap();
        assert_eq!((unpacked.bytes, unpacked.entries), (archive.len() as u64, 1));
        assert_eq!(place.path("a").metadata().unwrap().len(), 1_000_000);
    }
}

#[test]
fn a_window_that_is_too_large() {
    use zstd::stream::raw::CParameter;
    let archive = Tar::default().file("a", vec![7; 1000]).end();
    let encode = |window| {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
        encoder.set_parameter(CParameter::WindowLog(window)).unwrap();
        encoder.include_contentsize(false).unwrap();
        encoder.write_all(&archive).unwrap();
        encoder.finish().unwrap()
    };
    let place = Place::new(Mode::Overlay);
    place.unpack_blob(&encode(27), &Digest::of(&archive)).unwrap();
    let error = place.unpack_blob(&encode(28), &Digest::of(&archive)).unwrap_err();
    assert!(error.to_string().contains("its zstd data are damaged: "), "{error}");
}

#[test]
fn nothing_at_all() {
    for bytes in [&b""[..], &[0; 1024]] {
        let place = Place::new(Mode::Overlay);
        assert_eq!(place.unpack(bytes).unwrap().entries, 0);
        assert_eq!(paths(&place.target()), [""; 0]);
    }
    // Without its end, and without its last padding.
    let place = Place::new(Mode::Overlay);
    let archive = Tar::default().file("a", "x").file("b", "y").cut();
    place.unpack(&archive).unwrap();
    place.unpack(&archive[..archive.len() - 511]).unwrap();
    assert_eq!(paths(&place.target()), ["a", "b"]);
}

#[test]
fn later_entries_replace_earlier_ones() {
    let place = Place::new(Mode::Overlay);
    let archive = Tar::default()
        .file("file", "1")
        .file("file", "22")
        .file("becomes directory", "x")
        .directory("becomes directory")
        .file("becomes directory/x", "")
        .directory("becomes file")
        .file("becomes file/a", "")
        .file("becomes file", "x")
        .symlink("link", "1")
        .symlink("link", "2")
        .file("one", "1")
        .hard_link("two", "one")
        .hard_link("two", "one")
        .hard_link("one", "one")
        .file("two", "2")
        .directory("kept")
        .file("kept/a", "a")
        .directory("kept");
    place.unpack(&archive.end()).unwrap();
    let read = |path: &str| std::fs::read_to_string(place.path(path)).unwrap();
    assert_eq!((read("file"), read("becomes file")), ("22".into(), "x".into()));
    assert_eq!((read("one"), read("two"), read("kept/a")), ("1".into(), "2".into(), "a".into()));
    assert_eq!(std::fs::read_link(place.path("link")).unwrap(), Path::new("2"));
    assert!(place.path("becomes directory/x").is_file());
}

#[test]
fn twins_and_names_that_are_no_text() {
    let place = Place::new(Mode::Overlay);
    let names: [&[u8]; 7] = [
        b"name",
        b"Name",
        "\u{e9}".as_bytes(),
        "e\u{301}".as_bytes(),
        b"\xff\xfe",
        b"a\nb",
        b"-rf",
    ];
    let archive = names.iter().fold(Tar::default(), |tar, name| tar.file(name, name));
    place.unpack(&archive.end()).unwrap();
    assert_eq!(paths(&place.target()).len(), names.len());
    for name in names {
        assert_eq!(std::fs::read(place.path(OsStr::from_bytes(name))).unwrap(), name);
    }
}

#[test]
fn names_longer_than_a_header() {
    let place = Place::new(Mode::Overlay);
    let (one, two) = ("1/".repeat(120) + &"n".repeat(255), "2/".repeat(120) + "\u{fc}");
    let mut ustar = tar::Header::new_ustar();
    ustar.set_path(format!("{}/file", "p".repeat(140))).unwrap();
    ustar.set_size(0);
    let archive = Tar::default()
        .raw(
            header(b'L', b"././@LongLink", one.len() as u64 + 1),
            &[one.as_bytes(), b"\0"].concat(),
        )
        .file("cut", "1")
        .pax(&[("path", two.as_bytes())])
        .file("cut", "2")
        .symlink("link", &one)
        .hard_link("hard", &one)
        .raw(ustar, b"");
    place.unpack(&archive.end()).unwrap();
    assert_eq!(std::fs::read(place.path(&one)).unwrap(), b"1");
    assert_eq!(std::fs::read(place.path(&two)).unwrap(), b"2");
    assert_eq!(std::fs::read_link(place.path("link")).unwrap(), Path::new(&one));
    assert_eq!(place.path("hard").metadata().unwrap().nlink(), 2);
    assert!(place.path(format!("{}/file", "p".repeat(140))).is_file());
}

#[test]
fn devices_and_fifos() {
    let place = Place::new(Mode::Overlay);
    let archive = Tar::default()
        .device(b'3', "null", 1, 3)
        .device(b'4', "disk", 259, 1_000_000)
        .device(b'6', "fifo", 0, 0);
    place.unpack(&archive.end()).unwrap();
    let meta = |path: &str| place.path(path).symlink_metadata().unwrap();
    assert!(meta("null").file_type().is_char_device());
    assert_eq!(meta("null").rdev(), rustix::fs::makedev(1, 3));
    assert!(meta("disk").file_type().is_block_device());
    assert_eq!(meta("disk").rdev(), rustix::fs::makedev(259, 1_000_000));
    assert!(meta("fifo").file_type().is_fifo());
    for name in ["null", "disk", "fifo"] {
        assert_eq!((meta(name).mode() & 0o7777, meta(name).mtime()), (0o644, 1_000_000_000));
    }
}

#[test]
fn global_headers_say_nothing() {
    let place = Place::new(Mode::Overlay);
    let records = b"14 path=other\n";
    let global = header(b'g', b"pax_global_header", records.len() as u64);
    let archive = Tar::default().raw(global, records).file("own", "");
    assert_eq!(place.unpack(&archive.end()).unwrap().dropped.global_headers, 1);
    assert_eq!(paths(&place.target()), ["own"]);
}

#[test]
fn progress_reaches_the_end() {
    let place = Place::new(Mode::Overlay);
    let archive = Tar::default().file("a", vec![1; 3 << 20]).end();
    let (blob, target) = (blob(&archive), File::open(place.target()).unwrap());
    let request = Request {
        blob: &blob,
        digest: Some(&Digest::of(&archive)),
        compression: Some(Compression::Plain),
        diff_id: &Digest::of(&archive),
        target: target.as_fd(),
        mode: place.mode,
        ids: &place.ids,
        limits: &place.limits,
    };
    let mut seen = Vec::new();
    unpack(&request, &mut |bytes| seen.push(bytes)).unwrap();
    assert!(seen.is_sorted() && seen.len() > 3);
    assert_eq!(seen.last(), Some(&(archive.len() as u64)));
}
