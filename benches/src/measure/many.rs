//! Many containers: a hundred made at once, a thousand listed.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use lxcri_testkit::Verdict;
use lxcri_testkit::ensure;
use lxcri_testkit::ensure_eq;
use lxcri_testkit::process;
use lxcri_testkit::process::output_of;
use lxcri_testkit::verdict::Context;
use rustix::fs::CWD;
use rustix::fs::FileType;
use rustix::fs::Mode;

use super::milliseconds;
use super::place::Place;
use super::place::RUNNING;
use crate::bundles::Bundle;
use crate::bundles::Original;
use crate::figures::Row;
use crate::figures::Samples;

/// How many creates run at once.
const CREATES: usize = 100;

/// How many containers there are to list.
const LISTED: usize = 1000;

/// A hundred creates take about a second, so there are fewer rounds of them.
const CREATE_ROUNDS: usize = 5;

/// The most lists of a thousand.
const LIST_ROUNDS: usize = 10;

/// Starts a hundred creates and waits for all of them.
pub(super) fn creates(
    places: &[Place],
    original: &Original,
    scratch: &Path,
    rounds: usize,
    samples: &mut Samples,
) -> Verdict {
    let bundles =
        |number| original.bundle(&scratch.join(format!("many/{number}")), &[super::PAYLOAD]);
    let bundles: Vec<Bundle> = (0..CREATES).map(bundles).collect::<Verdict<_>>()?;
    for round in 0..rounds.min(CREATE_ROUNDS) {
        for offset in 0..places.len() {
            let Some(place) = places.get((round + offset) % places.len()) else { continue };
            let begin = Instant::now();
            all_at_once(&bundles, |id, bundle| {
                place.command(&["create", "--bundle", &bundle.dir.to_string_lossy(), id])
            })?;
            samples.push(Row::Creates, place.who, milliseconds(begin.elapsed()));
            all_at_once(&bundles, |id, _| place.command(&["delete", "--force", id]))?;
            process::reap_orphans();
        }
    }
    Ok(())
}

fn all_at_once(bundles: &[Bundle], command: impl Fn(&str, &Bundle) -> Command) -> Verdict {
    let mut children = Vec::new();
    for (number, bundle) in bundles.iter().enumerate() {
        let mut command = command(&format!("many-{number}"), bundle);
        let line = format!("{command:?}");
        children.push((command.spawn().context(&line)?, line));
    }
    for (mut child, line) in children {
        let status = child.wait().context(&line)?;
        ensure!(status.success(), "{line}: {status}");
    }
    Ok(())
}

/// Lists a thousand containers. One of them is real and runs; the others are copies of its state with
/// another id, made after the runtime itself wrote the first. A thousand real ones would be listed from
/// the same files, but take a minute and a thousand network namespaces.
pub(super) fn list(
    places: &[Place],
    scratch: &Path,
    rounds: usize,
    samples: &mut Samples,
) -> Verdict {
    for place in places {
        let running = place.running()?;
        for number in 1..LISTED {
            copy_state(&place.root, &format!("running-{number:04}"))?;
        }
        let listed =
            output_of(place.command(&["list", "--quiet"]).stdout(std::process::Stdio::piped()))?;
        ensure_eq!(listed.lines().count(), LISTED, "containers that {:?} lists", place.who);
        for _ in 0..rounds.min(LIST_ROUNDS) {
            samples.push(Row::List, place.who, milliseconds(place.call(&["list"])?));
        }
        let children = super::observe::children(&place.command(&["list"]), scratch)?;
        samples.push(Row::ListChildren, place.who, children);
        for number in 1..LISTED {
            let dir = place.root.join(format!("running-{number:04}"));
            fs::remove_dir_all(&dir).context(dir.display())?;
        }
        drop(running);
    }
    Ok(())
}

/// Copies the directory of the running container as that of `id`.
fn copy_state(root: &Path, id: &str) -> Verdict {
    let (from, to) = (root.join(RUNNING), root.join(id));
    fs::create_dir(&to).context(to.display())?;
    for entry in fs::read_dir(&from).context(from.display())? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type()?.is_file() {
            let bytes = fs::read(&source).context(source.display())?;
            fs::write(&target, replace(&bytes, RUNNING.as_bytes(), id.as_bytes()))?;
        } else {
            let mode = Mode::from_raw_mode(0o600);
            rustix::fs::mknodat(CWD, &target, FileType::Fifo, mode, 0).context(target.display())?;
        }
    }
    Ok(())
}

/// Replaces every `old` by `new`, which has the same length.
fn replace(bytes: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let mut at = 0;
    while let Some(found) =
        bytes.get(at..).and_then(|rest| rest.windows(old.len()).position(|w| w == old))
    {
        at += found;
        if let Some(place) = bytes.get_mut(at..at + old.len()) {
            place.copy_from_slice(new);
        }
        at += old.len();
    }
    bytes
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_id_is_replaced() {
        let found = super::replace(b"\"id\":\"c-0\",\"x\":\"/c-0/c-1\"", b"c-0", b"c-9");
        assert_eq!(found, b"\"id\":\"c-9\",\"x\":\"/c-9/c-1\"");
        assert_eq!(super::replace(b"c-0", b"c-0", b"c-9"), b"c-9");
        assert_eq!(super::replace(b"", b"c-0", b"c-9"), b"");
    }
}
