//! One test's surroundings: a program, a view, a scratch directory; and the containers in it.

use std::cell::Cell;
use std::cell::RefCell;
use std::fs::File;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use crate::bundle::Bundle;
use crate::process;
use crate::process::Started;
use crate::runtime::CgroupDriver;
use crate::runtime::Executor;
use crate::runtime::Finished;
use crate::runtime::Runtime;
use crate::verdict::Context;
use crate::verdict::Stop;
use crate::verdict::Verdict;
use crate::view::View;

/// Where one test runs.
#[derive(Debug)]
pub struct Room {
    /// The program under test.
    pub runtime: Runtime,
    /// The arrangement of the cgroup file systems.
    pub view: View,
    dir: PathBuf,
    calls: Cell<u32>,
    bundles: Cell<u32>,
    announced: Cell<bool>,
}

impl Room {
    /// A room whose scratch directory is `dir`, which exists and is empty.
    #[must_use]
    pub fn new(runtime: Runtime, view: View, dir: &Path) -> Self {
        Self {
            runtime,
            view,
            dir: dir.to_owned(),
            calls: Cell::new(0),
            bundles: Cell::new(0),
            announced: Cell::new(false),
        }
    }

    /// The scratch directory: free for the test's own files.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The directory given as `--root`.
    #[must_use]
    pub fn root(&self) -> PathBuf {
        self.dir.join("root")
    }

    /// Whether the containers are made by one of these.
    #[must_use]
    pub fn is_by(&self, executors: &[Executor]) -> bool {
        executors.contains(&self.runtime.executor)
    }

    /// Asks the harness to print what it compared after this test.
    pub fn announce_comparison(&self) {
        self.announced.set(true);
    }

    /// Whether [`Room::announce_comparison`] was called.
    #[must_use]
    pub fn is_announced(&self) -> bool {
        self.announced.get()
    }

    /// Where the bundles of this room are; the harness looks into them after the test.
    #[must_use]
    pub fn bundles_dir(&self) -> PathBuf {
        self.dir.join("bundles")
    }

    fn next_bundle_dir(&self) -> PathBuf {
        let number = self.bundles.get();
        self.bundles.set(number + 1);
        self.bundles_dir().join(number.to_string())
    }

