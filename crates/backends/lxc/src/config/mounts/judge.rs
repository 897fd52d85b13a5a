//! What a mount is, and whether its words mean something here.

use std::path::Path;

use lxcri_core::oci::{Mount, NamespaceKind, REPLACEABLE_PROC_FILES};
use lxcri_linux::beneath::normal;
use lxcri_linux::mount::{Bind, Options, PropagationKind};

use super::super::planner::Planner;
use super::super::problem::{Problem, Result};
use super::super::text;

/// A mount, told apart.
pub(crate) enum Judged {
    /// A bind mount.
    Bind(Options, Bind),
    /// The container's control groups.
    Cgroup(Options),
    /// A new filesystem.
    New(Options),
}

/// Judges one mount. `None` where it was refused.
pub(super) fn judge(
    planner: &mut Planner<'_>,
    field: &str,
    mount: &Mount,
) -> Result<Option<Judged>> {
    let wrong = |what: &str, problem: String| Problem::field(format!("{field}{what}"), problem);
    text::path(&mount.destination).map_err(|problem| wrong(".destination", problem))?;
    text::path(mount.source.as_deref().unwrap_or(Path::new("")))
        .map_err(|problem| wrong(".source", problem))?;
    for (index, word) in mount.options.iter().enumerate() {
        let what = format!(".options[{index}]");
        text::check_one_line(word.as_bytes()).map_err(|problem| wrong(&what, problem))?;
    }
    let kind = mount.kind.as_deref().unwrap_or_default();
    text::check_one_line(kind.as_bytes()).map_err(|problem| wrong(".type", problem))?;
    if kind.contains(char::is_whitespace) || kind.starts_with('#') {
        return Err(wrong(".type", format!("{kind:?} is no filesystem")));
    }
    if mount.destination.as_os_str().is_empty() {
        return Err(wrong(".destination", "is empty".to_owned()));
    }
    if normal(&mount.destination) == Path::new("/") {
        let problem = "is the root itself, which root.path names".to_owned();
        return Err(wrong(".destination", problem));
    }
    let options = Options::parse(mount.options.iter().map(String::as_str));
    let bind = options.bind().or((kind == "bind").then_some(Bind::Single));
    let judged = match bind {
        Some(bind) => judge_bind(planner, &wrong, mount, options, bind)?,
        None => judge_new(planner, &wrong, mount, options)?,
    };
    check_proc(&mount.destination, kind, bind.is_some())
        .map_err(|problem| wrong(".destination", problem))?;
    Ok(judged)
}

/// Makes an error of a property and what is wrong with it.
type Wrong<'w> = dyn Fn(&str, String) -> Problem + 'w;

fn judge_bind(
    planner: &mut Planner<'_>,
    wrong: &Wrong<'_>,
    mount: &Mount,
    options: Options,
    bind: Bind,
) -> Result<Option<Judged>> {
    if let Some(word) = options.unknown_for_bind() {
        let problem = format!("unknown mount option {word:?} for a bind mount");
        return Err(wrong(".options", problem));
    }
    if mount.source.as_ref().is_none_or(|source| source.as_os_str().is_empty()) {
        return Err(wrong(".source", "a bind mount needs one".to_owned()));
    }
    for word in options.superblock_words() {
        planner.ignore("mounts[].options", format!("{word:?} has no meaning for a bind mount"));
    }
    let mut is_refused = refuses_shared(planner, &options);
    is_refused |= refuses_idmap(planner, wrong, mount, &options, bind)?;
    Ok((!is_refused).then_some(Judged::Bind(options, bind)))
}

/// What is mounted inside would never show on the host, which is what is asked for.
fn refuses_shared(planner: &mut Planner<'_>, options: &Options) -> bool {
    let Some(propagation) = options.propagation() else { return false };
    if propagation.kind != PropagationKind::Shared {
        return false;
    }
    let word = if propagation.recursive { "rshared" } else { "shared" };
    let because = "LXC cuts a container's mounts off from the host's";
    planner.refuse(&format!("mounts[].options[]={word}"), because);
    true
}

