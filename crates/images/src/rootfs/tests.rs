//! Root filesystems on this kernel, made by every provider that it has.

use std::collections::BTreeMap;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::process::Command;

use super::*;

#[cfg(feature = "fail-points")]
mod crash;
mod providers;
mod races;

/// A directory with layers and a place, on some filesystem.
pub(super) struct Scene {
    /// Dropped after what is mounted in it.
    mounts: Vec<PathBuf>,
    /// Nobody's own where another process made it, which removes it, too.
    dir: Option<tempfile::TempDir>,
    pub(super) place: Place,
}

impl Scene {
    /// On the filesystem of the temporary directory.
    pub(super) fn new() -> Self {
        Self::at(tempfile::tempdir().unwrap(), "")
    }

    /// Below `inside` of a directory.
    fn at(dir: tempfile::TempDir, inside: &str) -> Self {
        let root = dir.path().join(inside).join("rootfs");
        Self {
            mounts: Vec::new(),
            dir: Some(dir),
            place: Place { root, dataset: None, sync: false },
        }
    }

    /// On a new filesystem of `kind` in a file; `None`, said loudly, where it cannot be.
    pub(super) fn on(kind: &str) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let make = format!(
            "truncate -s 512M disk && mkfs.{kind} -q disk && mkdir mnt && mount -o loop disk mnt"
        );
        let make =
            if kind == "tmpfs" { "mkdir mnt && mount -t tmpfs t mnt".to_owned() } else { make };
        let output =
            Command::new("sh").args(["-c", &make]).current_dir(dir.path()).output().unwrap();
        if !output.status.success() {
            skip(&format!("rootfs_on_{kind}"), &String::from_utf8_lossy(&output.stderr));
            return None;
        }
        let mut scene = Self::at(dir, "mnt");
        scene.mounts.push(scene.path());
        Some(scene)
    }

    /// One that another process has made.
    pub(super) fn of_another(root: PathBuf) -> Self {
        Self { mounts: Vec::new(), dir: None, place: Place { root, dataset: None, sync: false } }
    }

    /// The directory that the place is in.
    pub(super) fn path(&self) -> PathBuf {
        self.place.root.parent().unwrap().to_owned()
    }

    /// A layer, made by a script that runs in its directory; `whiteout NAME` and `opaque DIRECTORY`
    /// are what they are in overlays.
    pub(super) fn layer(&self, script: &str) -> Layer {
        let diff_id = Digest::of(script.as_bytes());
        let path = self.path().join("layers").join(diff_id.hex()).join("fs");
        if !path.exists() {
            std::fs::create_dir_all(&path).unwrap();
            let words = "whiteout() { mknod \"$1\" c 0 0; }
                opaque() { mkdir -p \"$1\"; setfattr -n trusted.overlay.opaque -v y \"$1\"; }\n";
            shell(&path, &format!("{words}{script}"));
        }
        Layer { diff_id, path }
    }

    /// A few layers in which everything occurs.
    pub(super) fn layers(&self) -> Vec<Layer> {
        vec![
            self.layer(
                "mkdir -p etc usr/bin gone opaque tmp; echo base >etc/file; echo x >gone/file
                 echo old >opaque/old; echo kept >usr/bin/kept; ln usr/bin/kept usr/bin/hard
                 chmod 1777 tmp; chown 33:44 etc/file; echo deleted >etc/deleted; chmod 700 .",
            ),
            self.layer("mkdir etc; whiteout etc/deleted; whiteout gone; opaque opaque; echo n >opaque/new"),
            self.layer(
                "mkdir etc; echo top >etc/file; chown 5:6 etc/file; ln -s /etc/file link; chmod 755 .
                 chown 1:2 .; setfattr -n user.top -v yes .; cp /bin/true suid; chmod 4755 suid",
            ),
        ]
    }

    pub(super) fn request(&self, id: &str) -> Request {
        Request {
            id: id.parse().unwrap(),
            layers: self.layers(),
            mapping: None,
            read_only: false,
            ephemeral: false,
        }
    }

    /// Nothing is left of any container.
    pub(super) fn assert_no_containers(&self) {
        let left: Vec<_> = std::fs::read_dir(containers(&self.place))
            .map(|all| all.map(|entry| entry.unwrap().path()).collect())
            .unwrap_or_default();
        assert!(left.is_empty(), "left: {left:?}");
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        let below = format!(" {}/containers/", self.place.root.display());
        assert!(!mounts.contains(&below), "{mounts}");
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if self.dir.is_none() {
            return;
        }
        if let Ok(all) = std::fs::read_dir(containers(&self.place)) {
            for entry in all.flatten() {
                let id = entry.file_name().to_string_lossy().parse().unwrap();
                let _ = remove(&self.place, &id);
            }
        }
        for mount in &self.mounts {
            let _ = rustix::mount::unmount(mount, rustix::mount::UnmountFlags::DETACH);
        }
    }
}

