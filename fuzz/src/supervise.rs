//! Driving every target, each in a child: what kills a parser must not end the search.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use lxcri_fuzz::{TARGETS, Target};

use crate::drive::{crashes, running};
use crate::output::{complain, say};
use crate::request::ONE;

/// How long after its time a child may still be at its last input. Longer is a hang.
const PATIENCE: Duration = Duration::from_secs(10);
/// Pause between two looks at a child.
const PAUSE: Duration = Duration::from_millis(20);

/// Drives all targets; an error when any of them found something.
pub(crate) fn all(time: Duration, seed: u64) -> Result<String, Box<dyn Error>> {
    std::fs::create_dir_all(crashes())?;
    // Children that are killed leave their temporary files; they go with this directory.
    let scratch = tempfile::tempdir()?;
    let share = time / u32::try_from(TARGETS.len())?;
    say(&format!("{} targets, {} s, seed {seed}", TARGETS.len(), time.as_secs()));
    let mut found = 0;
    for target in TARGETS {
        let status = run(target, share, seed, scratch.path())?;
        if status.is_some_and(|status| status.success()) {
            std::fs::remove_file(running(target))?;
            continue;
        }
        found += 1;
        let how = status.map_or_else(|| "hung".to_owned(), |status| format!("ended: {status}"));
        let kept = keep(target)?;
        complain(&format!("{} {how}; the input is {}", target.name, kept.display()));
    }
    scratch.close()?;
    match found {
        0 => Ok("nothing found".to_owned()),
        _ => Err(format!("{found} of {} targets found something", TARGETS.len()).into()),
    }
}

/// Drives one target in a child; `None` when it hung and was killed.
fn run(
    target: &Target,
    time: Duration,
    seed: u64,
    scratch: &Path,
) -> std::io::Result<Option<ExitStatus>> {
    let mut child = Command::new(std::env::current_exe()?)
        .args([ONE, target.name, &time.as_millis().to_string(), &seed.to_string()])
        .env("TMPDIR", scratch)
        .spawn()?;
    wait(&mut child, Instant::now() + time + PATIENCE)
}

fn wait(child: &mut Child, deadline: Instant) -> std::io::Result<Option<ExitStatus>> {
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        std::thread::sleep(PAUSE);
    }
    child.kill()?;
    child.wait()?;
    Ok(None)
}

/// Gives the input that was running a name of its own, by its content.
fn keep(target: &Target) -> std::io::Result<PathBuf> {
    let from = running(target);
    let bytes = std::fs::read(&from)?;
    let mix = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325, mix);
    let to = crashes().join(format!("{}-{hash:016x}", target.name));
    std::fs::rename(from, &to)?;
    Ok(to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hang_ends_at_the_deadline() {
        let mut child = Command::new("sleep").arg("600").spawn().unwrap();
        let start = Instant::now();
        let status = wait(&mut child, start + Duration::from_millis(100)).unwrap();
        assert_eq!(status, None);
        assert!(start.elapsed() < Duration::from_secs(60), "the child was killed");
    }

    #[test]
    fn an_end_is_told() {
        for (program, success) in [("true", true), ("false", false)] {
            let mut child = Command::new(program).spawn().unwrap();
            let status = wait(&mut child, Instant::now() + PATIENCE).unwrap();
            assert_eq!(status.map(|status| status.success()), Some(success), "{program}");
        }
    }
}
