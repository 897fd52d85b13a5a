//! The images that tests make by hand are good ones to skopeo, umoci, Podman and Docker: what our program
//! then makes of them can be held against what those make of them.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use lxcri_testkit::Image;
use lxcri_testkit::Place;
use lxcri_testkit::Room;
use lxcri_testkit::Tree;
use lxcri_testkit::Verdict;
use lxcri_testkit::View;
use lxcri_testkit::docker::Docker;
use lxcri_testkit::ensure;
use lxcri_testkit::ensure_eq;
use lxcri_testkit::image::Compression;
use lxcri_testkit::image::Entry;
use lxcri_testkit::image::Files;
use lxcri_testkit::image::Form;
use lxcri_testkit::image::Kind;
use lxcri_testkit::image::Layer;
use lxcri_testkit::image::architecture;
use lxcri_testkit::image::busybox_image;
use lxcri_testkit::image::debian_image;
use lxcri_testkit::podman::Podman;
use lxcri_testkit::skip;
use lxcri_testkit::skopeo::Skopeo;
use lxcri_testkit::verdict::Context;
use serde_json::json;

use crate::registry;
use crate::registry::cases;

cases!("handmade": forms, platforms, lies, trees, real_trees, docker);

/// How long Podman may take to load a large image.
const LOAD: Duration = Duration::from_secs(300);

/// The test program.
#[must_use]
pub fn main() -> ExitCode {
    registry::main(Place::Host(View::Hybrid), CASES)
}

pub(crate) fn skopeo(room: &Room) -> Verdict<Skopeo> {
    if !Skopeo::is_installed() {
        skip!("skopeo and umoci are not installed");
    }
    Skopeo::new(room.dir())
}

/// Everything that a layer can say of a file, and an upper layer that takes things away.
pub(crate) fn awkward() -> Verdict<Image> {
    let long = ["long", &"n".repeat(200)].join("/");
    let lower = [
        Entry::directory("dir").mode(0o2755).owner(1, 2).modified(1_600_000_000, 0),
        Entry::file("dir/gone", "gone"),
        Entry::file("dir/kept", "kept").mode(0o4755).xattr("user.lxcri", b"\0binary\xff"),
        // Podman gives the file the mode that its last name has.
        Entry::hard_link("dir/same", "dir/kept").mode(0o4755),
        Entry::directory("opaque"),
        Entry::file("opaque/hidden", ""),
        Entry::directory("replaced"),
        Entry::file("replaced/inside", ""),
        Entry::symlink("link", "../../etc/passwd"),
        Entry::directory("long"),
        Entry::file(&long, "long"),
        Entry::file(b"latin-\xe9", "not UTF-8"),
        Entry::new("null", Kind::Character(1, 3), 0o666),
        Entry::new("fifo", Kind::Fifo, 0o600),
    ];
    let upper = [
        // As every builder does: without it, Podman's directory is a new one, of root's.
        Entry::directory("dir").mode(0o2755).owner(1, 2).modified(1_600_000_000, 0),
        Entry::whiteout("dir", "gone"),
        Entry::directory("opaque").modified(1_500_000_000, 0),
        Entry::opaque("opaque"),
        Entry::file("opaque/new", "new").owner(100_000, 65_534),
        Entry::file("replaced", "a file now"),
    ];
    Ok(Image::new(vec![
        Layer::new(&lower, Compression::Gzip)?,
        Layer::new(&upper, Compression::None)?,
    ]))
}

/// skopeo reads each form, and finds the configuration that we wrote.
fn forms(room: &Room) -> Verdict {
    let skopeo = skopeo(room)?;
    let image = busybox_image(Compression::Gzip)?;
    for (form, transport) in [
        (Form::Oci, "oci-archive"),
        (Form::Docker, "docker-archive"),
        (Form::OldDocker, "docker-archive"),
        (Form::Dir, "dir"),
    ] {
        let (file, copy) = (room.dir().join(format!("{form:?}")), room.dir().join("copy"));
        let files = image.files(form, "name:1")?;
        match form {
            Form::Dir => files.write_dir(&file)?,
            _ => files.write_archive(&file)?,
        }
        let from = format!("{transport}:{}", file.display());
        skopeo.copy(&from, &format!("oci:{}:1", copy.display()))?;
        let rootfs = skopeo.unpack(&copy, "1", &room.dir().join(format!("{form:?}.bundle")))?;
        ensure!(rootfs.join("bin/busybox").is_file(), "{form:?}");
        let inspected = skopeo.call(&["inspect", "--raw", "--config", &from])?.ok()?.stdout;
        ensure_eq!(inspected.as_bytes(), image.config_bytes()?, "the configuration of {form:?}");
        std::fs::remove_dir_all(&copy).context(copy.display())?;
    }
    Ok(())
}

