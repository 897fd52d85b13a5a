//! Limits as the kernel shows them: liblxc passes over keys for the other cgroup version, and device
//! rules that it may not write, with a warning in its log and exit code 0.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The granularity of memory limits in bytes: the kernel rounds down to pages, of up to 64 KiB.
const PAGE_MAX: u64 = 65_536;

/// A file that must hold a value once the container runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadBack {
    /// The field of config.json that asked for it.
    pub field: String,
    /// Where the hierarchy is mounted.
    pub mount: PathBuf,
    /// The v1 controller, as in `/proc/PID/cgroup`; empty for the v2 tree.
    pub controller: String,
    /// The file's name in the container's cgroup.
    pub file: String,
    /// What it must hold.
    pub wanted: Wanted,
}

/// What a file must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// These words.
    Words(String),
    /// This many bytes, rounded down to a page by the kernel.
    Bytes(u64),
    /// No limit: `max`, or so large a number that it is none.
    Unlimited,
    /// This set of CPUs or nodes, however it is written.
    Set(String),
    /// For a device: the number after its name, or after `default`.
    Weight(Option<(i64, i64)>, u64),
    /// For a device (major, minor): this setting in its line. A rate of 0 or `max` is no limit.
    Rate((i64, i64), &'static str, u64),
    /// Exactly these lines, in any order.
    Lines(Vec<String>),
    /// Only that it can be read: the kernel writes such values in a form of its own.
    Anything,
}

impl ReadBack {
    /// The file, given the text of `/proc/PID/cgroup` of the container's init. `None` where init is
    /// in no cgroup of that hierarchy.
    pub fn path(&self, proc_cgroup: &str) -> Option<PathBuf> {
        let own = proc_cgroup.lines().find_map(|line| {
            let mut parts = line.splitn(3, ':').skip(1);
            let (controllers, path) = (parts.next()?, parts.next()?);
            let is_it = match self.controller.as_str() {
                "" => controllers.is_empty(),
                name => controllers.split(',').any(|controller| controller == name),
            };
            is_it.then_some(path)
        })?;
        let below = Path::new(own).strip_prefix("/").ok()?;
        Some(self.mount.join(below).join(&self.file))
    }
}

impl Wanted {
    /// Whether the text of the file is what was asked for.
    pub fn holds(&self, found: &str) -> bool {
        let found = found.trim();
        match self {
            Self::Words(words) => words.split_whitespace().eq(found.split_whitespace()),
            Self::Bytes(bytes) => {
                number(found).is_some_and(|shown| shown <= *bytes && bytes - shown < PAGE_MAX)
            }
            // v1 shows the largest multiple of a page.
            Self::Unlimited => {
                found == "max" || found == "-1" || number(found).is_some_and(|n| n > 1 << 62)
            }
            Self::Set(list) => match (set(list), set(found)) {
                (Some(wanted), Some(found)) => wanted == found,
                _ => false,
            },
            Self::Weight(device, weight) => {
                let name = device.map_or("default".to_owned(), |(a, b)| format!("{a}:{b}"));
                found.lines().any(|line| weight_of(line, &name) == Some(*weight))
                    || device.is_none() && number(found) == Some(*weight)
            }
            Self::Rate(device, key, rate) => rate_of(found, *device, key) == limit(*rate),
            Self::Lines(lines) => {
                let wanted: BTreeSet<&str> = lines.iter().map(String::as_str).collect();
                wanted == found.lines().map(str::trim).collect()
            }
            Self::Anything => true,
        }
    }
}

fn number(text: &str) -> Option<u64> {
    text.parse().ok()
}

fn limit(rate: u64) -> Option<u64> {
    (rate != 0).then_some(rate)
}

fn weight_of(line: &str, name: &str) -> Option<u64> {
    number(line.strip_prefix(name)?.trim())
}

