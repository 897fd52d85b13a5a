//! Which devices may be used: one default and exceptions from it, which is all that both versions of
//! control groups can hold. The rules of the bundle are worked out here, so that LXC has nothing to
//! interpret.

use lxcri_core::oci::Resources;
use lxcri_linux::cgroup::{Access, DEFAULT_ALLOWED_DEVICES, DeviceType, LayoutKind, Rule};

use super::file::Group;
use super::planner::Planner;
use super::problem::{Problem, Result};
use super::read_back::{ReadBack, Wanted};

const FIELD: &str = "linux.resources.devices";

/// The most rules of a bundle.
const RULES_MAX: usize = 1000;

/// The default and what differs from it.
#[derive(Debug, Default, PartialEq, Eq)]
struct List {
    allow_by_default: bool,
    exceptions: Vec<(Key, u8)>,
}

/// Whether block, and major and minor number, `None` for all.
type Key = (bool, Option<u32>, Option<u32>);

pub(crate) fn plan(planner: &mut Planner<'_>) -> Result<()> {
    let resources = planner.linux.resources.clone().unwrap_or_default();
    let list = List::of(&rules(&resources)?)?;
    let cgroups = &planner.host.cgroups;
    let prefix = match cgroups.kind {
        LayoutKind::V2 => "lxc.cgroup2.devices",
        LayoutKind::V1 | LayoutKind::Hybrid => "lxc.cgroup.devices",
    };
    let hierarchy = cgroups.v1_of("devices").cloned();
    if cgroups.kind != LayoutKind::V2 && hierarchy.is_none() {
        return refuse_without_controller(planner, &resources);
    }
    let (default, exception) =
        if list.allow_by_default { ("allow", "deny") } else { ("deny", "allow") };
    let mut add = |verb: &str, value: &str| {
        planner.file.add(Group::Devices, &format!("{prefix}.{verb}"), value, FIELD)
    };
    add(default, "a")?;
    let lines: Vec<_> = list.exceptions.iter().map(|(key, access)| line(*key, *access)).collect();
    lines.iter().try_for_each(|line| add(exception, line))?;
    if let Some(hierarchy) = hierarchy {
        // The exceptions of "everything" are not shown.
        let wanted = if list.allow_by_default { vec!["a *:* rwm".to_owned()] } else { lines };
        planner.read_back.push(ReadBack {
            field: FIELD.to_owned(),
            mount: hierarchy.mount,
            controller: "devices".to_owned(),
            file: "devices.list".to_owned(),
            wanted: Wanted::Lines(wanted),
        });
    }
    Ok(())
}

/// Without the controller every device can be used; nobody may believe otherwise.
fn refuse_without_controller(planner: &mut Planner<'_>, resources: &Resources) -> Result<()> {
    if !resources.devices.is_empty() {
        planner.refuse(FIELD, "the controller devices is not mounted");
    }
    Ok(())
}

/// First everything is denied, then the bundle's in order, then what every container may use.
fn rules(resources: &Resources) -> Result<Vec<Rule>> {
    if resources.devices.len() > RULES_MAX {
        let problem = format!("has {} rules, the most is {RULES_MAX}", resources.devices.len());
        return Err(Problem::field(FIELD, problem));
    }
    let own = |(index, entry)| {
        Rule::parse(entry, index).map_err(|error| Problem::field(FIELD, error.to_string()))
    };
    let mut rules = resources.devices.iter().enumerate().map(own).collect::<Result<Vec<_>>>()?;
    rules.extend(DEFAULT_ALLOWED_DEVICES);
    Ok(rules)
}

fn is_total(rule: &Rule) -> bool {
    rule.kind == DeviceType::All
        && rule.major.is_none()
        && rule.minor.is_none()
        && rule.access == Access::ALL
}

impl List {
    /// What the rules amount to.
    fn of(rules: &[Rule]) -> Result<Self> {
        let mut list = Self::default();
        for rule in rules {
            if is_total(rule) {
                list = Self { allow_by_default: rule.allow, exceptions: Vec::new() };
                continue;
            }
            let kinds: &[bool] = match rule.kind {
                DeviceType::All => &[false, true],
                DeviceType::Char => &[false],
                DeviceType::Block => &[true],
            };
            for is_block in kinds {
                let key = (*is_block, rule.major, rule.minor);
                if rule.allow == list.allow_by_default {
                    list.withdraw(key, rule)?;
                } else {
                    list.add(key, rule.access.bits());
                }
            }
        }
        list.exceptions.retain(|(_, access)| *access != 0);
        Ok(list)
    }

