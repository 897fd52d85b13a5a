//! `lxcri-peak PAYLOAD COMMAND [ARGUMENT…]` prints one line, `KIB NAME`, for each process that
//! COMMAND had before PAYLOAD was executed; with `-` as payload, for each process of those
//! that lived at one time and together had the most. The command's standard output is not shown.

use std::io::Write;
use std::process::{Command, ExitCode, Stdio};

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let (Some(payload), Some(program)) = (words.next(), words.next()) else {
        let _unheard =
            writeln!(std::io::stderr(), "usage: lxcri-peak PAYLOAD COMMAND [ARGUMENT...]");
        return ExitCode::from(2);
    };
    let mut command = Command::new(&program);
    command.args(words).stdin(Stdio::null()).stdout(Stdio::null());
    let payload = Some(payload.as_str()).filter(|payload| *payload != "-");
    let result = lxcri_floor::peak::peaks(payload, &mut command).and_then(|peaks| {
        let mut out = std::io::stdout().lock();
        peaks.iter().try_for_each(|peak| writeln!(out, "{} {}", peak.kib, peak.name))
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _unheard = writeln!(std::io::stderr(), "lxcri-peak: {program}: {error}");
            ExitCode::FAILURE
        }
    }
}
