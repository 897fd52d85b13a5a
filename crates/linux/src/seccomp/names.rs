//! The names that profiles use, and what they mean to libseccomp and the kernel.
//!
//! Sources: OCI runtime-spec config-linux.md "Seccomp"; flags: kernel `include/uapi/linux/seccomp.h`.

use libseccomp::{ScmpAction, ScmpArch, ScmpCompareOp};

use super::Error;

/// Actions we carry out. `SCMP_ACT_NOTIFY` is known too, and refused: see [`NOTIFY`].
pub(super) const ACTIONS: [&str; 8] = [
    "SCMP_ACT_ALLOW",
    "SCMP_ACT_ERRNO",
    "SCMP_ACT_KILL",
    "SCMP_ACT_KILL_PROCESS",
    "SCMP_ACT_KILL_THREAD",
    "SCMP_ACT_LOG",
    "SCMP_ACT_TRACE",
    "SCMP_ACT_TRAP",
];

/// The one action that needs a listener.
pub(super) const NOTIFY: &str = "SCMP_ACT_NOTIFY";

/// Comparison operators.
pub(super) const OPERATORS: [&str; 7] = [
    "SCMP_CMP_EQ",
    "SCMP_CMP_GE",
    "SCMP_CMP_GT",
    "SCMP_CMP_LE",
    "SCMP_CMP_LT",
    "SCMP_CMP_MASKED_EQ",
    "SCMP_CMP_NE",
];

/// Architectures of the runtime-spec with libseccomp's token for each.
pub(super) const ARCHITECTURES: [(&str, ScmpArch); 23] = [
    ("SCMP_ARCH_AARCH64", ScmpArch::Aarch64),
    ("SCMP_ARCH_ARM", ScmpArch::Arm),
    ("SCMP_ARCH_LOONGARCH64", ScmpArch::Loongarch64),
    ("SCMP_ARCH_M68K", ScmpArch::M68k),
    ("SCMP_ARCH_MIPS", ScmpArch::Mips),
    ("SCMP_ARCH_MIPS64", ScmpArch::Mips64),
    ("SCMP_ARCH_MIPS64N32", ScmpArch::Mips64N32),
    ("SCMP_ARCH_MIPSEL", ScmpArch::Mipsel),
    ("SCMP_ARCH_MIPSEL64", ScmpArch::Mipsel64),
    ("SCMP_ARCH_MIPSEL64N32", ScmpArch::Mipsel64N32),
    ("SCMP_ARCH_PARISC", ScmpArch::Parisc),
    ("SCMP_ARCH_PARISC64", ScmpArch::Parisc64),
    ("SCMP_ARCH_PPC", ScmpArch::Ppc),
    ("SCMP_ARCH_PPC64", ScmpArch::Ppc64),
    ("SCMP_ARCH_PPC64LE", ScmpArch::Ppc64Le),
    ("SCMP_ARCH_RISCV64", ScmpArch::Riscv64),
    ("SCMP_ARCH_S390", ScmpArch::S390),
    ("SCMP_ARCH_S390X", ScmpArch::S390X),
    ("SCMP_ARCH_SH", ScmpArch::Sh),
    ("SCMP_ARCH_SHEB", ScmpArch::Sheb),
    ("SCMP_ARCH_X32", ScmpArch::X32),
    ("SCMP_ARCH_X86", ScmpArch::X86),
    ("SCMP_ARCH_X86_64", ScmpArch::X8664),
];

/// Flags with the kernel's bit for each.
pub(super) const FLAGS: [(&str, u32); 4] = [
    ("SECCOMP_FILTER_FLAG_LOG", 1 << 1),
    ("SECCOMP_FILTER_FLAG_SPEC_ALLOW", SPEC_ALLOW),
    ("SECCOMP_FILTER_FLAG_TSYNC", 1 << 0),
    ("SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", WAIT_KILLABLE_RECV),
];

