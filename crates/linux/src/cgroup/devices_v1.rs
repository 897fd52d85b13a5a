//! Device rules on cgroup v1: the list that rules amount to, and the writes that lead there.
//!
//! The kernel keeps a default and a list of exceptions (kernel: cgroup-v1/devices.rst,
//! security/device_cgroup.c). Writing only the difference keeps the devices of a running container
//! usable while its rules are replaced.

use super::devices::{Access, DEFAULT_ALLOWED_DEVICES, Rule};
use super::directory::{Directory, write_once};
use super::error::{Error, Result};
use super::resources::DeviceType;

/// What `devices.list` holds.
#[derive(Debug, Clone, PartialEq, Eq)]
struct List {
    allow_by_default: bool,
    exceptions: Vec<Exception>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Exception {
    key: Key,
    access: u8,
}

/// Type (never "all"), major and minor.
type Key = (DeviceKind, Option<u32>, Option<u32>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DeviceKind {
    Char,
    Block,
}

/// One write: into `devices.allow` or `devices.deny`.
#[derive(Debug, PartialEq, Eq)]
struct Write {
    allow: bool,
    text: String,
}

/// Makes the rules of the cgroup those in `rules`. `fresh`: the cgroup was just made, so there is
/// nothing to keep and nothing to read.
pub(super) fn apply(directory: &Directory, rules: &[Rule], fresh: bool) -> Result<()> {
    let target = emulate(rules)?;
    let current = if fresh {
        None
    } else {
        let text = directory.read("devices.list")?;
        let path = directory.path().join("devices.list");
        let list = parse(&text).ok_or(Error::Content { path, content: text })?;
        // With the default "allow" the kernel does not show the exceptions, so they are unknown.
        (!list.allow_by_default).then_some(list)
    };
    let writes = transition(current.as_ref(), &target);
    // Writes to one file follow each other, so that it is opened once for all of them.
    for run in writes.chunk_by(|a, b| a.allow == b.allow) {
        write_run(directory, run)?;
    }
    Ok(())
}

fn write_run(directory: &Directory, run: &[Write]) -> Result<()> {
    let allow = run.first().is_some_and(|write| write.allow);
    let file = if allow { "devices.allow" } else { "devices.deny" };
    let fd = directory.open_for_writing(file)?;
    for write in run {
        write_once(&fd, write.text.as_bytes())
            .map_err(|e| directory.write_failed(file, &write.text, e))?;
    }
    Ok(())
}

/// What the kernel would end up with if the rules were written one after the other.
///
/// # Errors
/// When a rule takes away a part of a wider one (or the other way round), which the kernel's list
/// cannot express: it would be ignored, and a denied device would stay usable.
fn emulate(rules: &[Rule]) -> Result<List> {
    let mut list = List { allow_by_default: false, exceptions: Vec::new() };
    for rule in rules {
        if rule.is_total() {
            list = List { allow_by_default: rule.allow, exceptions: Vec::new() };
            continue;
        }
        for kind in kinds(rule.kind) {
            let key = (kind, rule.major, rule.minor);
            if rule.allow == list.allow_by_default {
                list.withdraw(key, rule)?;
            } else {
                list.add(key, rule.access.bits());
            }
        }
    }
    list.exceptions.retain(|e| e.access != 0);
    Ok(list)
}

fn kinds(kind: DeviceType) -> Vec<DeviceKind> {
    match kind {
        DeviceType::All => vec![DeviceKind::Char, DeviceKind::Block],
        DeviceType::Char => vec![DeviceKind::Char],
        DeviceType::Block => vec![DeviceKind::Block],
    }
}

impl List {
    fn add(&mut self, key: Key, access: u8) {
        match self.exceptions.iter_mut().find(|e| e.key == key) {
            Some(exception) => exception.access |= access,
            None => self.exceptions.push(Exception { key, access }),
        }
    }

    fn withdraw(&mut self, key: Key, rule: &Rule) -> Result<()> {
        for exception in &mut self.exceptions {
            if exception.key == key {
                exception.access &= !rule.access.bits();
            } else if overlap(exception.key, key)
                && exception.access & rule.access.bits() != 0
                // What the configuration denies by name stays denied; it did not ask for these.
                && !DEFAULT_ALLOWED_DEVICES.contains(rule)
            {
                return Err(Error::Invalid {
                    field: "devices".into(),
                    value: describe(rule),
                    reason: "overlaps with an earlier rule in a way that cgroup v1 cannot express",
                });
            }
        }
        Ok(())
    }

    fn access(&self, key: Key) -> u8 {
        self.exceptions.iter().find(|e| e.key == key).map_or(0, |e| e.access)
    }
}

fn overlap(a: Key, b: Key) -> bool {
    let same = |x: Option<u32>, y: Option<u32>| x.is_none() || y.is_none() || x == y;
    a.0 == b.0 && same(a.1, b.1) && same(a.2, b.2)
}

fn describe(rule: &Rule) -> String {
    let verb = if rule.allow { "allow" } else { "deny" };
    let kind = match rule.kind {
        DeviceType::All => 'a',
        DeviceType::Char => 'c',
        DeviceType::Block => 'b',
    };
    let number = |n: Option<u32>| n.map_or("*".to_owned(), |n| n.to_string());
    let (major, minor) = (number(rule.major), number(rule.minor));
    format!("`{verb} {kind} {major}:{minor} {}`", rule.access.letters())
}

/// The writes that lead from `current` (`None`: unknown, start from nothing) to `target`.
fn transition(current: Option<&List>, target: &List) -> Vec<Write> {
    let allow = target.allow_by_default;
    let mut writes = Vec::new();
    let empty = List { allow_by_default: allow, exceptions: Vec::new() };
    let current = match current {
        Some(current) if current.allow_by_default == allow => current,
        _ => {
            writes.push(Write { allow, text: "a".to_owned() });
            &empty
        }
    };
    // Grant before taking away: what stays allowed by another rule is never interrupted.
    for exception in &target.exceptions {
        let new = exception.access & !current.access(exception.key);
        if new != 0 {
            writes.push(Write { allow: !allow, text: text(exception.key, new) });
        }
    }
    for exception in &current.exceptions {
        let gone = exception.access & !target.access(exception.key);
        if gone != 0 {
            writes.push(Write { allow, text: text(exception.key, gone) });
        }
    }
    writes
}

fn text((kind, major, minor): Key, access: u8) -> String {
    let kind = if kind == DeviceKind::Char { 'c' } else { 'b' };
    let number = |n: Option<u32>| n.map_or("*".to_owned(), |n| n.to_string());
    format!("{kind} {}:{} {}", number(major), number(minor), Access::from_bits(access).letters())
}

/// Reads `devices.list`.
fn parse(text: &str) -> Option<List> {
    let mut list = List { allow_by_default: false, exceptions: Vec::new() };
    for line in text.lines() {
        if line == "a *:* rwm" {
            list.allow_by_default = true;
            continue;
        }
        let mut words = line.split(' ');
        let kind = match words.next()? {
            "c" => DeviceKind::Char,
            "b" => DeviceKind::Block,
            _ => return None,
        };
        let (major, minor) = words.next()?.split_once(':')?;
        let number = |text: &str| match text {
            "*" => Some(None),
            digits => digits.parse().ok().map(Some),
        };
        let mut access = 0;
        for letter in words.next()?.chars() {
            access |= match letter {
                'r' => Access::READ.bits(),
                'w' => Access::WRITE.bits(),
                'm' => Access::MKNOD.bits(),
                _ => return None,
            };
        }
        list.add((kind, number(major)?, number(minor)?), access);
    }
    Some(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(allow: bool, kind: DeviceType, major: u32, minor: Option<u32>, access: u8) -> Rule {
        let major = (major != 0).then_some(major);
        Rule { allow, kind, major, minor, access: Access::from_bits(access) }
    }

    const DENY_ALL: Rule =
        Rule { allow: false, kind: DeviceType::All, major: None, minor: None, access: Access::ALL };

    fn lines(writes: &[Write]) -> Vec<String> {
        writes.iter().map(|w| format!("{}{}", if w.allow { '+' } else { '-' }, w.text)).collect()
    }

    #[test]
    fn a_new_cgroup_denies_everything_first() {
        let rules = [
            DENY_ALL,
            rule(true, DeviceType::Char, 1, Some(3), 7),
            rule(true, DeviceType::All, 10, None, 6),
            rule(true, DeviceType::Char, 1, Some(3), 2),
        ];
        let target = emulate(&rules).unwrap();
        assert_eq!(
            lines(&transition(None, &target)),
            ["-a", "+c 1:3 rwm", "+c 10:* rw", "+b 10:* rw"]
        );
    }

    #[test]
    fn a_partial_rule_of_type_all_is_never_written_as_a() {
        let target = emulate(&[DENY_ALL, rule(true, DeviceType::All, 1, Some(3), 7)]).unwrap();
        assert!(!lines(&transition(None, &target)).contains(&"+a".to_owned()));
    }

    #[test]
    fn an_update_writes_only_the_difference() {
        let current = parse("c *:* m\nc 1:3 rwm\nb 8:0 r\n").unwrap();
        let target = emulate(&[
            rule(true, DeviceType::Char, 0, None, 1),
            rule(true, DeviceType::Char, 1, Some(3), 3),
            rule(true, DeviceType::Char, 5, Some(1), 6),
        ])
        .unwrap();
        assert_eq!(
            lines(&transition(Some(&current), &target)),
            ["+c 5:1 rw", "-c 1:3 w", "-b 8:0 r"]
        );
        assert_eq!(transition(Some(&target), &target), []);
    }

    #[test]
    fn the_default_can_change() {
        let allow_all = Rule { allow: true, ..DENY_ALL };
        let target =
            emulate(&[DENY_ALL, allow_all, rule(false, DeviceType::Block, 8, None, 7)]).unwrap();
        assert_eq!(lines(&transition(None, &target)), ["+a", "-b 8:* rwm"]);
        let all = parse("a *:* rwm\n").unwrap();
        let none = emulate(&[DENY_ALL]).unwrap();
        assert_eq!(lines(&transition(Some(&all), &none)), ["-a"]);
    }

    #[test]
    fn what_v1_cannot_express_is_refused() {
        let narrow_after_wide = [
            rule(true, DeviceType::Char, 1, None, 7),
            rule(false, DeviceType::Char, 1, Some(3), 4),
        ];
        let wide_after_narrow =
            [rule(true, DeviceType::Char, 1, Some(3), 7), rule(false, DeviceType::All, 0, None, 4)];
        for rules in [narrow_after_wide, wide_after_narrow] {
            let e = emulate(&rules).unwrap_err();
            assert!(e.to_string().contains("`deny "), "{e}");
        }
        // The same device, or nothing in common, is fine.
        let same = [
            rule(true, DeviceType::Char, 1, Some(3), 7),
            rule(false, DeviceType::Char, 1, Some(3), 7),
        ];
        assert_eq!(emulate(&same).unwrap().exceptions, []);
        let apart =
            [rule(true, DeviceType::Char, 1, Some(3), 2), rule(false, DeviceType::All, 0, None, 4)];
        assert_eq!(emulate(&apart).unwrap().exceptions.len(), 1);
    }

    #[test]
    fn the_default_devices_never_clash_with_a_configuration() {
        let allow_all = Rule { allow: true, ..DENY_ALL };
        let mut rules = vec![DENY_ALL, allow_all, rule(false, DeviceType::Block, 8, None, 7)];
        rules.extend(DEFAULT_ALLOWED_DEVICES);
        assert_eq!(lines(&transition(None, &emulate(&rules).unwrap())), ["+a", "-b 8:* rwm"]);
    }

    #[test]
    fn lists_of_the_kernel() {
        for text in ["x 1:3 rwm", "c 1 rwm", "c 1:3 x", "c 1:3", "c a:b r", "c -1:3 r", "c 1:3:4 r"]
        {
            assert!(parse(text).is_none(), "{text:?} was accepted");
        }
        assert_eq!(parse("").unwrap().exceptions, []);
    }
}
