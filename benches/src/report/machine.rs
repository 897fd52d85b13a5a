//! What was measured where.

use std::fs;
use std::path::Path;
use std::process::Command;

use lxcri_testkit::Verdict;
use lxcri_testkit::process::output_of;

use crate::request::Programs;

/// Facts about the machine and the programs.
#[derive(Debug)]
pub(crate) struct Facts {
    /// Label and value.
    pub(crate) machine: Vec<(&'static str, String)>,
    /// Name and version of ours and the peers.
    pub(crate) programs: Vec<(&'static str, String)>,
}

impl Facts {
    /// Asks the machine and the programs.
    ///
    /// # Errors
    /// A failure when a program cannot say its version.
    pub(crate) fn of(programs: &Programs) -> Verdict<Self> {
        let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let kernel = rustix::system::uname();
        let kernel = format!(
            "{} {}",
            kernel.release().to_string_lossy(),
            kernel.machine().to_string_lossy()
        );
        let os = fs::read_to_string("/etc/os-release").unwrap_or_default();
        let machine = vec![
            ("processor", field(&cpu, "model name", ':').unwrap_or_else(|| "unknown".to_owned())),
            ("cores", crate::measure::cores().to_string()),
            ("kernel", kernel),
            ("system", field(&os, "PRETTY_NAME", '=').unwrap_or_else(|| "unknown".to_owned())),
        ];
        let programs = vec![
            ("ours", version(&programs.ours)?),
            ("crun", version(&programs.crun)?),
            ("runc", version(&programs.runc)?),
        ];
        Ok(Self { machine, programs })
    }

    /// The version of one program.
    pub(crate) fn version(&self, name: &str) -> &str {
        self.programs.iter().find(|(known, _)| *known == name).map_or("", |(_, version)| version)
    }
}

/// The value of a line `NAME SEPARATOR VALUE`, without quotes.
fn field(text: &str, name: &str, separator: char) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(separator)?.1.trim().trim_matches('"').to_owned())
}

/// The version in the first line of `--version`.
fn version(program: &Path) -> Verdict<String> {
    let printed = output_of(Command::new(program).arg("--version"))?;
    let first = printed.lines().next().unwrap_or_default();
    Ok(first.rsplit(' ').next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    #[test]
    fn values_of_lines() {
        let text = "PRETTY_NAME=\"Debian 12\"\nmodel name\t: A: B\n";
        assert_eq!(super::field(text, "PRETTY_NAME", '=').unwrap(), "Debian 12");
        assert_eq!(super::field(text, "model name", ':').unwrap(), "A: B");
        assert_eq!(super::field(text, "absent", ':'), None);
    }
}
