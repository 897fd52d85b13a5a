//! Blobs on their way in.

use std::io::Write;
use std::os::unix::fs::MetadataExt;

use super::*;
use crate::document::MAX_DOCUMENT;

fn begin<'h>(hold: &'h Hold, descriptor: &Descriptor) -> Box<Partial<'h>> {
    match hold.ingest(descriptor).unwrap() {
        Ingest::Partial(partial) => partial,
        Ingest::Present => panic!("it is present"),
    }
}

fn is_present(hold: &Hold, descriptor: &Descriptor) -> bool {
    matches!(hold.ingest(descriptor).unwrap(), Ingest::Present)
}

#[test]
fn a_blob_gets_its_name_when_it_is_whole() {
    let fixture = Fixture::new();
    let (hold, wanted) = (fixture.hold(), blob("hello"));
    let mut partial = begin(&hold, &wanted);
    partial.write(b"hel").unwrap();
    assert!(!fixture.has("hello"));
    partial.write(b"lo").unwrap();
    partial.commit().unwrap();
    assert!(fixture.has("hello") && is_present(&hold, &wanted));
    assert_eq!(fixture.ingest(), Vec::<String>::new());
    let read = std::io::read_to_string(fixture.store.open_blob(&wanted.digest).unwrap()).unwrap();
    assert_eq!(read, "hello");
}

#[test]
fn what_was_written_is_taken_up_again() {
    let fixture = Fixture::new();
    let (hold, wanted) = (fixture.hold(), blob("hello"));
    let mut partial = begin(&hold, &wanted);
    partial.write(b"hel").unwrap();
    let message = partial.commit().unwrap_err().to_string();
    assert_eq!(message, format!("blob {} has 3 bytes, not the 5 of its descriptor", wanted.digest));
    let mut partial = begin(&hold, &wanted);
    assert_eq!((partial.offset(), partial.missing()), (3, 2));
    partial.write(b"lo").unwrap();
    partial.commit().unwrap();
    assert!(fixture.has("hello"));
}

#[test]
fn never_more_than_was_wanted() {
    let fixture = Fixture::new();
    let (hold, wanted) = (fixture.hold(), blob("hello"));
    let mut partial = begin(&hold, &wanted);
    partial.write(b"hel").unwrap();
    let error = partial.write(b"lo and more").unwrap_err().to_string();
    assert!(error.ends_with("has 14 bytes, not the 5 of its descriptor"), "{error}");
    drop(partial);
    let path = fixture.store.directory().join("ingest").join(&fixture.ingest()[0]);
    assert_eq!(std::fs::read(path).unwrap(), b"hel");
}

#[test]
fn wrong_content_is_named_and_removed() {
    let fixture = Fixture::new();
    let (hold, wanted) = (fixture.hold(), blob("hello"));
    let mut partial = begin(&hold, &wanted);
    partial.write(b"hullo").unwrap();
    let error = partial.commit().unwrap_err();
    let got = Digest::of(b"hullo");
    let message = format!("wrong content: {} was wanted, {got} came", wanted.digest);
    assert_eq!(error.to_string(), message);
    assert!(error.hints().is_empty());
    assert!(!fixture.has("hello") && !fixture.has("hullo"));
    assert_eq!(fixture.ingest(), Vec::<String>::new());
}

/// A power cut leaves zeros at the end of a beginning: the next try notices, the one after that
/// succeeds.
#[test]
fn a_damaged_beginning_is_forgotten() {
    let fixture = Fixture::new();
    let (hold, wanted) = (fixture.hold(), blob("hello"));
    begin(&hold, &wanted).write(b"h\0\0").unwrap();
    let mut partial = begin(&hold, &wanted);
    partial.write(b"lo").unwrap();
    let error = partial.commit().unwrap_err();
    assert!(matches!(error, StoreError::WrongDigest { resumed: true, .. }), "{error}");
    assert_eq!(error.hints(), ["the damaged beginning was removed: try again"]);
    assert_eq!(begin(&hold, &wanted).offset(), 0);
}

