//! skopeo and umoci: what others make of image layouts, and what they make for us to read.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::runtime::Finished;
use crate::verdict::Context;
use crate::verdict::Verdict;

/// How long one command may take.
pub const DEADLINE: Duration = Duration::from_secs(300);

/// Both programs, with a directory for what they write on the way.
#[derive(Debug)]
pub struct Skopeo {
    dir: PathBuf,
}

impl Skopeo {
    /// Whether the machine has both.
    #[must_use]
    pub fn is_installed() -> bool {
        Path::new("/usr/bin/skopeo").exists() && Path::new("/usr/bin/umoci").exists()
    }

    /// Works in `dir/skopeo`, made here.
    ///
    /// # Errors
    /// A failure when the directory cannot be made.
    pub fn new(dir: &Path) -> Verdict<Self> {
        let dir = dir.join("skopeo");
        fs::create_dir(&dir).context(dir.display())?;
        Ok(Self { dir })
    }

    /// `skopeo ARGUMENTS…`, with any image trusted and nobody's credentials but those in `dir/auth.json`.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("skopeo");
        command.arg("--insecure-policy").arg("--tmpdir").arg(&self.dir);
        command.args(arguments).env("REGISTRY_AUTH_FILE", self.dir.join("auth.json"));
        command
    }

    /// `skopeo ARGUMENTS…`, run to its end.
    ///
    /// # Errors
    /// A failure when it cannot start or hangs.
    pub fn call(&self, arguments: &[&str]) -> Verdict<Finished> {
        Finished::within(&mut self.command(arguments), &self.dir, "skopeo", None, DEADLINE)
    }

    /// `skopeo copy`, which has to work. Names are those of containers-transports(5).
    ///
    /// # Errors
    /// A failure with skopeo's words.
    pub fn copy(&self, from: &str, to: &str) -> Verdict {
        self.call(&["copy", "--quiet", from, to])?.ok().map(drop)
    }

    /// `umoci unpack` of `layout:tag` as a bundle in `bundle`, made by it: the tree is `bundle/rootfs`.
    #[must_use]
    pub fn unpack_command(layout: &Path, tag: &str, bundle: &Path) -> Command {
        let mut command = Command::new("umoci");
        command.arg("unpack").arg("--image").arg(format!("{}:{tag}", layout.display()));
        command.arg(bundle);
        command
    }

    /// [`Self::unpack_command`], run to its end, which has to work.
    ///
    /// # Errors
    /// A failure with umoci's words.
    pub fn unpack(&self, layout: &Path, tag: &str, bundle: &Path) -> Verdict<PathBuf> {
        let mut command = Self::unpack_command(layout, tag, bundle);
        Finished::within(&mut command, &self.dir, "umoci", None, DEADLINE)?.ok()?;
        Ok(bundle.join("rootfs"))
    }
}
