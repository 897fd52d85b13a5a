//! The command line.

use std::path::PathBuf;

use lxcri_testkit::Stop;
use lxcri_testkit::Verdict;
use lxcri_testkit::View;
use lxcri_testkit::verdict::Context;

/// The programs that are measured and measured with.
#[derive(Debug, Clone, Default)]
pub(crate) struct Programs {
    pub(crate) ours: PathBuf,
    pub(crate) crun: PathBuf,
    pub(crate) runc: PathBuf,
    pub(crate) floor: PathBuf,
    pub(crate) peak: PathBuf,
}

/// What the command line asks for.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) programs: Programs,
    pub(crate) rounds: usize,
    /// Where the document and its chart are written.
    pub(crate) document: Option<PathBuf>,
    /// Measure in this view only and write the figures to this file: what the program asks of itself.
    pub(crate) part: Option<(View, PathBuf)>,
}

/// Rounds without `--rounds`.
const ROUNDS: usize = 30;

impl Request {
    /// Reads the command line, without the program's own name.
    ///
    /// # Errors
    /// A failure naming the word that is wrong or missing.
    pub(crate) fn read(words: impl IntoIterator<Item = String>) -> Verdict<Self> {
        let mut programs = Programs::default();
        let (mut rounds, mut document, mut view, mut figures) = (ROUNDS, None, None, None);
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            let value = words.next().context(format!("{word} needs a value"))?;
            match word.as_str() {
                "--rounds" => rounds = value.parse().context("--rounds")?,
                "--document" => document = Some(value.into()),
                "--ours" => programs.ours = value.into(),
                "--crun" => programs.crun = value.into(),
                "--runc" => programs.runc = value.into(),
                "--floor" => programs.floor = value.into(),
                "--peak" => programs.peak = value.into(),
                "--view" if value == "v1" => view = Some(View::V1),
                "--view" if value == "v2" => view = Some(View::V2),
                "--figures" => figures = Some(value.into()),
                _ => return Err(Stop::Failed(format!("unknown: {word} {value}"))),
            }
        }
        if rounds == 0 {
            return Err(Stop::Failed("--rounds must be at least 1".to_owned()));
        }
        let Programs { ours, crun, runc, floor, peak } = &mut programs;
        for (name, path) in
            [("ours", ours), ("crun", crun), ("runc", runc), ("floor", floor), ("peak", peak)]
        {
            if path.as_os_str().is_empty() {
                return Err(Stop::Failed(format!("--{name} is missing")));
            }
            *path = path.canonicalize().context(path.display())?;
        }
        Ok(Self { programs, rounds, document, part: view.zip(figures) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Request, String> {
        Request::read(line.split(' ').map(str::to_owned)).map_err(|stop| stop.to_string())
    }

    #[test]
    fn every_program_is_needed() {
        let all = "--ours /bin/sh --crun /bin/sh --runc /bin/sh --floor /bin/sh --peak /bin/sh";
        assert_eq!(read(all).unwrap().rounds, 30);
        let part = read(&format!("{all} --rounds 5 --view v2 --figures f")).unwrap();
        assert_eq!((part.rounds, part.part.unwrap().0), (5, View::V2));
        for (line, message) in [
            (&all[..all.len() - 15], "--peak is missing"),
            (&format!("{all} --rounds 0"), "at least 1"),
            (&format!("{all} --view"), "--view needs a value"),
            (&format!("{all} --veiw v1"), "unknown: --veiw v1"),
            (&all.replace("--crun /bin/sh", "--crun /nonexistent"), "/nonexistent: No such file"),
        ] {
            assert!(read(line).unwrap_err().contains(message), "{line}");
        }
    }
}
