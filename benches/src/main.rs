//! `lxcri-bench --ours FILE --crun FILE --runc FILE --floor FILE --peak FILE [--rounds N]
//! [--document DIR]`
//!
//! Measures, in interleaved rounds, in the v1 and the v2 view of the cgroup file systems and with two
//! bundles, the built-in backend against crun, runc and what the kernel alone costs. Prints the tables,
//! writes `performance.md` and its chart to DIR, and exits with 1 when a promise is broken, with 2 when
//! something could not be measured.

mod bundles;
mod figures;
mod floor;
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
use lxcri_testkit::View;
use lxcri_testkit::verdict::Context;

use crate::figures::BundleKind;
use crate::figures::Table;
use crate::request::Request;

fn main() -> ExitCode {
    let result = Request::read(std::env::args().skip(1)).and_then(|request| match &request.part {
        Some((view, file)) => part(&request, *view, file).map(|()| true),
        None => whole(&request),
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
fn part(request: &Request, view: View, file: &Path) -> Verdict {
    view.enter()?;
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    let mut tables = Vec::new();
    for bundle in [BundleKind::Plain, BundleKind::Podman] {
        tables.push(measure::table(&request.programs, request.rounds, view, bundle)?);
    }
    std::fs::write(file, serde_json::to_vec(&tables)?).context(file.display())
}

/// Measures everywhere and reports; whether every promise is kept.
fn whole(request: &Request) -> Verdict<bool> {
    let scratch = tempfile::tempdir()?;
    let mut tables: Vec<Table> = Vec::new();
    for view in ["v1", "v2"] {
        let file = scratch.path().join(view);
        let status = Command::new(std::env::current_exe()?)
            .args(std::env::args_os().skip(1))
            .args(["--view", view, "--figures"])
            .arg(&file)
            .status()?;
        if !status.success() {
            return Err(Stop::Failed(format!("the {view} view could not be measured")));
        }
        let text = std::fs::read(&file).context(file.display())?;
        let part: Vec<Table> = serde_json::from_slice(&text)?;
        tables.extend(part);
    }
    report::all(request, &tables)
}
