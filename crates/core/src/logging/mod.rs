//! Messages to people and to the programs that call us, through the `log` crate.
//!
//! Standard output never carries a message. Standard error carries all of them, or, when a file or
//! the journal takes the log, errors alone: as with runc, whose callers read the cause of a failure
//! from either place. A message that its target does not take goes to standard error after all.
//!
//! ```no_run
//! use std::io::IsTerminal;
//! use lxcri_core::{config::{self, Schema, Sources}, logging::{self, Logger}};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let schema = Schema::new([], ["native"])?;
//! let config = config::load(&schema, &Sources::of_this_process(None, vec![]))?;
//! let no_color = std::env::var_os("NO_COLOR");
//! let colour = logging::colour(std::io::stderr().is_terminal(), no_color.as_deref());
//! Logger::open(logging::Settings::from_config(&config, colour)?)?.install()?;
//! log::error!("container {:?} does not exist", "web-1");
//! # Ok(())
//! # }
//! ```

mod file;
mod journald;
mod line;
mod printable;
mod secret;

use std::ffi::OsStr;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use log::{LevelFilter, Log, Metadata, Record, SetLoggerError};

pub use line::Format;
pub use printable::printable;
pub use secret::Secret;

use self::file::LogFile;
use self::journald::Journal;
use crate::config::{Config, LookupError};

/// What is logged, and where.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The least important messages that are logged.
    pub level: LevelFilter,
    /// The form of the file's lines. Standard error always has `level: message`.
    pub format: Format,
    /// A file to append to.
    pub file: Option<PathBuf>,
    /// Whether the journal gets the messages, too.
    pub journald: bool,
    /// Whether standard error understands colours; [`colour`] knows.
    pub colour: bool,
}

impl Settings {
    /// The section `[logging]`.
    ///
    /// # Errors
    /// [`LookupError`] when `config` was not loaded with the core's own sections.
    pub fn from_config(config: &Config, colour: bool) -> Result<Self, LookupError> {
        let level: &str = config.get("logging", "level")?;
        let format: &str = config.get("logging", "format")?;
        let file: Option<&Path> = config.get("logging", "file")?;
        Ok(Self {
            // The schema lets no other words through than these two parsers know; a test holds
            // them together.
            level: level.parse().unwrap_or(LevelFilter::Warn),
            format: if format == "json" { Format::Json } else { Format::Text },
            file: file.map(Path::to_owned),
            journald: config.get("logging", "journald")?,
            colour,
        })
    }
}

/// Whether to colour standard error: only on a terminal, and not when `NO_COLOR` is set to
/// anything but nothing (source: no-color.org).
pub fn colour(is_terminal: bool, no_color: Option<&OsStr>) -> bool {
    is_terminal && no_color.is_none_or(OsStr::is_empty)
}

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The log file cannot be opened: its directory is missing, it is a directory, no permission.
    #[error("cannot open the log file {path:?}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The journal was asked for and does not listen.
    #[error("cannot reach the journal at {path:?}: {source}")]
    Journal {
        /// Its socket.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The program has a logger already.
    #[error("cannot install the logger: {0}")]
    Installed(#[from] SetLoggerError),
}

/// The program's logger.
#[derive(Debug)]
pub struct Logger {
    level: LevelFilter,
    format: Format,
    file: Option<LogFile>,
    journal: Option<Journal>,
    stderr: Stderr,
    colour: bool,
}

impl Logger {
    /// Opens everything the settings name.
    ///
    /// # Errors
    /// [`LoggingError`] when the file or the journal cannot be opened. Nothing is left half made.
    pub fn open(settings: Settings) -> Result<Self, LoggingError> {
        Self::open_with(settings, Path::new(journald::SOCKET), Stderr::Process)
    }

    fn open_with(settings: Settings, socket: &Path, stderr: Stderr) -> Result<Self, LoggingError> {
        // The journal first: opening the file may create it.
        let journal = settings
            .journald
            .then(|| Journal::connect(socket))
            .transpose()
            .map_err(|source| LoggingError::Journal { path: socket.to_owned(), source })?;
        let file = match settings.file {
            Some(path) => match LogFile::open(&path) {
                Ok(file) => Some(file),
                Err(source) => return Err(LoggingError::File { path, source }),
            },
            None => None,
        };
        let (level, format, colour) = (settings.level, settings.format, settings.colour);
        Ok(Self { level, format, file, journal, stderr, colour })
    }

    /// Makes this the logger of the program, for good.
    ///
    /// # Errors
    /// [`LoggingError::Installed`] when there is one already.
    pub fn install(self) -> Result<(), LoggingError> {
        let level = self.level;
        log::set_boxed_logger(Box::new(self))?;
        log::set_max_level(level);
        Ok(())
    }

    /// Whether standard error has to carry a message of this level when nothing fails.
    fn stderr_carries(&self, level: log::Level) -> bool {
        match (&self.file, &self.journal) {
            (None, None) => true,
            // `--log /dev/stderr`: saying it twice on one stream helps nobody.
            (Some(file), _) if file.is_stderr() => false,
            _ => level == log::Level::Error,
        }
    }

    fn say(&self, level: log::Level, message: &str) {
        self.stderr.write(line::for_people(level, message, self.colour).as_bytes());
    }
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= self.level
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let level = record.level();
        let message = record.args().to_string();
        let mut say_it = self.stderr_carries(level);
        if let Some(file) = &self.file {
            let line = line::for_file(self.format, level, &message, SystemTime::now());
            if let Err(error) = file.append(line.as_bytes()) {
                say_it = true;
                let complaint = format!("cannot write the log file {:?}: {error}", file.path());
                self.say(log::Level::Warn, &complaint);
            }
        }
        if let Some(journal) = &self.journal
            && let Err(error) = journal.send(level, &message)
        {
            say_it = true;
            self.say(log::Level::Warn, &format!("cannot write to the journal: {error}"));
        }
        if say_it {
            self.say(level, &message);
        }
    }

    /// Nothing is buffered: a process that is killed has logged what it logged.
    fn flush(&self) {}
}

/// Where messages for people go.
#[derive(Debug)]
enum Stderr {
    Process,
    #[cfg(test)]
    Captured(std::sync::Arc<std::sync::Mutex<Vec<u8>>>),
}

impl Stderr {
    fn write(&self, bytes: &[u8]) {
        match self {
            // The last resort of all targets: when it fails there is nowhere left to say so.
            Self::Process => drop(io::stderr().lock().write_all(bytes)),
            #[cfg(test)]
            Self::Captured(buffer) => buffer.lock().unwrap().extend_from_slice(bytes),
        }
    }
}

#[cfg(test)]
mod tests;