/// The limit of a device: `8:0 1000` on v1, `8:0 rbps=1000 wbps=max` on v2.
fn rate_of(text: &str, (major, minor): (i64, i64), key: &str) -> Option<u64> {
    let name = format!("{major}:{minor}");
    let line = text.lines().map(str::trim).find(|line| line.split(' ').next() == Some(&name))?;
    let rest = line[name.len()..].trim();
    match rest.split(' ').find_map(|word| word.strip_prefix(key)?.strip_prefix('=')) {
        Some(value) => number(value),
        None => number(rest).and_then(limit),
    }
}

/// The members of a list such as `0-3,7`; bounded, because a list may name any range.
fn set(list: &str) -> Option<BTreeSet<u32>> {
    const MOST: u32 = 65_536;
    let mut members = BTreeSet::new();
    for part in list.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u32, u32) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        if last >= MOST {
            return None;
        }
        members.extend(first..=last);
    }
    Some(members)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_shows() {
        let words = |text: &str| Wanted::Words(text.to_owned());
        let rate = |key, value| Wanted::Rate((8, 0), key, value);
        let good = [
            (words("50000 100000"), "50000 100000\n"),
            (words("512"), "512\n"),
            (Wanted::Bytes(67_108_865), "67108864\n"),
            (Wanted::Unlimited, "max\n"),
            (Wanted::Unlimited, "9223372036854771712\n"),
            (Wanted::Set("0,1,2".into()), "0-2\n"),
            (Wanted::Weight(None, 500), "500\n"),
            (Wanted::Weight(None, 500), "default 500\n8:0 3\n"),
            (Wanted::Weight(Some((8, 0)), 3), "default 500\n8:0 3\n"),
            (rate("", 1000), "8:16 5\n8:0 1000\n"),
            (rate("rbps", 1000), "8:0 rbps=1000 wbps=max riops=max wiops=max\n"),
            (rate("wbps", 0), "8:0 rbps=1000 wbps=max riops=max wiops=max\n"),
            (rate("rbps", 0), "\n"),
            (Wanted::Lines(vec!["c 1:3 rwm".into(), "b *:* m".into()]), "b *:* m\nc 1:3 rwm\n"),
            (Wanted::Anything, ""),
        ];
        for (wanted, found) in good {
            assert!(wanted.holds(found), "{wanted:?} in {found:?}");
        }
        let bad = [
            (words("512"), "5120"),
            (words("512"), ""),
            (Wanted::Bytes(67_108_864), "67108865"),
            (Wanted::Bytes(67_108_864), "9223372036854771712"),
            (Wanted::Bytes(67_108_864), "max"),
            (Wanted::Unlimited, "4096"),
            (Wanted::Set("0-1".into()), "0"),
            (Wanted::Set("0-4294967295".into()), "0-4294967295"),
            (Wanted::Weight(None, 500), "default 100"),
            (rate("rbps", 1000), "8:0 rbps=max wbps=1000"),
            (rate("rbps", 1000), "8:01 rbps=1000"),
            (Wanted::Lines(vec!["c 1:3 rwm".into()]), "a *:* rwm"),
            (Wanted::Lines(vec!["c 1:3 rwm".into()]), "c 1:3 rwm\nb *:* m"),
        ];
        for (wanted, found) in bad {
            assert!(!wanted.holds(found), "{wanted:?} in {found:?}");
        }
    }

    #[test]
    fn where_the_file_is() {
        let file = |mount: &str, controller: &str| ReadBack {
            field: String::new(),
            mount: mount.into(),
            controller: controller.into(),
            file: "x.max".into(),
            wanted: Wanted::Anything,
        };
        let text = "3:cpu,cpuacct:/lxc.payload.a\n2:name=systemd:/x\n0::/lxc.payload.a-1\n";
        let table = [
            (file("/cg/cpu", "cpu"), Some("/cg/cpu/lxc.payload.a/x.max")),
            (file("/cg/unified", ""), Some("/cg/unified/lxc.payload.a-1/x.max")),
            (file("/cg/memory", "memory"), None),
            (file("/cg/cpu", "cp"), None),
        ];
        for (file, wanted) in table {
            assert_eq!(file.path(text), wanted.map(Into::into), "{file:?}");
        }
    }
}