/// LXC maps a mount by the container's own user namespace, or by one that exists as a file.
fn refuses_idmap(
    planner: &mut Planner<'_>,
    wrong: &Wrong<'_>,
    mount: &Mount,
    options: &Options,
    bind: Bind,
) -> Result<bool> {
    let mut is_refused = false;
    for (field, ranges) in
        [("uidMappings", &mount.uid_mappings), ("gidMappings", &mount.gid_mappings)]
    {
        if !ranges.is_empty() {
            let because = "LXC maps a mount by the container's own ids only";
            planner.refuse(&format!("mounts[].{field}"), because);
            is_refused = true;
        }
    }
    let Some(word) = options.id_mapped().filter(|_| !is_refused) else { return Ok(is_refused) };
    if !planner.namespaces.is_new(NamespaceKind::User) {
        let problem = "an idmapped mount needs a new user namespace of the container";
        return Err(wrong(".options", problem.to_owned()));
    }
    if !super::idmap_fits(bind, word) {
        let because = "LXC maps all mounts of a recursive bind mount; ask for ridmap";
        planner.refuse("mounts[].options[]=idmap", because);
        return Ok(true);
    }
    Ok(false)
}

fn judge_new(
    planner: &mut Planner<'_>,
    wrong: &Wrong<'_>,
    mount: &Mount,
    options: Options,
) -> Result<Option<Judged>> {
    let kind = mount.kind.as_deref().unwrap_or_default();
    if kind.is_empty() || kind == "none" {
        let problem = "is missing, and the options do not say bind".to_owned();
        return Err(wrong(".type", problem));
    }
    if options.id_mapped().is_some() {
        return Err(wrong(".options", "only a bind mount can be idmapped".to_owned()));
    }
    if !mount.uid_mappings.is_empty() || !mount.gid_mappings.is_empty() {
        return Err(wrong(".uidMappings", "only a bind mount can be idmapped".to_owned()));
    }
    let remounts = |word: &String| word == "remount";
    if mount.options.iter().any(remounts) {
        planner.refuse("mounts[].options[]=remount", "LXC ignores it");
        return Ok(None);
    }
    if refuses_shared(planner, &options) {
        return Ok(None);
    }
    if matches!(kind, "cgroup" | "cgroup2") {
        return Ok(Some(Judged::Cgroup(options)));
    }
    Ok(Some(Judged::New(options)))
}

/// The first word for a new filesystem that liblxc drops without saying so.
pub(super) fn beyond_liblxc(kind: &str, options: &Options) -> Option<String> {
    const NOSYMFOLLOW: u32 = 0x20_0000;
    let asked = options.attributes().set;
    if asked & NOSYMFOLLOW != 0 {
        return Some("nosymfollow".to_owned());
    }
    if !options.recursive_attributes().is_empty() {
        return Some("recursive attributes".to_owned());
    }
    let dropped = |(key, value): &(&str, Option<&str>)| {
        value.is_none() && !(kind == "devpts" && *key == "newinstance")
    };
    options.data().find(dropped).map(|(key, _)| key.to_owned())
}

/// Keeps mounts away from /proc: whoever can put files there can lie to every tool in the container
/// (CVE-2019-16884).
fn check_proc(destination: &Path, kind: &str, is_bind: bool) -> std::result::Result<(), String> {
    let path = normal(destination);
    if !path.starts_with("/proc")
        || REPLACEABLE_PROC_FILES.iter().any(|allowed| Path::new(allowed) == path)
    {
        return Ok(());
    }
    if path != Path::new("/proc") {
        return Err(format!("{} cannot be mounted over: it is inside /proc", path.display()));
    }
    if kind == "proc" && !is_bind {
        return Ok(());
    }
    Err("only proc can be mounted at /proc".to_owned())
}
