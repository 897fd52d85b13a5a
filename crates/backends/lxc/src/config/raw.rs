//! Raw keys of LXC, by annotations: only those that the host's configuration lists, and never one
//! that would undo what the rest of the plan says or run something on the host.

use super::file::Group;
use super::planner::Planner;
use super::problem::Result;

/// An annotation `io.proxmox-lxcri.lxc.signal.halt` sets `lxc.signal.halt`.
const PREFIX: &str = "io.proxmox-lxcri.lxc.";

/// Groups of keys that no configuration can allow: they run programs, read or write files of the
/// host, or contradict fields of config.json that were checked.
const NEVER: [&str; 21] = [
    "apparmor",
    "autodev",
    "cap",
    "cgroup",
    "cgroup2",
    "console",
    "environment",
    "ephemeral",
    "execute",
    "hook",
    "idmap",
    "include",
    "init",
    "log",
    "mount",
    "namespace",
    "no_new_privs",
    "proc",
    "rootfs",
    "seccomp",
    "selinux",
];

/// The same inside `lxc.net.N`.
const NEVER_IN_NET: &str = "script";

pub(crate) fn plan(planner: &mut Planner<'_>) -> Result<()> {
    let spec = planner.spec;
    for (name, value) in &spec.annotations {
        let Some(rest) = name.strip_prefix(PREFIX) else { continue };
        let key = format!("lxc.{rest}");
        match allowed(&planner.how.raw_keys, rest, &key) {
            Err(because) => planner.refuse("annotations", format!("{key:?} {because}")),
            Ok(()) => {
                let field = format!("annotations.{name}");
                planner.file.add(Group::Raw, &key, value, &field)?;
            }
        }
    }
    Ok(())
}

fn allowed(list: &[String], rest: &str, key: &str) -> std::result::Result<(), &'static str> {
    let known =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
    if rest.is_empty() || !rest.bytes().all(known) {
        return Err("is no key of LXC");
    }
    let mut parts = rest.split('.');
    let group = parts.next().unwrap_or_default();
    // liblxc finds some keys by their beginning alone.
    if NEVER.iter().any(|never| group.starts_with(never)) {
        return Err("can never be set by an annotation");
    }
    if group == "net" && parts.any(|part| part.starts_with(NEVER_IN_NET)) {
        return Err("can never be set by an annotation");
    }
    let matches = |entry: &String| match entry.strip_suffix('*') {
        Some(head) => head.ends_with('.') && key.starts_with(head) && key.len() > head.len(),
        None => entry == key,
    };
    if list.iter().any(matches) {
        Ok(())
    } else {
        Err("is not allowed by this host's configuration")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_decides_and_some_are_never_allowed() {
        let list = ["lxc.signal.*", "lxc.group", "lxc.*", "lxc.net.*"].map(str::to_owned);
        let judge = |rest: &str| allowed(&list, rest, &format!("lxc.{rest}"));
        for rest in ["signal.halt", "group", "start.auto", "net.0.mtu"] {
            assert_eq!(judge(rest), Ok(()), "{rest}");
        }
        for rest in NEVER {
            for rest in [rest.to_owned(), format!("{rest}.x"), format!("{rest}x")] {
                assert!(judge(&rest).unwrap_err().contains("never"), "{rest}");
            }
        }
        for rest in ["hook.pre-start", "net.0.script.up", "net.script.down", "cgroup2.memory.max"] {
            assert!(judge(rest).unwrap_err().contains("never"), "{rest}");
        }
        for rest in ["", "Signal.halt", "a b", "a=b", "a\nb", "hook\0"] {
            assert!(judge(rest).is_err(), "{rest:?}");
        }
        let few = ["lxc.signal.*", "lxc.sig*", "lxc.tty.max"].map(str::to_owned);
        for (rest, wanted) in
            [("tty.max", true), ("tty.maxi", false), ("sigx", false), ("signal", false)]
        {
            assert_eq!(allowed(&few, rest, &format!("lxc.{rest}")).is_ok(), wanted, "{rest}");
        }
    }
}