    /// A new bundle on busybox.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn bundle(&self) -> Verdict<Bundle> {
        self.driven(Bundle::busybox(&self.next_bundle_dir())?)
    }

    /// A new bundle without root file system.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn bundle_without_root(&self) -> Verdict<Bundle> {
        self.driven(Bundle::without_root(&self.next_bundle_dir())?)
    }

    /// Where a container of `bundle` is below the root of a hierarchy. crun puts it into a cgroup of
    /// its own below a scope, and sets what it writes itself there.
    #[must_use]
    pub fn cgroup_of(&self, bundle: &Bundle) -> String {
        let by_crun = self.is_by(&[Executor::Crun]);
        if by_crun && self.runtime.driver == CgroupDriver::Systemd {
            return format!("{}/container", bundle.cgroup);
        }
        bundle.cgroup.clone()
    }

    /// A bundle whose cgroup is named as the room's driver takes it.
    fn driven(&self, mut bundle: Bundle) -> Verdict<Bundle> {
        bundle.driven_by(self.runtime.driver);
        Ok(bundle)
    }

    /// A new bundle on busybox that runs a shell script.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn script(&self, script: &str) -> Verdict<Bundle> {
        let mut bundle = self.bundle()?;
        bundle.sh(script);
        Ok(bundle)
    }

    /// The name of the next call's output files.
    fn next_call(&self) -> String {
        let number = self.calls.get();
        self.calls.set(number + 1);
        format!("call{number}")
    }

    /// A container id that no other test has.
    #[must_use]
    pub fn id(&self) -> String {
        format!("t{}-{}", std::process::id(), self.next_call())
    }

    /// Calls the program and waits for its end.
    ///
    /// # Errors
    /// When it cannot start or hangs.
    pub fn call(&self, arguments: &[&str]) -> Verdict<Finished> {
        self.call_with(arguments, None)
    }

    /// [`Room::call`] with a standard input.
    ///
    /// # Errors
    /// When it cannot start or hangs.
    pub fn call_with(&self, arguments: &[&str], stdin: Option<File>) -> Verdict<Finished> {
        let mut command = self.runtime.command(&self.root(), arguments);
        Finished::of(&mut command, &self.dir, &self.next_call(), stdin)
    }

    /// [`Room::call`] with a deadline of its own.
    ///
    /// # Errors
    /// When it cannot start or hangs.
    pub fn call_within(&self, deadline: Duration, arguments: &[&str]) -> Verdict<Finished> {
        let mut command = self.runtime.command(&self.root(), arguments);
        Finished::within(&mut command, &self.dir, &self.next_call(), None, deadline)
    }

    /// Calls the program and does not wait.
    ///
    /// # Errors
    /// When it cannot start.
    pub fn start_call(&self, arguments: &[&str]) -> Verdict<Started> {
        let mut command = self.runtime.command(&self.root(), arguments);
        Started::new(&mut command, &self.dir, &self.next_call(), None)
    }

    /// Runs a prepared command (not necessarily the program) and waits for its end.
    ///
    /// # Errors
    /// When it cannot start or hangs.
    pub fn run_command(&self, command: &mut std::process::Command) -> Verdict<Finished> {
        Finished::of(command, &self.dir, &self.next_call(), None)
    }

    /// A file in the scratch directory with `content`, opened for reading.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn input(&self, content: &str) -> Verdict<File> {
        let path = self.dir.join(self.next_call());
        std::fs::write(&path, content).context(path.display())?;
        File::open(&path).context(path.display())
    }

    /// Writes the bundle and `run`s it in the foreground.
    ///
    /// # Errors
    /// When it cannot start or hangs; not when the container fails.
    pub fn run(&self, bundle: &Bundle) -> Verdict<Finished> {
        self.run_with(bundle, &[])
    }

    /// [`Room::run`] with more flags.
    ///
    /// # Errors
    /// When it cannot start or hangs; not when the container fails.
    pub fn run_with(&self, bundle: &Bundle, flags: &[&str]) -> Verdict<Finished> {
        bundle.write()?;
        let (dir, id) = (bundle.dir.to_string_lossy(), self.id());
        let mut arguments = vec!["run", "--bundle", &dir];
        arguments.extend(flags);
        arguments.push(&id);
        self.call(&arguments)
    }

    /// Runs the bundle, which has to exit with 0, and returns what it printed.
    ///
    /// # Errors
    /// A failure with both outputs when it exits with anything else.
    pub fn output(&self, bundle: &Bundle) -> Verdict<String> {
        Ok(self.run(bundle)?.ok()?.stdout)
    }

    /// Runs `script` in the default container and returns what it printed.
    ///
    /// # Errors
    /// A failure with both outputs when it exits with anything but 0.
    pub fn shell(&self, script: &str) -> Verdict<String> {
        self.output(&self.script(script)?)
    }

    /// A container of `bundle` with an id of its own; nothing is called yet.
    #[must_use]
    pub fn container<'a>(&'a self, bundle: &'a Bundle) -> Container<'a> {
        Container {
            room: self,
            bundle,
            id: self.id(),
            pid: Cell::new(0),
            output: RefCell::default(),
        }
    }

    /// A container of `bundle` that has been created and started.
    ///
    /// # Errors
    /// When create or start fails.
    pub fn running<'a>(&'a self, bundle: &'a Bundle) -> Verdict<Container<'a>> {
        let container = self.container(bundle);
        container.create()?;
        container.start()?;
        Ok(container)
    }
}

/// A container under its id.
#[derive(Debug)]
pub struct Container<'a> {
    room: &'a Room,
    bundle: &'a Bundle,
    /// The container's id.
    pub id: String,
    pid: Cell<i32>,
    output: RefCell<PathBuf>,
}

