//! The same for every provider, on the filesystems it is for.

use super::*;

/// Prepared, looked at, written to, remounted, removed; with and without a user namespace.
fn life(scene: &Scene, name: &str) {
    let provider = provider_named(name);
    for mapping in [None, Some(MAPPING.to_vec())] {
        let shift = mapping.as_ref().map_or(0, |_| 100_000);
        let id: ContainerId = format!("{name}-{shift}").parse().unwrap();
        let mut request = scene.request(id.as_str());
        request.mapping = mapping;
        let rootfs = prepare(&scene.place, provider, request).unwrap();
        assert_eq!(rootfs.provider, name);
        assert_merged(&rootfs.path, shift);
        changes(scene, &rootfs, &id, shift);
        again(scene, &rootfs, &id);
        remove(&scene.place, &id).unwrap();
    }
    read_only(scene, name);
    empty(scene, name);
    scene.assert_no_containers();
    let mut layers = scene.layers();
    layers.truncate(1);
    let keep = BTreeSet::from([chain_id(scene.layers().iter().map(|layer| &layer.diff_id))]);
    let pruned = prune(&scene.place, &keep).unwrap();
    let all = prune(&scene.place, &BTreeSet::new()).unwrap();
    // Of an image in use, and of none.
    let counts = (pruned.len(), all.len());
    assert_eq!(counts, if name == "overlay" { (0, 0) } else { (1, 1) }, "{pruned:?} {all:?}");
}

/// The container's root may write, what it writes is its own on disk, and no layer changes.
fn changes(scene: &Scene, rootfs: &Rootfs, id: &ContainerId, shift: u32) {
    let before: Vec<_> = scene.layers().iter().map(|layer| listing(&layer.path)).collect();
    let script = "touch tmp/new; echo changed >etc/file; rm usr/bin/kept; echo x >usr/bin/new
        rm -r opaque; mkdir opaque; mv usr/bin moved; ln etc/file etc/hard; ln -s x etc/link";
    let mapping = (shift != 0).then_some(&MAPPING[..]);
    shell_as_root_of(mapping, &rootfs.path, script);
    let after = listing(&rootfs.path);
    let names = after.keys().map(String::as_str).collect::<Vec<_>>().join(" ");
    let wanted = " etc etc/file etc/hard etc/link link moved moved/hard moved/new opaque suid tmp \
                  tmp/new usr";
    assert_eq!(names, wanted);
    if shift != 0 {
        // Nobody has this id in there.
        assert!(std::fs::write(rootfs.path.join("of-the-host"), "").is_err());
    }
    let new = std::fs::metadata(rootfs.path.join("tmp/new")).unwrap();
    assert_eq!(new.uid(), shift);
    let tree = if rootfs.provider == "overlay" { "upper" } else { "fs" };
    let container = scene.place.root.join("containers").join(id.as_str()).join("data");
    if container.join(tree).exists() {
        assert_eq!(std::fs::metadata(container.join(tree).join("tmp/new")).unwrap().uid(), 0);
    }
    let after: Vec<_> = scene.layers().iter().map(|layer| listing(&layer.path)).collect();
    assert_eq!(before, after);
}

/// As after a reboot: nothing is mounted, everything is on disk.
fn again(scene: &Scene, rootfs: &Rootfs, id: &ContainerId) {
    let seen = listing(&rootfs.path);
    assert_eq!(remount(&scene.place, id).unwrap(), *rootfs, "it is mounted still");
    lxcri_linux::mount::detach_all(&rootfs.path).unwrap();
    assert!(listing(&rootfs.path).len() == 1);
    assert_eq!(remount(&scene.place, id).unwrap(), *rootfs);
    assert_eq!(listing(&rootfs.path), seen);
}

fn read_only(scene: &Scene, name: &str) {
    for mapping in [None, Some(MAPPING.to_vec())] {
        for layers in [1, 3] {
            let mut request = scene.request("ro");
            (request.read_only, request.mapping) = (true, mapping.clone());
            request.layers.drain(..3 - layers);
            let rootfs = prepare(&scene.place, provider_named(name), request).unwrap();
            assert_eq!(std::fs::read(rootfs.path.join("etc/file")).unwrap(), b"top\n");
            let error = std::fs::write(rootfs.path.join("new"), "").unwrap_err();
            assert_eq!(error.kind(), std::io::ErrorKind::ReadOnlyFilesystem);
            remove(&scene.place, &"ro".parse().unwrap()).unwrap();
        }
    }
    let mut request = scene.request("ro");
    (request.read_only, request.layers) = (true, Vec::new());
    prepare(&scene.place, provider_named(name), request).unwrap();
    remove(&scene.place, &"ro".parse().unwrap()).unwrap();
    // Made for this alone.
    let keep = [vec![], scene.layers()].map(|of| chain_id(of.iter().map(|layer| &layer.diff_id)));
    prune(&scene.place, &keep.into()).unwrap();
}

fn empty(scene: &Scene, name: &str) {
    let mut request = scene.request("empty");
    request.layers.clear();
    let rootfs = prepare(&scene.place, provider_named(name), request).unwrap();
    assert_eq!(listing(&rootfs.path)[""], "d 755 0:0 ");
    std::fs::write(rootfs.path.join("file"), "x").unwrap();
    remove(&scene.place, &"empty".parse().unwrap()).unwrap();
}

#[test]
fn overlay_here() {
    life(&Scene::new(), "overlay");
}

#[test]
fn overlay_on_tmpfs() {
    Scene::on("tmpfs").iter().for_each(|scene| life(scene, "overlay"));
}

#[test]
fn overlay_on_xfs() {
    Scene::on("xfs").iter().for_each(|scene| life(scene, "overlay"));
}

