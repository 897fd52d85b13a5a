//! The configuration file: lines in groups, each group with a comment, in an order that people read.

use super::problem::{Problem, Result};
use super::text;

/// The groups, in the order of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Group {
    Identity,
    Root,
    Namespaces,
    Ids,
    Mounts,
    Devices,
    Limits,
    Rights,
    Kernel,
    Network,
    Console,
    Hooks,
    Raw,
}

/// Each group with the comment above it.
const GROUPS: [(Group, &str); 13] = [
    (Group::Identity, "who it is, and what runs first inside"),
    (Group::Root, "the root file system"),
    (Group::Namespaces, "namespaces: made anew and joined; all others are the host's"),
    (Group::Ids, "user and group ids: inside, outside, how many"),
    (Group::Mounts, "mounts, in order"),
    (Group::Devices, "which devices may be used; lxcri-init or a mount makes the nodes"),
    (Group::Limits, "limits of the control group"),
    (Group::Rights, "capabilities and security modules"),
    (Group::Kernel, "parameters of the kernel and ceilings of the process"),
    (Group::Network, "network"),
    (Group::Console, "no console of LXC's: the container gets its own descriptors"),
    (Group::Hooks, "called by LXC before the root file system is entered"),
    (Group::Raw, "from annotations, as the configuration of this host allows"),
];

/// The file while it is written.
#[derive(Debug, Default)]
pub(crate) struct File {
    lines: [Vec<String>; GROUPS.len()],
}

impl File {
    /// Adds `key = value`; `field` is where the value comes from, for the error.
    pub(crate) fn add(&mut self, group: Group, key: &str, value: &str, field: &str) -> Result<()> {
        let wrong = |problem| Problem::field(field, problem);
        text::check_key(key).map_err(wrong)?;
        text::check_value(value).map_err(wrong)?;
        self.lines[group as usize].push(format!("{key} = {value}"));
        Ok(())
    }

    /// Adds a line whose key and value are this program's own words.
    pub(crate) fn fixed(&mut self, group: Group, key: &'static str, value: &'static str) {
        self.lines[group as usize].push(format!("{key} = {value}"));
    }

    /// The text.
    pub(crate) fn text(&self) -> String {
        let mut text = String::from(
            "# Written by proxmox-lxcri from the container's config.json, anew at each start.\n",
        );
        for (group, comment) in GROUPS {
            let lines = &self.lines[group as usize];
            if !lines.is_empty() {
                text.push_str(&format!("\n# {comment}\n{}\n", lines.join("\n")));
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_in_order_and_have_their_comment() {
        for (index, (group, comment)) in GROUPS.iter().enumerate() {
            assert_eq!(*group as usize, index);
            assert!(!comment.contains('\n'));
        }
        let mut file = File::default();
        file.fixed(Group::Console, "lxc.tty.max", "0");
        file.add(Group::Identity, "lxc.uts.name", "box", "hostname").unwrap();
        let text = file.text();
        let lines: Vec<_> = text.lines().skip(1).collect();
        assert_eq!(lines[1..3], ["# who it is, and what runs first inside", "lxc.uts.name = box"]);
        assert_eq!(lines[5], "lxc.tty.max = 0");
    }

    #[test]
    fn a_line_is_one_line() {
        let mut file = File::default();
        for (key, value) in
            [("lxc.uts.name", "a\nlxc.hook.start = /x"), ("lxc.a\nlxc.b", "x"), ("lxc.a", "")]
        {
            let error = file.add(Group::Raw, key, value, "hostname").unwrap_err();
            assert!(error.to_string().starts_with("hostname: "), "{error}");
        }
        assert_eq!(file.text().lines().count(), 1);
    }
}
