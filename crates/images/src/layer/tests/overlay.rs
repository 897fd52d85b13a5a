//! What layers delete: the kernel's own overlay of their directories is the same as writing them onto
//! one another.

use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::process::Command;

use super::*;

/// Type, mode, content or target of everything below.
fn tree(directory: &Path) -> Vec<(String, String)> {
    let describe = |path: &str| {
        let full = directory.join(path);
        let meta = full.symlink_metadata().unwrap();
        let content = match meta.file_type() {
            kind if kind.is_file() => std::fs::read_to_string(&full).unwrap(),
            kind if kind.is_symlink() => format!("-> {}", full.read_link().unwrap().display()),
            kind if kind.is_char_device() => format!("device {:x}", meta.rdev()),
            _ => String::new(),
        };
        format!("{:o} {}:{} {} {content}", meta.mode(), meta.uid(), meta.gid(), meta.mtime())
    };
    paths(directory).into_iter().map(|path| (path.clone(), describe(&path))).collect()
}

/// Stacks layers by the kernel, the last on top, and looks at what is to be seen.
fn stacked(layers: &[Place]) -> Vec<(String, String)> {
    let merged = tempfile::tempdir().unwrap();
    let empty = tempfile::tempdir().unwrap();
    let mut lower: Vec<_> = layers.iter().rev().map(Place::target).collect();
    // overlayfs takes no single layer without one to write to.
    lower.push(empty.path().to_owned());
    let lower: Vec<_> = lower.iter().map(|path| path.display().to_string()).collect();
    let mount = |arguments: &[&str]| Command::new(arguments[0]).args(&arguments[1..]).status();
    let at = merged.path().to_str().unwrap();
    let options = format!("ro,lowerdir={}", lower.join(":"));
    assert!(mount(&["mount", "-t", "overlay", "-o", &options, "overlay", at]).unwrap().success());
    let seen = tree(merged.path());
    assert!(mount(&["umount", at]).unwrap().success());
    seen
}

fn applied(archives: &[Tar]) -> Vec<(String, String)> {
    let place = Place::new(Mode::Apply);
    for archive in archives {
        place.unpack(&archive.clone().end()).unwrap();
    }
    place.assert_outside_is_untouched();
    tree(&place.target())
}

fn names(tree: &[(String, String)]) -> Vec<&str> {
    tree.iter().map(|(path, _)| path.as_str()).collect()
}

/// Both ways give the same tree with these names.
#[track_caller]
fn assert_both(archives: &[Tar], wanted: &[&str]) {
    let unpack = |archive: &Tar| {
        let place = Place::new(Mode::Overlay);
        place.unpack(&archive.clone().end()).unwrap();
        place
    };
    let layers: Vec<_> = archives.iter().map(unpack).collect();
    let (stacked, applied) = (stacked(&layers), applied(archives));
    assert_eq!(names(&stacked), wanted, "stacked");
    assert_eq!(stacked, applied);
}

fn base() -> Tar {
    Tar::default()
        .directory("d")
        .file("d/one", "1")
        .file("d/two", "2")
        .directory("d/sub")
        .file("d/sub/three", "3")
        .file("f", "f")
        .symlink("s", "d")
}

#[test]
fn single_names_are_deleted() {
    let upper =
        Tar::default().directory("d").file("d/.wh.one", "").file(".wh.f", "").file(".wh.s", "");
    assert_both(&[base(), upper], &["d", "d/sub", "d/sub/three", "d/two"]);
    let upper = Tar::default().file(".wh.d", "").file(".wh.never", "");
    assert_both(&[base(), upper.clone()], &["f", "s"]);
    // And come back.
    assert_both(&[base(), upper, base()], &names(&applied(&[base()])));
}

#[test]
fn a_deleted_directory_that_comes_back_is_another() {
    let before = Tar::default().file(".wh.d", "").directory("d").file("d/new", "n");
    assert_both(&[base(), before], &["d", "d/new", "f", "s"]);
    let after = Tar::default().directory("d").file("d/new", "n").file(".wh.d", "");
    assert_both(&[base(), after], &["d", "d/new", "f", "s"]);
    let nested =
        Tar::default().file(".wh.d", "").directory("d").directory("d/sub").file("d/sub/new", "n");
    assert_both(&[base(), nested], &["d", "d/sub", "d/sub/new", "f", "s"]);
}

