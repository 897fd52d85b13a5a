//! Kills at random moments.

use std::os::unix::process::ExitStatusExt;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;

use lxcri_testkit::Verdict;
use lxcri_testkit::ensure;
use lxcri_testkit::harness;
use lxcri_testkit::process::DEADLINE;
use lxcri_testkit::process::Started;
use lxcri_testkit::random::Random;
use lxcri_testkit::verdict::Context;

use super::scene::said;

/// Kills that have to hit a living process, and how often that is tried.
const HITS: u32 = 8;
const TRIES: u32 = 400;

/// Something at the point where a command can be called on it.
pub(crate) trait Victim {
    /// Starts the command.
    fn begin(&self) -> Verdict<Started>;
    /// What must be true when it was cut off.
    fn aftermath(&self) -> Verdict;
    /// Everything can be removed.
    fn clear(&self) -> Verdict;
}

/// Kills a command until enough kills hit a living process. `salt` makes the moments of one command
/// others than another's.
pub(crate) fn kills<V: Victim>(name: &str, salt: u64, set: impl Fn() -> Verdict<V>) -> Verdict {
    let seed = seed()?;
    let mut random = Random::new(seed ^ salt);
    let usual = shortest_duration(&set)?;
    let (mut hits, mut tries) = (0, 0);
    while hits < HITS && tries < TRIES {
        let victim = set()?;
        let micros = random.below(usize::try_from(usual.as_micros())?);
        let started = victim.begin()?;
        std::thread::sleep(Duration::from_micros(u64::try_from(micros)?));
        tries += 1;
        if started.kill()?.signal() == Some(9) {
            hits += 1;
        }
        let cut = || victim.aftermath().and_then(|()| victim.clear());
        cut().map_err(|stop| stop.within(format!("seed {seed}, killed after {micros} µs")))?;
    }
    harness::note(format!("random kills, seed {seed}: {name} {hits}/{tries} hit a living process"));
    ensure!(hits >= HITS, "only {hits} of {tries} kills hit a living process (seed {seed})");
    Ok(())
}

/// `LXCRI_SEED`, to have a run again, or the time.
fn seed() -> Verdict<u64> {
    match std::env::var("LXCRI_SEED") {
        Ok(text) => text.parse().context(format!("LXCRI_SEED={text}")),
        Err(_) => Ok(SystemTime::UNIX_EPOCH.elapsed()?.as_secs()),
    }
}

/// How long the command takes here when nobody kills it: the shortest of three, because a kill that
/// comes too late says nothing.
fn shortest_duration<V: Victim>(set: &impl Fn() -> Verdict<V>) -> Verdict<Duration> {
    let mut shortest = Duration::MAX;
    for _round in 0..3 {
        let victim = set()?;
        let begun = Instant::now();
        let ended = victim.begin()?.wait(DEADLINE)?;
        shortest = shortest.min(begun.elapsed());
        ensure!(ended.status.success(), "{}: {}", ended.line, said(&ended));
        victim.clear()?;
    }
    Ok(shortest)
}
