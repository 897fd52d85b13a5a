//! Killed at every step, everything can be removed.

use super::*;

const PLACE: &str = "LXCRI_TEST_ROOTFS_CRASH";
const WHAT: &str = "LXCRI_TEST_ROOTFS_PROVIDER";
const POINT: &str = "LXCRI_FAIL_POINT";

/// This test in another process, which prepares and removes, and may be killed in between.
fn run(scene: &Scene, provider: &str, step: &str) -> std::process::ExitStatus {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "rootfs::tests::crash::killed_at_every_step", "--nocapture"])
        .env(PLACE, &scene.place.root)
        .env(WHAT, provider)
        .env(POINT, step)
        .stdout(std::process::Stdio::null())
        .status()
        .unwrap()
}

fn inside(root: PathBuf, provider: &str) {
    let mut scene = Scene::of_another(root);
    scene.place.sync = true;
    let mut request = scene.request("a");
    request.mapping = Some(MAPPING.to_vec());
    prepare(&scene.place, provider_named(provider), request).unwrap();
    remove(&scene.place, &"a".parse().unwrap()).unwrap();
}

/// Which steps a provider goes through.
fn steps(provider: &str) -> Vec<&'static str> {
    let with_golden = provider != "overlay";
    let is_its = |name: &&str| match *name {
        name if name.contains("golden") => with_golden,
        "rootfs-prepare/tree" => with_golden,
        "rootfs-prepare/upper" => !with_golden,
        _ => true,
    };
    Step::NAMES.iter().copied().filter(is_its).collect()
}

#[test]
fn killed_at_every_step() {
    if let (Some(root), Ok(provider)) = (std::env::var_os(PLACE), std::env::var(WHAT)) {
        return inside(root.into(), &provider);
    }
    use std::os::unix::process::ExitStatusExt;
    for (provider, scene) in [
        ("overlay", Some(Scene::new())),
        ("copy", Some(Scene::new())),
        ("btrfs", Scene::on("btrfs")),
    ] {
        let Some(scene) = scene else { continue };
        scene.layers();
        for step in steps(provider) {
            // What a golden tree is made of is made anew.
            prune(&scene.place, &BTreeSet::new()).unwrap();
            let status = run(&scene, provider, step);
            assert_eq!(status.signal(), Some(9), "{provider} does not go through {step}");
            let id = "a".parse().unwrap();
            remove(&scene.place, &id).unwrap();
            scene.assert_no_containers();
            let rootfs = prepare(&scene.place, provider_named(provider), scene.request("a"));
            assert_merged(&rootfs.unwrap().path, 0);
            remove(&scene.place, &id).unwrap();
            assert!(run(&scene, provider, "none").success(), "{provider} after {step}");
            scene.assert_no_containers();
        }
    }
}
