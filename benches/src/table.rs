//! Prints medians, minima and ratios, and judges the promises.

use std::io::Write;
use std::process::Command;
use std::time::Duration;

use lxcri_testkit::Verdict;
use lxcri_testkit::View;
use lxcri_testkit::process::output_of;

use crate::measure::Program;
use crate::measure::Times;
use crate::measure::WHAT;

/// The largest ratio of our median to crun's that this stage promises, by what is measured.
const PROMISES: [(&str, f64); 2] = [("life", 1.0), ("--version", 0.6)];

/// Median and minimum of some times, in milliseconds.
fn median_and_minimum(times: &[Duration]) -> (f64, f64) {
    let mut sorted: Vec<f64> = times.iter().map(|time| time.as_secs_f64() * 1000.0).collect();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let upper = sorted.get(middle).copied().unwrap_or_default();
    let lower = sorted.get((sorted.len().saturating_sub(1)) / 2).copied().unwrap_or_default();
    (f64::midpoint(lower, upper), sorted.first().copied().unwrap_or_default())
}

/// Prints the table of one view; the answer is whether every promise is kept.
pub(crate) fn print(
    out: &mut impl Write,
    view: View,
    programs: &[Program],
    times: &Times,
) -> Verdict<bool> {
    let rounds = times.first().map_or(0, |lists| lists[0].len());
    writeln!(out, "\n{view} view, {rounds} rounds, median ms [minimum]")?;
    write!(out, "{:28}", "")?;
    for what in WHAT {
        write!(out, "{what:>20}")?;
    }
    writeln!(out)?;
    let mut medians = Vec::new();
    for (program, lists) in programs.iter().zip(times) {
        let figures = lists.each_ref().map(|list| median_and_minimum(list));
        write!(out, "{:28}", format!("{} {}", program.name, version(program)?))?;
        for (median, minimum) in figures {
            write!(out, "{:>20}", format!("{median:.2} [{minimum:.2}]"))?;
        }
        writeln!(out)?;
        medians.push(figures.map(|(median, _)| median));
    }
    let (Some(ours), Some(others)) = (medians.first(), medians.get(1..)) else {
        return Ok(false);
    };
    for (program, theirs) in programs.iter().skip(1).zip(others) {
        write!(out, "{:28}", format!("ours / {}", program.name))?;
        for (ours, theirs) in ours.iter().zip(theirs) {
            write!(out, "{:>20}", format!("{:.2}", ours / theirs))?;
        }
        writeln!(out)?;
    }
    judge(out, ours, others)
}

/// Says which promises are broken.
fn judge(out: &mut impl Write, ours: &[f64; 3], others: &[[f64; 3]]) -> Verdict<bool> {
    let Some(crun) = others.first() else {
        return Ok(false);
    };
    let mut kept = true;
    for (what, promise) in PROMISES {
        let figures = WHAT.iter().zip(ours.iter().zip(crun)).find(|(name, _)| **name == what);
        let Some((_, (ours, crun))) = figures else {
            continue;
        };
        if ours / crun > promise {
            writeln!(out, "broken: {what} is {:.2} × crun, promised {promise}", ours / crun)?;
            kept = false;
        }
    }
    Ok(kept)
}

/// The version in the first line of `--version`.
fn version(program: &Program) -> Verdict<String> {
    let printed = output_of(Command::new(&program.path).arg("--version"))?;
    let first = printed.lines().next().unwrap_or_default();
    Ok(first.rsplit(' ').next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between() {
        let times = [4, 1, 3, 2].map(Duration::from_millis);
        assert_eq!(median_and_minimum(&times), (2.5, 1.0));
        assert_eq!(median_and_minimum(&times[..3]), (3.0, 1.0));
        assert_eq!(median_and_minimum(&[]), (0.0, 0.0));
    }

    #[test]
    fn a_broken_promise_is_named() {
        let mut out = Vec::new();
        let kept = judge(&mut out, &[11.0, 1.0, 1.0], &[[10.0, 2.0, 2.0]]).unwrap();
        assert!(!kept);
        assert!(String::from_utf8(out).unwrap().contains("life is 1.10 × crun"));
        let mut out = Vec::new();
        assert!(judge(&mut out, &[10.0, 9.0, 1.2], &[[10.0, 2.0, 2.0]]).unwrap());
        assert!(out.is_empty());
    }
}
