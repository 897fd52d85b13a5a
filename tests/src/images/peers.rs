//! Others beside us: they read our store and load our exports, and make the same tree of an image.

use std::path::Path;
use std::time::Duration;

use lxcri_testkit::Image;
use lxcri_testkit::Room;
use lxcri_testkit::Tree;
use lxcri_testkit::Verdict;
use lxcri_testkit::docker::Docker;
use lxcri_testkit::ensure;
use lxcri_testkit::ensure_eq;
use lxcri_testkit::image::Compression;
use lxcri_testkit::image::Entry;
use lxcri_testkit::image::Form;
use lxcri_testkit::image::Layer;
use lxcri_testkit::image::busybox_image;
use lxcri_testkit::image::debian_image;
use lxcri_testkit::podman::Podman;
use lxcri_testkit::skip;
use lxcri_testkit::verdict::Context;
use serde_json::Value;

use super::Host;
use super::archive;
use crate::handmade::awkward;
use crate::handmade::by_podman;
use crate::handmade::by_umoci;
use crate::handmade::skopeo;
use crate::registry::cases;

cases!("images": store_is_a_layout, podman_loads_our_exports, docker_loads_our_exports, odd_tree,
    real_tree);

/// How long a large image may take.
const LARGE: Duration = Duration::from_secs(120);

/// skopeo and umoci find our images under their names, and unpack what we took in.
fn store_is_a_layout(room: &Room) -> Verdict {
    let skopeo = skopeo(room)?;
    let host = Host::new(room, "host")?;
    let image = busybox_image(Compression::Gzip)?;
    let digest = host.call(&["image", "import", "--quiet", &archive(room, &image)?])?.ok()?.stdout;
    // A second one, so that a name has to be chosen.
    let mut other = busybox_image(Compression::Gzip)?;
    other.layers.push(Layer::new(&[Entry::file("second", "2")], Compression::Gzip)?);
    let from = archive(room, &other)?;
    host.call(&["image", "import", "--quiet", "--name", "localhost/other:2", &from])?.ok()?;
    let store = host.data().join("images");
    let from = format!("oci:{}:localhost/app:1", store.display());
    let inspected = skopeo.call(&["inspect", &from])?.ok()?.stdout;
    ensure!(inspected.contains(digest.trim()), "{digest} is not in {inspected}");
    let config = skopeo.call(&["inspect", "--raw", "--config", &from])?.ok()?.stdout;
    ensure_eq!(config.as_bytes(), image.config_bytes()?, "the configuration");
    for (name, has_second) in [("localhost/app:1", false), ("localhost/other:2", true)] {
        let bundle = room.dir().join(format!("bundle-{has_second}"));
        let rootfs = skopeo.unpack(&store, name, &bundle)?;
        ensure!(rootfs.join("bin/busybox").is_file(), "{name}");
        ensure_eq!(rootfs.join("second").exists(), has_second, "{name}");
    }
    Ok(())
}

/// Imports one image as gzip and one as zstd, and exports each; `load` gets the files.
fn exports(room: &Room, format: &str, load: impl Fn(&Path, &str) -> Verdict<String>) -> Verdict {
    let host = Host::new(room, "host")?;
    for compression in [Compression::Gzip, Compression::Zstd] {
        let image = busybox_image(compression)?;
        host.call(&["image", "import", &archive(room, &image)?])?.ok()?;
        let file = room.dir().join("export");
        let path = file.to_string_lossy();
        let words = ["image", "export", "--format", format, "--output", &path, "localhost/app:1"];
        host.call(&words)?.ok()?;
        let id = load(&file, "localhost/app:1")?;
        let id = id.trim().trim_start_matches("sha256:");
        ensure_eq!(format!("sha256:{id}"), image.id()?, "the id of {compression:?}");
        std::fs::remove_file(&file)?;
    }
    Ok(())
}

