//! What was measured: rows by what was done, columns by who did it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::Serialize;

use crate::statistics::Summary;

/// Who is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Who {
    /// The program under test, with its built-in backend.
    Ours,
    /// crun.
    Crun,
    /// runc.
    Runc,
    /// `lxcri-floor`: the kernel's work alone.
    Floor,
    /// Podman.
    Podman,
    /// The Docker engine with its client.
    Docker,
    /// skopeo, and umoci behind it.
    Skopeo,
    /// gzip(1) and tar(1), one pair for each processor: nothing is hashed, recorded or checked.
    Bare,
    /// The program under test with a bundle instead of an image.
    Bundle,
    /// The program under test with an image of as many layers, but 5 MB.
    Small,
}

impl Who {
    /// What tables call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Crun => "crun",
            Self::Runc => "runc",
            Self::Floor => "floor",
            Self::Podman => "podman",
            Self::Docker => "docker",
            Self::Skopeo => "skopeo+umoci",
            Self::Bare => "gzip | tar",
            Self::Bundle => "our bundle",
            Self::Small => "our 5 MB image",
        }
    }
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Row {
    /// create, start, wait for the exit, delete.
    Life,
    /// The create of a life.
    Create,
    /// The start of a life.
    Start,
    /// The delete of a life.
    Delete,
    /// run.
    Run,
    /// exec in a running container.
    Exec,
    /// --version; floor: a static program that does nothing.
    Version,
    /// 100 creates at once.
    Creates,
    /// list of 1,000 containers.
    List,
    /// Processes that list makes.
    ListChildren,
    /// Peak memory of all processes of run before the payload is executed.
    Peak,
    /// System calls of run, those of the payload included.
    Calls,
    /// From an archive with gzip layers to a root file system that a container can have.
    Unpack,
    /// The same with zstd layers.
    UnpackZstd,
    /// From a registry to the same.
    Pull,
    /// Peak memory of all processes that unpack at one time, over their whole lives.
    UnpackPeak,
    /// run of an image that is there already.
    ImageRun,
    /// One more container of an image that has one.
    Second,
}

/// The unit of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Milliseconds,
    Kibibytes,
    Count,
}

impl Row {
    /// What tables call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Life => "life",
            Self::Create => "create",
            Self::Start => "start",
            Self::Delete => "delete",
            Self::Run => "run",
            Self::Exec => "exec",
            Self::Version => "--version",
            Self::Creates => "100 parallel creates",
            Self::List => "list of 1,000",
            Self::ListChildren => "processes made by list",
            Self::Peak => "peak memory of run",
            Self::Calls => "system calls of run",
            Self::Unpack => "archive to root",
            Self::UnpackZstd => "zstd archive to root",
            Self::Pull => "pull to root",
            Self::UnpackPeak => "peak memory of import",
            Self::ImageRun => "run IMAGE",
            Self::Second => "second container",
        }
    }

    /// What its figures count.
    pub(crate) fn unit(self) -> Unit {
        match self {
            Self::Peak | Self::UnpackPeak => Unit::Kibibytes,
            Self::Calls | Self::ListChildren => Unit::Count,
            _ => Unit::Milliseconds,
        }
    }
}

impl Unit {
    /// A figure with as many digits as mean something.
    pub(crate) fn show(self, value: f64) -> String {
        match self {
            Self::Milliseconds => format!("{value:.2}"),
            Self::Kibibytes | Self::Count => format!("{value:.0}"),
        }
    }

    /// Its abbreviation.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Milliseconds => "ms",
            Self::Kibibytes => "KiB",
            Self::Count => "",
        }
    }
}

/// Which bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum BundleKind {
    /// What `runc spec` prints, with busybox.
    Plain,
    /// What Podman asks a runtime for by default.
    Podman,
    /// None: images.
    Image,
}

impl BundleKind {
    /// What tables call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain busybox bundle",
            Self::Podman => "Podman's default bundle",
            Self::Image => "images",
        }
    }
}

/// Samples while they are taken.
#[derive(Debug, Default)]
pub(crate) struct Samples(BTreeMap<(Row, Who), Vec<f64>>);

impl Samples {
    /// One more.
    pub(crate) fn push(&mut self, row: Row, who: Who, value: f64) {
        self.0.entry((row, who)).or_default().push(value);
    }
}

/// The figures of one bundle in one view.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Table {
    /// The view of the cgroup file systems: `v1` or `v2`.
    pub(crate) view: String,
    pub(crate) bundle: BundleKind,
    figures: Vec<(Row, Who, Summary)>,
    /// The system calls of the floor, by number of calls.
    pub(crate) floor_calls: Vec<(String, u64)>,
    /// What a reader has to know of how the bundle was changed.
    pub(crate) notes: Vec<String>,
}

impl Table {
    /// Summarizes samples.
    pub(crate) fn new(view: String, bundle: BundleKind, samples: &Samples) -> Self {
        let figures = samples
            .0
            .iter()
            .filter_map(|((row, who), samples)| Some((*row, *who, Summary::of(samples)?)));
        let figures = figures.collect();
        Self { view, bundle, figures, floor_calls: Vec::new(), notes: Vec::new() }
    }

    /// The rows that have figures.
    pub(crate) fn rows(&self) -> Vec<Row> {
        let mut rows: Vec<Row> = self.figures.iter().map(|(row, ..)| *row).collect();
        rows.sort_unstable();
        rows.dedup();
        rows
    }

    /// Those who have figures.
    pub(crate) fn columns(&self) -> Vec<Who> {
        let mut columns: Vec<Who> = self.figures.iter().map(|(_, who, _)| *who).collect();
        columns.sort_unstable();
        columns.dedup();
        columns
    }

    /// Those whom ours can be held against.
    pub(crate) fn others(&self) -> Vec<Who> {
        self.columns().into_iter().filter(|who| *who != Who::Ours).collect()
    }

    /// One figure.
    pub(crate) fn get(&self, row: Row, who: Who) -> Option<Summary> {
        self.figures.iter().find(|(r, w, _)| (*r, *w) == (row, who)).map(|(.., summary)| *summary)
    }

    /// Our median by another's.
    pub(crate) fn ratio(&self, row: Row, to: Who) -> Option<f64> {
        let (ours, theirs) = (self.get(row, Who::Ours)?.median, self.get(row, to)?.median);
        (theirs > 0.0).then_some(ours / theirs)
    }

    /// Whether the machine was too busy for figures to mean much: the floor has nothing of its own that
    /// could make it slow at times.
    pub(crate) fn noise(&self) -> Option<f64> {
        let spread = self.get(Row::Run, Who::Floor)?.spread();
        (spread > 1.5).then_some(spread)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_and_noise() {
        let mut samples = Samples::default();
        for time in [1.0, 1.0, 1.0, 9.0] {
            samples.push(Row::Run, Who::Floor, time);
            samples.push(Row::Run, Who::Ours, 3.0);
        }
        let table = Table::new("v2".into(), BundleKind::Plain, &samples);
        assert_eq!(table.ratio(Row::Run, Who::Floor), Some(3.0));
        assert_eq!(table.ratio(Row::Run, Who::Crun), None);
        assert_eq!(table.noise(), Some(9.0));
        assert_eq!(table.rows(), [Row::Run]);
        assert_eq!(table.columns(), [Who::Ours, Who::Floor]);
        assert_eq!(table.others(), [Who::Floor]);
    }
}
