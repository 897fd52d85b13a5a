//! The bundles that are run: one made here, one captured from Podman. Both use the same root file system.

mod podman;

use std::path::Path;
use std::path::PathBuf;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;

use lxcri_testkit::Verdict;
use lxcri_testkit::View;
use lxcri_testkit::verdict::Context;
use serde_json::Value;
use serde_json::json;

use crate::figures::BundleKind;

/// Makes cgroup names unique.
static COUNT: AtomicU32 = AtomicU32::new(0);

/// A bundle directory.
#[derive(Debug, Clone)]
pub(crate) struct Bundle {
    pub(crate) dir: PathBuf,
    pub(crate) config: Value,
    /// `cgroupsPath`: absolute, one component.
    pub(crate) cgroup: String,
    pub(crate) rootfs: PathBuf,
}

/// A configuration to make bundles of.
#[derive(Debug)]
pub(crate) struct Original {
    config: Value,
    rootfs: PathBuf,
    /// What was changed, for readers of the table.
    pub(crate) notes: Vec<String>,
}

impl Original {
    /// Makes the bundle of one kind, with a root file system in `dir`.
    pub(crate) fn make(kind: BundleKind, view: View, dir: &Path) -> Verdict<Self> {
        let made = lxcri_testkit::Bundle::busybox(&dir.join("original"))?;
        let rootfs = made.rootfs();
        let (config, notes) = match kind {
            BundleKind::Plain | BundleKind::Image => (made.config, Vec::new()),
            BundleKind::Podman => podman::capture(view, dir, &rootfs)?,
        };
        Ok(Self { config, rootfs, notes })
    }

    /// A bundle in `dir` that runs `args`, with a cgroup of its own.
    pub(crate) fn bundle(&self, dir: &Path, args: &[&str]) -> Verdict<Bundle> {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let cgroup = format!("/lxcri-bench-{}-{number}", std::process::id());
        let mut config = self.config.clone();
        config["process"]["args"] = json!(args);
        config["root"]["path"] = json!(self.rootfs);
        config["linux"]["cgroupsPath"] = json!(cgroup);
        std::fs::create_dir_all(dir).context(dir.display())?;
        let file = dir.join("config.json");
        std::fs::write(&file, serde_json::to_vec(&config)?).context(file.display())?;
        Ok(Bundle { dir: dir.to_owned(), config, cgroup, rootfs: self.rootfs.clone() })
    }
}
