//! `backends`.

use std::process::ExitCode;

use lxcri_backends::ROOMS;
use lxcri_core::Error;
use lxcri_core::backend::{Capability, Probe, Room};
use serde_json::{Map, Value, json};

use crate::failure::Failure;
use crate::output;
use crate::program::Program;
use crate::table::Table;

/// Words of `backends`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  proxmox-lxcri backends
  proxmox-lxcri backends --format json    with the reason for every no")]
pub(crate) struct Args {
    /// Form of the list
    #[arg(short, long, value_name = "FORMAT", default_value = "table", value_parser = ["table", "json"])]
    format: String,
}

/// Every verb a backend may have, in the order of the columns.
const CAPABILITIES: [Capability; 5] = [
    Capability::Exec,
    Capability::Pause,
    Capability::Update,
    Capability::Stats,
    Capability::Processes,
];

/// Probes every backend.
pub(crate) fn run(args: &Args, program: &Program) -> Result<ExitCode, Failure> {
    let default: &str = program.config.get("runtime", "default_backend").map_err(Error::from)?;
    let probed = ROOMS.iter().map(|room| (*room, (room.probe)(&program.config)));
    if args.format == "json" {
        let rooms: Vec<_> = probed.map(|(room, probe)| document(room, &probe, default)).collect();
        output::json(&rooms, "  ")?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut heading = vec!["NAME", "DEFAULT", "FOUND"];
    let names = CAPABILITIES.map(|capability| capability.as_str().to_ascii_uppercase());
    heading.extend(names.iter().map(String::as_str));
    heading.push("VERSION, OR WHY NOT");
    let mut table = Table::new(0, &heading);
    for (room, probe) in probed {
        table.push(row(room, &probe, default));
    }
    output::data(table.text().as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

fn yes_no(yes: bool) -> String {
    if yes { "yes" } else { "no" }.to_owned()
}

/// Whether a room has a verb, or why not.
fn able(room: &Room, capability: Capability) -> Result<(), &'static str> {
    let entry = room.capabilities.iter().find(|(known, _)| *known == capability);
    entry
        .map_or(Err("it says nothing of it"), |(_, answer)| answer.map_err(|cannot| cannot.because))
}

fn row(room: &Room, probe: &Probe, default: &str) -> Vec<String> {
    let found = matches!(probe, Probe::Yes { .. });
    let mut row = vec![room.name.to_owned(), yes_no(room.name == default), yes_no(found)];
    row.extend(CAPABILITIES.iter().map(|capability| yes_no(able(room, *capability).is_ok())));
    row.push(match probe {
        Probe::Yes { version, detail } if detail.is_empty() => version.clone(),
        Probe::Yes { version, detail } => format!("{version} ({detail})"),
        Probe::No { because } => because.clone(),
    });
    row
}

fn document(room: &Room, probe: &Probe, default: &str) -> Value {
    let capabilities: Map<String, Value> = CAPABILITIES
        .iter()
        .map(|capability| {
            let answer = match able(room, *capability) {
                Ok(()) => json!({ "can": true }),
                Err(because) => json!({ "can": false, "because": because }),
            };
            (capability.as_str().to_owned(), answer)
        })
        .collect();
    let found = match probe {
        Probe::Yes { version, detail } => json!({ "version": version, "detail": detail }),
        Probe::No { because } => json!({ "because": because }),
    };
    let mut document = json!({
        "name": room.name,
        "summary": room.summary,
        "default": room.name == default,
        "found": matches!(probe, Probe::Yes { .. }),
        "capabilities": capabilities,
    });
    if let (Some(document), Value::Object(found)) = (document.as_object_mut(), found) {
        document.extend(found);
    }
    document
}
