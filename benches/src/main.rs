//! `lxcri-bench --view v1|v2 --ours FILE --crun FILE --runc FILE [--rounds N]`
//!
//! Measures, in interleaved rounds in one view of the cgroup file systems, the built-in backend
//! against crun and runc, each started directly: `life` (create, start, wait for the exit, delete as
//! separate processes), `run`, and `--version`; a busybox bundle with the process `true`. Exits with
//! 1 when a promise of this stage is broken: life ≤ 1.0 × crun, `--version` ≤ 0.6 × crun.

mod measure;
mod table;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use lxcri_testkit::Stop;
use lxcri_testkit::Verdict;
use lxcri_testkit::View;
use lxcri_testkit::verdict::Context;

use crate::measure::Program;

/// What the command line asks for.
struct Request {
    view: View,
    programs: Vec<Program>,
    rounds: usize,
}

fn main() -> ExitCode {
    let result = request().and_then(|request| {
        request.view.enter()?;
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
        let times = measure::all(&request.programs, request.rounds)?;
        table::print(&mut std::io::stdout().lock(), request.view, &request.programs, &times)
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

/// Reads the command line.
fn request() -> Verdict<Request> {
    let (mut view, mut rounds) = (View::V2, 30);
    let mut paths: [Option<PathBuf>; 3] = [None, None, None];
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let value = words.next().context(format!("{word} needs a value"))?;
        match word.as_str() {
            "--view" if value == "v1" => view = View::V1,
            "--view" if value == "v2" => view = View::V2,
            "--rounds" => rounds = value.parse().context("--rounds")?,
            "--ours" => paths[0] = Some(value.into()),
            "--crun" => paths[1] = Some(value.into()),
            "--runc" => paths[2] = Some(value.into()),
            _ => return Err(Stop::Failed(format!("unknown: {word} {value}"))),
        }
    }
    let names = [("ours", &["--backend", "native"][..]), ("crun", &[]), ("runc", &[])];
    let mut programs = Vec::new();
    for ((name, options), path) in names.into_iter().zip(paths) {
        let path = path.context(format!("--{name} is missing"))?;
        let path = path.canonicalize().context(path.display())?;
        programs.push(Program { name, path, options });
    }
    Ok(Request { view, programs, rounds })
}
