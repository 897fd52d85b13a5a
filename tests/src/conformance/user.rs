//! The user: ids, groups, mask, capabilities.

use lxcri_testkit::Room;
use lxcri_testkit::Verdict;
use lxcri_testkit::ensure_eq;
use lxcri_testkit::verdict::Context;
use serde_json::json;

use crate::registry::cases;

cases!("user": uid_and_gid, additional_gids, umask, supplementary_groups_are_dropped,
    capabilities_of_root, capabilities_of_user, capabilities_absent, capabilities_empty,
    capabilities_inheritable);

fn uid_and_gid(room: &Room) -> Verdict {
    let mut bundle = room.script("id -u; id -g")?;
    bundle.set("/process/user", json!({ "uid": 1000, "gid": 100 }));
    ensure_eq!(room.output(&bundle)?, "1000\n100\n", "uid and gid");
    let mut bundle = room.script("grep -E '^[UG]id:' /proc/self/status")?;
    bundle.set("/process/user", json!({ "uid": 4321, "gid": 1234 }));
    let wanted = "Uid:\t4321\t4321\t4321\t4321\nGid:\t1234\t1234\t1234\t1234\n";
    ensure_eq!(room.output(&bundle)?, wanted, "real, effective, saved and file-system ids");
    Ok(())
}

fn additional_gids(room: &Room) -> Verdict {
    let mut bundle = room.script("grep ^Groups: /proc/self/status")?;
    bundle.set("/process/user", json!({ "uid": 1000, "gid": 100, "additionalGids": [5, 7, 4000] }));
    let printed = room.output(&bundle)?;
    let mut groups: Vec<&str> =
        printed.split_whitespace().skip(1).filter(|id| *id != "100").collect();
    groups.sort_unstable();
    ensure_eq!(groups, ["4000", "5", "7"], "additional groups");
    Ok(())
}

fn umask(room: &Room) -> Verdict {
    let mut bundle = room.script("umask; touch /tmp/f; stat -c %a /tmp/f")?;
    bundle.readonly_root(false).set("/process/user/umask", json!(0o027));
    ensure_eq!(room.output(&bundle)?, "0027\n640\n", "umask");
    Ok(())
}

fn supplementary_groups_are_dropped(room: &Room) -> Verdict {
    let bundle = room.script("grep ^Groups: /proc/self/status")?;
    let printed = room.output(&bundle)?;
    let extra: Vec<&str> = printed.split_whitespace().skip(1).filter(|id| *id != "0").collect();
    ensure_eq!(extra, Vec::<&str>::new(), "groups of the caller");
    Ok(())
}

/// Bits of `linux/capability.h`.
const CHOWN: u64 = 1;
const KILL: u64 = 1 << 5;
const NET_RAW: u64 = 1 << 13;

/// The five sets: inheritable, permitted, effective, bounding, ambient.
fn capability_sets(status: &str) -> Verdict<[u64; 5]> {
    let mut sets = [0; 5];
    for (set, name) in sets.iter_mut().zip(["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"]) {
        let line = status.lines().find(|line| line.starts_with(name)).context(name)?;
        let value = line.split_whitespace().nth(1).context(name)?;
        *set = u64::from_str_radix(value, 16)?;
    }
    Ok(sets)
}

/// Root gets all of the bounding set at execve(2).
fn capabilities_of_root(room: &Room) -> Verdict {
    let mut bundle = room.script("grep ^Cap /proc/self/status")?;
    bundle.set(
        "/process/capabilities",
        json!({
            "bounding": ["CAP_CHOWN", "CAP_KILL"],
            "permitted": ["CAP_CHOWN", "CAP_KILL"],
            "effective": ["CAP_CHOWN", "CAP_KILL"],
        }),
    );
    let sets = capability_sets(&room.output(&bundle)?)?;
    let both = CHOWN | KILL;
    ensure_eq!(sets, [0, both, both, both, 0], "capabilities");
    Ok(())
}

/// Another user keeps the ambient set alone; the inheritable and bounding sets stay as configured.
fn capabilities_of_user(room: &Room) -> Verdict {
    let mut bundle = room.script("grep ^Cap /proc/self/status")?;
    bundle.set("/process/user", json!({ "uid": 1000, "gid": 1000 }));
    bundle.set(
        "/process/capabilities",
        json!({
            "bounding": ["CAP_CHOWN", "CAP_KILL", "CAP_NET_RAW"],
            "permitted": ["CAP_CHOWN", "CAP_KILL", "CAP_NET_RAW"],
            "effective": ["CAP_CHOWN"],
            "inheritable": ["CAP_KILL", "CAP_NET_RAW"],
            "ambient": ["CAP_KILL"],
        }),
    );
    let sets = capability_sets(&room.output(&bundle)?)?;
    let wanted = [KILL | NET_RAW, KILL, KILL, CHOWN | KILL | NET_RAW, KILL];
    ensure_eq!(sets, wanted, "capabilities");
    Ok(())
}

/// No `capabilities` at all: none are added, whatever the caller has.
fn capabilities_absent(room: &Room) -> Verdict {
    let mut bundle = room.script("grep ^Cap /proc/self/status")?;
    bundle.remove("/process/capabilities");
    bundle.set("/process/user", json!({ "uid": 1000, "gid": 1000 }));
    let sets = capability_sets(&room.output(&bundle)?)?;
    ensure_eq!(sets[2], 0, "effective capabilities of a user");
    ensure_eq!(sets[4], 0, "ambient capabilities");
    Ok(())
}

fn capabilities_empty(room: &Room) -> Verdict {
    let mut bundle = room.script("grep ^Cap /proc/self/status")?;
    bundle.set("/process/capabilities", json!({}));
    let sets = capability_sets(&room.output(&bundle)?)?;
    ensure_eq!(sets, [0; 5], "capabilities");
    Ok(())
}

fn capabilities_inheritable(room: &Room) -> Verdict {
    let mut bundle = room.script("grep ^Cap /proc/self/status")?;
    bundle.set(
        "/process/capabilities",
        json!({
            "bounding": ["CAP_KILL"], "permitted": ["CAP_KILL"], "effective": ["CAP_KILL"],
            "inheritable": ["CAP_KILL"],
        }),
    );
    let sets = capability_sets(&room.output(&bundle)?)?;
    ensure_eq!(sets, [KILL, KILL, KILL, KILL, 0], "capabilities");
    Ok(())
}
