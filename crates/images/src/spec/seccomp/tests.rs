use super::*;

const PLAIN: &[&str] = &["CAP_CHOWN", "CAP_SYS_CHROOT"];

fn target<'t>(capabilities: &'t [String], architecture: &'t str) -> Target<'t> {
    Target { capabilities, architecture, kernel: (6, 1) }
}

fn names(profile: &Profile, wanted: &str) -> Vec<Rule> {
    let names_it = |rule: &&Rule| rule.names.iter().any(|name| name == wanted);
    profile.syscalls.iter().filter(names_it).cloned().collect()
}

#[test]
fn every_capability_brings_its_calls() {
    let plain = default(target(&strings(PLAIN), "x86_64"));
    for (capability, calls) in BY_CAPABILITY {
        let with = default(target(&strings(&[capability]), "x86_64"));
        for call in *calls {
            let rules = names(&with, call);
            assert!(
                rules.iter().any(|rule| rule.action == ALLOW && rule.args.is_empty()),
                "{call}"
            );
            let held = PLAIN.contains(capability) || ["clone", "clone3"].contains(call);
            assert_eq!(!names(&plain, call).is_empty(), held, "{call} without {capability}");
        }
    }
}

#[test]
fn no_namespaces_without_sys_admin() {
    for (architecture, index) in [("x86_64", 0), ("s390x", 1)] {
        let profile = default(target(&strings(PLAIN), architecture));
        let [clone] = names(&profile, "clone").try_into().unwrap();
        assert_eq!((clone.args[0].index, clone.args[0].value), (index, 0x7e02_0000));
        let [clone3] = names(&profile, "clone3").try_into().unwrap();
        assert_eq!((clone3.action.as_str(), clone3.errno_ret), (ERRNO, Some(38)));
    }
}

#[test]
fn each_name_once_and_known_machines() {
    let mut all: Vec<_> = ALWAYS.iter().flat_map(|group| group.iter()).collect();
    let number = all.len();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), number, "a name stands twice");
    let profile = default(target(&strings(PLAIN), "x86_64"));
    assert_eq!(profile.architectures.len(), 3);
    assert!(!names(&profile, "arch_prctl").is_empty());
    assert!(names(&default(target(&[], "aarch64")), "arch_prctl").is_empty());
    assert!(default(target(&[], "powerpc64")).architectures.is_empty(), "the native one alone");
}

/// What libseccomp makes of it is a filter that the kernel takes, and knows nearly all names.
#[test]
fn it_compiles() {
    let profile = default(target(&strings(PLAIN), std::env::consts::ARCH));
    let program = lxcri_linux::seccomp::compile(&profile).unwrap();
    assert!(program.unknown_syscalls.len() < 30, "{:?}", program.unknown_syscalls);
    assert!(!program.unknown_syscalls.iter().any(|name| name == "openat2"));
}

#[test]
fn profiles_of_others() {
    let held = strings(&["CAP_SYS_ADMIN", "CAP_KILL"]);
    let amd64 = target(&held, "x86_64");
    let text = br#"{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1,
        "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]},
                    {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": null}],
        "syscalls": [
          {"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": null, "comment": "x"},
          {"name": "a", "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"]}},
          {"names": ["b"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN", "CAP_BPF"]}},
          {"names": ["c"], "action": "SCMP_ACT_ALLOW", "excludes": {"caps": ["CAP_SYS_ADMIN"]}},
          {"names": ["d"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["arm64", "amd64"]}},
          {"names": ["e"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["arm64"]}},
          {"names": ["f"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "4.8"}},
          {"names": ["g"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "6.2"}},
          {"names": ["h"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38, "excludes": {}}
        ]}"#;
    let profile = parse_file(text, amd64).unwrap();
    let found: Vec<_> = profile.syscalls.iter().map(|rule| rule.names[0].as_str()).collect();
    assert_eq!(found, ["read", "a", "d", "f", "h"]);
    assert_eq!(profile.architectures, ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]);
    let plain = serde_json::to_vec(&profile).unwrap();
    assert_eq!(parse_file(&plain, amd64).unwrap(), profile, "config.json's own form");
}

#[test]
fn profiles_that_are_none() {
    let amd64 = target(&[], "x86_64");
    let rule = |rule: &str| format!(r#"{{"defaultAction": "x", "syscalls": [{rule}]}}"#);
    let table = [
        (String::new(), "EOF"),
        ("[]".to_owned(), "invalid length"),
        ("{}".to_owned(), "defaultAction"),
        (r#"{"defaultAction": "x", "sycalls": []}"#.to_owned(), "unknown field"),
        (rule(r#"{"action": "x"}"#), "without names"),
        (rule(r#"{"action": "x", "name": "a", "names": ["b"]}"#), "name and names"),
        (rule(r#"{"action": "x", "name": "a", "includes": {"minKernel": "4"}}"#), "minKernel"),
        (r#"{"defaultAction": "x", "architectures": ["a"], "archMap": []}"#.to_owned(), "both"),
    ];
    for (text, problem) in table {
        let error = parse_file(text.as_bytes(), amd64).unwrap_err();
        assert!(error.contains(problem), "{text}: {error}");
    }
}
