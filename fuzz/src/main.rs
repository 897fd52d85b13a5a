//! `lxcri-fuzz SECONDS [SEED]` drives every target with mutated seeds, for so long in all;
//! `lxcri-fuzz replay TARGET FILE` runs one input. Exits with 1 when an input breaks an invariant,
//! makes a parser panic, hang or use too much memory; the input is then kept below `crashes/`.

mod drive;
mod output;
mod request;
mod supervise;

use std::process::ExitCode;

use crate::output::{complain, say};
use crate::request::Request;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match Request::parse(&arguments) {
        Ok(Request::All { time, seed }) => supervise::all(time, seed),
        Ok(Request::One { target, time, seed }) => drive::mutations(target, time, seed),
        Ok(Request::Replay { target, path }) => drive::file(target, &path),
        Err(usage) => Err(usage.into()),
    };
    match result {
        Ok(line) => {
            say(&line);
            ExitCode::SUCCESS
        }
        Err(error) => {
            complain(&error.to_string());
            ExitCode::FAILURE
        }
    }
}