fn podman_loads_our_exports(room: &Room) -> Verdict {
    if !Podman::is_installed() {
        skip!("podman and conmon are not installed");
    }
    let podman = Podman::new(room.dir(), Path::new("/usr/sbin/runc"))?;
    for (number, format) in ["oci", "docker"].into_iter().enumerate() {
        exports(room, format, |file, name| {
            podman.call(&["load", "--input", &file.to_string_lossy()])?.ok()?;
            let show = ["image", "inspect", "--format", "{{.Id}}", name];
            let id = podman.call(&show)?.ok()?.stdout;
            podman.call(&["image", "rm", "--force", name])?.ok()?;
            Ok(id)
        })
        .map_err(|stop| stop.within(format!("{number}: {format}")))?;
    }
    Ok(())
}

fn docker_loads_our_exports(room: &Room) -> Verdict {
    let docker = Docker::start(room.dir())?;
    exports(room, "docker", |file, name| {
        docker.call(&["load", "--input", &file.to_string_lossy()])?.ok()?;
        let id = docker.call(&["image", "inspect", "--format", "{{.Id}}", name])?.ok()?.stdout;
        docker.call(&["image", "rm", name])?.ok()?;
        Ok(id)
    })
}

/// The root file system of a container that is made of an image and not started. What making it puts
/// there, on purpose, is in every container: places for what is mounted.
fn ours(room: &Room, archive: &Path) -> Verdict<Tree> {
    let host = Host::new(room, "host")?;
    let (from, id) = (format!("oci-archive:{}", archive.display()), room.id());
    let words = ["create", "--image", &from, "--userns", "host", "--network", "none", &id, "sh"];
    let mut command = host.command(&words);
    let dir = room.dir();
    lxcri_testkit::Finished::within(&mut command, dir, "create", None, LARGE)?.ok()?;
    let config = host.data().join("containers").join(&id).join("bundle/config.json");
    let config: Value = serde_json::from_slice(&std::fs::read(&config).context(config.display())?)?;
    let root = config["root"]["path"].as_str().context("root.path")?;
    let tree = Tree::read(Path::new(root));
    host.call(&["delete", "--force", &id])?.ok()?;
    host.ensure_no_containers()?;
    tree
}

/// Fails where our tree of `image` is another than umoci's or Podman's.
fn compare(room: &Room, image: &Image) -> Verdict<Tree> {
    let archive = room.dir().join("archive");
    image.files(Form::Oci, "name:1")?.write_archive(&archive)?;
    let mut ours = ours(room, &archive)?;
    for (name, mut theirs) in
        [("umoci", by_umoci(room, &archive)?), ("Podman", by_podman(room, &archive)?)]
    {
        for tree in [&mut ours, &mut theirs] {
            // Of the root the image says nothing, and each leaves it as made.
            tree.nodes.remove(&b""[..]);
            for place in PLACES {
                tree.forget(place.as_bytes());
            }
            // Places were made in it: its time is that of now.
            tree.nodes.entry(b"etc".to_vec()).and_modify(|node| node.modified = (0, 0));
        }
        ours.ensure_same(&theirs, &format!("ours and {name}'s (theirs)"))?;
    }
    Ok(ours)
}

/// Where something is mounted in every container.
const PLACES: [&str; 6] = ["dev", "proc", "sys", "etc/hosts", "etc/hostname", "etc/resolv.conf"];

/// Everything that a layer can say of a file, and an upper layer that takes things away.
fn odd_tree(room: &Room) -> Verdict {
    let mut image = awkward()?;
    image.layers.splice(0..0, busybox_image(Compression::Gzip)?.layers);
    let tree = compare(room, &image)?;
    let kept = tree.nodes.get(&b"dir/same"[..]).context("dir/same")?;
    ensure_eq!((&*kept.first_name, kept.mode), (&b"dir/kept"[..], 0o4755), "a hard link");
    Ok(())
}

/// A whole Debian, without and with what an upper layer changes of it.
fn real_tree(room: &Room) -> Verdict {
    let tree = compare(room, &debian_image(Compression::Gzip)?)?;
    ensure!(tree.nodes.len() > 4000, "{} entries", tree.nodes.len());
    Ok(())
}
