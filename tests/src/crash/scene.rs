//! One container, one verb that is cut off, and what must be true afterwards.

use std::os::unix::process::ExitStatusExt;

use lxcri_testkit::Bundle;
use lxcri_testkit::Room;
use lxcri_testkit::Verdict;
use lxcri_testkit::ensure;
use lxcri_testkit::ensure_eq;
use lxcri_testkit::machine::Machine;
use lxcri_testkit::process;
use lxcri_testkit::process::DEADLINE;
use lxcri_testkit::process::Ended;
use lxcri_testkit::process::Started;
use lxcri_testkit::process::exit_code;
use lxcri_testkit::verdict::Context;

use super::answers;
use super::random::Victim;
use super::verb::Verb;

/// The variable that names the step (`crates/linux/src/step.rs`).
pub(crate) const VARIABLE: &str = "LXCRI_FAIL_POINT";

/// A container at the point where a verb can be called.
pub(super) struct Scene<'r> {
    room: &'r Room,
    verb: Verb,
    step: &'static str,
    bundle: Bundle,
    id: String,
}

impl<'r> Scene<'r> {
    /// Brings a container to where `verb` can die at `step` (or anywhere, where that is empty).
    pub(super) fn set(room: &'r Room, verb: Verb, step: &'static str) -> Verdict<Self> {
        let mut bundle = room.script("exec sleep 1000")?;
        for list in ["createRuntime", "createContainer", "poststop"] {
            // crun dies by SIGPIPE where a hook does not read its state.
            bundle.hook(list, "exec cat >/dev/null");
        }
        bundle.write()?;
        let resources = serde_json::to_string(&Verb::resources(room))?;
        std::fs::write(room.dir().join("resources.json"), resources)?;
        let scene = Self { room, verb, step, bundle, id: room.id() };
        if verb != Verb::Create {
            // Init has the environment of the command that made it.
            let ended = scene.begin(Verb::Create)?.wait(DEADLINE)?;
            ensure!(ended.status.success(), "{}: {}", ended.line, said(&ended));
        }
        if !matches!(verb, Verb::Create | Verb::Start) {
            scene.call(Verb::Start)?;
        }
        if verb == Verb::Resume {
            scene.call(Verb::Pause)?;
        }
        Ok(scene)
    }

    /// The words of a call of `verb`.
    fn words(&self, verb: Verb) -> Vec<String> {
        let file = |name: &str| self.room.dir().join(name).to_string_lossy().into_owned();
        let words = match verb {
            Verb::Create => {
                let bundle = self.bundle.dir.to_string_lossy().into_owned();
                return ["create", "--bundle", &bundle, "--pid-file", &file("pid"), &self.id]
                    .map(str::to_owned)
                    .into();
            }
            Verb::Exec => {
                return ["exec", "--pid-file", &file("exec.pid"), &self.id, "/bin/true"]
                    .map(str::to_owned)
                    .into();
            }
            Verb::Update => {
                return ["update", "--resources", &file("resources.json"), &self.id]
                    .map(str::to_owned)
                    .into();
            }
            Verb::Kill if ["kill/frozen", "kill/signalled"].contains(&self.step) => {
                vec!["kill", "--all", &self.id, "TERM"]
            }
            Verb::Kill => vec!["kill", &self.id, "KILL"],
            Verb::Delete => vec!["delete", "--force", &self.id],
            Verb::Start => vec!["start", &self.id],
            Verb::Pause => vec!["pause", &self.id],
            Verb::Resume => vec!["resume", &self.id],
        };
        words.into_iter().map(str::to_owned).collect()
    }

    /// Calls a verb, which has to work.
    fn call(&self, verb: Verb) -> Verdict {
        let words = self.words(verb);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        self.room.call(&words)?.ok()?;
        Ok(())
    }

    /// Starts a verb that dies at the step, if the step is one of its own.
    fn begin(&self, verb: Verb) -> Verdict<Started> {
        let mut command = self.room.runtime.command(&self.room.root(), &self.words(verb));
        if !self.step.is_empty() {
            command.env(VARIABLE, self.step);
        }
        Started::new(&mut command, self.room.dir(), &format!("{}-{verb}", self.id), None)
    }

