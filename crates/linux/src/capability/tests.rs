use super::*;
use crate::forked_child;

const CHOWN: Set = Set(1);
const KILL: Set = Set(1 << 5);
const SETPCAP: Set = Set(1 << 8);

/// Runs `change` in a child and reads its `Cap…` lines from /proc/self/status.
fn status_after(change: impl FnOnce() -> Result<(), Error>) -> Vec<(String, u64)> {
    let outcome = forked_child::run(|| {
        change().unwrap();
        std::fs::read("/proc/self/status").unwrap()
    });
    assert!(outcome.status.success());
    String::from_utf8(outcome.output)
        .unwrap()
        .lines()
        .filter_map(|line| line.strip_prefix("Cap")?.split_once(":\t"))
        .map(|(name, bits)| (name.to_owned(), u64::from_str_radix(bits, 16).unwrap()))
        .collect()
}

fn line(status: &[(String, u64)], name: &str) -> Set {
    Set(status.iter().find(|(known, _)| known == name).unwrap().1)
}

fn allowed() -> bool {
    let allowed = current().unwrap().effective.contains(8);
    if !allowed {
        eprintln!("skipped: needs CAP_SETPCAP");
    }
    allowed
}

#[test]
fn names_and_numbers() {
    for (bit, name) in (0..).zip(NAMES) {
        assert_eq!(number(name), Some(bit));
        assert_eq!(super::name(bit), name);
    }
    for (name, bit) in [
        ("CAP_SETPCAP", CapabilitySet::SETPCAP),
        ("CAP_SYS_ADMIN", CapabilitySet::SYS_ADMIN),
        ("CAP_SETFCAP", CapabilitySet::SETFCAP),
        ("CAP_CHECKPOINT_RESTORE", CapabilitySet::CHECKPOINT_RESTORE),
    ] {
        assert_eq!(number(name), Some(bit.bits().trailing_zeros()), "{name}");
    }
    assert_eq!(name(41), "CAP_41");
}

#[test]
fn unknown_names_come_back() {
    let names = [
        "CAP_KILL",
        "cap_kill",
        "KILL",
        "",
        "CAP_41",
        "CAP_KILL ",
        "CAP_KILL\0",
        "ALL",
        "CAP_CHECKPOINT_RESTORE",
        "CAP_CHOWN",
        "CAP_KILL",
    ];
    let (set, unknown) = parse(&names, 39);
    assert_eq!(set, CHOWN.union(KILL));
    assert_eq!(unknown, [&names[1..8], &["CAP_CHECKPOINT_RESTORE"]].concat());
    assert_eq!(parse(&names, 40).0, CHOWN.union(KILL).union(Set(1 << 40)));
    assert_eq!(parse::<&str>(&[], 40), (Set::EMPTY, vec![]));
}

#[test]
fn sets() {
    assert_eq!(Set::up_to(0), CHOWN);
    assert_eq!(Set::up_to(40).bits(), 0x1ff_ffff_ffff);
    assert_eq!(Set::up_to(63).bits(), u64::MAX);
    assert!(!Set::up_to(63).contains(64));
    assert_eq!(CHOWN.union(KILL).to_string(), "CAP_CHOWN,CAP_KILL");
    assert_eq!(Set::EMPTY.to_string(), "none");
}

#[test]
fn last_cap_is_the_kernels() {
    let told = std::fs::read_to_string("/proc/sys/kernel/cap_last_cap").unwrap();
    assert_eq!(last_cap(), told.trim().parse::<u32>().unwrap());
}

#[test]
fn current_is_what_proc_says() {
    let status = status_after(|| Ok(()));
    let current = current().unwrap();
    assert_eq!(current.effective, line(&status, "Eff"));
    assert_eq!(current.permitted, line(&status, "Prm"));
    assert_eq!(current.inheritable, line(&status, "Inh"));
    assert_eq!(current.bounding, line(&status, "Bnd"));
    assert_eq!(current.ambient, line(&status, "Amb"));
}

#[test]
fn everything_in_order() {
    if !allowed() {
        return;
    }
    let keep = CHOWN.union(KILL);
    let status = status_after(|| {
        drop_bounding(keep)?;
        set_thread(KILL, keep, KILL)?;
        set_ambient(KILL)
    });
    assert_eq!(line(&status, "Bnd"), keep);
    assert_eq!(line(&status, "Eff"), KILL);
    assert_eq!(line(&status, "Prm"), keep);
    assert_eq!(line(&status, "Inh"), KILL);
    assert_eq!(line(&status, "Amb"), KILL);

    let status = status_after(|| {
        set_thread(keep, keep, keep)?;
        set_ambient(keep)?;
        set_ambient(Set::EMPTY)
    });
    assert_eq!(line(&status, "Amb"), Set::EMPTY, "an earlier ambient set goes");
}

#[test]
fn refusals_name_the_capability() {
    if !allowed() {
        return;
    }
    let outcome = forked_child::run(|| {
        let told = |result: Result<(), Error>| format!("{}\n", result.unwrap_err());
        set_thread(KILL, KILL, Set::EMPTY).unwrap();
        let answers = [
            told(set_ambient(KILL)),
            told(drop_bounding(Set::up_to(63).without(SETPCAP))),
            told(set_thread(CHOWN, CHOWN, Set::EMPTY)),
        ];
        answers.concat().into_bytes()
    });
    assert_eq!(
        String::from_utf8(outcome.output).unwrap(),
        "failed to raise ambient capability CAP_KILL\n\
         failed to drop CAP_SETPCAP from the bounding set\n\
         failed to set capabilities (effective CAP_CHOWN, permitted CAP_CHOWN, inheritable none)\n"
    );
}

#[test]
fn nothing_to_drop_needs_no_privilege() {
    if !allowed() {
        return;
    }
    let status = status_after(|| {
        drop_bounding(KILL)?;
        set_thread(Set::EMPTY, Set::EMPTY, Set::EMPTY)?;
        drop_bounding(KILL)
    });
    assert_eq!(line(&status, "Bnd"), KILL);
}
