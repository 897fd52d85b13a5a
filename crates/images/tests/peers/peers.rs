//! The tests.

use std::path::{Path, PathBuf};
use std::process::Command;

use lxcri_images::archive::{
    Format, Imported, Item, Listeners, Origin, Request, Transport, export_to, import,
};
use lxcri_images::document::Platform;
use lxcri_images::progress::Silent;
use lxcri_images::store::{Image, Purpose, Store};

const NAME: &str = "docker.io/library/peers:1.0";

fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let complaint = text(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {complaint}");
    text(&output.stdout)
}

/// A place with a store and an image that umoci made: two layers, a link, an odd owner.
struct Fixture {
    directory: tempfile::TempDir,
    store: Store,
}

impl Fixture {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path().join("store")).unwrap();
        Self { directory, store }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// Makes `layout:made` by umoci.
    fn make(&self) {
        let layout = self.text("layout");
        let image = format!("{layout}:made");
        run("umoci", &["init", "--layout", &layout]);
        run("umoci", &["new", "--image", &image]);
        for layer in ["one", "two"] {
            let root = self.path(layer);
            std::fs::create_dir_all(root.join("etc")).unwrap();
            std::fs::write(root.join("etc").join(layer), layer.repeat(5000)).unwrap();
            std::os::unix::fs::symlink("etc", root.join(format!("link-{layer}"))).unwrap();
            std::os::unix::fs::chown(root.join("etc").join(layer), Some(7), Some(8)).unwrap();
            run("umoci", &["insert", "--image", &image, root.to_str().unwrap(), "/"]);
        }
        run("umoci", &["config", "--image", &image, "--config.cmd", "true"]);
    }

    fn import(&self, transport: Transport, name: &str) -> Imported {
        let hold = self.store.hold(Purpose::Import).unwrap();
        let (path, platform) = (self.path(name), Platform::host());
        let origin = Origin::Path(&path);
        let request = Request { transport, origin, image: None, platform: &platform };
        let listeners = Listeners { progress: &Silent, on_layer: &|_, _, _| {} };
        let imported = import(&hold, request, listeners).unwrap();
        hold.tag(NAME, &imported.manifest).unwrap();
        imported
    }

    fn export(&self, format: Format, name: &str) {
        let hold = self.store.hold(Purpose::Pull).unwrap();
        let Image { manifest, names, .. } = self.store.resolve(NAME).unwrap();
        let items = [Item { manifest: &manifest, names: &names }];
        export_to(&hold, &items, format, &self.path(name), &Silent).unwrap();
    }

    fn podman(&self, arguments: &[&str]) -> String {
        let (root, runroot) = (self.text("podman"), self.text("podman-run"));
        let global = [
            "--root",
            &root,
            "--runroot",
            &runroot,
            "--storage-driver=vfs",
            "--events-backend=file",
        ];
        run("podman", &[&global, arguments].concat())
    }
}

/// A tree as text: names, types, modes, owners, sizes, targets.
fn tree(root: &Path) -> String {
    let format = "%P %y %m %U:%G %s %l\n";
    let text = run("find", &[root.to_str().unwrap(), "-mindepth", "1", "-printf", format]);
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines.join("\n")
}

#[test]
fn skopeo_and_umoci_read_our_store() {
    let fixture = Fixture::new();
    fixture.make();
    let imported = fixture.import(Transport::Layout, "layout");
    // With what a pull leaves there while it is going on.
    std::fs::write(fixture.path("store/ingest/sha256-00"), "x").unwrap();
    let store = fixture.text("store");
    let image = format!("{store}:{NAME}");
    let inspected = run("skopeo", &["inspect", &format!("oci:{image}")]);
    assert!(inspected.contains(&imported.manifest.digest.to_string()), "{inspected}");
    assert_eq!(run("umoci", &["list", "--layout", &store]).trim(), NAME);
    run("umoci", &["unpack", "--image", &image, &fixture.text("from-store")]);
    let made = format!("{}:made", fixture.text("layout"));
    run("umoci", &["unpack", "--image", &made, &fixture.text("from-layout")]);
    let (ours, theirs) = (fixture.path("from-store/rootfs"), fixture.path("from-layout/rootfs"));
    assert_eq!(tree(&ours), tree(&theirs));
    run("skopeo", &["copy", "-q", &format!("oci:{image}"), &format!("dir:{}", fixture.text("d"))]);
    // Into another store, and back: nothing has changed.
    let other = Fixture { directory: fixture.directory, store: fixture.store };
    let again = other.import(Transport::Directory, "d");
    assert_eq!(again.manifest.digest, imported.manifest.digest);
}

#[test]
fn we_read_what_skopeo_writes() {
    let fixture = Fixture::new();
    fixture.make();
    let made = format!("oci:{}:made", fixture.text("layout"));
    let wanted = fixture.import(Transport::Layout, "layout");
    for (kind, transport) in [
        ("oci-archive", Transport::OciArchive),
        ("docker-archive", Transport::DockerArchive),
        ("dir", Transport::Directory),
    ] {
        let name = if kind == "docker-archive" { ":a/b:1" } else { "" };
        let target = format!("{kind}:{}{name}", fixture.text(kind));
        run("skopeo", &["copy", "-q", &made, &target]);
        let imported = fixture.import(transport, kind);
        let diff_ids = |i: &Imported| i.layers.iter().map(|(_, d)| d.clone()).collect::<Vec<_>>();
        assert_eq!(diff_ids(&imported), diff_ids(&wanted), "{kind}");
        assert!(fixture.store.verify(&Silent, false).unwrap().is_empty());
    }
}

#[test]
fn others_read_what_we_export() {
    let fixture = Fixture::new();
    fixture.make();
    fixture.import(Transport::Layout, "layout");
    let id = fixture.store.resolve(NAME).unwrap().id().clone();
    for (format, kind) in [(Format::Oci, "oci-archive"), (Format::Docker, "docker-archive")] {
        fixture.export(format, kind);
        let source = format!("{kind}:{}:{NAME}", fixture.text(kind));
        let inspected = run("skopeo", &["inspect", "--config", "--raw", &source]);
        assert!(inspected.contains("\"true\""), "{inspected}");
        let loaded = fixture.podman(&["load", "-q", "-i", &fixture.text(kind)]);
        assert!(loaded.contains(NAME), "{kind}: {loaded}");
        let listed =
            fixture.podman(&["images", "--no-trunc", "--format", "{{.ID}} {{.Repository}}"]);
        assert!(listed.contains(&id.to_string()), "{kind}: {listed}");
        // And what podman writes of it.
        let saved = fixture.text(&format!("saved-{kind}"));
        let podman_kind = format!("--format={kind}");
        fixture.podman(&["save", "-q", &podman_kind, "-o", &saved, NAME]);
        let imported = fixture.import(Transport::AnyArchive, &format!("saved-{kind}"));
        assert_eq!(imported.names, [NAME], "{kind}");
        assert_eq!(fixture.store.resolve(NAME).unwrap().id(), &id, "{kind}");
        fixture.podman(&["rmi", "-f", NAME]);
    }
}