    /// The runtime dies at the step, which it has to reach.
    pub(super) fn dies(&self) -> Verdict {
        let ended = self.begin(self.verb)?.wait(DEADLINE)?;
        let died = ended.status.signal() == Some(9);
        ensure!(died, "{} was not reached: `{}`: {}", self.step, ended.line, said(&ended));
        Ok(())
    }

    /// A child of the runtime dies at the step: the runtime has to notice.
    pub(super) fn child_dies(&self) -> Verdict {
        let step = self.step;
        let ended = self.begin(self.verb)?.wait(DEADLINE)?;
        let code = if self.verb == Verb::Exec { 255 } else { 1 };
        let told = exit_code(ended.status) == code && said(&ended).contains("ended before");
        ensure!(told, "{step}: nothing was said of the end of the child: {}", said(&ended));
        if self.verb == Verb::Create {
            ensure_eq!(answers::status(self.room, &self.id)?, None, "after a failed create");
        }
        Ok(())
    }

    /// What must be true when the verb was cut off.
    pub(super) fn aftermath(&self) -> Verdict {
        let first = answers::status(self.room, &self.id)?;
        if matches!(self.verb, Verb::Create | Verb::Delete) {
            return Ok(());
        }
        ensure!(first.is_some(), "{} removed the container", self.verb);
        self.wait_for_strangers()?;
        let status = answers::status(self.room, &self.id)?.unwrap_or_default();
        match (self.verb, status.as_str()) {
            (Verb::Kill | Verb::Start, "stopped") => return Ok(()),
            (_, "paused") => self.call(Verb::Resume)?,
            (Verb::Start, "created") => self.call(Verb::Start)?,
            (_, "running") => {}
            (verb, status) => lxcri_testkit::fail!("{verb} made a container {status}"),
        }
        if self.verb == Verb::Kill {
            // The signal may take its effect at any moment.
            return Ok(());
        }
        let status = answers::status(self.room, &self.id)?;
        ensure_eq!(status.as_deref(), Some("running"), "in the end");
        match self.verb {
            Verb::Update => self.call(Verb::Update),
            _ => self.call(Verb::Exec),
        }
    }

    /// Waits until nothing runs but init: whatever else was at work for the command that died, or
    /// was let into the container by it, goes away by itself.
    fn wait_for_strangers(&self) -> Verdict {
        let init = std::fs::read_to_string(self.room.dir().join("pid"))?;
        let init: i32 = init.parse().context(init)?;
        process::until("the end of what the command had begun", || {
            process::reap_orphans();
            Machine::processes().into_iter().all(|pid| pid == init)
        })
    }

    /// `delete --force` removes everything, and the id can be used again.
    pub(super) fn clear(&self) -> Verdict {
        let finished = self.room.call(&["delete", "--force", &self.id])?.ok()?;
        ensure!(!self.room.root().join(&self.id).exists(), "the state is still there: {finished}");
        ensure_eq!(answers::status(self.room, &self.id)?, None, "after delete");
        process::until("the end of all processes", || {
            process::reap_orphans();
            Machine::processes().is_empty()
        })?;
        let mut bundle = self.bundle.clone();
        bundle.sh("echo again").write()?;
        let dir = bundle.dir.to_string_lossy();
        let finished = self.room.call(&["run", "--bundle", &dir, &self.id])?.ok()?;
        ensure_eq!(finished.stdout, "again\n", "the same id, used again: {finished}");
        Ok(())
    }
}

/// How a command ended, with its standard error.
pub(crate) fn said(ended: &Ended) -> String {
    let words = std::fs::read_to_string(&ended.stderr_file).unwrap_or_default();
    format!("{}: {}", ended.status, words.trim())
}

impl Victim for Scene<'_> {
    fn begin(&self) -> Verdict<Started> {
        self.begin(self.verb)
    }

    fn aftermath(&self) -> Verdict {
        self.aftermath()
    }

    fn clear(&self) -> Verdict {
        self.clear()
    }
}
