//! Takes the times.

use std::fs::File;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use lxcri_testkit::Bundle;
use lxcri_testkit::Stop;
use lxcri_testkit::Verdict;
use lxcri_testkit::process;
use lxcri_testkit::verdict::Context;

/// A runtime to measure.
#[derive(Debug)]
pub(crate) struct Program {
    /// What the table calls it.
    pub(crate) name: &'static str,
    /// Its path.
    pub(crate) path: PathBuf,
    /// Options before the command.
    pub(crate) options: &'static [&'static str],
}

/// What is measured.
pub(crate) const WHAT: [&str; 3] = ["life", "run", "--version"];

/// Times by program and by [`WHAT`].
pub(crate) type Times = Vec<[Vec<Duration>; 3]>;

/// Rounds whose times are thrown away: caches of the kernel and of crun fill up.
const WARM_UP: usize = 3;

/// Where one program runs its containers.
struct Place<'a> {
    program: &'a Program,
    root: PathBuf,
    bundle: Bundle,
    pid_file: PathBuf,
}

/// Measures every program `rounds` times, one after the other within each round.
pub(crate) fn all(programs: &[Program], rounds: usize) -> Verdict<Times> {
    let scratch = tempfile::tempdir()?;
    let mut places = Vec::new();
    for program in programs {
        places.push(Place::new(program, scratch.path())?);
    }
    let mut times: Times = programs.iter().map(|_| Default::default()).collect();
    for round in 0..rounds + WARM_UP {
        // The order changes from round to round, so that nobody always comes after the same one.
        for offset in 0..places.len() {
            let index = (round + offset) % places.len();
            let (Some(place), Some(taken)) = (places.get(index), times.get_mut(index)) else {
                continue;
            };
            let measured = [place.life()?, place.run()?, place.version()?];
            if round >= WARM_UP {
                for (list, time) in taken.iter_mut().zip(measured) {
                    list.push(time);
                }
            }
        }
    }
    Ok(times)
}

impl<'a> Place<'a> {
    fn new(program: &'a Program, scratch: &Path) -> Verdict<Self> {
        let dir = scratch.join(program.name);
        let mut bundle = Bundle::busybox(&dir.join("bundle"))?;
        bundle.args(&["/bin/true"]).write()?;
        Ok(Self { program, root: dir.join("root"), bundle, pid_file: dir.join("pid") })
    }

    /// Runs one command to its end; anything but success is an error.
    fn call(&self, arguments: &[&str]) -> Verdict {
        let mut command = Command::new(&self.program.path);
        if arguments != ["--version"] {
            command.arg("--root").arg(&self.root).args(self.program.options);
        }
        command.args(arguments).stdin(Stdio::null()).stdout(File::create("/dev/null")?);
        let status = command.status().context(self.program.path.display())?;
        if status.success() {
            return Ok(());
        }
        Err(Stop::Failed(format!("{} {}: {status}", self.program.name, arguments.join(" "))))
    }

    fn life(&self) -> Verdict<Duration> {
        let (bundle, pid_file) =
            (self.bundle.dir.to_string_lossy(), self.pid_file.to_string_lossy());
        let start = Instant::now();
        self.call(&["create", "--bundle", &bundle, "--pid-file", &pid_file, "bench"])?;
        let pid = std::fs::read_to_string(&self.pid_file)?.parse()?;
        self.call(&["start", "bench"])?;
        process::wait_for_orphan(pid)?;
        self.call(&["delete", "bench"])?;
        Ok(start.elapsed())
    }

    fn run(&self) -> Verdict<Duration> {
        let bundle = self.bundle.dir.to_string_lossy();
        let start = Instant::now();
        self.call(&["run", "--bundle", &bundle, "bench"])?;
        Ok(start.elapsed())
    }

    fn version(&self) -> Verdict<Duration> {
        let start = Instant::now();
        self.call(&["--version"])?;
        Ok(start.elapsed())
    }
}
