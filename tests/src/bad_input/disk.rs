//! A full disk and a read-only root directory.

use std::ffi::CString;
use std::fs;
use std::path::Path;

use lxcri_testkit::Room;
use lxcri_testkit::Stop;
use lxcri_testkit::Verdict;
use lxcri_testkit::ensure;
use rustix::mount::MountFlags;
use rustix::mount::UnmountFlags;

use crate::registry::cases;

cases!("disk": full, fills_up_after_create, readonly_root_directory, root_directory_is_a_file,
    pid_file_cannot_be_written, log_cannot_be_written, bundle_is_readonly);

/// A tmpfs at a directory, gone when dropped.
pub(crate) struct Tmpfs<'a> {
    path: &'a Path,
}

impl<'a> Tmpfs<'a> {
    pub(crate) fn new(path: &'a Path, flags: MountFlags, options: &str) -> Verdict<Self> {
        fs::create_dir_all(path)?;
        let options = CString::new(options).map_err(|error| Stop::Failed(error.to_string()))?;
        rustix::mount::mount(c"tmpfs", path, c"tmpfs", flags, Some(options.as_c_str()))?;
        Ok(Self { path })
    }
}

impl Drop for Tmpfs<'_> {
    fn drop(&mut self) {
        // The harness compares the mounts, so a failure here does not go unseen.
        let _result = rustix::mount::unmount(self.path, UnmountFlags::DETACH);
    }
}

/// Fills a file system to the last byte.
fn fill(dir: &Path) -> Verdict {
    let path = dir.join("filler");
    let block = vec![0; 4096];
    let mut file = fs::File::create(&path)?;
    while std::io::Write::write_all(&mut file, &block).is_ok() {}
    Ok(())
}

fn full(room: &Room) -> Verdict {
    let root = room.root();
    let _mount = Tmpfs::new(&root, MountFlags::empty(), "size=64k,nr_inodes=20")?;
    fill(&root)?;
    let bundle = room.script("true")?;
    room.run(&bundle)?.exits(1)?.refuses(&["no space left on device"])?;
    let left: Vec<_> =
        fs::read_dir(&root)?.flatten().filter(|entry| entry.file_name() != "filler").collect();
    ensure!(
        left.iter().all(|entry| entry.file_name().to_string_lossy().starts_with('.')),
        "left in the root directory: {left:?}"
    );
    Ok(())
}

/// What exists can still be ended and deleted.
fn fills_up_after_create(room: &Room) -> Verdict {
    let root = room.root();
    let _mount = Tmpfs::new(&root, MountFlags::empty(), "size=256k")?;
    let bundle = room.script("exec sleep 1000")?;
    let container = room.running(&bundle)?;
    fill(&root)?;
    room.call(&["delete", "--force", &container.id])?.ok()?;
    container.wait()?;
    ensure!(!root.join(&container.id).exists(), "the state is still there");
    Ok(())
}

fn readonly_root_directory(room: &Room) -> Verdict {
    let root = room.root();
    let _mount = Tmpfs::new(&root, MountFlags::RDONLY, "size=64k")?;
    let bundle = room.script("true")?;
    room.run(&bundle)?.exits(1)?.refuses(&["read-only file system"])?;
    Ok(())
}

fn root_directory_is_a_file(room: &Room) -> Verdict {
    fs::write(room.root(), "")?;
    let bundle = room.script("true")?;
    let result = room.run(&bundle)?.exits(1)?.refuses(&["not a directory", "file exists"]);
    fs::remove_file(room.root())?;
    result?;
    Ok(())
}

fn pid_file_cannot_be_written(room: &Room) -> Verdict {
    let bundle = room.script("exec sleep 1000")?;
    bundle.write()?;
    let (dir, id) = (bundle.dir.to_string_lossy(), room.id());
    let finished =
        room.call(&["create", "--bundle", &dir, "--pid-file", "/no/such/dir/pid", &id])?;
    finished.exits(1)?.refuses(&["/no/such/dir", "no such file"])?;
    room.call(&["state", &id])?.refuses(&["does not exist"])?;
    Ok(())
}

fn log_cannot_be_written(room: &Room) -> Verdict {
    let bundle = room.script("true")?;
    bundle.write()?;
    let (dir, id) = (bundle.dir.to_string_lossy(), room.id());
    let finished = room.call(&["--log", "/no/such/dir/log", "run", "--bundle", &dir, &id])?;
    finished.exits(1)?.refuses(&["/no/such/dir/log", "no such file"])?;
    Ok(())
}

/// Nothing is written into the bundle.
fn bundle_is_readonly(room: &Room) -> Verdict {
    let bundle = room.script("echo fine")?;
    bundle.write()?;
    let options = format!("lowerdir={}", bundle.dir.display());
    let target = room.dir().join("readonly");
    fs::create_dir(&target)?;
    let other = room.dir().join("empty");
    fs::create_dir(&other)?;
    let options = CString::new(format!("{options}:{}", other.display()))
        .map_err(|error| Stop::Failed(error.to_string()))?;
    rustix::mount::mount(
        c"overlay",
        &target,
        c"overlay",
        MountFlags::RDONLY,
        Some(options.as_c_str()),
    )?;
    let _mount = Tmpfs { path: &target };
    let finished = room.call(&["run", "--bundle", &target.to_string_lossy(), &room.id()])?.ok()?;
    ensure!(finished.stdout == "fine\n", "{finished}");
    Ok(())
}