#[test]
fn overlay_on_btrfs() {
    Scene::on("btrfs").iter().for_each(|scene| life(scene, "overlay"));
}

#[test]
fn copy_here() {
    life(&Scene::new(), "copy");
}

#[test]
fn copy_on_tmpfs() {
    Scene::on("tmpfs").iter().for_each(|scene| life(scene, "copy"));
}

#[test]
fn btrfs_on_btrfs() {
    if let Some(scene) = Scene::on("btrfs") {
        assert!(provider_named("btrfs").probe(&scene.place, true).is_ok());
        life(&scene, "btrfs");
    }
}

/// What only reflinks have: the second copy takes no room.
#[test]
fn copies_share_their_blocks_on_btrfs() {
    if let Some(scene) = Scene::on("btrfs") {
        life(&scene, "copy");
        let mut request = scene.request("a");
        request.layers = vec![scene.layer("head -c 8M /dev/urandom >big")];
        let rootfs = prepare(&scene.place, provider_named("copy"), request).unwrap();
        let shown = shell(&rootfs.path, "sync big; filefrag -v big");
        assert!(shown.contains("shared"), "{shown}");
    }
}

/// Subvolumes that a container made in its own, also read-only ones, go with it.
#[test]
fn nested_subvolumes_are_removed() {
    if let Some(scene) = Scene::on("btrfs") {
        for name in ["btrfs", "overlay", "copy"] {
            prepare(&scene.place, provider_named(name), scene.request("a")).unwrap();
            let tree = if name == "overlay" { "upper" } else { "fs" };
            let tree = scene.place.root.join("containers/a/data").join(tree);
            shell(&tree, "btrfs -q subvolume create one; btrfs -q subvolume create one/two");
            shell(&tree, "echo x >one/two/file; btrfs -q subvolume snapshot -r one/two one/three");
            remove(&scene.place, &"a".parse().unwrap()).unwrap();
            scene.assert_no_containers();
        }
    }
}

/// A golden tree that may not have reached the disk when the machine went down is made again; one
/// that was synced is not.
#[test]
fn a_golden_tree_of_another_boot() {
    for sync in [false, true] {
        let mut scene = Scene::new();
        scene.place.sync = sync;
        let copy = provider_named("copy");
        prepare(&scene.place, copy, scene.request("a")).unwrap();
        let chain = chain_id(scene.layers().iter().map(|layer| &layer.diff_id));
        let golden = scene.place.root.join("golden/copy").join(golden::name_of(&chain));
        shell(
            &golden,
            "sed -i -E 's/\"bootId\":\"[^\"]+\"/\"bootId\":\"other\"/' ready.json; echo x >tree/mark",
        );
        let rootfs = prepare(&scene.place, copy, scene.request("b")).unwrap();
        assert_eq!(rootfs.path.join("mark").exists(), sync);
        // Cut off with the machine.
        std::fs::write(golden.join("ready.json"), "").unwrap();
        let rootfs = prepare(&scene.place, copy, scene.request("c")).unwrap();
        assert!(!rootfs.path.join("mark").exists());
    }
}

#[test]
fn what_lives_for_one_boot() {
    let scene = Scene::new();
    let mut request = scene.request("a");
    request.ephemeral = true;
    let id = request.id.clone();
    let rootfs = prepare(&scene.place, provider_named("overlay"), request).unwrap();
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let line = mounts.lines().find(|line| line.contains(rootfs.path.to_str().unwrap())).unwrap();
    for option in ["volatile", "redirect_dir=nofollow", "nodev"] {
        assert!(line.contains(option), "{line}");
    }
    again(&scene, &rootfs, &id);
    lxcri_linux::mount::detach_all(&rootfs.path).unwrap();
    let record = scene.place.root.join("containers/a/rootfs.json");
    let text = std::fs::read_to_string(&record).unwrap();
    let boot_id = record::boot_id().unwrap();
    std::fs::write(&record, text.replace(&boot_id, "another")).unwrap();
    let error = remount(&scene.place, &id).unwrap_err();
    assert!(matches!(error, RootfsError::Ephemeral { .. }), "{error}");
}

/// Trees that a container left to be hard to remove. What is in it is not ours to follow.
#[test]
fn hostile_trees_are_removed() {
    let scene = Scene::new();
    let outside = scene.path().join("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("file"), "kept").unwrap();
    for name in ["overlay", "copy"] {
        let rootfs = prepare(&scene.place, provider_named(name), scene.request("a")).unwrap();
        let script = format!(
            "mkdir -p i/j; echo x >i/j/f; chattr +i i/j/f i/j; echo >log; chattr +a log
             ln -s {0} out; ln -s {0}/file filelink; mkfifo fifo; mknod dev b 7 0
             mkdir hidden; chmod 0 hidden; touch -- -rf $'new\\nline' $'\\xff'
             python3 -c 'import os
for i in range(3000):
    os.mkdir(\"d\" * 200); os.chdir(\"d\" * 200)'",
            outside.display()
        );
        shell(&rootfs.path, &script);
        remove(&scene.place, &"a".parse().unwrap()).unwrap();
        scene.assert_no_containers();
        assert_eq!(std::fs::read(outside.join("file")).unwrap(), b"kept");
    }
}

/// Whoever still uses it keeps it, and that keeps nobody from removing it.
#[test]
fn removed_while_it_is_in_use() {
    let scene = Scene::new();
    let rootfs = prepare(&scene.place, provider_named("overlay"), scene.request("a")).unwrap();
    let file = std::fs::File::open(rootfs.path.join("etc/file")).unwrap();
    remove(&scene.place, &"a".parse().unwrap()).unwrap();
    scene.assert_no_containers();
    assert_eq!(std::io::read_to_string(file).unwrap(), "top\n");
}
