//! Kills at random moments.

use std::os::unix::process::ExitStatusExt;
use std::time::Duration;
use std::time::Instant;

use lxcri_testkit::Room;
use lxcri_testkit::Verdict;
use lxcri_testkit::ensure;
use lxcri_testkit::harness;
use lxcri_testkit::process::DEADLINE;
use lxcri_testkit::random::Random;

use super::scene::Scene;
use super::verb::Verb;
use crate::crash::scene::HITS;
use crate::crash::scene::TRIES;
use crate::crash::scene::said;
use crate::crash::scene::seed;

/// Kills a command until enough kills hit a living process.
pub(super) fn kills(room: &Room, verb: Verb) -> Verdict {
    let seed = seed()?;
    let mut random = Random::new(seed ^ verb as u64);
    let scene = Scene::new(room, verb, "")?;
    let usual = duration(&scene)?;
    let (mut hits, mut tries) = (0, 0);
    while hits < HITS && tries < TRIES {
        scene.set()?;
        let micros = random.below(usize::try_from(usual.as_micros())?);
        let started = scene.begin()?;
        std::thread::sleep(Duration::from_micros(u64::try_from(micros)?));
        tries += 1;
        if started.kill()?.signal() == Some(9) {
            hits += 1;
        }
        let cut = || scene.aftermath().and_then(|()| scene.clear());
        cut().map_err(|stop| stop.within(format!("seed {seed}, killed after {micros} µs")))?;
    }
    harness::note(format!(
        "random kills, seed {seed}: image {verb} {hits}/{tries} hit a living process"
    ));
    ensure!(hits >= HITS, "only {hits} of {tries} kills hit a living process (seed {seed})");
    Ok(())
}

/// How long the command takes when nobody kills it.
fn duration(scene: &Scene<'_>) -> Verdict<Duration> {
    scene.set()?;
    let begun = Instant::now();
    let ended = scene.begin()?.wait(DEADLINE)?;
    let duration = begun.elapsed();
    ensure!(ended.status.success(), "{}: {}", ended.line, said(&ended));
    scene.clear()?;
    Ok(duration)
}
