//! The command line.

use std::path::PathBuf;

use lxcri_testkit::Stop;
use lxcri_testkit::Verdict;
use lxcri_testkit::View;
use lxcri_testkit::ensure;
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

/// What is measured by one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// The runtime's commands, in the v1 view.
    V1,
    /// The runtime's commands, in the v2 view.
    V2,
    /// Images, in the v2 view.
    Images,
}

impl Part {
    /// All of them, in the order of the tables.
    pub(crate) const ALL: [Self; 3] = [Self::V1, Self::V2, Self::Images];

    /// What the command line calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
            Self::Images => "images",
        }
    }

    /// Where it is measured.
    pub(crate) fn view(self) -> View {
        if self == Self::V1 { View::V1 } else { View::V2 }
    }

    fn read(name: &str) -> Verdict<Self> {
        Self::ALL.into_iter().find(|part| part.name() == name).context(format!("no part: {name}"))
    }
}

/// What the command line asks for.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) programs: Programs,
    pub(crate) rounds: usize,
    /// Rounds of what takes seconds.
    pub(crate) image_rounds: usize,
    /// Where the document and its chart are written.
    pub(crate) document: Option<PathBuf>,
    /// Measure this part alone.
    pub(crate) only: Option<Part>,
    /// Leave ours out of the part about images: no promise about it is kept then.
    pub(crate) peers_alone: bool,
    /// Write the figures of the only part to this file: what the program asks of itself.
    pub(crate) figures: Option<PathBuf>,
}

/// Rounds without `--rounds`.
const ROUNDS: usize = 30;

/// Rounds without `--image-rounds`.
const IMAGE_ROUNDS: usize = 5;

impl Request {
    /// Reads the command line, without the program's own name.
    ///
    /// # Errors
    /// A failure naming the word that is wrong or missing.
    pub(crate) fn read(words: impl IntoIterator<Item = String>) -> Verdict<Self> {
        let mut programs = Programs::default();
        let (mut rounds, mut image_rounds) = (ROUNDS, IMAGE_ROUNDS);
        let (mut document, mut only, mut figures, mut peers_alone) = (None, None, None, false);
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
                "--image-rounds" => image_rounds = value.parse().context("--image-rounds")?,
                "--only" => only = Some(Part::read(&value)?),
                "--measure" if value == "peers" => peers_alone = true,
                "--figures" => figures = Some(value.into()),
                _ => return Err(Stop::Failed(format!("unknown: {word} {value}"))),
            }
        }
        ensure!(rounds > 0 && image_rounds > 0, "rounds must be at least 1");
        ensure!(only.is_none() || document.is_none(), "--document takes all parts, not --only one");
        ensure!(
            !peers_alone || only == Some(Part::Images),
            "--measure peers goes with --only images"
        );
        let Programs { ours, crun, runc, floor, peak } = &mut programs;
        for (name, path) in
            [("ours", ours), ("crun", crun), ("runc", runc), ("floor", floor), ("peak", peak)]
        {
            if path.as_os_str().is_empty() {
                return Err(Stop::Failed(format!("--{name} is missing")));
            }
            *path = path.canonicalize().context(path.display())?;
        }
        Ok(Self { programs, rounds, image_rounds, document, only, peers_alone, figures })
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
        let part = read(&format!("{all} --rounds 5 --only v2 --figures f")).unwrap();
        assert_eq!((part.rounds, part.only.unwrap().view()), (5, View::V2));
        assert!(part.figures.is_some() && !part.peers_alone);
        for (line, message) in [
            (&all[..all.len() - 15], "--peak is missing"),
            (&format!("{all} --rounds 0"), "at least 1"),
            (&format!("{all} --image-rounds 0"), "at least 1"),
            (&format!("{all} --only"), "--only needs a value"),
            (&format!("{all} --only v3"), "no part: v3"),
            (&format!("{all} --olny v1"), "unknown: --olny v1"),
            (&format!("{all} --only v1 --document d"), "--document takes all parts"),
            (&format!("{all} --measure peers"), "goes with --only images"),
            (&all.replace("--crun /bin/sh", "--crun /nonexistent"), "/nonexistent: No such file"),
        ] {
            assert!(read(line).unwrap_err().contains(message), "{line}");
        }
    }
}
