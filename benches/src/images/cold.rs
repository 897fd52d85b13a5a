//! An empty file system for one measurement.
//!
//! Why not a directory: ext4 does not reuse an inode that was freed within the last minutes, and looks at
//! each of those whenever it makes a file. After the removal of one store the next one takes four times
//! as long, whoever fills it.

use std::fs::File;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use lxcri_testkit::Verdict;
use lxcri_testkit::process::output_of;
use lxcri_testkit::verdict::Context;
use rustix::mount::UnmountFlags;

/// Its size in bytes; of the file behind it, only what is written takes room.
const SIZE: u64 = 16 << 30;

/// A mounted ext4 in a file.
#[derive(Debug)]
pub(super) struct Cold {
    dir: PathBuf,
    file: PathBuf,
}

impl Cold {
    /// Makes it in `scratch`, when what was written before has reached the disk: nobody pays for the one
    /// before.
    pub(super) fn make(scratch: &Path) -> Verdict<Self> {
        let cold = Self { dir: scratch.join("cold"), file: scratch.join("cold.ext4") };
        std::fs::create_dir(&cold.dir).context(cold.dir.display())?;
        let file = File::create(&cold.file).context(cold.file.display())?;
        file.set_len(SIZE).context(cold.file.display())?;
        // What ext4 leaves to the background when it is mounted, it never does here.
        let options = "lazy_itable_init=1,lazy_journal_init=1,nodiscard";
        output_of(Command::new("mkfs.ext4").args(["-q", "-F", "-E", options]).arg(&cold.file))?;
        let mut mount = Command::new("mount");
        mount.args(["-t", "ext4", "-o", "loop,noinit_itable"]).arg(&cold.file).arg(&cold.dir);
        output_of(&mut mount)?;
        rustix::fs::sync();
        Ok(cold)
    }

    /// Where it is mounted.
    pub(super) fn path(&self) -> &Path {
        &self.dir
    }
}

impl Drop for Cold {
    fn drop(&mut self) {
        // Whoever still uses it is at its end; what cannot be removed stops the next measurement.
        if rustix::mount::unmount(&self.dir, UnmountFlags::empty()).is_err() {
            let _left = rustix::mount::unmount(&self.dir, UnmountFlags::DETACH);
        }
        let _left = std::fs::remove_dir(&self.dir);
        let _left = std::fs::remove_file(&self.file);
    }
}
