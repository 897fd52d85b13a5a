//! `lxcri-bench --ours FILE --crun FILE --runc FILE --floor FILE --peak FILE [--rounds N]
//! [--image-rounds N] [--document DIR] [--only v1|v2|images [--measure peers]]`
//!
//! Measures, in interleaved rounds, in the v1 and the v2 view of the cgroup file systems and with two
//! bundles, the built-in backend against crun, runc and what the kernel alone costs; then images against
//! Podman, Docker, skopeo and umoci. Prints the tables, writes `performance.md` and its chart to DIR, and
//! exits with 1 when a promise is broken, with 2 when something could not be measured.

mod bundles;
mod figures;
mod floor;
mod images;
mod measure;
mod promises;
mod proof;
mod report;
mod request;
mod statistics;

use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::process::ExitCode;

use lxcri_testkit::Stop;
use lxcri_testkit::Verdict;
use lxcri_testkit::verdict::Context;

use crate::figures::BundleKind;
use crate::figures::Table;
use crate::request::Part;
use crate::request::Request;

fn main() -> ExitCode {
    let result = Request::read(std::env::args().skip(1)).and_then(|request| {
        match request.only.zip(request.figures.as_deref()) {
            Some((only, file)) => part(&request, only, file).map(|()| true),
            None => whole(&request),
        }
    });
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(stop) => {
            // There is no other place to complain about a closed standard error.
            let _unheard = writeln!(std::io::stderr(), "lxcri-bench: {stop}");
            ExitCode::from(2)
        }
    }
}

/// Measures in one view, in this process, which never leaves it again.
fn part(request: &Request, part: Part, file: &Path) -> Verdict {
    let view = part.view();
    view.enter()?;
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    let mut tables = Vec::new();
    if part == Part::Images {
        tables.push(images::table(request)?);
    } else {
        for bundle in [BundleKind::Plain, BundleKind::Podman] {
            tables.push(measure::table(&request.programs, request.rounds, view, bundle)?);
        }
    }
    std::fs::write(file, serde_json::to_vec(&tables)?).context(file.display())
}

/// Measures everywhere and reports; whether every promise is kept.
fn whole(request: &Request) -> Verdict<bool> {
    let scratch = tempfile::tempdir()?;
    let mut tables: Vec<Table> = Vec::new();
    for part in Part::ALL.into_iter().filter(|part| request.only.is_none_or(|only| only == *part)) {
        let file = scratch.path().join(part.name());
        let status = Command::new(std::env::current_exe()?)
            .args(words_for_parts())
            .args(["--only", part.name(), "--figures"])
            .arg(&file)
            .status()?;
        if !status.success() {
            return Err(Stop::Failed(format!("{} could not be measured", part.name())));
        }
        let text = std::fs::read(&file).context(file.display())?;
        let part: Vec<Table> = serde_json::from_slice(&text)?;
        tables.extend(part);
    }
    report::all(request, &tables)
}

/// The command line for one part: it writes no document.
fn words_for_parts() -> Vec<String> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let pairs = words.chunks(2).filter(|pair| pair.first().is_none_or(|word| word != "--document"));
    pairs.flatten().cloned().collect()
}
