//! The only place that prints. Standard output carries data alone; everything said to people goes
//! to standard error, most of it through the log.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use lxcri_core::logging::printable;
use serde::Serialize;

use crate::failure::Failure;

/// Writes data and sees to it that it left.
pub(crate) fn data(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes).and_then(|()| stdout.flush()).map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::NobodyReads,
        _ => Failure::new(format!("cannot write to standard output: {error}")),
    })
}

/// Hands standard output to whoever writes a stream of data to it.
pub(crate) fn stream(
    write: impl FnOnce(&mut dyn Write) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut stdout = io::BufWriter::new(io::stdout().lock());
    write(&mut stdout)?;
    stdout.flush().map_err(Failure::of("standard output"))
}

/// One line of data, without anything a terminal would obey.
pub(crate) fn line(text: &str) -> Result<(), Failure> {
    data(format!("{}\n", printable(text)).as_bytes())
}

/// A JSON document, indented by `indent`; on one line where that is empty.
pub(crate) fn json(value: &impl Serialize, indent: &str) -> Result<(), Failure> {
    let mut bytes = json_text(value, indent)?;
    bytes.push(b'\n');
    data(&bytes)
}

/// The bytes of a JSON document, indented by `indent`; on one line where that is empty.
pub(crate) fn json_text(value: &impl Serialize, indent: &str) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let written = if indent.is_empty() {
        serde_json::to_writer(&mut bytes, value)
    } else {
        let formatter = serde_json::ser::PrettyFormatter::with_indent(indent.as_bytes());
        value.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, formatter))
    };
    written.map_err(Failure::of("cannot write JSON"))?;
    Ok(bytes)
}

/// What the user can do about the error just told.
pub(crate) fn hint(text: &str) {
    say("hint", text);
}

/// A remark for people that is no message of the log.
pub(crate) fn note(text: &str) {
    say("note", text);
}

/// What long work has done, a line each.
pub(crate) fn progress(line: &str) {
    // As in `say`.
    let _ = writeln!(io::stderr().lock(), "{}", printable(line));
}

/// An error from before there was a log.
pub(crate) fn error_without_log(text: &str) {
    say("error", text);
}

fn say(word: &str, text: &str) {
    // The last resort of all channels: when it fails there is nowhere left to say so.
    let _ = writeln!(io::stderr().lock(), "{word}: {}", printable(text));
}

/// The help that was asked for, on standard output; or what is wrong with the command line, on
/// standard error. Gives the exit code: 0, or 2.
pub(crate) fn answer(answer: &clap::Error) -> ExitCode {
    let text = answer.render();
    if !answer.use_stderr() {
        let text = if colour(io::stdout().is_terminal()) {
            text.ansi().to_string()
        } else {
            text.to_string()
        };
        return match data(text.as_bytes()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => failure.report(1),
        };
    }
    let text =
        if colour(io::stderr().is_terminal()) { text.ansi().to_string() } else { text.to_string() };
    // As in `say`.
    let _ = io::stderr().lock().write_all(text.as_bytes());
    ExitCode::from(2)
}

/// Whether a stream shows colours.
pub(crate) fn colour(is_terminal: bool) -> bool {
    lxcri_core::logging::colour(is_terminal, std::env::var_os("NO_COLOR").as_deref())
}

/// Whether messages on standard error show colours.
pub(crate) fn colour_of_messages() -> bool {
    colour(io::stderr().is_terminal())
}
