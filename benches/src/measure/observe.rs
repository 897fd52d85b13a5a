//! What is not a time: memory, by `lxcri-peak`, and system calls, by strace(1).

use std::path::Path;
use std::process::Command;

use lxcri_testkit::Verdict;
use lxcri_testkit::process::output_of;
use lxcri_testkit::verdict::Context;

use super::PAYLOAD;
use super::place::Floor;
use super::place::Place;
use crate::figures::Row;
use crate::figures::Samples;
use crate::figures::Who;

/// The figures hardly vary.
const PEAK_ROUNDS: usize = 5;

/// The peak memory of run: of each process that there was before the payload, its largest `VmHWM`; all
/// added up.
pub(super) fn peaks(
    places: &[Place],
    peak: &Path,
    rounds: usize,
    samples: &mut Samples,
) -> Verdict {
    for _ in 0..rounds.min(PEAK_ROUNDS) {
        for place in places {
            let run = place.run_arguments();
            let run = place.command(&run.each_ref().map(String::as_str));
            let mut traced = Command::new(peak);
            traced.arg(PAYLOAD).arg(run.get_program()).args(run.get_args());
            let mut sum = 0.0;
            for line in output_of(&mut traced)?.lines() {
                let kib = line.split(' ').next().unwrap_or_default();
                sum += kib.parse::<f64>().context(line)?;
            }
            samples.push(Row::Peak, place.who, sum);
        }
    }
    Ok(())
}

/// Counts the system calls of run; gives those of the floor by name.
pub(super) fn calls(
    places: &[Place],
    floor: &Floor,
    scratch: &Path,
    samples: &mut Samples,
) -> Verdict<Vec<(String, u64)>> {
    for place in places {
        let run = place.run_arguments();
        let run = place.command(&run.each_ref().map(String::as_str));
        let counts = count(&run, scratch)?;
        samples.push(Row::Calls, place.who, total(&counts));
    }
    let mut run = Command::new(&floor.program);
    run.arg(&floor.plan);
    let mut counts = count(&run, scratch)?;
    samples.push(Row::Calls, Who::Floor, total(&counts));
    counts.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    Ok(counts)
}

fn total(counts: &[(String, u64)]) -> f64 {
    counts.iter().map(|(_, calls)| *calls as f64).sum()
}

/// How many processes a command makes, threads not counted.
pub(super) fn children(command: &Command, scratch: &Path) -> Verdict<f64> {
    let log = scratch.join("strace");
    strace(command, &["-e", "trace=clone,clone3,fork,vfork"], &log)?;
    let text = std::fs::read_to_string(&log).context(log.display())?;
    let made = text.lines().filter(|line| {
        let makes = ["clone(", "clone3(", "fork("].iter().any(|call| line.contains(call));
        makes && !line.contains("CLONE_THREAD")
    });
    Ok(made.count() as f64)
}

/// The system calls of a command and all its processes, by name.
fn count(command: &Command, scratch: &Path) -> Verdict<Vec<(String, u64)>> {
    let log = scratch.join("strace");
    strace(command, &["-c", "--summary-columns=calls,name"], &log)?;
    let text = std::fs::read_to_string(&log).context(log.display())?;
    Ok(parse(&text))
}

fn strace(command: &Command, options: &[&str], log: &Path) -> Verdict {
    let mut traced = Command::new("strace");
    traced.args(["--follow-forks", "--quiet=all"]).args(options).arg("--output").arg(log);
    traced.arg(command.get_program()).args(command.get_args());
    output_of(&mut traced).map(drop)
}

/// Reads the summary that strace prints: a number, perhaps a number of errors, a name.
fn parse(summary: &str) -> Vec<(String, u64)> {
    let line = |line: &str| {
        let mut words = line.split_whitespace();
        let (calls, name) = (words.next()?.parse().ok()?, words.next_back()?);
        (name != "total").then(|| (name.to_owned(), calls))
    };
    summary.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_summary_of_strace() {
        let text = "    calls syscall\n--------- ----------------\n       95 mount\n        1 execve\n\
                    --------- ----------------\n       96 total\n";
        assert_eq!(super::parse(text), [("mount".to_owned(), 95), ("execve".to_owned(), 1)]);
    }
}
