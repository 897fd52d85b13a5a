//! Images that are odd and allowed, and disks that are too small.

use lxcri_testkit::Room;
use lxcri_testkit::Verdict;
use lxcri_testkit::ensure;
use lxcri_testkit::ensure_eq;
use lxcri_testkit::image::Compression;
use lxcri_testkit::image::Entry;
use lxcri_testkit::image::Kind;
use lxcri_testkit::image::Layer;
use lxcri_testkit::image::busybox_image;
use rustix::mount::MountFlags;

use super::Host;
use super::archive;
use super::hostile::refused;
use super::hostile::with_entries;
use crate::bad_input::disk::Tmpfs;
use crate::registry::cases;

cases!("images": twins, deep_paths, device_nodes, disk_full);

/// Names that are one to other filesystems are two here: by case, and by how a letter is put together.
fn twins(room: &Room) -> Verdict {
    let names = ["File", "file", "FILE", "caf\u{e9}", "cafe\u{301}"];
    let entries: Vec<Entry> = names.iter().map(|name| Entry::file(name, name)).collect();
    let host = Host::new(room, "host")?;
    let image = archive(room, &with_entries(&entries)?)?;
    for name in names {
        let said = host.run(&[&image, "cat", &format!("/{name}")])?.ok()?.stdout;
        ensure_eq!(said, name, "what the file says");
    }
    Ok(())
}

/// A path of 512 names is unpacked, can be used and goes away again; a deeper one is refused.
fn deep_paths(room: &Room) -> Verdict {
    let deepest = format!("{}f", "d/".repeat(511));
    let host = Host::new(room, "host")?;
    let image = archive(room, &with_entries(&[Entry::file(&deepest, "deep")])?)?;
    let script = "i=0; while [ -d d ]; do cd d; i=$((i+1)); done; echo $i; cat f";
    let said = host.run(&["--workdir", "/", &image, "sh", "-c", script])?.ok()?.stdout;
    ensure_eq!(said, "511\ndeep", "in the container");
    host.ensure_no_containers()?;
    host.call(&["image", "rm", "localhost/app:1"])?.ok()?;
    ensure_eq!(host.ready_layers()?, Vec::<String>::new(), "layers");
    for (names, message) in [(512, "deeper than 512 names"), (5000, "longer than 4095 bytes")] {
        let deeper = with_entries(&[Entry::file("d/".repeat(names) + "f", "")])?;
        refused(room, "a path that is too deep", &deeper, message, 1)?;
    }
    Ok(())
}

/// Device nodes of an image are no devices: not in a user namespace, and not without one. Those of
/// /dev are the runtime's.
fn device_nodes(room: &Room) -> Verdict {
    let nodes = [
        Entry::new("kmsg", Kind::Character(1, 11), 0o666),
        Entry::new("zero", Kind::Character(1, 5), 0o666),
        Entry::new("disk", Kind::Block(7, 0), 0o666),
    ];
    let host = Host::new(room, "host")?;
    let image = archive(room, &with_entries(&nodes)?)?;
    let script =
        "for node in /kmsg /zero /disk; do head -c 1 $node >/x && echo $node can be read; done
        head -c 3 /dev/zero | wc -c";
    for user_namespace in [&[][..], &["--userns", "host"]] {
        let words = [user_namespace, &[&image, "sh", "-c", script]].concat();
        let finished = host.run(&words)?.ok()?;
        ensure_eq!(finished.stdout.trim(), "3", "what can be read");
        ensure!(finished.stderr.matches("ermission denied").count() == 3, "{finished}");
    }
    host.ensure_no_containers()
}

/// The disk is full in the middle of a layer: that is said, nothing of the layer can be used, and with
/// more room the same command works.
fn disk_full(room: &Room) -> Verdict {
    const SIZE: u64 = 24 << 20;
    let host = Host::new(room, "host")?;
    let data = host.data();
    let _disk = Tmpfs::new(&data, MountFlags::empty(), "size=16m")?;
    let mut image = busybox_image(Compression::Gzip)?;
    let zeros = Entry::new("zeros", Kind::Zeros(SIZE), 0o644);
    image.layers.push(Layer::new(&[zeros], Compression::Gzip)?);
    let from = archive(room, &image)?;
    let told = host.run(&[&from, "echo", "ran"])?.exits(125)?.refuses(&["no space is left"])?;
    ensure!(told.stderr.contains("image prune"), "no hint: {told}");
    ensure_eq!((&*told.stdout, host.images()?.len()), ("", 0), "what is left");
    ensure!(host.ready_layers()?.len() <= 1, "{:?}", host.ready_layers()?);
    host.ensure_no_containers()?;
    host.call(&["image", "prune", "--all"])?.ok()?;
    let options = c"size=200m";
    rustix::mount::mount_remount(host.data(), MountFlags::empty(), options)?;
    let said = host.run(&[&from, "sh", "-c", "wc -c </zeros"])?.ok()?.stdout;
    ensure_eq!(said.trim(), SIZE.to_string(), "with more room");
    Ok(())
}
