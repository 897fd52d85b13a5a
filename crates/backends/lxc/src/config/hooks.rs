//! Which hook runs where (OCI runtime-spec config.md, "POSIX-platform Hooks").
//!
//! `prestart` and `createRuntime` belong after the namespaces exist and before the root is entered,
//! in the host's namespaces; LXC calls nobody there then. So it calls our own program in the
//! container's namespaces at that moment (`lxc.hook.mount`), which lets the host run those two and
//! then runs `createContainer` itself.

use lxcri_core::oci::Hook;

use super::file::Group;
use super::planner::Planner;
use super::problem::{Problem, Result};
use super::text;

/// The lists that this program runs on the host.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HostHooks {
    /// By the host, when the mount hook asks for it.
    pub prestart: Vec<Hook>,
    /// The same, after `prestart`.
    pub create_runtime: Vec<Hook>,
    /// By the mount hook itself, in the container's namespaces.
    pub create_container: Vec<Hook>,
    /// By the host, after the user's program was started.
    pub poststart: Vec<Hook>,
    /// By the host, after the container was deleted.
    pub poststop: Vec<Hook>,
}

impl HostHooks {
    /// Whether LXC has to call the mount hook.
    pub fn needs_mount_hook(&self) -> bool {
        !(self.prestart.is_empty()
            && self.create_runtime.is_empty()
            && self.create_container.is_empty())
    }
}

pub(crate) fn plan(planner: &mut Planner<'_>) -> Result<()> {
    let Some(hooks) = &planner.spec.hooks else { return Ok(()) };
    for (list, hooks) in hooks.lists() {
        for (index, hook) in hooks.iter().enumerate() {
            check(hook).map_err(|(what, problem)| {
                Problem::field(format!("hooks.{list}[{index}].{what}"), problem)
            })?;
        }
    }
    planner.inside.start_container.clone_from(&hooks.start_container);
    planner.hooks = HostHooks {
        prestart: hooks.prestart.clone(),
        create_runtime: hooks.create_runtime.clone(),
        create_container: hooks.create_container.clone(),
        poststart: hooks.poststart.clone(),
        poststop: hooks.poststop.clone(),
    };
    if !planner.hooks.needs_mount_hook() {
        return Ok(());
    }
    let Some(command) = &planner.how.mount_hook else {
        let early = ["prestart", "createRuntime", "createContainer"];
        for (list, _) in hooks.lists().filter(|(list, all)| early.contains(list) && !all.is_empty())
        {
            planner.refuse(&format!("hooks.{list}"), "nothing of ours is there to run it in time");
        }
        return Ok(());
    };
    let ours = |problem| Problem::Ours { what: "the command line of the mount hook", problem };
    text::check_command(command).map_err(ours)?;
    // Version 1 adds no arguments.
    planner.file.fixed(Group::Hooks, "lxc.hook.version", "1");
    planner.file.add(Group::Hooks, "lxc.hook.mount", command, "hooks")
}

fn check(hook: &Hook) -> std::result::Result<(), (String, String)> {
    let problem = |what: &str, problem: String| Err((what.to_owned(), problem));
    if let Err(wrong) = text::path(&hook.path) {
        return problem("path", wrong);
    }
    if !hook.path.is_absolute() {
        return problem("path", "must be absolute".to_owned());
    }
    if hook.timeout.is_some_and(|seconds| seconds <= 0) {
        return problem("timeout", "must be above 0".to_owned());
    }
    for (what, list) in [("args", &hook.args), ("env", &hook.env)] {
        for (index, text) in list.iter().enumerate() {
            if let Err(wrong) = text::check_no_nul(text.as_bytes()) {
                return problem(&format!("{what}[{index}]"), wrong);
            }
        }
    }
    Ok(())
}