/// Says loudly, past the test harness, that something is not tested here.
fn skip(what: &str, reason: &str) {
    use std::io::Write as _;
    let reason = reason.trim_end().replace('\n', "; ");
    let _ = writeln!(std::io::stdout(), "SKIP images::{what}: {reason}");
}

pub(super) fn shell(dir: &Path, script: &str) -> String {
    let output = Command::new("bash").args(["-euc", script]).current_dir(dir).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{script}: {}", text(&output.stderr));
    text(&output.stdout)
}

pub(super) const MAPPING: [IdRange; 1] = [IdRange { container: 0, host: 100_000, size: 65536 }];

/// What is in a tree: path → kind, mode, owner, content.
pub(super) fn listing(root: &Path) -> BTreeMap<String, String> {
    let shown = shell(root, "find . -printf '%P\\t%y %m %U:%G %n %l\\n'");
    let line = |line: &str| {
        let (path, rest) = line.split_once('\t').unwrap();
        let content = if rest.starts_with('f') {
            Digest::of(&std::fs::read(root.join(path)).unwrap()).short().to_owned()
        } else {
            String::new()
        };
        // Directories count their children in some filesystems and not in others.
        let rest = if rest.starts_with('d') {
            rest.split(' ').take(3).collect::<Vec<_>>().join(" ")
        } else {
            rest.to_owned()
        };
        (path.to_owned(), format!("{rest} {content}"))
    };
    shown.lines().map(line).collect()
}

/// What [`Scene::layers`] come to, seen from the host with owners moved by `shift`.
pub(super) fn assert_merged(root: &Path, shift: u32) {
    let names: Vec<String> = listing(root).into_keys().collect();
    let wanted =
        " etc etc/file link opaque opaque/new suid tmp usr usr/bin usr/bin/hard usr/bin/kept";
    assert_eq!(names.join(" "), wanted);
    let owner = |path: &str| {
        let file = std::fs::symlink_metadata(root.join(path)).unwrap();
        (file.uid().wrapping_sub(shift), file.gid().wrapping_sub(shift), file.mode() & 0o7777)
    };
    assert_eq!(owner(""), (1, 2, 0o755));
    assert_eq!(owner("etc/file"), (5, 6, 0o644));
    assert_eq!(owner("tmp"), (0, 0, 0o1777));
    assert_eq!(owner("suid"), (0, 0, 0o4755));
    assert_eq!(std::fs::read(root.join("etc/file")).unwrap(), b"top\n");
    assert_eq!(std::fs::read_link(root.join("link")).unwrap(), Path::new("/etc/file"));
    let top = shell(root, "getfattr --only-values -n user.top .");
    assert_eq!(top, "yes");
}

/// Runs a script in a directory as a container's root, in a user namespace where `ranges` say so: the
/// host's own root cannot make files where it has no id.
pub(super) fn shell_as_root_of(ranges: Option<&[IdRange]>, dir: &Path, script: &str) -> String {
    let Some(ranges) = ranges else { return shell(dir, script) };
    let ranges = mapping::kernel(ranges);
    let namespace = lxcri_linux::namespace::mapped_user_namespace(&ranges, &ranges).unwrap();
    let fd = std::os::fd::AsRawFd::as_raw_fd(&namespace);
    let enter = format!("--user=/proc/{}/fd/{fd}", std::process::id());
    let output = Command::new("nsenter")
        .args([&enter, "--setuid", "0", "--setgid", "0", "bash", "-euc", script])
        .current_dir(dir)
        .output()
        .unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub(super) fn provider_named(name: &str) -> &'static dyn Provider {
    provider(name).unwrap()
}