/// Leave the speculative store bypass mitigation as it is.
pub(super) const SPEC_ALLOW: u32 = 1 << 2;
/// How a notified task waits; the kernel takes it only together with a listener.
pub(super) const WAIT_KILLABLE_RECV: u32 = 1 << 5;

/// Largest errno a system call can return (kernel: `MAX_ERRNO`).
const MAX_ERRNO: u32 = 4095;
/// What a filter can hand to a tracer (kernel: `SECCOMP_RET_DATA`).
const MAX_TRACE: u32 = 0xffff;

/// The action of that name with its return value, EPERM where the profile gives none.
pub(super) fn action(name: &str, errno: Option<u32>, place: &str) -> Result<ScmpAction, Error> {
    let returned = |max| match errno.unwrap_or(libc::EPERM.unsigned_abs()) {
        value if value <= max => Ok(value),
        value => Err(Error::ErrnoRange { place: place.into(), value, max }),
    };
    let plain = |action| match errno {
        None => Ok(action),
        Some(_) => Err(Error::ErrnoUnused { place: place.into(), action: name.into() }),
    };
    match name {
        "SCMP_ACT_ALLOW" => plain(ScmpAction::Allow),
        "SCMP_ACT_ERRNO" => Ok(ScmpAction::Errno(returned(MAX_ERRNO)?.cast_signed())),
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => plain(ScmpAction::KillThread),
        "SCMP_ACT_KILL_PROCESS" => plain(ScmpAction::KillProcess),
        "SCMP_ACT_LOG" => plain(ScmpAction::Log),
        "SCMP_ACT_TRACE" => Ok(ScmpAction::Trace(returned(MAX_TRACE)? as u16)),
        "SCMP_ACT_TRAP" => plain(ScmpAction::Trap),
        NOTIFY => Err(Error::NotSupported { what: NOTIFY, place: place.into() }),
        other => Err(unknown("action", other, &ACTIONS)),
    }
}

/// The operator of that name; `mask` is used by the masked comparison alone.
pub(super) fn operator(name: &str, mask: u64) -> Result<ScmpCompareOp, Error> {
    match name {
        "SCMP_CMP_EQ" => Ok(ScmpCompareOp::Equal),
        "SCMP_CMP_GE" => Ok(ScmpCompareOp::GreaterEqual),
        "SCMP_CMP_GT" => Ok(ScmpCompareOp::Greater),
        "SCMP_CMP_LE" => Ok(ScmpCompareOp::LessOrEqual),
        "SCMP_CMP_LT" => Ok(ScmpCompareOp::Less),
        "SCMP_CMP_MASKED_EQ" => Ok(ScmpCompareOp::MaskedEqual(mask)),
        "SCMP_CMP_NE" => Ok(ScmpCompareOp::NotEqual),
        other => Err(unknown("operator", other, &OPERATORS)),
    }
}

/// The architecture of that name.
pub(super) fn architecture(name: &str) -> Result<ScmpArch, Error> {
    lookup("architecture", name, &ARCHITECTURES)
}

/// The kernel's bit of the flag of that name.
pub(super) fn flag(name: &str) -> Result<u32, Error> {
    lookup("flag", name, &FLAGS)
}

