//! The program under test.

use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::process::DEADLINE;
use crate::process::Ended;
use crate::process::Started;
use crate::process::exit_code;
use crate::verdict::Context;
use crate::verdict::Stop;
use crate::verdict::Verdict;

/// Names another program to test instead of `dist/proxmox-lxcri`, for instance a peer.
pub const PROGRAM: &str = "LXCRI_PROGRAM";

/// Names a program that was built with the feature `fail-points`, instead of
/// `target/fail-points/proxmox-lxcri`.
pub const FAIL_POINT_PROGRAM: &str = "LXCRI_FAIL_POINT_PROGRAM";

/// What makes the containers in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Executor {
    /// Our own executor.
    Native,
    /// crun of Debian sid.
    Crun,
    /// runc 1.1 of Debian 12.
    OldRunc,
    /// runc of Debian sid.
    Runc,
}

impl fmt::Display for Executor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Native => "native",
            Self::Crun => "crun",
            Self::OldRunc => "runc 1.1",
            Self::Runc => "runc",
        })
    }
}

/// Who makes the cgroups of containers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CgroupDriver {
    /// The runtime, by making directories.
    #[default]
    Cgroupfs,
    /// systemd, asked by the runtime (`--systemd-cgroup`).
    Systemd,
}

/// The program with what it is always called with.
#[derive(Debug, Clone)]
pub struct Runtime {
    /// The program's path.
    pub program: PathBuf,
    /// Options before the command, except `--root`.
    pub options: Vec<String>,
    /// What makes the containers in the end.
    pub executor: Executor,
    /// Whether `program` is ours, or a peer called directly.
    pub ours: bool,
    /// Who makes the cgroups.
    pub driver: CgroupDriver,
}

impl Runtime {
    /// The program that `LXCRI_PROGRAM` names, or the built one.
    #[must_use]
    pub fn program() -> PathBuf {
        std::env::var_os(PROGRAM)
            .map_or_else(|| repository().join("dist/proxmox-lxcri"), PathBuf::from)
    }

    /// Our program with the built-in backend; or the peer that `LXCRI_PROGRAM` names.
    #[must_use]
    pub fn native() -> Self {
        let program = Self::program();
        match Executor::of_peer(&program) {
            Some(executor) => Self {
                program,
                options: Vec::new(),
                executor,
                ours: false,
                driver: CgroupDriver::default(),
            },
            None => Self {
                program,
                options: ["--config", "/dev/null", "--backend", "native"].map(str::to_owned).into(),
                executor: Executor::Native,
                ours: true,
                driver: CgroupDriver::default(),
            },
        }
    }

    /// Our program with the crun backend driving `peer`, by a configuration file written to `dir`.
    ///
    /// # Errors
    /// A failure naming the file that cannot be written.
    pub fn driving(peer: &Path, executor: Executor, dir: &Path) -> Verdict<Self> {
        let program = Self::program();
        if Executor::of_peer(&program).is_some() {
            return Err(Stop::Skipped("the program under test is itself a peer".to_owned()));
        }
        let file = dir.join("config.toml");
        std::fs::write(&file, format!("[crun]\npath = \"{}\"\n", peer.display()))
            .context(file.display())?;
        let file = file.to_string_lossy().into_owned();
        let options = vec!["--config".to_owned(), file, "--backend".to_owned(), "crun".to_owned()];
        let driver = CgroupDriver::default();
        Ok(Self { program, options, executor, ours: true, driver })
    }

    /// The same program with another cgroup driver.
    #[must_use]
    pub fn with(mut self, driver: CgroupDriver) -> Self {
        let flag = "--systemd-cgroup";
        self.options.retain(|option| option != flag);
        if driver == CgroupDriver::Systemd {
            self.options.push(flag.to_owned());
        }
        self.driver = driver;
        self
    }

    /// The same with a program that can be ended at each of its steps.
    ///
    /// # Errors
    /// A failure that says how to build that program where it is missing; a skip where the program
    /// under test is a peer.
    pub fn with_fail_points(self) -> Verdict<Self> {
        if !self.ours {
            return Err(Stop::Skipped("the program under test is a peer".to_owned()));
        }
        let program = std::env::var_os(FAIL_POINT_PROGRAM)
            .map_or_else(|| repository().join("target/fail-points/proxmox-lxcri"), PathBuf::from);
        if program.is_file() {
            return Ok(Self { program, ..self });
        }
        let script = "testing/scripts/fail-points.sh";
        Err(Stop::Failed(format!("no {}: build it with {script}", program.display())))
    }

