//! Every command line of ours that has to do with images.

use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use lxcri_testkit::Verdict;

use super::Scene;
use super::archive::LARGE;
use super::timed;

/// Where the program keeps images; elsewhere it is a key of the configuration.
const DATA_ROOT: &str = "PROXMOX_LXCRI_RUNTIME_DATA_ROOT";

/// The container that is made of an image to have its root file system.
const CONTAINER: &str = "bench";

/// The program with a store of its own.
#[derive(Debug)]
pub(super) struct Ours {
    program: PathBuf,
    data: PathBuf,
    root: PathBuf,
}

impl Ours {
    /// Keeps everything in `dir`.
    pub(super) fn new(scene: &Scene<'_>, dir: &Path) -> Self {
        let program = scene.programs.ours.clone();
        Self { program, data: dir.join("data"), root: dir.join("root") }
    }

    /// The same with the state of containers in `root`.
    pub(super) fn with_root(mut self, root: &Path) -> Self {
        root.clone_into(&mut self.root);
        self
    }

    pub(super) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--root").arg(&self.root).args(["--backend", "native"]).args(arguments);
        command.env(DATA_ROOT, &self.data);
        // Nobody else waits for the disk.
        command.env("PROXMOX_LXCRI_IMAGES_SYNC", "false");
        command
    }

    /// Takes an OCI archive into the store, unpacked.
    pub(super) fn import(&self, archive: &Path) -> Command {
        self.command(&["image", "import", "--quiet", &format!("oci-archive:{}", archive.display())])
    }

    /// Takes an image from a registry into the store, unpacked.
    pub(super) fn pull(&self, reference: &str) -> Command {
        self.command(&["image", "pull", "--quiet", reference])
    }

    /// Makes a container, whose root file system is then ready.
    pub(super) fn create(&self, image: &str, id: &str) -> Command {
        self.command(&["create", "--image", image, id, "true"])
    }

    pub(super) fn delete(&self, id: &str) -> Command {
        self.command(&["delete", "--force", id])
    }

    pub(super) fn run(&self, image: &str) -> Command {
        self.command(&["run", "--rm", "--network", "none", image, "true"])
    }

    pub(super) fn run_bundle(&self, bundle: &Path) -> Command {
        self.command(&["run", "--bundle", &bundle.to_string_lossy(), "bundle"])
    }

    /// Fills the store, makes a container; its removal does not count.
    fn until_ready(&self, fill: Command, image: &str, dir: &Path) -> Verdict<Duration> {
        let time = timed(&mut [fill, self.create(image, CONTAINER)], dir)?;
        timed(&mut [self.delete(CONTAINER)], dir)?;
        lxcri_testkit::process::reap_orphans();
        Ok(time)
    }
}

pub(super) fn unpack(scene: &Scene<'_>, dir: &Path) -> Verdict<Duration> {
    let ours = Ours::new(scene, dir);
    ours.until_ready(ours.import(&scene.archives.gzip_oci), LARGE, dir)
}

pub(super) fn unpack_zstd(scene: &Scene<'_>, dir: &Path) -> Verdict<Duration> {
    let ours = Ours::new(scene, dir);
    ours.until_ready(ours.import(&scene.archives.zstd_oci), LARGE, dir)
}

pub(super) fn pull(scene: &Scene<'_>, dir: &Path) -> Verdict<Duration> {
    let (ours, reference) = (Ours::new(scene, dir), scene.registry.reference());
    ours.until_ready(ours.pull(&reference), &reference, dir)
}
