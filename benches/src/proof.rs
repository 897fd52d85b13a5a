//! Proves before anything is measured that the floor does what the bundle asks for: a payload that looks
//! around must see the same inside the floor as inside a container of the program under test.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;

use lxcri_testkit::Verdict;
use lxcri_testkit::ensure;
use lxcri_testkit::process::output_of;
use lxcri_testkit::verdict::Context;

use crate::bundles::Original;
use crate::floor;
use crate::measure::Place;

/// What the payload looks at. HOME is not among it: runtimes add it, no bundle asks for it.
const LOOK: &str = "cat /proc/self/mountinfo; \
    grep -E '^(Cap|NoNewPrivs|Seccomp)' /proc/self/status; \
    echo host $(hostname); echo files $(ulimit -n); umask; echo lo $(cat /sys/class/net/lo/flags); \
    cd /dev; for f in null zero full random urandom tty fd stdin stdout stderr ptmx pts shm mqueue; do \
    echo device $f $(stat -c '%a %t:%T %N' $f); done; \
    for d in /proc/keys /proc/kcore /proc/sys/kernel/hostname; do test -s $d; echo $d $?; done; \
    env | grep -v ^HOME=";

/// Compares the two.
///
/// # Errors
/// A failure that lists what differs.
pub(crate) fn check(
    original: &Original,
    places: &[Place],
    program: &Path,
    scratch: &Path,
) -> Verdict {
    let payload = ["/bin/sh", "-c", LOOK];
    let bundle = original.bundle(&scratch.join("proof"), &payload)?;
    let plan = floor::write(&bundle, &payload, &scratch.join("proof.plan"))?;
    let of_floor = seen(&output_of(Command::new(program).arg(plan))?);
    let ours = places.first().context("nobody to compare the floor with")?;
    let dir = bundle.dir.to_string_lossy();
    let mut run = ours.command(&["run", "--bundle", &dir, "proof"]);
    let of_ours = seen(&output_of(run.stdout(Stdio::piped()))?);
    let differences: Vec<String> = of_ours
        .difference(&of_floor)
        .map(|line| format!("missing in the floor: {line}"))
        .chain(of_floor.difference(&of_ours).map(|line| format!("only in the floor: {line}")))
        .collect();
    ensure!(
        differences.is_empty() && of_ours.len() > 20,
        "the floor does other work than the bundle asks for:\n{}",
        differences.join("\n")
    );
    Ok(())
}

/// What the payload printed, less what may differ.
fn seen(output: &str) -> BTreeSet<String> {
    output.lines().map(|line| mount(line).unwrap_or_else(|| line.to_owned())).collect()
}

/// A line of mountinfo (proc_pid_mountinfo(5)) as place, type and whether it can be written. What hides
/// a file is the host's /dev/null, which some protect and some do not.
fn mount(line: &str) -> Option<String> {
    let (before, after) = line.split_once(" - ")?;
    let mut before = before.split(' ').skip(4);
    let (place, options) = (before.next()?, before.next()?);
    let kind = after.split(' ').next()?;
    let write = options.split(',').next().filter(|_| kind != "devtmpfs").unwrap_or("hidden");
    Some(format!("mount {place} {kind} {write}"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn mounts_are_compared_by_what_they_are() {
        let a = "67 66 0:57 / /proc rw,nosuid - proc proc rw\nhost x";
        let b = "90 89 0:61 / /proc rw,nosuid,relatime - proc none rw\nhost x";
        assert_eq!(super::seen(a), super::seen(b));
        let c = "90 89 0:61 / /proc ro,nosuid - proc none rw\nhost x";
        assert_ne!(super::seen(a), super::seen(c), "a read-only mount is another one");
        let null = "9 8 0:5 /null /proc/keys rw - devtmpfs udev rw";
        assert_eq!(super::seen(null), super::seen(&null.replace(" rw ", " ro ")));
    }
}