    /// The command `--root ROOT OPTIONS… ARGUMENTS…`.
    pub fn command<S: AsRef<OsStr>>(&self, root: &Path, arguments: &[S]) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--root").arg(root).args(&self.options).args(arguments);
        command
    }
}

impl Executor {
    /// Which peer a program is, by its name and version; none for ours.
    #[must_use]
    pub fn of_peer(program: &Path) -> Option<Self> {
        match program.file_name()?.to_str()? {
            "crun" => Some(Self::Crun),
            "runc" => {
                let version = Command::new(program).arg("--version").output().ok()?;
                let old = version.stdout.starts_with(b"runc version 1.1");
                Some(if old { Self::OldRunc } else { Self::Runc })
            }
            _ => None,
        }
    }
}

/// The repository this crate was built from.
#[must_use]
pub fn repository() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_owned()
}

/// What a call of the program gave.
#[derive(Debug, Clone)]
pub struct Finished {
    /// The command line, for messages.
    pub line: String,
    /// The exit code, 128+n for signal n.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// The file behind `stdout`: a container that lives on goes on writing to it.
    pub stdout_file: PathBuf,
    /// The file behind `stderr`.
    pub stderr_file: PathBuf,
}

impl Finished {
    /// Reads the outputs of an ended command.
    ///
    /// # Errors
    /// When the files cannot be read.
    pub fn read(ended: Ended) -> Verdict<Self> {
        let text = |path: &Path| -> Verdict<String> {
            let bytes = std::fs::read(path).context(path.display())?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        };
        Ok(Self {
            code: exit_code(ended.status),
            stdout: text(&ended.stdout_file)?,
            stderr: text(&ended.stderr_file)?,
            line: ended.line,
            stdout_file: ended.stdout_file,
            stderr_file: ended.stderr_file,
        })
    }

    /// Runs a prepared command to its end; its outputs go to files named `name` in `dir`.
    ///
    /// # Errors
    /// A failure when it cannot start or hangs.
    pub fn of(command: &mut Command, dir: &Path, name: &str, stdin: Option<File>) -> Verdict<Self> {
        Self::within(command, dir, name, stdin, DEADLINE)
    }

    /// [`Finished::of`] with a deadline of its own.
    ///
    /// # Errors
    /// A failure when it cannot start or hangs.
    pub fn within(
        command: &mut Command,
        dir: &Path,
        name: &str,
        stdin: Option<File>,
        deadline: Duration,
    ) -> Verdict<Self> {
        Self::read(Started::new(command, dir, name, stdin)?.wait(deadline)?)
    }

    /// Fails unless the exit code is `code`.
    ///
    /// # Errors
    /// A failure with the command line and both outputs.
    pub fn exits(self, code: i32) -> Verdict<Self> {
        if self.code == code {
            return Ok(self);
        }
        Err(Stop::Failed(format!("expected exit code {code} of {self}")))
    }

    /// Fails unless the exit code is 0.
    ///
    /// # Errors
    /// A failure with the command line and both outputs.
    pub fn ok(self) -> Verdict<Self> {
        self.exits(0)
    }

    /// Fails unless the command failed with a code other than 0 and said one of `words` on standard
    /// error (compared without regard to case).
    ///
    /// # Errors
    /// A failure with the command line and both outputs.
    pub fn refuses(self, words: &[&str]) -> Verdict<Self> {
        let said = self.stderr.to_lowercase();
        let named =
            words.is_empty() || words.iter().any(|word| said.contains(&word.to_lowercase()));
        if self.code != 0 && named {
            return Ok(self);
        }
        Err(Stop::Failed(format!("expected an error with one of {words:?} from {self}")))
    }

    /// What the standard output holds by now.
    #[must_use]
    pub fn stdout_now(&self) -> String {
        std::fs::read_to_string(&self.stdout_file).unwrap_or_default()
    }
}

impl fmt::Display for Finished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}`: exit code {}, stdout {:?}, stderr {:?}",
            self.line, self.code, self.stdout, self.stderr
        )
    }
}
