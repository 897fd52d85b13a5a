//! `ps`.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::process::{Command, ExitCode};

use super::id;
use crate::failure::Failure;
use crate::output;
use crate::program::Program;

/// Words of `ps`.
#[derive(clap::Args, Debug)]
#[command(
    override_usage = "proxmox-lxcri ps [OPTIONS] <ID> [PS-OPTIONS]...",
    after_help = "\
Examples:
  proxmox-lxcri ps web-1
  proxmox-lxcri ps web-1 -o pid,stat,args
  proxmox-lxcri ps --format json web-1"
)]
pub(crate) struct Args {
    /// Form of the list: what ps(1) prints, or pids as JSON
    #[arg(short, long, value_name = "FORMAT", default_value = "table", value_parser = ["table", "json"])]
    format: String,
    /// The container, then options of ps(1) [default: -ef]
    #[arg(required = true, num_args = 1.., trailing_var_arg = true, value_name = "ID [PS-OPTIONS]")]
    words: Vec<String>,
}

/// Lists its processes.
pub(crate) fn run(args: &Args, program: &Program) -> Result<ExitCode, Failure> {
    let (name, options) =
        args.words.split_first().ok_or_else(|| Failure::new("an id is missing"))?;
    if args.format == "json" && !options.is_empty() {
        return Err(Failure::new("options of ps have no meaning with --format json"));
    }
    let pids = program.runtime()?.processes(&id(name)?)?;
    if args.format == "json" {
        output::json(&pids, "")?;
        return Ok(ExitCode::SUCCESS);
    }
    let all = all_processes(options)?;
    for line in ours(&all, &pids.into_iter().collect()).map_err(Failure::new)? {
        output::line(line)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What ps(1) says of the machine.
fn all_processes(options: &[String]) -> Result<String, Failure> {
    let mut command = Command::new("ps");
    if options.is_empty() {
        command.arg("-ef");
    }
    let output = command.args(options).output().map_err(|error| match error.kind() {
        ErrorKind::NotFound => Failure::new("cannot run ps: executable file not found in $PATH")
            .hint("install the package procps, or use `proxmox-lxcri ps --format json ID`"),
        _ => Failure::new(format!("cannot run ps: {error}")),
    })?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        return Err(Failure::new(format!("ps failed ({}): {}", output.status, words.trim())));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The heading and the lines of `pids`.
fn ours<'t>(text: &'t str, pids: &BTreeSet<i32>) -> Result<Vec<&'t str>, String> {
    let mut lines = text.lines();
    let heading = lines.next().unwrap_or_default();
    let column = heading
        .split_whitespace()
        .position(|name| name == "PID")
        .ok_or("ps printed no column PID, by which processes are known")?;
    let mut kept = vec![heading];
    for line in lines.filter(|line| !line.trim().is_empty()) {
        let pid = line.split_whitespace().nth(column).unwrap_or_default();
        let pid: i32 = pid
            .parse()
            .map_err(|_| format!("ps printed {pid:?} in the column PID: choose it as the first"))?;
        if pids.contains(&pid) {
            kept.push(line);
        }
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
UID          PID    PPID  C STIME TTY          TIME CMD
root           1       0  0 10:00 ?        00:00:01 /sbin/init 77
root          77       1  0 10:00 ?        00:00:00 sleep 1

daemon        78      77  0 10:00 ?        00:00:00 a  b
";

    #[test]
    fn only_our_lines_stay() {
        let pids = BTreeSet::from([77, 78, 4000]);
        let kept = ours(TEXT, &pids).unwrap();
        let lines: Vec<_> = TEXT.lines().collect();
        assert_eq!(kept, [lines[0], lines[2], lines[4]]);
        assert_eq!(ours(TEXT, &BTreeSet::new()).unwrap(), [lines[0]]);
    }

    #[test]
    fn what_cannot_be_matched_is_an_error() {
        for text in ["", "CMD\nsh\n", "CMD PID\nsh -c 5\n", "PID\nx\n"] {
            assert!(ours(text, &BTreeSet::from([5])).is_err(), "{text:?}");
        }
    }
}
