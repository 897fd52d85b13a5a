use std::os::unix::process::ExitStatusExt;

use super::*;
use crate::forked_child;

fn rule(names: &[&str], action: &str) -> Rule {
    Rule {
        names: names.iter().map(ToString::to_string).collect(),
        action: action.into(),
        ..Rule::default()
    }
}

fn allowing(syscalls: Vec<Rule>) -> Profile {
    Profile { default_action: "SCMP_ACT_ALLOW".into(), syscalls, ..Profile::default() }
}

fn argument(index: u32, value: u64, value_two: u64, op: &str) -> Argument {
    Argument { index, value, value_two, op: op.into() }
}

/// Every system call of this machine but `denied`: the shape of the profiles that engines ship.
fn realistic(denied: &[&str]) -> Profile {
    let mut names: Vec<String> = (0..500)
        .filter_map(|number| ScmpSyscall::from_raw_syscall(number).get_name().ok())
        .filter(|name| !denied.contains(&name.as_str()))
        .collect();
    assert!(names.len() > 300, "only {} names", names.len());
    names.push("a_call_of_the_future".into());
    Profile {
        default_action: "SCMP_ACT_ERRNO".into(),
        default_errno_ret: Some(38),
        architectures: if cfg!(target_arch = "x86_64") {
            ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"].map(String::from).to_vec()
        } else {
            vec![]
        },
        syscalls: vec![
            Rule { names, action: "SCMP_ACT_ALLOW".into(), ..Rule::default() },
            Rule {
                names: vec!["personality".into()],
                action: "SCMP_ACT_ALLOW".into(),
                errno_ret: None,
                args: vec![argument(0, 8, 0, "SCMP_CMP_EQ")],
            },
        ],
        ..Profile::default()
    }
}

/// Loads the program in a child that has no_new_privs, then runs the calls there.
/// The answer is the errno of each call, 0 where it worked.
fn under(
    program: &Program,
    calls: impl FnOnce() -> Vec<std::io::Result<()>>,
) -> forked_child::Outcome {
    forked_child::run(|| {
        rustix::thread::set_no_new_privs(true).unwrap();
        program.load().unwrap();
        let errno = |result: std::io::Result<()>| {
            u8::try_from(result.err().map_or(0, |e| e.raw_os_error().unwrap_or(255))).unwrap_or(254)
        };
        calls().into_iter().map(errno).collect()
    })
}

fn personality(value: u32) -> std::io::Result<()> {
    forked_child::syscall(libc::SYS_personality, u64::from(value))
}

fn getppid() -> std::io::Result<()> {
    forked_child::syscall(libc::SYS_getppid, 0)
}

#[test]
fn errno_really_happens() {
    let mut profile = allowing(vec![rule(&["getppid"], "SCMP_ACT_ERRNO")]);
    let outcome = under(&compile(&profile).unwrap(), || vec![getppid()]);
    assert_eq!(outcome.output, [libc::EPERM as u8], "EPERM where the profile says nothing");

    profile.syscalls[0].errno_ret = Some(77);
    let program = compile(&profile).unwrap();
    assert!(program.instructions.len() < 200, "a small profile is a small program");
    let outcome = under(&program, || vec![getppid(), personality(u32::MAX)]);
    assert_eq!(outcome.output, [77, 0]);
    assert!(outcome.status.success());
}

