use super::super::tests::{MAPPING, Scene, shell};
use super::*;

fn stack<'a>(scene: &Scene, layers: usize, mapping: Option<&'a [IdRange]>) -> Stack<'a> {
    let lower = (0..layers).map(|number| {
        let layer = scene.layer(&format!("echo {number} >top; echo x >only-{number}"));
        layer.path
    });
    let lower = lower.collect();
    let container = scene.path().join(format!("container-{layers}-{}", mapping.is_some()));
    let _ = std::fs::remove_dir_all(&container);
    shell(&scene.path(), &format!("mkdir -p {0}/upper {0}/work", container.display()));
    let attributes = Attributes::default();
    Stack { lower, upper: Some(container), mapping, volatile: true, attributes }
}

/// What is seen of a tree that is attached nowhere.
fn look(tree: &OwnedFd, layers: usize) -> u32 {
    let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(tree));
    let path = Path::new(&path);
    let top = std::fs::read_to_string(path.join("top")).unwrap();
    assert_eq!(top, format!("{}\n", layers - 1), "the last is the topmost");
    assert_eq!(std::fs::read_dir(path.join(".")).unwrap().count(), layers + 1);
    let owner =
        std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(path.join("only-0")).unwrap());
    let acting = lxcri_linux::filesystem_ids::FilesystemIds::take_on(owner, owner).unwrap();
    std::fs::write(path.join("written"), "").unwrap();
    drop(acting);
    owner
}

/// As many layers as there can be, both ways, with and without a user namespace.
#[test]
fn any_number_of_layers() {
    let scene = Scene::new();
    for count in [1, 10, 130, LAYERS_MAX] {
        for mapping in [None, Some(&MAPPING[..])] {
            let owner = mapping.map_or(0, |_| 100_000);
            let stacked = stack(&scene, count, mapping);
            let tree = stacked.mount(&scene.path()).unwrap();
            assert_eq!(look(&tree, count), owner, "{count} layers");
            drop(tree);
            let stacked = stack(&scene, count, mapping);
            let upper = stacked.upper.as_deref();
            let layers = Layers::open(&stacked.lower, upper, mapping, true).unwrap();
            let tree = stacked.by_name(&layers, &scene.path()).unwrap();
            assert_eq!(look(&tree, count), owner, "{count} layers by name");
        }
    }
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(scene.path().to_str().unwrap()), "{mounts}");
}

/// The newer of the two ways is the one that is used where the kernel has it.
#[test]
fn by_descriptor_where_the_kernel_can() {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let mut numbers = release.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    let version = (numbers.next().unwrap(), numbers.next().unwrap());
    let scene = Scene::new();
    let stacked = stack(&scene, 3, Some(&MAPPING));
    let upper = stacked.upper.as_deref();
    let layers = Layers::open(&stacked.lower, upper, Some(&MAPPING), false).unwrap();
    assert_eq!(layers.trees().len(), 1, "one mount for all");
    let mounted = stacked.overlay(&layers).by_descriptor();
    assert_eq!(mounted.is_ok(), version >= (6, 15), "{release}: {mounted:?}");
}

/// Layers on several filesystems get a mount each.
#[test]
fn layers_on_another_filesystem() {
    let (here, Some(there)) = (Scene::new(), Scene::on("tmpfs")) else { return };
    let mut stacked = stack(&here, 2, Some(&MAPPING));
    stacked.lower[0] = there.layer("echo 0 >only-0; echo 5 >top").path;
    let upper = stacked.upper.as_deref();
    let layers = Layers::open(&stacked.lower, upper, Some(&MAPPING), false).unwrap();
    assert_eq!(layers.trees().len(), 2);
    assert_eq!(look(&stacked.mount(&here.path()).unwrap(), 2), 100_000);
}

/// Notes of an overlay that came with an image are not believed.
#[test]
fn redirects_of_images_are_not_followed() {
    let scene = Scene::new();
    let below = scene.layer("mkdir secret; echo x >secret/file");
    let above = scene.layer("mkdir a; setfattr -n trusted.overlay.redirect -v /secret a");
    let merged = merge(&[below.path, above.path], &scene.path()).unwrap();
    let path = format!("/proc/self/fd/{}/a", std::os::fd::AsRawFd::as_raw_fd(&merged));
    let names = std::fs::read_dir(path).map(Iterator::count).unwrap_or(0);
    assert_eq!(names, 0);
}

/// A link in the path to a layer leads to the layer, with its ids mapped.
#[test]
fn layers_behind_a_link() {
    let scene = Scene::new();
    let mut stacked = stack(&scene, 2, Some(&MAPPING));
    shell(&scene.path(), "ln -s $PWD/layers absolute; ln -s layers relative");
    let elsewhere = |path: &Path, link: &str| {
        scene.path().join(link).join(path.strip_prefix(scene.path().join("layers")).unwrap())
    };
    stacked.lower =
        vec![elsewhere(&stacked.lower[0], "absolute"), elsewhere(&stacked.lower[1], "relative")];
    assert_eq!(look(&stacked.mount(&scene.path()).unwrap(), 2), 100_000);
}
