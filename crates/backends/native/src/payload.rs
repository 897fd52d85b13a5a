//! From `process` of config.json to the kernel's terms.

use std::path::Path;

use lxcri_core::oci;
use lxcri_core::store::Entry;
use lxcri_linux::capability::{self, Set};
use lxcri_linux::payload::{CapabilitySets, Payload};
use lxcri_linux::rlimit::{self, Resource};
use lxcri_linux::seccomp::{self, Program};

use crate::error::{NativeError, field};

/// Persona numbers of personality(2).
const PERSONAS: [(&str, u64); 2] = [("LINUX", 0x0), ("LINUX32", 0x8)];

/// File mode creation mask where the bundle has none, as runc has it.
const DEFAULT_UMASK: u32 = 0o022;

/// What both kinds of processes, init and later ones, get from the container's own configuration.
#[derive(Debug)]
pub(crate) struct Surroundings<'s> {
    pub(crate) linux: &'s oci::Linux,
    pub(crate) entry: &'s Entry,
    pub(crate) preserve_fds: u32,
    pub(crate) keyring: bool,
}

/// Translates a process. Every name is checked here, before anything is made.
pub(crate) fn translate(
    process: &oci::Process,
    around: &Surroundings<'_>,
) -> Result<Payload, NativeError> {
    if !process.cwd.is_absolute() {
        let problem = format!("{} is not an absolute path", process.cwd.display());
        return Err(NativeError::Field { field: "process.cwd".to_owned(), problem });
    }
    Ok(Payload {
        args: process.args.clone(),
        env: process.env.clone(),
        cwd: process.cwd.clone(),
        uid: process.user.uid,
        gid: process.user.gid,
        groups: process.user.additional_gids.clone(),
        umask: Some(process.user.umask.unwrap_or(DEFAULT_UMASK)),
        capabilities: capabilities(process.capabilities.as_ref()),
        rlimits: rlimits(&process.rlimits)?,
        no_new_privileges: process.no_new_privileges,
        oom_score_adj: process.oom_score_adj,
        apparmor_profile: process.apparmor_profile.clone().filter(|profile| !profile.is_empty()),
        personality: personality(around.linux.personality.as_ref())?,
        seccomp: around.linux.seccomp.as_ref().map(|p| filter(p, around.entry)).transpose()?,
        session_keyring: around.keyring.then(|| format!("_ses.{}", around.entry.id())),
        preserve_fds: around.preserve_fds,
    })
}

/// No `capabilities` at all means none, as with runc.
fn capabilities(names: Option<&oci::Capabilities>) -> CapabilitySets {
    let Some(names) = names else { return CapabilitySets::default() };
    let last = capability::last_cap();
    let set = |list: &[String]| -> Set {
        let (set, unknown) = capability::parse(list, last);
        for name in unknown {
            // OCI runtime-spec, config.md: such a value is logged and not fatal.
            log::warn!("process.capabilities: this kernel has no {name:?}");
        }
        set
    };
    CapabilitySets {
        bounding: set(&names.bounding),
        effective: set(&names.effective),
        inheritable: set(&names.inheritable),
        permitted: set(&names.permitted),
        ambient: set(&names.ambient),
    }
}

fn rlimits(limits: &[oci::Rlimit]) -> Result<Vec<(Resource, u64, u64)>, NativeError> {
    let mut seen: Vec<(Resource, u64, u64)> = Vec::new();
    for (index, limit) in limits.iter().enumerate() {
        let name = format!("process.rlimits[{index}]");
        let resource = rlimit::parse(&limit.kind).map_err(field(&name))?;
        if seen.iter().any(|(other, ..)| *other == resource) {
            let problem = format!("{} is set twice", limit.kind);
            return Err(NativeError::Field { field: name, problem });
        }
        seen.push((resource, limit.soft, limit.hard));
    }
    Ok(seen)
}

fn personality(personality: Option<&oci::Personality>) -> Result<Option<u64>, NativeError> {
    let Some(wanted) = personality.filter(|wanted| !wanted.domain.is_empty()) else {
        return Ok(None);
    };
    match PERSONAS.iter().find(|(name, _)| *name == wanted.domain) {
        Some((_, persona)) => Ok(Some(*persona)),
        None => Err(NativeError::Field {
            field: "linux.personality.domain".to_owned(),
            problem: format!("{:?} is neither LINUX nor LINUX32", wanted.domain),
        }),
    }
}

/// Compiles the profile, or takes the program that an earlier container with the same profile left
/// beside the containers' directories. The name has a character that no container id has.
fn filter(profile: &seccomp::Profile, entry: &Entry) -> Result<Program, NativeError> {
    let root = entry.path().parent().unwrap_or(Path::new("/"));
    let program = seccomp::compile_cached(profile, &root.join("@seccomp"));
    let program = program.map_err(field("linux.seccomp"))?;
    for name in &program.unknown_syscalls {
        log::debug!("linux.seccomp: no system call {name:?} here");
    }
    Ok(program)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        let limit = |kind: &str| oci::Rlimit { kind: kind.into(), hard: 1, soft: 1 };
        assert!(rlimits(&[limit("RLIMIT_NOFILE"), limit("RLIMIT_CORE")]).is_ok());
        let table = [
            (vec![limit("RLIMIT_NOPE")], "process.rlimits[0]"),
            (
                vec![limit("RLIMIT_CPU"), limit("RLIMIT_CPU")],
                "process.rlimits[1]: RLIMIT_CPU is set",
            ),
        ];
        for (limits, message) in table {
            let error = rlimits(&limits).unwrap_err().to_string();
            assert!(error.starts_with(message), "{error}");
        }
        let persona = |domain: &str| oci::Personality { domain: domain.into(), flags: vec![] };
        assert_eq!(personality(Some(&persona("LINUX32"))).unwrap(), Some(8));
        assert_eq!(personality(Some(&persona(""))).unwrap(), None);
        assert!(personality(Some(&persona("BSD"))).is_err());
    }

    #[test]
    fn no_capabilities_are_none() {
        assert_eq!(capabilities(None), CapabilitySets::default());
        let names = oci::Capabilities {
            bounding: vec!["CAP_KILL".into(), "CAP_X".into()],
            ..oci::Capabilities::default()
        };
        assert_eq!(capabilities(Some(&names)).bounding.iter().collect::<Vec<_>>(), [5]);
    }
}
