//! What went wrong, and how it is told: one line, then hints.

use std::io;
use std::path::Path;
use std::process::ExitCode;

use lxcri_core::Error;
use lxcri_linux::chain;

use crate::output;

/// What a shell reports of a program that SIGPIPE ended, which is what became of us, almost.
const BROKEN_PIPE: u8 = 141;

/// A command that did not do what it should.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Something to tell.
    Told {
        /// One line.
        message: String,
        /// What the user can do, a line each.
        hints: Vec<String>,
    },
    /// Nobody reads our output any more, so there is nobody to tell.
    NobodyReads,
}

impl Failure {
    /// A failure in our own words.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self::Told { message: message.into(), hints: Vec::new() }
    }

    /// The same with one more hint.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        if let Self::Told { hints, .. } = &mut self {
            hints.push(hint.into());
        }
        self
    }

    /// The kernel's answer about a file.
    pub(crate) fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Error::Io { what, path, source }.into()
    }

    /// Any error of the libraries below, as part of `what`.
    pub(crate) fn of<E: std::error::Error>(what: &str) -> impl FnOnce(E) -> Self {
        move |error| Self::new(format!("{what}: {}", chain(&error)))
    }

    /// Tells it; `code` is what the command exits with.
    pub(crate) fn report(&self, code: u8) -> ExitCode {
        let Self::Told { message, hints } = self else {
            return ExitCode::from(BROKEN_PIPE);
        };
        if log::max_level() == log::LevelFilter::Off {
            output::error_without_log(message);
        }
        log::error!("{message}");
        for hint in hints {
            output::hint(hint);
        }
        ExitCode::from(code)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Told { message: chain(&error), hints: error.hints() }
    }
}