    fn add(&mut self, key: Key, access: u8) {
        match self.exceptions.iter_mut().find(|(other, _)| *other == key) {
            Some((_, bits)) => *bits |= access,
            None => self.exceptions.push((key, access)),
        }
    }

    /// Takes an exception back. A part of a wider one, or the other way round, no kernel can hold: a
    /// denied device would stay usable.
    fn withdraw(&mut self, key: Key, rule: &Rule) -> Result<()> {
        for (other, access) in &mut self.exceptions {
            if *other == key {
                *access &= !rule.access.bits();
            } else if overlap(*other, key)
                && *access & rule.access.bits() != 0
                // What the bundle denies by name stays denied; it did not ask for these.
                && !DEFAULT_ALLOWED_DEVICES.contains(rule)
            {
                let problem = format!(
                    "{} {} overlaps with an earlier rule in a way that LXC cannot express",
                    if rule.allow { "allow" } else { "deny" },
                    line(key, rule.access.bits())
                );
                return Err(Problem::field(FIELD, problem));
            }
        }
        Ok(())
    }
}

fn overlap(a: Key, b: Key) -> bool {
    let same = |x: Option<u32>, y: Option<u32>| x.is_none() || y.is_none() || x == y;
    a.0 == b.0 && same(a.1, b.1) && same(a.2, b.2)
}

/// As the kernel's files and both of LXC's keys have it.
fn line((is_block, major, minor): Key, access: u8) -> String {
    let number = |number: Option<u32>| number.map_or("*".to_owned(), |number| number.to_string());
    let known = [(Access::READ, 'r'), (Access::WRITE, 'w'), (Access::MKNOD, 'm')];
    let letters = known.into_iter().filter(|(bit, _)| access & bit.bits() != 0).map(|(_, l)| l);
    let kind = if is_block { 'b' } else { 'c' };
    format!("{kind} {}:{} {}", number(major), number(minor), letters.collect::<String>())
}

#[cfg(test)]
mod tests {
    use lxcri_linux::cgroup::DeviceRule;

    use super::*;

    fn rule(
        allow: bool,
        kind: Option<DeviceType>,
        numbers: (i64, i64),
        access: &str,
    ) -> DeviceRule {
        let number = |number: i64| (number >= 0).then_some(number);
        let (major, minor) = (number(numbers.0), number(numbers.1));
        DeviceRule { allow, kind, major, minor, access: Some(access.to_owned()) }
    }

    fn lines(own: Vec<DeviceRule>) -> std::result::Result<(bool, Vec<String>), String> {
        let resources = Resources { devices: own, ..Resources::default() };
        let list = rules(&resources).and_then(|rules| List::of(&rules));
        let list = list.map_err(|error| error.to_string())?;
        let lines = list.exceptions.iter().map(|(key, access)| line(*key, *access));
        Ok((list.allow_by_default, lines.collect()))
    }

    #[test]
    fn what_rules_amount_to() {
        use DeviceType::{Block, Char};
        let (allow, defaults) = lines(vec![rule(false, None, (-1, -1), "rwm")]).unwrap();
        assert!(!allow);
        let wanted = [
            "c *:* m",
            "b *:* m",
            "c 1:3 rwm",
            "c 1:5 rwm",
            "c 1:7 rwm",
            "c 1:8 rwm",
            "c 1:9 rwm",
            "c 5:0 rwm",
            "c 5:2 rwm",
            "c 136:* rwm",
        ];
        assert_eq!(defaults, wanted);
        let own =
            vec![rule(true, Some(Block), (8, 0), "r"), rule(true, Some(Char), (10, -1), "rw")];
        let (_, some) = lines(own).unwrap();
        assert_eq!(some[..2], ["b 8:0 r", "c 10:* rw"]);
        let all = vec![rule(true, None, (-1, -1), "rwm"), rule(false, Some(Block), (8, -1), "w")];
        assert_eq!(lines(all).unwrap(), (true, vec!["b 8:* w".to_owned()]));
    }

    #[test]
    fn what_no_list_can_hold() {
        use DeviceType::Char;
        let narrow =
            vec![rule(true, Some(Char), (10, -1), "rw"), rule(false, Some(Char), (10, 3), "w")];
        let error = lines(narrow).unwrap_err();
        assert!(error.contains("deny c 10:3 w overlaps"), "{error}");
        assert!(lines(vec![rule(true, None, (-1, -1), "x")]).is_err());
        assert!(lines(vec![rule(true, Some(Char), (1, 1), "r"); RULES_MAX + 1]).is_err());
        let same =
            vec![rule(true, Some(Char), (10, 3), "rw"), rule(false, Some(Char), (10, 3), "rw")];
        assert_eq!(lines(same).unwrap().1.len(), DEFAULT_ALLOWED_DEVICES.len());
    }
}
