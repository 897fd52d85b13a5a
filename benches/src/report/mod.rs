//! Shows what was measured: on the terminal, and as a document with a chart.

mod chart;
mod document;
mod machine;
mod text;

use std::io::Write;
use std::path::Path;

use lxcri_testkit::Verdict;
use lxcri_testkit::verdict::Context;

use crate::figures::Table;
use crate::promises;
use crate::request::Request;

/// Prints and writes everything; whether every promise is kept.
pub(crate) fn all(request: &Request, tables: &[Table]) -> Verdict<bool> {
    let machine = machine::Facts::of(&request.programs)?;
    let judged = promises::judge(tables);
    let mut out = std::io::stdout().lock();
    text::print(&mut out, &machine, tables, &judged)?;
    if let Some(dir) = &request.document {
        let document = document::markdown(&machine, request.rounds, tables, &judged);
        write(dir, "performance.md", &document)?;
        write(dir, "performance.svg", &chart::svg(tables))?;
        writeln!(out, "\nwrote {0}/performance.md and {0}/performance.svg", dir.display())?;
    }
    Ok(promises::all_kept(&judged))
}

fn write(dir: &Path, name: &str, text: &str) -> Verdict {
    let path = dir.join(name);
    std::fs::write(&path, text).context(path.display())
}
