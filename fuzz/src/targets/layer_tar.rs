//! The archive of a layer, from its compression to its files. Whatever it says, nothing outside of
//! its directory changes; unpacking it again gives the same answer; all of it can be removed.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use lxcri_images::digest::Digest;
use lxcri_images::layer::{Ids, Limits, Mode, Request, unpack};
use lxcri_linux::tree;
use rustix::fs::{MemfdFlags, memfd_create};

use crate::broken::{Broken, Outcome, holds, never, same};

/// A block of an archive.
const BLOCK: usize = 512;

pub(super) fn run(input: &[u8]) -> Outcome {
    let archive = with_checksums(input);
    let scratch = tempfile::tempdir_in(memory()).map_err(never("a directory is made"))?;
    std::fs::create_dir(scratch.path().join("outside")).map_err(never("a directory is made"))?;
    for mode in [Mode::Overlay, Mode::Apply] {
        let first = unpacked(&archive, mode, scratch.path())?;
        let second = unpacked(&archive, mode, scratch.path())?;
        same(&first, &second, "the same archive gives the same answer")?;
        if let Ok(entries) = first {
            holds(entries <= LIMITS.entries, "no more entries than allowed")?;
        } else if let Err(line) = &first {
            let is_text = !line.chars().any(char::is_control);
            holds(is_text, "a problem is a line that can be shown")?;
        }
    }
    let left = std::fs::read_dir(scratch.path()).map_err(never("the directory is there"))?;
    same(&left.count(), &1, "nothing is made beside the target")?;
    let outside = std::fs::read_dir(scratch.path().join("outside"));
    same(&outside.map_err(never("it is there"))?.count(), &0, "nothing is made outside")
}

const LIMITS: Limits =
    Limits { bytes: 1 << 20, entries: 200, depth: 32, ratio: 100, ratio_from: 1 << 20 };

/// The number of entries, or what is wrong.
fn unpacked(archive: &[u8], mode: Mode, scratch: &Path) -> Result<Result<u64, String>, Broken> {
    let memory = memfd_create("layer", MemfdFlags::CLOEXEC).map_err(never("a file is made"))?;
    let mut blob = File::from(memory);
    blob.write_all(archive).map_err(never("bytes are written"))?;
    let path = scratch.join("target");
    std::fs::create_dir(&path).map_err(never("a directory is made"))?;
    // What lower layers have there.
    std::fs::create_dir_all(path.join("d/lower")).map_err(never("a directory is made"))?;
    let target = OwnedFd::from(File::open(&path).map_err(never("it is there"))?);
    let request = Request {
        blob: &blob,
        digest: None,
        compression: None,
        diff_id: &Digest::of(archive),
        target: target.as_fd(),
        mode,
        ids: &Ids::default(),
        limits: &LIMITS,
    };
    let result = unpack(&request, &mut |_| {});
    let scratch = File::open(scratch).map_err(never("it is there"))?;
    tree::remove(scratch, "target".as_ref()).map_err(never("all of it is removed"))?;
    Ok(result.map(|done| done.entries).map_err(|error| error.to_string()))
}

/// Where making files is cheap.
fn memory() -> &'static Path {
    let shared = Path::new("/dev/shm");
    if shared.is_dir() { shared } else { Path::new("/tmp") }
}

/// Every change of a header makes its checksum wrong, and nothing behind that would be reached.
fn with_checksums(input: &[u8]) -> Vec<u8> {
    const MAGIC: std::ops::Range<usize> = 257..262;
    const FIELD: std::ops::Range<usize> = 148..156;
    let mut bytes = input.to_vec();
    for block in bytes.chunks_exact_mut(BLOCK).filter(|block| block[MAGIC] == *b"ustar") {
        block[FIELD].fill(b' ');
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[FIELD].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
    bytes
}