#[test]
fn records_are_checked() {
    let scene = Scene::new();
    let rootfs = prepare(&scene.place, provider_named("overlay"), scene.request("a")).unwrap();
    assert_eq!(rootfs.path, scene.place.root.join("containers/a/access/merged"));
    let path = scene.place.root.join("containers/a/rootfs.json");
    let text = std::fs::read_to_string(&path).unwrap();
    let record = Record::parse(text.as_bytes()).unwrap();
    assert_eq!((record.provider.as_str(), record.layers.len()), ("overlay", 3));
    assert_eq!(records(&scene.place).unwrap(), [record]);
    for broken in
        ["", "{", &text.replace("\"schema\":1", "\"schema\":2"), &text.replace("schema", "x")]
    {
        std::fs::write(&path, broken).unwrap();
        let error = remount(&scene.place, &"a".parse().unwrap()).unwrap_err();
        assert!(matches!(error, RootfsError::Damaged { .. }), "{error}");
        assert!(records(&scene.place).is_err(), "what it uses is not known");
    }
    // Whatever the record says, it can be removed.
    remove(&scene.place, &"a".parse().unwrap()).unwrap();
    scene.assert_no_containers();
}

#[test]
fn a_request_that_cannot_be_met_leaves_nothing() {
    let scene = Scene::new();
    let overlay = provider_named("overlay");
    let missing = || Layer { diff_id: Digest::of(b"?"), path: scene.path().join("missing") };
    let try_it = |change: &dyn Fn(&mut Request)| {
        let mut request = scene.request("a");
        change(&mut request);
        let error = prepare(&scene.place, overlay, request).unwrap_err().to_string();
        scene.assert_no_containers();
        error
    };
    assert!(try_it(&|request| request.layers.push(missing())).contains("missing: No such file"));
    assert!(
        try_it(&|request| request.layers.insert(0, missing())).contains("missing: No such file")
    );
    let file = scene.path().join("file");
    std::fs::write(&file, "").unwrap();
    assert!(
        try_it(&|request| request.layers[0].path.clone_from(&file)).contains("Not a directory")
    );
    let link = scene.path().join("link");
    symlink(scene.layers()[0].path.clone(), &link).unwrap();
    assert!(
        try_it(&|request| request.layers[0].path.clone_from(&link)).contains("Not a directory")
    );
    let empty = |request: &mut Request| request.mapping = Some(Vec::new());
    assert!(try_it(&empty).contains("it has no ranges"));
    let twice = |request: &mut Request| request.mapping = Some([MAPPING[0]; 2].to_vec());
    assert!(try_it(&twice).contains("make a user namespace to map by: Invalid argument"));
    let many = |request: &mut Request| request.layers = vec![missing(); 501];
    assert_eq!(try_it(&many), "501 layers are more than an overlay can have (500)");
}

#[test]
fn an_id_is_taken_once() {
    let scene = Scene::new();
    let overlay = provider_named("overlay");
    prepare(&scene.place, overlay, scene.request("a")).unwrap();
    let again = prepare(&scene.place, overlay, scene.request("a")).unwrap_err();
    assert!(matches!(again, RootfsError::Exists { .. }));
    assert!(
        scene.place.root.join("containers/a/access/merged/etc/file").exists(),
        "it is as it was"
    );
    remove(&scene.place, &"a".parse().unwrap()).unwrap();
    remove(&scene.place, &"a".parse().unwrap()).unwrap();
    let none = remount(&scene.place, &"a".parse().unwrap()).unwrap_err();
    assert_eq!(none.to_string(), "a: this container has no root filesystem");
}

