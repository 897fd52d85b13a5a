//! Two commands at once on one container.

use lxcri_testkit::Verdict;
use lxcri_testkit::ensure;
use lxcri_testkit::process;
use lxcri_testkit::process::DEADLINE;
use lxcri_testkit::process::Started;
use lxcri_testkit::process::exit_code;
use rustix::process::Signal;

use super::Scene;
use super::Verb;
use super::words;
use crate::crash::scene::said;

/// The variable that names the step at which a process stops (`crates/linux/src/step.rs`).
const STOP: &str = "LXCRI_STOP_POINT";

impl Scene<'_> {
    /// A `delete` that comes when the root filesystem is made and the backend's part is not: nothing
    /// is taken from under `create`, and then all is removed.
    pub(in super::super) fn delete_waits(&self) -> Verdict {
        let mut create = self.command(&words(&self.words(Verb::Create)));
        create.env(STOP, "image-create/bundle");
        let creating = Started::new(&mut create, self.room.dir(), "creating", None)?;
        process::until("create stops before the backend's part", || {
            process::state_of(creating.pid()) == Some('T')
        })?;
        let mut delete = self.command(&["delete", &self.id]);
        let deleting = Started::new(&mut delete, self.room.dir(), "deleting", None)?;
        let (pid, directory) = (deleting.pid(), self.data("containers").join(&self.id));
        let is_waiting = || {
            let open = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
            open.into_iter().any(|fd| std::fs::read_link(fd.path()).is_ok_and(|to| to == directory))
        };
        let waited = process::until("delete waits for the container's directory", is_waiting);
        process::signal(creating.pid(), Signal::CONT);
        let created = creating.wait(DEADLINE)?;
        let deleted = deleting.wait(DEADLINE)?;
        ensure!(exit_code(created.status) == 0, "create: {}", said(&created));
        ensure!(exit_code(deleted.status) == 0, "delete: {}", said(&deleted));
        waited
    }
}
