//! What the coverage table cannot know: whether this version of this program has what a document
//! asks for. The programs pass over what they do not know, so it is refused here. Not judged are
//! kinds of namespaces: every program refuses one it does not know, and crun does not list all that
//! it makes.

use lxcri_core::backend::Create;
use lxcri_core::coverage::Finding;
use lxcri_core::error::Error;
use lxcri_core::oci::{Mount, Spec};
use lxcri_linux::mount::KNOWN_OPTIONS;
use lxcri_linux::seccomp::Profile;

use crate::NAME;
use crate::features::{Facts, Features, SeccompFeatures};

/// Refuses what the program does not list among its features. One that lists nothing (runc before
/// 1.1, crun before 1.10) is trusted, and the user told.
pub(crate) fn check(facts: &Facts, create: &Create<'_>) -> Result<(), Error> {
    // crun drops a profile without a word where the kernel has no AppArmor.
    create.check_apparmor(NAME)?;
    let program = format!("{} {}", facts.name, facts.version);
    let Some(features) = &facts.features else {
        log::warn!("{program} does not say what it supports: it may drop fields without a word");
        return Ok(());
    };
    let fields = unsupported(features, create.spec);
    if fields.is_empty() {
        return Ok(());
    }
    let because = format!("not supported by {program}");
    let finding = |field| Finding { field, because: because.clone() };
    let findings = fields.into_iter().map(finding).collect();
    Err(Error::Refused { backend: NAME, path: create.config_path.clone(), findings })
}

/// Fields that the program does not know, with the value where that decided.
fn unsupported(features: &Features, spec: &Spec) -> Vec<String> {
    let mut fields = Vec::new();
    newer_fields(features, spec, &mut fields);
    for mount in &spec.mounts {
        mount_options(features, mount, &mut fields);
    }
    let Some(linux) = &spec.linux else { return fields };
    if let Some(profile) = &linux.seccomp {
        seccomp(&features.linux.seccomp, profile, &mut fields);
    }
    fields.dedup();
    fields
}

/// Whether a list that is given does not have `word`.
fn lacks(list: &[String], word: &str) -> bool {
    !list.is_empty() && !list.iter().any(|item| item == word)
}

/// Fields that came into the specification with 1.1.
fn newer_fields(features: &Features, spec: &Spec, fields: &mut Vec<String>) {
    if features.knows_version(1) {
        return;
    }
    if spec.domainname.as_ref().is_some_and(|name| !name.is_empty()) {
        fields.push("domainname".to_owned());
    }
    if spec.linux.as_ref().is_some_and(|linux| !linux.time_offsets.is_empty()) {
        fields.push("linux.timeOffsets".to_owned());
    }
}

/// An option that the program does not know it takes as the filesystem's own. On a bind mount,
/// which has no filesystem to mount, that has no effect; and elsewhere an option of mount(8) is
/// not meant for the filesystem.
fn mount_options(features: &Features, mount: &Mount, fields: &mut Vec<String>) {
    let is = |word: &str| mount.options.iter().any(|option| option == word);
    let is_bind = is("bind") || is("rbind") || mount.kind.as_deref() == Some("bind");
    for option in &mount.options {
        let is_general = is_bind || KNOWN_OPTIONS.contains(&option.as_str());
        if is_general && lacks(&features.mount_options, option) {
            let place = mount.destination.display();
            fields.push(format!("mounts[].options={option} (of {place})"));
        }
    }
}

fn seccomp(features: &SeccompFeatures, profile: &Profile, fields: &mut Vec<String>) {
    if !features.enabled {
        fields.push("linux.seccomp".to_owned());
        return;
    }
    let mut judge = |list: &[String], field: &str, word: &str| {
        if lacks(list, word) {
            fields.push(format!("linux.seccomp.{field}={word}"));
        }
    };
    judge(&features.actions, "defaultAction", &profile.default_action);
    for rule in &profile.syscalls {
        judge(&features.actions, "syscalls[].action", &rule.action);
        for argument in &rule.args {
            judge(&features.operators, "syscalls[].args[].op", &argument.op);
        }
    }
    for arch in &profile.architectures {
        judge(&features.archs, "architectures[]", arch);
    }
    for flag in profile.flags.iter().flatten() {
        judge(&features.known_flags, "flags[]", flag);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FEATURES: &str = r#"{"ociVersionMax": "1.0.2-dev",
        "mountOptions": ["bind", "rbind", "ro", "nosuid"],
        "linux": {"seccomp": {"enabled": true,
        "actions": ["SCMP_ACT_ALLOW"], "operators": ["SCMP_CMP_EQ"], "archs": ["SCMP_ARCH_X86"]}}}"#;

    fn refused(features: &str, spec: &str) -> Vec<String> {
        let features = serde_json::from_str(features).unwrap();
        let spec = serde_json::from_str(spec).unwrap();
        unsupported(&features, &spec)
    }

    #[test]
    fn what_the_program_does_not_list() {
        let table = [
            (r#"{"ociVersion": "1.0.0"}"#, vec![]),
            (r#"{"ociVersion": "1.0.0", "domainname": "d"}"#, vec!["domainname"]),
            (r#"{"ociVersion": "1.0.0", "domainname": ""}"#, vec![]),
            (
                r#"{"ociVersion": "1.0.0", "linux": {"timeOffsets": {"boottime": {"secs": 7}}}}"#,
                vec!["linux.timeOffsets"],
            ),
            (
                r#"{"ociVersion": "1.0.0", "mounts": [{"destination": "/a", "type": "tmpfs",
                    "options": ["ro", "size=1k", "nosymfollow"]}]}"#,
                vec!["mounts[].options=nosymfollow (of /a)"],
            ),
            (
                r#"{"ociVersion": "1.0.0", "mounts": [{"destination": "/a", "source": "/x",
                    "options": ["rbind", "ro", "size=1k"]}]}"#,
                vec!["mounts[].options=size=1k (of /a)"],
            ),
            (
                r#"{"ociVersion": "1.0.0", "linux": {"seccomp": {"defaultAction": "SCMP_ACT_LOG",
                    "architectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"], "flags": ["ANY"],
                    "syscalls": [{"names": ["x"], "action": "SCMP_ACT_ALLOW",
                        "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_NE"}]}]}}}"#,
                vec![
                    "linux.seccomp.defaultAction=SCMP_ACT_LOG",
                    "linux.seccomp.syscalls[].args[].op=SCMP_CMP_NE",
                    "linux.seccomp.architectures[]=SCMP_ARCH_X32",
                ],
            ),
        ];
        for (spec, wanted) in table {
            assert_eq!(refused(FEATURES, spec), wanted, "{spec}");
        }
    }

    #[test]
    fn a_program_without_seccomp_gets_no_profile() {
        let spec =
            r#"{"ociVersion": "1.0.0", "linux": {"seccomp": {"defaultAction": "SCMP_ACT_ALLOW"}}}"#;
        assert_eq!(refused("{}", spec), ["linux.seccomp"]);
    }
}
