//! Driving one target in this process.

use std::error::Error;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use lxcri_fuzz::mutate;
use lxcri_fuzz::{Target, corpus};
use lxcri_testkit::random::Random;
use rustix::process::{Resource, Rlimit, setrlimit};

/// Memory of a process that drives a target: an input of a few KiB has no need of more.
const MEMORY: u64 = 1 << 30;

/// The input that is being run, written down before: nothing else is left of a process that dies.
pub(crate) fn running(target: &Target) -> PathBuf {
    crashes().join(format!(".{}", target.name))
}

/// Where inputs that broke something are kept.
pub(crate) fn crashes() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("crashes")
}

/// Runs mutations of the seeds until the time is over.
pub(crate) fn mutations(
    target: &Target,
    time: Duration,
    seed: u64,
) -> Result<String, Box<dyn Error>> {
    setrlimit(Resource::As, Rlimit { current: Some(MEMORY), maximum: Some(MEMORY) })?;
    let files = corpus::seeds(target)?;
    let seeds: Vec<&[u8]> = files.iter().map(|(_, bytes)| bytes.as_slice()).collect();
    let file = File::create(running(target))?;
    let mut random = Random::new(seed);
    let (start, mut count) = (Instant::now(), 0_u64);
    while start.elapsed() < time {
        let input = mutate::input(&mut random, &seeds);
        file.write_all_at(&input, 0)?;
        file.set_len(input.len() as u64)?;
        (target.run)(&input).map_err(|broken| format!("{}: {broken}", target.name))?;
        count += 1;
    }
    Ok(format!("{}: {count} inputs", target.name))
}

/// Runs one input.
pub(crate) fn file(target: &Target, path: &Path) -> Result<String, Box<dyn Error>> {
    let input = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    (target.run)(&input).map_err(|broken| format!("{}: {broken}", target.name))?;
    Ok(format!("{}: every invariant holds", target.name))
}
