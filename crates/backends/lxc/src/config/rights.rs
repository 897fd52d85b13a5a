//! AppArmor and SELinux.

use super::file::Group;
use super::how::{AppArmor, By};
use super::planner::Planner;
use super::problem::{Problem, Result};
use super::text;

/// What configurations call the absence of a profile.
const UNCONFINED: &str = "unconfined";

/// Words that mean something else than a profile of that name to LXC.
const WORDS_OF_LXC: [&str; 2] = ["generated", "unchanged"];

pub(crate) fn plan(planner: &mut Planner<'_>) -> Result<()> {
    apparmor(planner)?;
    selinux(planner)
}

fn apparmor(planner: &mut Planner<'_>) -> Result<()> {
    const FIELD: &str = "process.apparmorProfile";
    let process = planner.spec.process.as_ref();
    let asked = process.and_then(|process| process.apparmor_profile.as_deref());
    let asked = asked.filter(|profile| !profile.is_empty());
    if let Some(name) = asked {
        text::check_value(name).map_err(|problem| Problem::field(FIELD, problem))?;
        if WORDS_OF_LXC.contains(&name) {
            return Err(Problem::field(FIELD, format!("{name:?} is no name of a profile")));
        }
    }
    if !planner.host.apparmor {
        if asked.is_some() {
            planner.refuse(FIELD, "this kernel runs no AppArmor");
        }
        return Ok(());
    }
    let profile = match asked {
        None => planner.how.default_apparmor.clone(),
        Some(UNCONFINED) => AppArmor::Unconfined,
        Some(name) => AppArmor::Named(name.to_owned()),
    };
    let mut in_lxc = match &profile {
        AppArmor::Generated => "generated",
        AppArmor::Unconfined => UNCONFINED,
        AppArmor::Named(name) => name.as_str(),
    };
    // A generated profile has no name before LXC has made it.
    if planner.how.apparmor == By::Init
        && let AppArmor::Named(name) = &profile
    {
        planner.inside.apparmor_profile = Some(name.clone());
        in_lxc = UNCONFINED;
    }
    planner.file.add(Group::Rights, "lxc.apparmor.profile", in_lxc, FIELD)
}

fn selinux(planner: &mut Planner<'_>) -> Result<()> {
    const FIELD: &str = "process.selinuxLabel";
    let process = planner.spec.process.as_ref();
    let label = process.and_then(|process| process.selinux_label.as_deref());
    if let Some(label) = label.filter(|label| !label.is_empty()) {
        text::check_value(label).map_err(|problem| Problem::field(FIELD, problem))?;
        if planner.host.selinux {
            planner.file.add(Group::Rights, "lxc.selinux.context", label, FIELD)?;
        } else {
            planner.refuse(FIELD, "this kernel runs no SELinux");
        }
    }
    let label = planner.linux.mount_label.clone().filter(|label| !label.is_empty());
    if let Some(label) = label {
        text::check_one_line(label.as_bytes())
            .map_err(|problem| Problem::field("linux.mountLabel", problem))?;
        planner.refuse("linux.mountLabel", "LXC labels no mounts");
    }
    Ok(())
}