impl Container<'_> {
    /// The file that `create` is asked to write the pid to.
    #[must_use]
    pub fn pid_file(&self) -> PathBuf {
        self.room.dir.join(format!("{}.pid", self.id))
    }

    /// `create`, which has to work.
    ///
    /// # Errors
    /// A failure with the program's words.
    pub fn create(&self) -> Verdict {
        self.create_with(&[])?.ok()?;
        Ok(())
    }

    /// `create` with more flags.
    ///
    /// # Errors
    /// When it cannot start or hangs; not when it fails.
    pub fn create_with(&self, flags: &[&str]) -> Verdict<Finished> {
        self.bundle.write()?;
        let (bundle, pid_file) = (self.bundle.dir.to_string_lossy(), self.pid_file());
        let pid_file = pid_file.to_string_lossy();
        let mut arguments = vec!["create", "--bundle", &bundle, "--pid-file", &pid_file];
        arguments.extend(flags);
        arguments.push(&self.id);
        let finished = self.room.call(&arguments)?;
        if finished.code == 0 {
            let text = std::fs::read_to_string(&*pid_file).context(&pid_file)?;
            self.pid.set(text.parse().context(format!("{pid_file} holds {text:?}"))?);
        }
        self.output.replace(finished.stdout_file.clone());
        Ok(finished)
    }

    /// What the container has written to its standard output so far.
    #[must_use]
    pub fn stdout(&self) -> String {
        std::fs::read_to_string(&*self.output.borrow()).unwrap_or_default()
    }

    /// The pid that `create` wrote to its pid file; 0 before.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.pid.get()
    }

    /// `COMMAND ID`.
    ///
    /// # Errors
    /// When it cannot start or hangs; not when it fails.
    pub fn call(&self, command: &str) -> Verdict<Finished> {
        self.room.call(&[command, &self.id])
    }

    /// `start`, which has to work.
    ///
    /// # Errors
    /// A failure with the program's words.
    pub fn start(&self) -> Verdict {
        self.call("start")?.ok()?;
        Ok(())
    }

    /// `state`, parsed.
    ///
    /// # Errors
    /// A failure when it fails or prints something else than JSON.
    pub fn state(&self) -> Verdict<Value> {
        let finished = self.call("state")?.ok()?;
        serde_json::from_str(&finished.stdout).context(&finished)
    }

    /// The status that `state` shows.
    ///
    /// # Errors
    /// As [`Container::state`].
    pub fn status(&self) -> Verdict<String> {
        Ok(self.state()?["status"].as_str().unwrap_or_default().to_owned())
    }

    /// Fails unless `state` shows `status`; waits for it a while, because a process needs time to end.
    ///
    /// # Errors
    /// A failure with the status found.
    pub fn becomes(&self, status: &str) -> Verdict {
        let mut found = String::new();
        for _attempt in 0..500 {
            found = self.status()?;
            if found == status {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Err(Stop::Failed(format!("{} is {found}, expected {status}", self.id)))
    }

    /// `kill ID SIGNAL`, which has to work.
    ///
    /// # Errors
    /// A failure with the program's words.
    pub fn kill(&self, signal: &str) -> Verdict {
        self.room.call(&["kill", &self.id, signal])?.ok()?;
        Ok(())
    }

    /// Waits for the init process as the caller of a runtime does and returns its exit code.
    ///
    /// # Errors
    /// A failure when it does not end or is no child of this process.
    pub fn wait(&self) -> Verdict<i32> {
        process::wait_for_orphan(self.pid())
    }

    /// `delete`, which has to work.
    ///
    /// # Errors
    /// A failure with the program's words.
    pub fn delete(&self) -> Verdict {
        self.call("delete")?.ok()?;
        Ok(())
    }

    /// KILL, wait, `delete`.
    ///
    /// # Errors
    /// A failure with the program's words.
    pub fn end(&self) -> Verdict {
        self.kill("KILL")?;
        self.wait()?;
        // The exit is seen by wait() a moment before a runtime that polls sees it.
        self.becomes("stopped")?;
        self.delete()
    }

    /// Waits for the exit of a started container, deletes it and returns the exit code.
    ///
    /// # Errors
    /// A failure with the program's words.
    pub fn finish(&self) -> Verdict<i32> {
        let code = self.wait()?;
        self.becomes("stopped")?;
        self.delete()?;
        Ok(code)
    }

    /// `exec ID ARGUMENTS…`.
    ///
    /// # Errors
    /// When it cannot start or hangs; not when it fails.
    pub fn exec(&self, arguments: &[&str]) -> Verdict<Finished> {
        self.exec_with(&[], arguments)
    }

    /// `exec FLAGS… ID ARGUMENTS…`.
    ///
    /// # Errors
    /// When it cannot start or hangs; not when it fails.
    pub fn exec_with(&self, flags: &[&str], arguments: &[&str]) -> Verdict<Finished> {
        let mut words = vec!["exec"];
        words.extend(flags);
        words.push(&self.id);
        words.extend(arguments);
        self.room.call(&words)
    }

    /// Sends a signal to the init process without the program.
    pub fn signal_init(&self, signal: Signal) {
        process::signal(self.pid(), signal);
    }

    /// A file of `/proc` of the init process.
    ///
    /// # Errors
    /// A failure naming the file.
    pub fn proc(&self, file: &str) -> Verdict<String> {
        let path = format!("/proc/{}/{file}", self.pid());
        std::fs::read_to_string(&path).context(path)
    }
}
