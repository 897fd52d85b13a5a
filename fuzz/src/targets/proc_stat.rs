//! The text of /proc/PID/stat. What is read is the same when written down after any command.

use lxcri_linux::procfs::{Stat, parse_stat};

use crate::broken::{Outcome, holds, same};

pub(super) fn run(input: &[u8]) -> Outcome {
    let Ok(stat) = parse_stat(input) else { return Ok(()) };
    holds(stat.state.is_ascii_alphabetic(), "the state is a letter")?;
    let after = written(&stat);
    // The command is whatever the process calls itself, the whole hostile text included.
    for command in [b"x".as_slice(), b") Z 1 (", input] {
        let text = [b"1 (", command, b") ", after.as_bytes()].concat();
        same(&parse_stat(&text), &Ok(stat), "a command changes nothing")?;
    }
    Ok(())
}

/// The fields after the command.
fn written(stat: &Stat) -> String {
    let Stat { state, ppid, pgrp, session, threads, start_time_ticks } = stat;
    format!(
        "{state} {ppid} {pgrp} {session} 0 -1 0 0 0 0 0 0 0 0 0 20 0 {threads} 0 {start_time_ticks} 0\n"
    )
}
