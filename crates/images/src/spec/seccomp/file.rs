//! A profile of the user's: config.json's form, or Docker's, whose rules can depend on
//! capabilities, machines and the kernel.

use lxcri_linux::seccomp::{Argument, Profile, Rule};
use serde::Deserialize;

use super::Target;

/// The most bytes of a profile.
pub(in crate::spec) const MAX_PROFILE: u64 = 4 << 20;

/// What may stand in the file, in both forms.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct File {
    default_action: String,
    default_errno_ret: Option<u32>,
    #[serde(default)]
    architectures: Option<Vec<String>>,
    #[serde(default)]
    arch_map: Option<Vec<Architecture>>,
    flags: Option<Vec<String>>,
    listener_path: Option<String>,
    listener_metadata: Option<String>,
    #[serde(default)]
    syscalls: Option<Vec<Conditional>>,
}

/// A machine's own calls and those of others that its kernel takes.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Architecture {
    architecture: String,
    #[serde(default)]
    sub_architectures: Option<Vec<String>>,
}

/// A rule with its conditions.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Conditional {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    names: Option<Vec<String>>,
    action: String,
    errno_ret: Option<u32>,
    #[serde(default)]
    args: Option<Vec<Argument>>,
    #[serde(default)]
    includes: Option<Filter>,
    #[serde(default)]
    excludes: Option<Filter>,
    #[serde(default, rename = "comment")]
    _comment: Option<String>,
}

/// When a rule counts.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Filter {
    #[serde(default)]
    caps: Option<Vec<String>>,
    #[serde(default)]
    arches: Option<Vec<String>>,
    min_kernel: Option<String>,
}

/// Reads a profile and settles its conditions for `target`.
///
/// # Errors
/// What is wrong with the text, with line and column, or with one of the rules.
pub fn parse(text: &[u8], target: Target<'_>) -> Result<Profile, String> {
    let file: File = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    if file.arch_map.is_some() && file.architectures.as_ref().is_some_and(|list| !list.is_empty()) {
        return Err("has both architectures and archMap".to_owned());
    }
    let mapped = file.arch_map.as_ref().map(|map| architectures(map, target));
    let mut syscalls = Vec::new();
    for rule in file.syscalls.into_iter().flatten() {
        if rule.counts(target)? {
            syscalls.push(rule.settled()?);
        }
    }
    Ok(Profile {
        default_action: file.default_action,
        default_errno_ret: file.default_errno_ret,
        architectures: mapped.or(file.architectures).unwrap_or_default(),
        flags: file.flags,
        listener_path: file.listener_path,
        listener_metadata: file.listener_metadata,
        syscalls,
    })
}

/// The entry of this machine.
fn architectures(map: &[Architecture], target: Target<'_>) -> Vec<String> {
    let own = format!("SCMP_ARCH_{}", target.architecture.to_ascii_uppercase());
    let Some(entry) = map.iter().find(|entry| entry.architecture == own) else { return Vec::new() };
    let others = entry.sub_architectures.iter().flatten();
    std::iter::once(&entry.architecture).chain(others).cloned().collect()
}

impl Conditional {
    /// As Docker counts: every includes must hold (one of several machines, all capabilities), and
    /// no excludes.
    fn counts(&self, target: Target<'_>) -> Result<bool, String> {
        let has = |name: &String| target.capabilities.contains(name);
        let here = |name: &String| name == go_name(target.architecture);
        let mut counts = true;
        if let Some(filter) = &self.includes {
            let caps = filter.caps.iter().flatten().all(has);
            let arches = filter.arches.as_deref().unwrap_or_default();
            let new_enough = filter.new_enough(target)?.unwrap_or(true);
            counts &= caps && new_enough && (arches.is_empty() || arches.iter().any(here));
        }
        if let Some(filter) = &self.excludes {
            let caps = filter.caps.iter().flatten().any(has);
            let arches = filter.arches.iter().flatten().any(here);
            counts &= !caps && !arches && !filter.new_enough(target)?.unwrap_or(false);
        }
        Ok(counts)
    }

    fn settled(self) -> Result<Rule, String> {
        let names = match (self.name, self.names) {
            (Some(name), None) => vec![name],
            (None, Some(names)) => names,
            (Some(name), Some(names)) if names.is_empty() => vec![name],
            (Some(name), Some(_)) => return Err(format!("rule for {name:?} has name and names")),
            (None, None) => return Err("has a rule without names".to_owned()),
        };
        let args = self.args.unwrap_or_default();
        Ok(Rule { names, action: self.action, errno_ret: self.errno_ret, args })
    }
}

impl Filter {
    fn new_enough(&self, target: Target<'_>) -> Result<Option<bool>, String> {
        let Some(text) = self.min_kernel.as_deref().filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        let parts = text.split_once('.');
        let numbers = parts.and_then(|(major, minor)| {
            Some((major.parse::<u32>().ok()?, minor.parse::<u32>().ok()?))
        });
        let wanted =
            numbers.ok_or_else(|| format!("minKernel {text:?} is no version such as 4.8"))?;
        Ok(Some(target.kernel >= wanted))
    }
}

/// Go's name of a machine.
fn go_name(architecture: &str) -> &str {
    match architecture {
        "x86_64" => "amd64",
        "x86" => "386",
        "aarch64" => "arm64",
        "powerpc64" => "ppc64le",
        "loongarch64" => "loong64",
        other => other,
    }
}