fn platforms(room: &Room) -> Verdict {
    let skopeo = skopeo(room)?;
    let (ours, mut theirs) = (busybox_image(Compression::Gzip)?, busybox_image(Compression::Gzip)?);
    theirs.set("/architecture", json!("s390x"));
    let platform = |name: &str| json!({ "os": "linux", "architecture": name });
    let layout = room.dir().join("layout");
    let list = [(platform("s390x"), &theirs), (platform(architecture()), &ours)];
    Files::of_platforms(&list, "1")?.write_dir(&layout)?;
    let from = format!("oci:{}:1", layout.display());
    let config = skopeo.call(&["inspect", "--raw", "--config", &from])?.ok()?.stdout;
    ensure!(config.contains(architecture()), "another platform's: {config}");
    Ok(())
}

/// What is wrong on purpose is wrong to others, too.
fn lies(room: &Room) -> Verdict {
    let skopeo = skopeo(room)?;
    let layer = Layer::new(&[Entry::file("a", "content")], Compression::Gzip)?;
    for (number, lie) in
        [layer.clone().with_wrong_digest(), layer.clone().truncated(20)].into_iter().enumerate()
    {
        let (layout, copy) = (room.dir().join(format!("lie{number}")), room.dir().join("copy"));
        Image::new(vec![lie]).files(Form::Oci, "1")?.write_dir(&layout)?;
        let (from, to) = (format!("oci:{}:1", layout.display()), format!("dir:{}", copy.display()));
        skopeo.call(&["copy", &from, &to])?.refuses(&["digest", "size", "unexpected EOF"])?;
    }
    let layout = room.dir().join("diff_id");
    Image::new(vec![layer.with_wrong_diff_id()]).files(Form::Oci, "1")?.write_dir(&layout)?;
    let bundle = room.dir().join("bundle");
    let mut unpack = Skopeo::unpack_command(&layout, "1", &bundle);
    room.run_command(&mut unpack)?.refuses(&["digest", "diffid"])?;
    Ok(())
}

/// The tree that Podman makes of an archive.
pub(crate) fn by_podman(room: &Room, archive: &Path) -> Verdict<Tree> {
    if !Podman::is_installed() {
        skip!("podman and conmon are not installed");
    }
    // It wants a runtime, and calls it for nothing here.
    let podman = Podman::new(room.dir(), Path::new("/usr/sbin/runc"))?.with_overlays();
    let file = archive.to_string_lossy();
    podman.call_within(LOAD, &["load", "--input", &file])?.ok()?;
    let mounted = podman.call(&["image", "mount", "name:1"])?.ok()?.stdout;
    Tree::read(Path::new(mounted.trim()))
}

/// The tree that umoci makes of an archive.
pub(crate) fn by_umoci(room: &Room, archive: &Path) -> Verdict<Tree> {
    let (skopeo, layout) = (skopeo(room)?, room.dir().join("layout"));
    let from = format!("oci-archive:{}", archive.display());
    skopeo.copy(&from, &format!("oci:{}:1", layout.display()))?;
    Tree::read(&skopeo.unpack(&layout, "1", &room.dir().join("bundle"))?)
}

/// Fails where Podman's and umoci's trees differ in what the image says. Both leave the root directory,
/// of which it says nothing, as they made it.
fn compare(room: &Room, image: &Image) -> Verdict<Tree> {
    let archive = room.dir().join("archive");
    image.files(Form::Oci, "name:1")?.write_archive(&archive)?;
    let mut umoci = by_umoci(room, &archive)?;
    let mut podman = by_podman(room, &archive)?;
    for tree in [&mut umoci, &mut podman] {
        tree.nodes.remove(&b""[..]);
    }
    umoci.ensure_same(&podman, "umoci (ours) and Podman (theirs)")?;
    Ok(umoci)
}

fn trees(room: &Room) -> Verdict {
    let tree = compare(room, &awkward()?)?;
    let names: Vec<String> =
        tree.nodes.keys().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
    ensure_eq!(tree.nodes.len(), 12, "entries: {names:?}");
    let kept = tree.nodes.get(&b"dir/same"[..]).context("dir/same")?;
    ensure_eq!(kept.first_name, b"dir/kept", "a hard link");
    ensure_eq!(kept.mode, 0o4755, "its mode");
    Ok(())
}

fn real_trees(room: &Room) -> Verdict {
    let tree = compare(room, &debian_image(Compression::Gzip)?)?;
    ensure!(tree.nodes.len() > 4000, "{} entries", tree.nodes.len());
    Ok(())
}

/// Docker loads both forms of its archives, and runs what it loaded.
fn docker(room: &Room) -> Verdict {
    let docker = Docker::start(room.dir())?;
    let image = busybox_image(Compression::Gzip)?;
    for form in [Form::Docker, Form::OldDocker] {
        let file = room.dir().join("archive");
        image.files(form, "name:1")?.write_archive(&file)?;
        let file = file.to_string_lossy();
        docker.call(&["load", "--input", &file])?.ok()?;
        let id = docker.call(&["image", "inspect", "--format", "{{.Id}}", "name:1"])?.ok()?.stdout;
        ensure_eq!(id.trim(), image.id()?, "the id of {form:?}");
        docker.call(&["image", "rm", "name:1"])?.ok()?;
    }
    Ok(())
}
