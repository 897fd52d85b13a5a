//! Several processes at once.

use super::*;

/// Set in another process: the place.
const PLACE: &str = "LXCRI_TEST_ROOTFS_PLACE";
const ID: &str = "LXCRI_TEST_ROOTFS_ID";

fn another(scene: &Scene, id: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "rootfs::tests::races::two_make_one_golden_tree", "--nocapture"])
        .env(PLACE, &scene.place.root)
        .env(ID, id)
        .stdout(std::process::Stdio::piped());
    command
}

#[test]
fn two_make_one_golden_tree() {
    if let (Some(root), Ok(id)) = (std::env::var_os(PLACE), std::env::var(ID)) {
        let scene = Scene::of_another(root.into());
        prepare(&scene.place, provider_named("copy"), scene.request(&id)).unwrap();
        return;
    }
    let scene = Scene::new();
    scene.layers();
    let ids = ["a", "b", "c", "d", "e", "f"];
    let children: Vec<_> = ids.map(|id| another(&scene, id).spawn().unwrap()).into();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
    for id in ids {
        assert_merged(&scene.place.root.join("containers").join(id).join("access/merged"), 0);
    }
    let names = golden::names(&scene.place, "copy").unwrap();
    assert_eq!(names.len(), 1, "{names:?}");
    // All are in use: nothing to prune.
    assert!(prune(&scene.place, &BTreeSet::new()).unwrap().is_empty());
}

/// Containers come and go while golden trees are pruned.
#[test]
fn pruned_while_it_is_needed() {
    let scene = Scene::new();
    let copy = provider_named("copy");
    scene.layers();
    std::thread::scope(|scope| {
        let pruning = scope.spawn(|| {
            for _ in 0..60 {
                prune(&scene.place, &BTreeSet::new()).unwrap();
            }
        });
        while !pruning.is_finished() {
            let rootfs = prepare(&scene.place, copy, scene.request("a")).unwrap();
            assert_merged(&rootfs.path, 0);
            remove(&scene.place, &"a".parse().unwrap()).unwrap();
        }
    });
}

/// Of many that prepare and remove one id at once, each gets a whole one or an error.
#[test]
fn one_id_for_many() {
    let scene = Scene::new();
    let overlay = provider_named("overlay");
    scene.layers();
    let place = &scene.place;
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..25 {
                    match prepare(place, overlay, scene.request("a")) {
                        Ok(_) => remove(place, &"a".parse().unwrap()).unwrap(),
                        Err(RootfsError::Exists { .. }) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            });
        }
    });
    scene.assert_no_containers();
}
