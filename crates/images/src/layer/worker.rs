//! Unpacking in processes that can do no more than that.
//!
//! Each layer gets a process of its own: this program, executed again, so that nothing of the
//! caller's memory is in it, such as passwords of a registry. It gets the blob to read and the
//! directory to write; then it gives up all other paths, the network, descriptors, capabilities
//! ([`lxcri_linux::confine`]) and system calls, reads what a stranger wrote, reports and ends. It also ends, at once,
//! when its parent does. Nothing is shared between two layers, and starting it costs a millisecond.
//!
//! **What is believed.** The parent parses every report as a stranger's, and follows the paths in it
//! beneath the directory only. That the archive has the diff_id it believes: whoever could take the
//! process over could lie here, and put another content where all images look for that diff_id. For
//! that a layer would have to break zlib-rs, zstd or safe Rust; hashing once more outside would cost
//! a third of the time.

mod child;
mod filter;
mod slots;

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

pub use self::child::worker_main_if_asked;

use self::slots::Slots;
use super::compression::Compression;
use super::error::{LayerError, Problem};
use super::ids::Ids;
use super::limits::Limits;
use super::path::PATH_MAX;
use super::wire::{self, Order, Report};
use super::{Mode, Opaque, Unpacked};
use crate::digest::Digest;
use crate::progress::Task;

/// The first argument of a process that unpacks. No command and no id has an `@`.
const ARGUMENT: &str = "@unpack-layer";

/// The most opaque directories that a process may report.
const MAX_OPAQUE: usize = 100_000;

/// A layer to unpack. The fields are those of [`Request`](super::Request).
#[derive(Debug)]
pub struct Job {
    /// Its bytes.
    pub blob: File,
    /// The digest of these bytes, where it is to be verified once more.
    pub digest: Option<Digest>,
    /// What its media type says.
    pub compression: Option<Compression>,
    /// The digest of the uncompressed archive.
    pub diff_id: Digest,
    /// The directory, open for reading (`O_RDONLY | O_DIRECTORY`, not `O_PATH`).
    pub target: OwnedFd,
    /// How to write.
    pub mode: Mode,
    /// How owners are shifted.
    pub ids: Ids,
}

/// Unpacks several layers at once, each in a process of its own. Serves any number of threads.
///
/// The program has to call [`worker_main_if_asked`] first of all.
#[derive(Debug)]
pub struct Workers {
    slots: Slots,
    limits: Limits,
}

impl Workers {
    /// At most `count` processes at a time, at least one. None is started before there is a layer.
    pub fn start(count: usize, limits: &Limits) -> Self {
        Self { slots: Slots::new(count.max(1)), limits: *limits }
    }

    /// As many processes as there are processors.
    pub fn for_this_machine(limits: &Limits) -> Self {
        Self::start(std::thread::available_parallelism().map_or(1, Into::into), limits)
    }

    /// Unpacks a layer, as soon as there is a process for it: of the layers that wait the largest is
    /// next, so that none is left over at the end while other processors have nothing to do.
    /// `task` is told the bytes of the blob.
    ///
    /// # Errors
    /// Whatever is wrong with the layer, or with the process. The directory is then half full.
    pub fn unpack(&self, job: Job, task: &mut dyn Task) -> Result<Unpacked, LayerError> {
        let diff_id = job.diff_id.clone();
        self.try_unpack(job, task).map_err(|problem| LayerError::new(&diff_id, problem))
    }

    fn try_unpack(&self, job: Job, task: &mut dyn Task) -> Result<Unpacked, Problem> {
        let size = job.blob.metadata().map_err(|error| Problem::Blob(error.to_string()))?.len();
        let slot = self.slots.take(size);
        let (ours, theirs) = wire::pair().map_err(Problem::at("make a socket pair", b""))?;
        let mut process = Process::start(theirs)?;
        let order = Order {
            digest: job.digest,
            compression: job.compression,
            diff_id: job.diff_id,
            mode: job.mode,
            ids: job.ids,
            limits: self.limits,
        };
        let sent = wire::send_order(ours.as_fd(), &order, job.blob.as_fd(), job.target.as_fd());
        sent.map_err(Problem::at("talk to the process that unpacks", b""))?;
        let listened = listen(&ours, &order, size, task);
        drop(ours);
        let how = process.end(listened.is_err());
        drop(slot);
        let Some((unpacked, opaque)) = listened? else {
            return Err(Problem::Worker(format!("ended before it was done ({how})")));
        };
        opaque.iter().try_for_each(|path| super::mark_opaque(job.target.as_fd(), path))?;
        Ok(unpacked)
    }
}

/// Listens until the process is done; `None` where it ended before.
fn listen(
    socket: &OwnedFd,
    order: &Order,
    size: u64,
    task: &mut dyn Task,
) -> Result<Option<(Unpacked, Opaque)>, Problem> {
    let nonsense = |what: &str| Problem::Worker(format!("talks nonsense: {what}"));
    let (mut done, mut opaque) = (0, Opaque::new());
    loop {
        let report = wire::receive_report(socket.as_fd());
        match report.map_err(|error| nonsense(&error.to_string()))? {
            None => return Ok(None),
            Some(Report::Progress(bytes)) if bytes > done && bytes <= size => {
                task.advance(bytes - done);
                done = bytes;
            }
            Some(Report::Progress(_)) => return Err(nonsense("impossible progress")),
            Some(Report::Opaque(path)) if path.len() <= PATH_MAX && opaque.len() < MAX_OPAQUE => {
                opaque.push(path);
            }
            Some(Report::Opaque(_)) => return Err(nonsense("too many opaque directories")),
            Some(Report::Failed(problem)) if is_text(&problem) => return Err(problem),
            Some(Report::Failed(_)) => return Err(nonsense("a failure that is no text")),
            Some(Report::Done(unpacked)) if unpacked.diff_id == order.diff_id => {
                task.advance(size - done);
                return Ok(Some((unpacked, opaque)));
            }
            Some(Report::Done(_)) => return Err(nonsense("another layer than was asked for")),
        }
    }
}

/// Whether a problem can be shown: one line, and nothing that a terminal obeys.
fn is_text(problem: &Problem) -> bool {
    !problem.to_string().chars().any(char::is_control)
}

/// A process of ours that does not outlive this value.
struct Process(Child);

impl Process {
    fn start(socket: OwnedFd) -> Result<Self, Problem> {
        let mut command = Command::new("/proc/self/exe");
        command
            .arg0("proxmox-lxcri")
            .args(arguments())
            .env_clear()
            .stdin(socket)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        #[cfg(feature = "fail-points")]
        command.envs(std::env::var_os("LXCRI_FAIL_POINT").map(|point| ("LXCRI_FAIL_POINT", point)));
        command.spawn().map(Self).map_err(Problem::at("start the process that unpacks", b""))
    }

    /// Waits for its end, or ends it, and says how it ended.
    fn end(&mut self, by_force: bool) -> String {
        if by_force {
            // Fails only where it has ended.
            let _ = self.0.kill();
        }
        self.0.wait().map_or_else(|error| error.to_string(), |status| status.to_string())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // After `end` both do nothing.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The unit tests' program is the test runner: there a test that does nothing else unpacks.
fn arguments() -> Vec<&'static str> {
    if cfg!(test) { vec!["--exact", "--test-threads=1", child::TEST] } else { vec![ARGUMENT] }
}

#[cfg(test)]
mod tests;
