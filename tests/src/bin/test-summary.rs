//! `test-summary LOG SKIPS.toml`: prints the sum of a test run and decides whether it was good.

use std::io::Write;
use std::process::ExitCode;

use lxcri_tests::summary::Summary;
use lxcri_tests::summary::accepted_skips;

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            // There is no other place to complain about a closed standard error.
            let _unheard = writeln!(std::io::stderr(), "test-summary: {error}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<bool, Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let log = arguments.next().ok_or("usage: test-summary LOG SKIPS.toml")?;
    let list = arguments.next().ok_or("usage: test-summary LOG SKIPS.toml")?;
    let text = String::from_utf8_lossy(&std::fs::read(&log)?).into_owned();
    let summary = Summary::of_log(&text);
    let accepted = accepted_skips(&std::fs::read_to_string(&list)?)
        .map_err(|error| format!("{list}: {error}"))?;
    let mut out = std::io::stdout().lock();
    for program in &summary.lost_programs {
        writeln!(out, "did not end or did not build: {program}")?;
    }
    let unaccepted = summary.unaccepted(&accepted);
    for skip in &unaccepted {
        writeln!(out, "not in {list}: {skip}")?;
    }
    for skip in summary.stale(&accepted) {
        writeln!(out, "no longer skips, remove it from {list}: {}", skip.test)?;
    }
    let strict = std::env::var("CI").is_ok_and(|value| value == "true");
    let failed = summary.failed + if strict { u64::try_from(unaccepted.len())? } else { 0 };
    writeln!(out, "{} passed, {failed} failed, {} skipped", summary.passed, summary.skipped)?;
    Ok(failed == 0 && summary.passed > 0)
}