fn lookup<T: Copy>(
    kind: &'static str,
    name: &str,
    table: &[(&'static str, T)],
) -> Result<T, Error> {
    table.iter().find(|(known, _)| *known == name).map(|(_, value)| *value).ok_or_else(|| {
        let known: Vec<&'static str> = table.iter().map(|(known, _)| *known).collect();
        unknown(kind, name, &known)
    })
}

fn unknown(kind: &'static str, name: &str, known: &[&'static str]) -> Error {
    // All names of a kind share a prefix, which would make any two of them look alike.
    let wanted = without_prefix(name).to_ascii_uppercase();
    let nearest = known
        .iter()
        .map(|known| (strsim::damerau_levenshtein(&wanted, without_prefix(known)), *known))
        .min()
        .filter(|(distance, _)| *distance <= 3 && *distance < wanted.chars().count())
        .map(|(_, known)| known);
    Error::Unknown { kind, name: name.into(), nearest }
}

/// `name` without the prefix of its kind, whether or not that is in capitals.
fn without_prefix(name: &str) -> &str {
    ["SCMP_ACT_", "SCMP_CMP_", "SCMP_ARCH_", "SECCOMP_FILTER_FLAG_"]
        .iter()
        .find(|prefix| {
            name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
        })
        .map_or(name, |prefix| &name[prefix.len()..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_name_is_understood() {
        for name in ACTIONS {
            assert!(action(name, None, "test").is_ok(), "{name}");
        }
        for name in OPERATORS {
            assert!(operator(name, 1).is_ok(), "{name}");
        }
        for (name, token) in ARCHITECTURES {
            assert_eq!(architecture(name).unwrap(), token);
            assert_eq!(name.parse::<ScmpArch>().unwrap(), token, "libseccomp disagrees on {name}");
        }
        for (name, bit) in FLAGS {
            assert_eq!(flag(name).unwrap(), bit);
        }
    }

    #[test]
    fn unknown_names_are_told_with_the_nearest() {
        let cases = [
            (action("SCMP_ACT_ALOW", None, "x").unwrap_err(), "action", Some("SCMP_ACT_ALLOW")),
            (action("allow", None, "x").unwrap_err(), "action", Some("SCMP_ACT_ALLOW")),
            (action("scmp_act_errno", None, "x").unwrap_err(), "action", Some("SCMP_ACT_ERRNO")),
            (action("", None, "x").unwrap_err(), "action", None),
            (
                action("SCMP_ACT_\u{1F980}\u{1F980}\u{1F980}\u{1F980}\u{1F980}", None, "x")
                    .unwrap_err(),
                "action",
                None,
            ),
            (operator("SCMP_CMP_MASK_EQ", 0).unwrap_err(), "operator", Some("SCMP_CMP_MASKED_EQ")),
            (architecture("x86-64").unwrap_err(), "architecture", Some("SCMP_ARCH_X86_64")),
            (architecture("SCMP_ARCH_NATIVE").unwrap_err(), "architecture", None),
            (
                flag("SECCOMP_FILTER_FLAG_TSYNK").unwrap_err(),
                "flag",
                Some("SECCOMP_FILTER_FLAG_TSYNC"),
            ),
            (flag("nonsense at length").unwrap_err(), "flag", None),
        ];
        for (error, wanted_kind, wanted) in cases {
            let Error::Unknown { kind, nearest, ref name } = error else {
                panic!("{error:?}");
            };
            assert_eq!((kind, nearest), (wanted_kind, wanted), "{name:?}");
            assert_eq!(error.hint().is_some(), wanted.is_some());
            assert!(error.to_string().contains(&format!("{name:?}")));
        }
    }

    #[test]
    fn errno_goes_with_the_actions_that_return_one() {
        let errno = |value| action("SCMP_ACT_ERRNO", value, "x");
        assert_eq!(errno(None).unwrap(), ScmpAction::Errno(libc::EPERM));
        assert_eq!(errno(Some(0)).unwrap(), ScmpAction::Errno(0));
        assert_eq!(errno(Some(4095)).unwrap(), ScmpAction::Errno(4095));
        assert!(matches!(errno(Some(4096)), Err(Error::ErrnoRange { max: 4095, .. })));
        assert!(matches!(errno(Some(u32::MAX)), Err(Error::ErrnoRange { .. })));
        let trace = |value| action("SCMP_ACT_TRACE", value, "x");
        assert_eq!(trace(Some(65535)).unwrap(), ScmpAction::Trace(65535));
        assert!(matches!(trace(Some(65536)), Err(Error::ErrnoRange { max: 65535, .. })));
        for name in ["SCMP_ACT_ALLOW", "SCMP_ACT_KILL", "SCMP_ACT_LOG", "SCMP_ACT_TRAP"] {
            assert!(matches!(action(name, Some(1), "x"), Err(Error::ErrnoUnused { .. })), "{name}");
        }
    }
}
