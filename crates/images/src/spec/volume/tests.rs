use std::os::unix::fs::{chown, lchown, symlink};

use rustix::fs::Mode;

use super::*;

const MAPPING: IdMapping = IdMapping { container_id: 0, host_id: 100_000, size: 65_536 };

/// As a volume looks in a user namespace whose mounts map ids.
const MAPPED: Owners = Owners { root: 0, shift: Some(MAPPING) };

struct Fixture {
    dir: tempfile::TempDir,
    root: Root,
}

impl Fixture {
    /// An image with /srv/data as the root of a user namespace owns it, and an empty volume.
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("rootfs/srv/data");
        std::fs::create_dir_all(data.join("sub")).unwrap();
        std::fs::create_dir_all(dir.path().join("volumes/db")).unwrap();
        std::fs::write(data.join("file"), "text").unwrap();
        std::fs::hard_link(data.join("file"), data.join("sub/twin")).unwrap();
        symlink("/etc/shadow", data.join("link")).unwrap();
        let path = data.join("fifo");
        rustix::fs::mknodat(CWD, path, rustix::fs::FileType::Fifo, Mode::RUSR, 0).unwrap();
        let path = data.join("null");
        let device = rustix::fs::makedev(1, 3);
        let kind = rustix::fs::FileType::CharacterDevice;
        rustix::fs::mknodat(CWD, path, kind, Mode::RUSR, device).unwrap();
        for name in ["", "file", "sub", "fifo"] {
            chown(data.join(name), Some(100_999), Some(100_033)).unwrap();
        }
        lchown(data.join("link"), Some(100_000), Some(7)).unwrap();
        std::fs::set_permissions(data.join("file"), PermissionsExt::from_mode(0o4750)).unwrap();
        std::fs::set_permissions(&data, PermissionsExt::from_mode(0o1770)).unwrap();
        let root = Root::open(&dir.path().join("rootfs")).unwrap();
        Self { dir, root }
    }

    fn volume(&self) -> PathBuf {
        self.dir.path().join("volumes/db")
    }

    fn fill(&self, place: &str, owners: Owners) -> Result<(), String> {
        fill(&self.volume(), &self.root, Path::new(place), owners).map_err(|e| e.to_string())
    }

    fn names(&self, path: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.dir.path().join(path)).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

#[test]
fn a_new_volume_starts_with_the_images_content() {
    let fixture = Fixture::new();
    fixture.fill("/srv/data", MAPPED).unwrap();
    assert_eq!(fixture.names("volumes/db"), ["fifo", "file", "link", "sub"], "no devices");
    assert_eq!(fixture.names("volumes"), ["db"], "nothing stays beside it");
    let volume = fixture.volume();
    let own = |path: &Path| {
        let found = std::fs::symlink_metadata(path).unwrap();
        (found.uid(), found.gid(), found.mode() & 0o7777)
    };
    assert_eq!(own(&volume), (999, 33, 0o1770));
    assert_eq!(own(&volume.join("file")), (999, 33, 0o4750));
    assert_eq!(own(&volume.join("link")), (0, 7, 0o777));
    assert_eq!(std::fs::read_link(volume.join("link")).unwrap(), Path::new("/etc/shadow"));
    let (one, twin) = (volume.join("file"), volume.join("sub/twin"));
    assert_eq!(one.metadata().unwrap().ino(), twin.metadata().unwrap().ino());
    let from = fixture.dir.path().join("rootfs/srv/data/sub/twin");
    assert_eq!(twin.metadata().unwrap().mtime_nsec(), from.metadata().unwrap().mtime_nsec());
}

#[test]
fn without_mapped_mounts_ids_stay() {
    let fixture = Fixture::new();
    fixture.fill("/srv/data", Owners { root: 100_000, shift: None }).unwrap();
    assert_eq!(fixture.volume().join("file").metadata().unwrap().uid(), 100_999);
}

#[test]
fn a_volume_in_use_is_left_alone() {
    let fixture = Fixture::new();
    std::fs::write(fixture.volume().join("mine"), "").unwrap();
    fixture.fill("/srv/data", MAPPED).unwrap();
    assert_eq!(fixture.names("volumes/db"), ["mine"]);
}

#[test]
fn what_the_image_does_not_have() {
    let fixture = Fixture::new();
    let owners = Owners { root: 100_000, shift: None };
    fixture.fill("/nothing/here", owners).unwrap();
    let found = fixture.volume().metadata().unwrap();
    assert_eq!((found.uid(), found.gid(), found.mode() & 0o777), (100_000, 100_000, 0o755));
    chown(fixture.volume(), Some(7), Some(7)).unwrap();
    fixture.fill("/nothing/here", owners).unwrap();
    assert_eq!(fixture.volume().metadata().unwrap().uid(), 7, "somebody gave it away");
    let error = fixture.fill("/srv/data/file", owners).unwrap_err();
    assert!(error.contains("cannot open in the image /srv/data/file: Not a directory"), "{error}");
}

#[test]
fn nothing_outside_of_the_image_is_copied() {
    let fixture = Fixture::new();
    let secret = fixture.dir.path().join("secret");
    std::fs::create_dir(&secret).unwrap();
    std::fs::write(secret.join("key"), "").unwrap();
    symlink(&secret, fixture.dir.path().join("rootfs/out")).unwrap();
    symlink("../secret", fixture.dir.path().join("rootfs/up")).unwrap();
    for place in ["/out", "/up", "/../secret"] {
        fixture.fill(place, MAPPED).unwrap();
        assert!(fixture.names("volumes/db").is_empty(), "{place}");
    }
}

/// Killed while it copied: the half is thrown away. Killed while it moved: the rest follows.
#[test]
fn a_crash_leaves_no_half() {
    let fixture = Fixture::new();
    std::fs::create_dir_all(fixture.dir.path().join("volumes/.db.new/half")).unwrap();
    fixture.fill("/srv/data", MAPPED).unwrap();
    assert_eq!(fixture.names("volumes/db"), ["fifo", "file", "link", "sub"]);
    let whole = fixture.dir.path().join("volumes/.db.whole");
    std::fs::create_dir(&whole).unwrap();
    std::fs::write(whole.join("rest"), "").unwrap();
    std::fs::write(whole.join("file"), "old").unwrap();
    fixture.fill("/srv/data", MAPPED).unwrap();
    assert_eq!(fixture.names("volumes/db"), ["fifo", "file", "link", "rest", "sub"]);
    assert_eq!(std::fs::read_to_string(fixture.volume().join("file")).unwrap(), "text");
    assert_eq!(fixture.names("volumes"), ["db"]);
}

#[test]
fn a_copy_that_fails_leaves_nothing() {
    let fixture = Fixture::new();
    // What is mounted in an image's directory is not the image's.
    let below = fixture.dir.path().join("rootfs/srv/data/sub");
    let mount = |program: &str, words: &[&str]| {
        let run = std::process::Command::new(program).args(words).arg(&below).status();
        assert!(run.unwrap().success(), "{program}");
    };
    mount("mount", &["-t", "tmpfs", "none"]);
    let filled = fixture.fill("/srv/data", MAPPED);
    mount("umount", &[]);
    let error = filled.unwrap_err();
    assert!(error.contains("at /srv/data/sub: Invalid cross-device link"), "{error}");
    assert!(fixture.names("volumes/db").is_empty());
    assert_eq!(fixture.names("volumes"), ["db"]);
}