#[test]
fn a_beginning_that_is_too_long_begins_anew() {
    let fixture = Fixture::new();
    let (hold, wanted) = (fixture.hold(), blob("hello"));
    let name = format!("ingest/sha256-{}", wanted.digest.hex());
    write(&fixture.store, &name, "hello world");
    let mut partial = begin(&hold, &wanted);
    assert_eq!(partial.offset(), 0);
    partial.write(b"hello").unwrap();
    partial.commit().unwrap();
    assert_eq!(std::fs::read(fixture.store.blob_path(&wanted.digest)).unwrap(), b"hello");
}

#[test]
fn a_blob_that_a_power_cut_emptied_is_fetched_again() {
    let fixture = Fixture::new();
    let (hold, wanted) = (fixture.hold(), blob("hello"));
    write(&fixture.store, &format!("blobs/sha256/{}", wanted.digest.hex()), "");
    let mut partial = begin(&hold, &wanted);
    partial.write(b"hello").unwrap();
    partial.commit().unwrap();
    assert!(is_present(&hold, &wanted));
}

/// A manifest can claim any size of a blob that we have; it must not cost us the blob.
#[test]
fn a_descriptor_that_lies_removes_nothing() {
    let fixture = Fixture::new();
    let hold = fixture.hold();
    let mut descriptor = hold.put_document(media_type::LAYER, b"hello").unwrap();
    descriptor.size = 7;
    let error = hold.ingest(&descriptor).unwrap_err().to_string();
    assert!(error.ends_with("has 5 bytes, not the 7 of its descriptor"), "{error}");
    assert!(fixture.has("hello"));
    assert_eq!(fixture.ingest(), Vec::<String>::new());
}

/// Waits until somebody waits for the lock of this file (proc_locks(5)).
fn wait_for_waiter(path: &Path) {
    let inode = format!(":{} ", path.metadata().unwrap().ino());
    loop {
        let locks = std::fs::read_to_string("/proc/locks").unwrap();
        if locks.lines().any(|line| line.contains("-> FLOCK") && line.contains(&inode)) {
            return;
        }
        std::thread::yield_now();
    }
}

#[test]
fn the_second_waits_and_finds_it_present() {
    let fixture = Fixture::new();
    let (hold, other, wanted) = (fixture.hold(), fixture.hold(), blob("hello"));
    let mut partial = begin(&hold, &wanted);
    let path = fixture.store.directory().join("ingest").join(&fixture.ingest()[0]);
    std::thread::scope(|scope| {
        let second = scope.spawn(|| is_present(&other, &wanted));
        wait_for_waiter(&path);
        partial.write(b"hello").unwrap();
        partial.commit().unwrap();
        assert!(second.join().unwrap());
    });
    assert_eq!(fixture.ingest(), Vec::<String>::new());
}

#[test]
fn the_second_goes_on_where_the_first_gave_up() {
    let fixture = Fixture::new();
    let (hold, other, wanted) = (fixture.hold(), fixture.hold(), blob("hello"));
    let mut partial = begin(&hold, &wanted);
    partial.write(b"hel").unwrap();
    let path = fixture.store.directory().join("ingest").join(&fixture.ingest()[0]);
    std::thread::scope(|scope| {
        let second = scope.spawn(|| begin(&other, &wanted).offset());
        wait_for_waiter(&path);
        drop(partial);
        assert_eq!(second.join().unwrap(), 3);
    });
}

#[test]
fn many_at_once_write_each_blob_once() {
    let fixture = Fixture::new();
    let texts: Vec<String> = (0..20).map(|number| format!("blob {number}").repeat(9)).collect();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let hold = fixture.hold();
                for text in &texts {
                    if let Ingest::Partial(mut partial) = hold.ingest(&blob(text)).unwrap() {
                        let rest = usize::try_from(partial.offset()).unwrap();
                        partial.write(&text.as_bytes()[rest..]).unwrap();
                        partial.commit().unwrap();
                    }
                }
            });
        }
    });
    assert!(texts.iter().all(|text| fixture.has(text)));
    assert_eq!(fixture.ingest(), Vec::<String>::new());
    assert!(fixture.store.verify(&crate::progress::Silent, false).unwrap().is_empty());
}

#[test]
fn a_part_of_a_file_becomes_a_blob() {
    let fixture = Fixture::new();
    let (hold, wanted) = (fixture.hold(), blob("hello"));
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(b"...hello...").unwrap();
    let mut partial = begin(&hold, &wanted);
    let mut seen = 0;
    let error = partial.write_from(&file, 8, 5, &mut |_| {}).unwrap_err().to_string();
    assert!(error.contains("unexpected end of file") || error.contains("cannot copy"), "{error}");
    partial.restart().unwrap();
    partial.write_from(&file, 3, 5, &mut |bytes| seen += bytes).unwrap();
    partial.commit().unwrap();
    assert!(fixture.has("hello") && seen == 5);
}