#[test]
fn kill_really_happens() {
    for action in
        ["SCMP_ACT_KILL", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_TRAP"]
    {
        let program = compile(&allowing(vec![rule(&["getppid"], action)])).unwrap();
        let outcome = under(&program, || vec![getppid()]);
        assert_eq!(outcome.status.signal(), Some(libc::SIGSYS), "{action}");
        assert!(outcome.output.is_empty(), "{action}");
    }
}

#[test]
fn a_realistic_profile_lets_a_process_work_and_denies_the_rest() {
    let program = compile(&realistic(&["getppid", "personality"])).unwrap();
    assert_eq!(program.unknown_syscalls, ["a_call_of_the_future"]);
    assert!(program.instructions.len() / 8 > 300);
    let outcome = under(&program, || vec![getppid(), personality(8), personality(u32::MAX)]);
    assert_eq!(outcome.output, [38, 0, 38]);
    assert!(outcome.status.success());
}

type Values = &'static [u32];

#[test]
fn comparisons_mean_what_they_say() {
    // (operator, value, value_two, arguments that match, arguments that do not)
    let cases: [(&str, u64, u64, Values, Values); 7] = [
        ("SCMP_CMP_EQ", 5, 0, &[5], &[4, 6]),
        ("SCMP_CMP_NE", 5, 0, &[4, 6], &[5]),
        ("SCMP_CMP_GT", 5, 0, &[6], &[4, 5]),
        ("SCMP_CMP_GE", 5, 0, &[5, 6], &[4]),
        ("SCMP_CMP_LT", 5, 0, &[4], &[5, 6]),
        ("SCMP_CMP_LE", 5, 0, &[4, 5], &[6]),
        ("SCMP_CMP_MASKED_EQ", 0xf0, 0x20, &[0x20, 0x2f], &[0x2, 0x30, 0xf0]),
    ];
    for (op, value, two, matching, others) in cases {
        let mut conditional = rule(&["personality"], "SCMP_ACT_ERRNO");
        conditional.errno_ret = Some(77);
        conditional.args = vec![argument(0, value, two, op)];
        let program = compile(&allowing(vec![conditional])).unwrap();
        let outcome = under(&program, || {
            matching.iter().chain(others).map(|value| personality(*value)).collect()
        });
        let denied: Vec<bool> = outcome.output.iter().map(|errno| *errno == 77).collect();
        let wanted: Vec<bool> =
            matching.iter().map(|_| true).chain(others.iter().map(|_| false)).collect();
        assert_eq!(denied, wanted, "{op}");
    }
}

#[test]
fn two_conditions_on_one_argument_are_two_rules() {
    let mut either = rule(&["personality"], "SCMP_ACT_ERRNO");
    either.args = vec![argument(0, 5, 0, "SCMP_CMP_EQ"), argument(0, 7, 0, "SCMP_CMP_EQ")];
    let program = compile(&allowing(vec![either])).unwrap();
    let outcome = under(&program, || [5, 6, 7].map(personality).into());
    let eperm = libc::EPERM as u8;
    assert_eq!((outcome.output[0], outcome.output[2]), (eperm, eperm));
    assert_ne!(outcome.output[1], eperm);
}

#[test]
fn hostile_profiles_are_refused_with_a_name() {
    let arg =
        |a: Argument| allowing(vec![Rule { args: vec![a], ..rule(&["read"], "SCMP_ACT_ERRNO") }]);
    let base = || allowing(vec![]);
    let errno = |value| {
        allowing(vec![Rule { errno_ret: Some(value), ..rule(&["read"], "SCMP_ACT_ERRNO") }])
    };
    let cases: Vec<(Profile, &str)> = vec![
        (Profile::default(), "unknown seccomp action \"\""),
        (Profile { default_action: "SCMP_ACT_ALLOW\0".into(), ..base() }, "\"SCMP_ACT_ALLOW\\0\""),
        (
            Profile { default_action: "SCMP_ACT_NOTIFY".into(), ..base() },
            "SCMP_ACT_NOTIFY in defaultAction is not supported",
        ),
        (
            Profile { default_errno_ret: Some(1), ..base() },
            "defaultAction: SCMP_ACT_ALLOW takes no errno",
        ),
        (allowing(vec![rule(&["read"], "SCMP_ACT_NOTIFY")]), "SCMP_ACT_NOTIFY in syscalls[0]"),
        (
            allowing(vec![rule(&["read"], "SCMP_ACT_DENY")]),
            "unknown seccomp action \"SCMP_ACT_DENY\"",
        ),
        (allowing(vec![rule(&[], "SCMP_ACT_ERRNO")]), "syscalls[0] does not name a system call"),
        (allowing(vec![rule(&["read", ""], "SCMP_ACT_ERRNO")]), "syscalls[0] does not name"),
        (errno(4096), "syscalls[0]: errno 4096 is not between 0 and 4095"),
        (errno(65537), "errno 65537"),
        (arg(argument(6, 0, 0, "SCMP_CMP_EQ")), "argument index 6"),
        (arg(argument(u32::MAX, 0, 0, "SCMP_CMP_EQ")), "argument index 4294967295"),
        (arg(argument(0, 0, 0, "==")), "unknown seccomp operator \"==\""),
        (
            Profile { architectures: vec!["SCMP_ARCH_Z80".into()], ..base() },
            "unknown seccomp architecture \"SCMP_ARCH_Z80\"",
        ),
        (
            Profile { flags: Some(vec!["SECCOMP_FILTER_FLAG_NEW_LISTENER".into()]), ..base() },
            "unknown seccomp flag",
        ),
        (
            Profile { listener_path: Some("/run/agent.sock".into()), ..base() },
            "listenerPath in linux.seccomp",
        ),
        (Profile { listener_metadata: Some("x".into()), ..base() }, "listenerMetadata"),
    ];
    for (profile, text) in cases {
        let error = compile(&profile).unwrap_err();
        assert!(error.to_string().contains(text), "{error} lacks {text}");
        assert!(!error.to_string().contains('\n'));
    }
    let bad_in_a_redundant_rule = Profile {
        default_action: "SCMP_ACT_ERRNO".into(),
        syscalls: vec![Rule {
            args: vec![argument(9, 0, 0, "SCMP_CMP_EQ")],
            ..rule(&["read"], "SCMP_ACT_ERRNO")
        }],
        ..Profile::default()
    };
    assert!(compile(&bad_in_a_redundant_rule).is_err());
}

#[cfg(target_endian = "little")]
#[test]
fn an_architecture_of_the_other_byte_order_is_named() {
    let profile = Profile { architectures: vec!["SCMP_ARCH_S390X".into()], ..allowing(vec![]) };
    let error = compile(&profile).unwrap_err();
    assert!(
        matches!(&error, Error::Architecture { name, .. } if name == "SCMP_ARCH_S390X"),
        "{error}"
    );
}

#[test]
fn a_filter_larger_than_the_kernel_takes_is_refused() {
    let mut rules = Vec::new();
    for value in 0..4200 {
        let mut conditional = rule(&["personality"], "SCMP_ACT_ERRNO");
        conditional.args = vec![argument(0, value, 0, "SCMP_CMP_EQ")];
        rules.push(conditional);
    }
    let error = compile(&allowing(rules)).unwrap_err();
    assert!(matches!(error, Error::TooLong { instructions } if instructions > 4096), "{error}");
    assert!(error.to_string().contains("the kernel takes 4096"));
}

#[test]
fn flags_become_the_kernels_bits() {
    let flags = |names: &[&str]| {
        let flags = names.iter().map(|name| format!("SECCOMP_FILTER_FLAG_{name}")).collect();
        compile(&Profile { flags: Some(flags), ..allowing(vec![]) }).unwrap().flags
    };
    assert_eq!(flags(&[]), 0);
    assert_eq!(flags(&["TSYNC"]), 1);
    assert_eq!(flags(&["LOG", "SPEC_ALLOW", "LOG"]), 6);
    assert_eq!(flags(&["WAIT_KILLABLE_RECV"]), 0, "the kernel refuses it without a listener");
    assert_eq!(compile(&allowing(vec![])).unwrap().flags, 4, "runc's default");
    let program = compile(&Profile {
        flags: Some(vec!["SECCOMP_FILTER_FLAG_LOG".into(), "SECCOMP_FILTER_FLAG_TSYNC".into()]),
        ..allowing(vec![rule(&["getppid"], "SCMP_ACT_ERRNO")])
    })
    .unwrap();
    assert_eq!(under(&program, || vec![getppid()]).output, [libc::EPERM as u8]);
}
