//! What the program has to say: its log of JSON objects, which it writes to a file of ours so that
//! the container's standard error stays the container's.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use lxcri_core::store::Entry;
use serde::Deserialize;

use crate::error::CrunError;
use crate::program::name_of;

/// The log of one run of the program. Dropping it removes the file.
#[derive(Debug)]
pub(crate) struct Log {
    path: PathBuf,
}

/// One message. runc writes an object per line, crun one over several lines.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
struct Message {
    #[serde(default)]
    level: String,
    #[serde(default)]
    msg: String,
}

impl Log {
    /// An empty log for one run, readable by us alone.
    pub(crate) fn new(entry: &Entry) -> Result<Self, CrunError> {
        let path = entry.file(&format!("crun-{}.log", std::process::id()));
        OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&path)
            .map_err(CrunError::io("make", &path))?;
        Ok(Self { path })
    }

    /// Tells the program to use it.
    pub(crate) fn push_options(&self, command: &mut Command, debug: bool) {
        command.arg("--log").arg(&self.path).args(["--log-format", "json"]);
        if debug {
            command.arg("--debug");
        }
    }

    /// Says what the program said as messages of our own.
    pub(crate) fn forward(&self) {
        for Message { level, msg } in self.messages() {
            match level.as_str() {
                "error" | "fatal" | "panic" | "warning" | "warn" => log::warn!("{msg}"),
                "info" => log::info!("{msg}"),
                _ => log::debug!("{msg}"),
            }
        }
    }

    /// Says what a run said whose outputs are not ours to read; its failure is an error.
    pub(crate) fn judge(&self, program: &Path, status: ExitStatus) -> Result<(), CrunError> {
        if !status.success() {
            return Err(self.failure(program, status, &[]));
        }
        self.forward();
        Ok(())
    }

    /// The error of a run that failed: the last one in the log, else what stands on its standard
    /// error (where that is ours to read), else how it ended.
    pub(crate) fn failure(&self, program: &Path, status: ExitStatus, stderr: &[u8]) -> CrunError {
        let text = last_error(&self.messages())
            .or_else(|| plain(stderr))
            .unwrap_or_else(|| format!("ended with {status}"));
        CrunError::Failed { program: name_of(program), text }
    }

    fn messages(&self) -> Vec<Message> {
        // No log is no message: the exit status has said what matters.
        parse(&std::fs::read(&self.path).unwrap_or_default())
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        // Where it stays, it goes with the container's directory.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// All messages up to the first thing that is none.
fn parse(bytes: &[u8]) -> Vec<Message> {
    serde_json::Deserializer::from_slice(bytes).into_iter().map_while(Result::ok).collect()
}

fn last_error(messages: &[Message]) -> Option<String> {
    let errors = ["error", "fatal", "panic"];
    let last = messages.iter().rev().find(|message| errors.contains(&message.level.as_str()))?;
    one_line(&last.msg)
}

/// The last line of text that is no log.
pub(crate) fn plain(bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    one_line(text.lines().rfind(|line| !line.trim().is_empty())?)
}

/// On one line; `None` where nothing is left.
fn one_line(text: &str) -> Option<String> {
    let words: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    (!words.is_empty()).then(|| words.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_of_runc_and_crun() {
        let table: [(&str, Option<&str>); 9] = [
            (
                "{\"level\":\"warning\",\"msg\":\"w\",\"time\":\"t\"}\n\
                 {\"level\":\"error\",\"msg\":\"exec: \\\"x\\\": executable file not found in $PATH\"}\n",
                Some("exec: \"x\": executable file not found in $PATH"),
            ),
            (
                "{\n  \"msg\": \"one\",\n  \"level\": \"error\"\n}\n{\"msg\":\"two\",\"level\":\"error\"}",
                Some("two"),
            ),
            ("{\"level\":\"error\",\"msg\":\"a\\nb\\n\"}", Some("a; b")),
            ("{\"level\":\"error\",\"msg\":\"kept\"}\n{\"level\":\"err", Some("kept")),
            ("{\"level\":\"error\",\"msg\":\"\"}", None),
            ("{\"level\":\"debug\",\"msg\":\"x\"}", None),
            ("{\"level\":\"error\",\"msg\":7}", None),
            ("not json", None),
            ("", None),
        ];
        for (text, wanted) in table {
            assert_eq!(last_error(&parse(text.as_bytes())).as_deref(), wanted, "{text}");
        }
        assert_eq!(parse(b"\xff\x00").len(), 0);
    }

    #[test]
    fn plain_text() {
        assert_eq!(plain(b"usage\nwhy\n\n").as_deref(), Some("why"));
        assert_eq!(plain(b" \n"), None);
        assert!(plain(b"\xffx").is_some());
    }
}