#[test]
fn a_blob_of_unknown_digest() {
    let fixture = Fixture::new();
    let hold = fixture.hold();
    let mut fresh = hold.ingest_new().unwrap();
    fresh.write(b"hel").unwrap();
    assert_eq!(fixture.ingest().len(), 1);
    drop(fresh);
    assert_eq!(fixture.ingest(), Vec::<String>::new());
    for _ in 0..2 {
        let mut fresh = hold.ingest_new().unwrap();
        fresh.write(b"hello").unwrap();
        assert_eq!(fresh.commit().unwrap(), (Digest::of(b"hello"), 5));
    }
    assert!(fixture.has("hello"));
}

#[test]
fn sha512_has_a_directory_of_its_own() {
    let fixture = Fixture::new();
    let hold = fixture.hold();
    let mut hasher = crate::digest::Hasher::new(crate::digest::Algorithm::Sha512);
    hasher.update(b"hello");
    let wanted = Descriptor::new(media_type::LAYER, hasher.finish(), 5);
    let mut partial = begin(&hold, &wanted);
    partial.write(b"hello").unwrap();
    partial.commit().unwrap();
    assert!(fixture.store.directory().join("blobs/sha512").join(wanted.digest.hex()).exists());
    assert_eq!(fixture.store.document(&wanted).unwrap(), b"hello");
}

#[test]
fn documents_are_verified_and_bounded() {
    let fixture = Fixture::new();
    let hold = fixture.hold();
    let good = hold.put_document(media_type::CONFIG, b"hello").unwrap();
    assert_eq!(fixture.store.document(&good).unwrap(), b"hello");
    let message =
        |descriptor: &Descriptor| fixture.store.document(descriptor).unwrap_err().to_string();
    let short = Descriptor { size: 4, ..good.clone() };
    assert!(message(&short).ends_with("has 5 bytes, not the 4 of its descriptor"));
    let large = Descriptor { size: MAX_DOCUMENT + 1, ..good.clone() };
    assert!(message(&large).ends_with("bytes; at most 4194304 are read"), "{}", message(&large));
    assert!(message(&blob("nothing")).ends_with("is not in the store"));
    write(&fixture.store, &format!("blobs/sha256/{}", good.digest.hex()), "hullo");
    assert!(message(&good).starts_with("wrong content: "));
}

#[test]
fn a_fifo_in_place_of_a_blob_stops_nobody() {
    let fixture = Fixture::new();
    let path = fixture.store.blob_path(&Digest::of(b"x"));
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &path,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .unwrap();
    let error = fixture.store.open_blob(&Digest::of(b"x")).unwrap_err().to_string();
    assert!(error.ends_with("is damaged: not a file"), "{error}");
    assert!(!fixture.has("x"));
}

/// A file system of 64 KiB, unmounted in the end.
struct Small(tempfile::TempDir);

impl Small {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let flags = rustix::mount::MountFlags::empty();
        let options = c"size=64k";
        rustix::mount::mount("none", directory.path(), "tmpfs", flags, options).unwrap();
        Self(directory)
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        rustix::mount::unmount(self.0.path(), rustix::mount::UnmountFlags::DETACH).unwrap();
    }
}

#[test]
fn a_full_disk_is_one_line_and_no_loss() {
    let small = Small::new();
    let store = Store::open(small.0.path()).unwrap();
    let text = "0123456789abcdef".repeat(8 * 1024);
    let (hold, wanted) = (store.hold(Purpose::Pull).unwrap(), blob(&text));
    let mut partial = begin(&hold, &wanted);
    partial.write(&text.as_bytes()[..16 * 1024]).unwrap();
    let error = partial.write(&text.as_bytes()[16 * 1024..]).unwrap_err();
    assert!(error.to_string().ends_with(": no space left"), "{error}");
    assert!(error.hints()[0].contains("image prune"));
    drop(partial);
    // What did fit is taken up again.
    assert!(begin(&hold, &wanted).offset() >= 16 * 1024);
}