#[test]
fn choices() {
    let scene = Scene::new();
    let names: Vec<_> = probe_all(&scene.place, true).iter().map(|found| found.name).collect();
    assert_eq!(names, ["overlay", "btrfs", "zfs", "copy"]);
    assert_eq!(choose("auto", &scene.place, true).unwrap().name(), "overlay");
    assert!(scene.place.root.join("chosen.json").exists());
    assert_eq!(choose("auto", &scene.place, true).unwrap().name(), "overlay");
    assert_eq!(choose("copy", &scene.place, false).unwrap().name(), "copy");
    let error = choose("btrfs", &scene.place, false).unwrap_err();
    assert!(error.to_string().ends_with("rootfs: the filesystem is not btrfs"), "{error}");
    assert_eq!(error.hints(), ["set rootfs.provider = \"copy\", which works on every filesystem"]);
    let error = choose("zfs", &scene.place, false).unwrap_err();
    assert!(error.to_string().contains("no dataset is configured"), "{error}");
    let error = choose("aufs", &scene.place, false).unwrap_err();
    assert_eq!(error.to_string(), "\"aufs\" is no rootfs provider");
    // An answer to another question, or from another boot, is none.
    for (from, to) in [("\"mapped\":false", "\"mapped\":true"), ("copy", "zfs"), ("bootId", "x")] {
        choose("copy", &scene.place, false).unwrap();
        let path = scene.place.root.join("chosen.json");
        let text = std::fs::read_to_string(&path).unwrap().replace(from, to);
        std::fs::write(&path, text).unwrap();
        assert_eq!(choose("copy", &scene.place, false).unwrap().name(), "copy");
    }
    let left: Vec<_> =
        std::fs::read_dir(&scene.place.root).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["chosen.json"]);
}

/// An overlay cannot be the upper directory of another.
#[test]
fn overlay_where_it_cannot_be() {
    let mut scene = Scene::new();
    shell(
        &scene.path(),
        "mkdir l u w on; mount -t overlay o -o lowerdir=l,upperdir=u,workdir=w on",
    );
    scene.mounts.push(scene.path().join("on"));
    let mut request = scene.request("a");
    scene.place.root = scene.path().join("on/rootfs");
    let error = choose("overlay", &scene.place, false).unwrap_err();
    assert!(matches!(&error, RootfsError::Unavailable(_)), "{error}");
    assert_eq!(choose("auto", &scene.place, false).unwrap().name(), "copy");
    // And what comes of it works, with owners changed on disk.
    request.mapping = Some(MAPPING.to_vec());
    let rootfs = prepare(&scene.place, provider_named("copy"), request).unwrap();
    assert_merged(&rootfs.path, 100_000);
    assert_eq!(
        std::fs::metadata(scene.place.root.join("containers/a/data/fs")).unwrap().uid(),
        100_001
    );
    remove(&scene.place, &"a".parse().unwrap()).unwrap();
    scene.assert_no_containers();
}

/// What a host user could do to programs with set-user-id that an image brought.
#[test]
fn nobody_else_walks_in() {
    let scene = Scene::new();
    let mut request = scene.request("a");
    request.mapping = Some(MAPPING.to_vec());
    let rootfs = prepare(&scene.place, provider_named("overlay"), request).unwrap();
    let look = |uid: u32| {
        let path = rootfs.path.join("suid");
        let words = ["--reuid", &uid.to_string(), "--regid", &uid.to_string(), "--clear-groups"];
        // By a shell: setpriv still has its capabilities when it executes what it is given.
        let shell = ["sh", "-c", "exec \"$0\" 2>/dev/null"];
        Command::new("setpriv").args(words).args(shell).arg(path).status().unwrap().success()
    };
    std::fs::set_permissions(scene.path(), PermissionsExt::from_mode(0o755)).unwrap();
    assert!(!look(1000), "a user of the host");
    assert!(look(100_000), "the container's root");
}

/// A device node that came with an image is no way to the disk.
#[test]
fn devices_of_images_do_not_open() {
    let scene = Scene::new();
    let layer = scene.layer("mknod zero c 1 5");
    for name in ["overlay", "copy"] {
        let mut request = scene.request(name);
        request.layers = vec![layer.clone()];
        let rootfs = prepare(&scene.place, provider_named(name), request).unwrap();
        let zero = rootfs.path.join("zero");
        assert!(std::fs::metadata(&zero).unwrap().file_type().is_char_device());
        let error = std::fs::File::open(zero).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied);
    }
}
