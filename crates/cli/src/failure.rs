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
        /// The exit code, where it is not the command's usual one.
        code: Option<u8>,
    },
    /// Nobody reads our output any more, so there is nobody to tell.
    NobodyReads,
}

impl Failure {
    /// A failure in our own words.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self::Told { message: plain(&message.into()), hints: Vec::new(), code: None }
    }

    /// A mistake in the words of the command line that clap cannot see.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(message).code(2)
    }

    /// The same with an exit code of its own.
    pub(crate) fn code(mut self, wanted: u8) -> Self {
        if let Self::Told { code, .. } = &mut self {
            *code = Some(wanted);
        }
        self
    }

    /// The line that is told.
    pub(crate) fn message(&self) -> &str {
        match self {
            Self::Told { message, .. } => message,
            Self::NobodyReads => "",
        }
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
        let Self::Told { message, hints, code: own } = self else {
            return ExitCode::from(BROKEN_PIPE);
        };
        if log::max_level() == log::LevelFilter::Off {
            output::error_without_log(message);
        }
        log::error!("{message}");
        for hint in hints {
            output::hint(hint);
        }
        ExitCode::from(own.unwrap_or(code))
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Told { message: plain(&chain(&error)), hints: error.hints(), code: None }
    }
}

macro_rules! told {
    ($($error:ty),+ $(,)?) => {
        $(impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                let hints = error.hints();
                Self::Told { message: plain(&chain(&error)), hints, code: None }
            }
        })+
    };
}

told!(
    lxcri_images::archive::ArchiveError,
    lxcri_images::container::ContainerError,
    lxcri_images::layer::CacheError,
    lxcri_images::library::BringError,
    lxcri_images::library::TidyError,
    lxcri_images::push::PushError,
    lxcri_images::reference::InvalidReference,
    lxcri_images::reference::InvalidSource,
    lxcri_images::registries::LookupError,
    lxcri_images::registries::RegistriesError,
    lxcri_images::registry::Error,
    lxcri_images::rootfs::RootfsError,
    lxcri_images::spec::SpecError,
    lxcri_images::store::StoreError,
);

/// The kernel's answers in the words clients know from runc: `no such file or directory`, not
/// `No such file or directory (os error 2)`.
fn plain(message: &str) -> String {
    const MARK: &str = " (os error ";
    let mut text = String::with_capacity(message.len());
    let mut rest = message;
    while let Some((before, after)) = rest.split_once(MARK) {
        let digits = after.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(after.len());
        let Some(tail) = after[digits..].strip_prefix(')').filter(|_| digits > 0) else {
            text.push_str(before);
            text.push_str(MARK);
            rest = after;
            continue;
        };
        let answer = before.rfind(": ").map_or(0, |colon| colon + 2);
        let (names, words) = before.split_at(answer);
        text.push_str(names);
        let mut letters = words.chars();
        text.extend(letters.next().map(|first| first.to_ascii_lowercase()));
        text.push_str(letters.as_str());
        rest = tail;
    }
    text + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_the_kernel_are_in_words_clients_know() {
        let cases = [
            ("", ""),
            ("x: container does not exist", "x: container does not exist"),
            (
                "cannot open bundle /No: No such file or directory (os error 2)",
                "cannot open bundle /No: no such file or directory",
            ),
            ("Permission denied (os error 13)", "permission denied"),
            (
                "a: File exists (os error 17); b: Is a directory (os error 21) (and 1 more)",
                "a: file exists; b: is a directory (and 1 more)",
            ),
            ("odd (os error x) (os error )", "odd (os error x) (os error )"),
            ("(os error 5", "(os error 5"),
        ];
        for (message, wanted) in cases {
            assert_eq!(plain(message), wanted);
        }
    }
}
