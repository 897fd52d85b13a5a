//! `list`.

use std::process::ExitCode;

use lxcri_core::oci::State;
use lxcri_core::runtime::Listed;
use serde::Serialize;
use std::collections::BTreeMap;

use crate::failure::Failure;
use crate::output;
use crate::owner::Owners;
use crate::program::Program;
use crate::table::Table;

/// Words of `list`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  proxmox-lxcri list
  proxmox-lxcri list --format json
  proxmox-lxcri list --quiet | xargs -n 1 proxmox-lxcri state")]
pub(crate) struct Args {
    /// Form of the list
    #[arg(short, long, value_name = "FORMAT", default_value = "table", value_parser = ["table", "json"])]
    format: String,
    /// Print ids alone
    #[arg(short, long, conflicts_with = "format")]
    quiet: bool,
}

/// The least width of a column, which is runc's.
const LEAST_WIDTH: usize = 12;

/// One container, in runc's field names.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    oci_version: String,
    id: String,
    pid: i32,
    status: &'static str,
    bundle: String,
    rootfs: String,
    created: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
    owner: String,
}

impl Line {
    fn new(id: String, state: Option<State>, owner: String) -> Self {
        let Some(state) = state else {
            return Self {
                oci_version: String::new(),
                id,
                pid: 0,
                status: "unknown",
                bundle: String::new(),
                rootfs: String::new(),
                created: String::new(),
                annotations: BTreeMap::new(),
                owner,
            };
        };
        let rootfs = state.rootfs.map(|path| path.display().to_string());
        Self {
            oci_version: state.oci_version,
            id,
            pid: state.pid,
            status: state.status.as_str(),
            bundle: state.bundle.display().to_string(),
            rootfs: rootfs.unwrap_or_default(),
            created: state.created.unwrap_or_default(),
            annotations: state.annotations,
            owner,
        }
    }
}

/// Lists them. One that cannot be read keeps nobody from seeing the others.
pub(crate) fn run(args: &Args, program: &Program) -> Result<ExitCode, Failure> {
    let listed = program.runtime()?.list()?;
    if args.quiet {
        let ids: String = listed.iter().map(|listed| format!("{}\n", listed.id)).collect();
        output::data(ids.as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    }
    let lines = lines(listed);
    if args.format == "json" {
        output::json(&lines, "")?;
    } else {
        output::data(table(lines).text().as_bytes())?;
    }
    Ok(ExitCode::SUCCESS)
}

fn lines(listed: Vec<Listed>) -> Vec<Line> {
    let owners = if listed.is_empty() { Owners::default() } else { Owners::of_this_machine() };
    let line = |listed: Listed| {
        let owner = listed.owner.map(|uid| owners.name(uid)).unwrap_or_default();
        let state = match listed.state {
            Ok(state) => Some(state),
            Err(error) => {
                log::warn!("{}: {}", listed.id, lxcri_linux::chain(&error));
                None
            }
        };
        Line::new(listed.id.to_string(), state, owner)
    };
    listed.into_iter().map(line).collect()
}

fn table(lines: Vec<Line>) -> Table {
    let heading = ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"];
    let mut table = Table::new(LEAST_WIDTH, &heading);
    for line in lines {
        let (pid, status) = (line.pid.to_string(), line.status.to_owned());
        table.push([line.id, pid, status, line.bundle, line.created, line.owner]);
    }
    table
}
