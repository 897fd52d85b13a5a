//! The sum over all test programs of one `cargo test`: `N passed, N failed, N skipped`.

use serde::Deserialize;
use wildmatch::WildMatch;

/// What a log of `cargo test --no-fail-fast` says.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Tests that passed.
    pub passed: u64,
    /// Tests that failed, and programs that did not build or did not reach their end.
    pub failed: u64,
    /// Tests that could not say anything.
    pub skipped: u64,
    /// Programs without a result line.
    pub lost_programs: Vec<String>,
    /// Name and reason of every skip that gave one.
    pub skips: Vec<(String, String)>,
}

/// A skip that CI accepts.
#[derive(Debug, Clone, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct AcceptedSkip {
    /// The name of the test, `VIEW::BACKEND::topic::what`, or a glob with `*` and `?`.
    pub test: String,
    /// Why the test cannot run there.
    pub reason: String,
}

/// The file of accepted skips.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct SkipFile {
    #[serde(default)]
    skip: Vec<AcceptedSkip>,
}

impl Summary {
    /// Reads a log.
    #[must_use]
    pub fn of_log(log: &str) -> Self {
        let mut summary = Self::default();
        let mut running: Option<String> = None;
        for line in log.lines() {
            let line = line.trim();
            if let Some(program) = program_of(line) {
                summary.lost_programs.extend(running.replace(program));
            } else if let Some(counts) = line.strip_prefix("test result: ") {
                summary.passed += count_before(counts, "passed");
                summary.failed += count_before(counts, "failed");
                summary.skipped += count_before(counts, "ignored");
                running = None;
            } else if let Some(skip) = line.strip_prefix("SKIP ") {
                let (name, reason) = skip.split_once(": ").unwrap_or((skip, ""));
                summary.skips.push((name.to_owned(), reason.to_owned()));
            } else if line.starts_with("error: could not compile") {
                summary.lost_programs.push(line.to_owned());
            }
        }
        summary.lost_programs.extend(running);
        summary.failed += u64::try_from(summary.lost_programs.len()).unwrap_or(u64::MAX);
        summary
    }

    /// What is wrong with the skips when each has to be accepted: skips that are not in the list,
    /// and tests that were ignored without saying why.
    #[must_use]
    pub fn unaccepted(&self, accepted: &[AcceptedSkip]) -> Vec<String> {
        let mut wrong: Vec<String> = self
            .skips
            .iter()
            .filter(|(name, _)| !accepted.iter().any(|skip| matches(skip, name)))
            .map(|(name, reason)| format!("{name} was skipped: {reason}"))
            .collect();
        let named = u64::try_from(self.skips.len()).unwrap_or(u64::MAX);
        if self.skipped > named {
            wrong.push(format!("{} tests were ignored without a reason", self.skipped - named));
        }
        wrong
    }

    /// Entries of the list that no longer skip.
    #[must_use]
    pub fn stale<'a>(&self, accepted: &'a [AcceptedSkip]) -> Vec<&'a AcceptedSkip> {
        let used = |skip: &&AcceptedSkip| self.skips.iter().any(|(name, _)| matches(skip, name));
        accepted.iter().filter(|skip| !used(skip)).collect()
    }
}

/// Reads the list of accepted skips.
///
/// # Errors
/// The words of the TOML parser, with line and column.
pub fn accepted_skips(text: &str) -> Result<Vec<AcceptedSkip>, toml::de::Error> {
    Ok(toml::from_str::<SkipFile>(text)?.skip)
}

fn matches(skip: &AcceptedSkip, name: &str) -> bool {
    WildMatch::new(&skip.test).matches(name)
}

/// The program that a line of cargo announces.
fn program_of(line: &str) -> Option<String> {
    let rest = line.strip_prefix("Running ").or_else(|| line.strip_prefix("Doc-tests "))?;
    // A test may print such words, but not with the path that cargo gives in parentheses.
    let is_cargos = line.starts_with("Doc-tests ") || rest.ends_with(')');
    is_cargos.then(|| rest.to_owned())
}

/// The number before a word in `ok. 3 passed; 0 failed; …`.
fn count_before(counts: &str, word: &str) -> u64 {
    let part = counts.split([';', '.']).map(str::trim).find(|part| part.ends_with(word));
    part.and_then(|part| part.split(' ').next()?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "\
     Running unittests src/lib.rs (target/debug/deps/a-1)
test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
     Running programs/cli.rs (target/debug/deps/cli-1)
SKIP v2::native::resources::memory: no memory controller
test result: FAILED. 5 passed; 2 failed; 1 ignored; 0 measured; 7 filtered out; finished in 1.20s
   Doc-tests lxcri_core
test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out
";

    #[test]
    fn counts_are_summed() {
        let summary = Summary::of_log(LOG);
        assert_eq!((summary.passed, summary.failed, summary.skipped), (9, 2, 1));
        assert!(summary.lost_programs.is_empty());
    }

    #[test]
    fn a_program_without_a_result_counts_as_failed() {
        let crashed = "Running programs/x.rs (deps/x-1)\ntest a ... ok\nRunning programs/y.rs (deps/y-1)\n\
                       test result: ok. 1 passed; 0 failed; 0 ignored\n";
        let summary = Summary::of_log(crashed);
        assert_eq!((summary.passed, summary.failed), (1, 1));
        assert_eq!(summary.lost_programs, ["programs/x.rs (deps/x-1)"]);
        let last = Summary::of_log("Running programs/x.rs (deps/x-1)\nsignal: 11\n");
        assert_eq!(last.failed, 1);
        assert_eq!(Summary::of_log("error: could not compile `a` (lib)\n").failed, 1);
    }

    #[test]
    fn skips_have_to_be_accepted_and_accepted_ones_have_to_skip() {
        let summary = Summary::of_log(LOG);
        let text = "[[skip]]\ntest = \"v2::*::resources::mem*\"\nreason = \"x\"\n\
                    [[skip]]\ntest = \"v1::*\"\nreason = \"y\"\n";
        let accepted = accepted_skips(text).unwrap();
        assert!(summary.unaccepted(&accepted).is_empty());
        assert_eq!(summary.stale(&accepted), [&accepted[1]]);
        assert_eq!(summary.unaccepted(&[]).len(), 1);
        let silent = Summary::of_log("test result: ok. 0 passed; 0 failed; 2 ignored\n");
        assert_eq!(silent.unaccepted(&accepted).len(), 1);
    }

    #[test]
    fn the_list_is_strict() {
        assert!(accepted_skips("[[skip]]\ntest = \"a\"\n").is_err());
        assert!(accepted_skips("[[skips]]\ntest = \"a\"\nreason = \"b\"\n").is_err());
        assert!(accepted_skips("").unwrap().is_empty());
    }
}