#[test]
fn a_deleted_file_that_comes_back_is_there() {
    let before = Tar::default().file(".wh.f", "").file("f", "new");
    let all = ["d", "d/one", "d/sub", "d/sub/three", "d/two", "f", "s"];
    assert_both(&[base(), before], &all);
    let after = Tar::default().file("f", "new").file(".wh.f", "");
    assert_both(&[base(), after], &all);
}

#[test]
fn opaque_directories_hide_lower_layers_only() {
    let first = Tar::default().directory("d").file("d/.wh..wh..opq", "").file("d/new", "n");
    assert_both(&[base(), first], &["d", "d/new", "f", "s"]);
    let last = Tar::default()
        .directory("d")
        .file("d/new", "n")
        .directory("d/sub")
        .file("d/sub/own", "o")
        .file("d/.wh..wh..opq", "");
    assert_both(&[base(), last], &["d", "d/new", "d/sub", "d/sub/own", "f", "s"]);
    // Its parent is no entry of its own.
    let alone = Tar::default().directory("d").file("d/sub/.wh..wh..opq", "").directory("d/sub");
    assert_both(&[base(), alone], &["d", "d/one", "d/sub", "d/two", "f", "s"]);
}

#[test]
fn kinds_change_between_layers() {
    let upper = Tar::default()
        .file("d", "now a file")
        .directory("f")
        .file("f/x", "x")
        .directory("s")
        .file("s/y", "y");
    assert_both(&[base(), upper.clone()], &["d", "f", "f/x", "s", "s/y"]);
    assert_both(&[base(), upper, base()], &names(&applied(&[base()])));
}

#[test]
fn directories_take_the_attributes_of_the_last_layer() {
    let mut header = header(b'5', b"d", 0);
    header.set_mode(0o2700);
    header.set_uid(42);
    header.set_mtime(5);
    let lower =
        Tar::default().pax(&[("SCHILY.xattr.user.lower", b"1")]).directory("d").file("d/x", "");
    let upper = Tar::default().raw(header, b"");
    assert_both(&[lower.clone(), upper.clone()], &["d", "d/x"]);
    let place = Place::new(Mode::Apply);
    place.unpack(&lower.end()).unwrap();
    place.unpack(&upper.end()).unwrap();
    let mut list = [0_u8; 100];
    assert_eq!(rustix::fs::listxattr(place.path("d"), &mut list[..]).unwrap(), 0);
}

#[test]
fn a_directory_that_is_only_written_to_keeps_its_times() {
    let place = Place::new(Mode::Apply);
    place.unpack(&base().end()).unwrap();
    place.unpack(&Tar::default().file("d/more", "").file("d/.wh.one", "").end()).unwrap();
    assert_eq!(place.path("d").metadata().unwrap().mtime(), 1_000_000_000);
    assert!(!place.path("d/one").exists() && place.path("d/more").exists());
}

#[test]
fn whiteouts_do_not_follow_links() {
    let place = Place::new(Mode::Apply);
    let outside = place.outside();
    let archive = Tar::default().symlink("out", outside.to_str().unwrap());
    place.unpack(&archive.end()).unwrap();
    let upper =
        Tar::default().file("out/.wh.secret", "").file("out/.wh..wh..opq", "").file(".wh.out", "");
    place.unpack(&upper.end()).unwrap();
    place.assert_outside_is_untouched();
    assert_eq!(paths(&place.target()), [""; 0]);
}

#[test]
fn marks_are_what_overlayfs_expects() {
    let place = Place::new(Mode::Overlay);
    let archive = Tar::default().file(".wh.gone", "").directory("d").file("d/.wh..wh..opq", "");
    place.unpack(&archive.end()).unwrap();
    assert_eq!(paths(&place.target()), ["d", "gone"]);
    let gone = place.path("gone").symlink_metadata().unwrap();
    assert!(gone.file_type().is_char_device() && gone.rdev() == 0);
    let mut value = [0_u8; 8];
    let length = rustix::fs::getxattr(place.path("d"), "trusted.overlay.opaque", &mut value[..]);
    assert_eq!(&value[..length.unwrap()], b"y");
    // The mark goes with its directory.
    let place = Place::new(Mode::Overlay);
    let archive = Tar::default().file("d/.wh..wh..opq", "").file("d", "file").directory("e");
    place.unpack(&archive.end()).unwrap();
    assert!(place.path("d").is_file());
}
