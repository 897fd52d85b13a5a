//! Kernel parameters.

use std::fs;

use lxcri_testkit::Room;
use lxcri_testkit::Verdict;
use lxcri_testkit::ensure_eq;
use serde_json::json;

use crate::registry::cases;

cases!("sysctl": network, ipc, slash_notation, host_is_untouched, not_namespaced_is_refused,
    shared_namespace_is_refused, path_traversal_is_refused);

fn network(room: &Room) -> Verdict {
    let mut bundle =
        room.script("cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv4/ip_local_port_range")?;
    bundle.set(
        "/linux/sysctl",
        json!({
            "net.ipv4.ip_forward": "1", "net.ipv4.ip_local_port_range": "2000 3000",
        }),
    );
    ensure_eq!(room.output(&bundle)?, "1\n2000\t3000\n", "parameters");
    Ok(())
}

fn ipc(room: &Room) -> Verdict {
    let mut bundle = room.script(
        "cat /proc/sys/kernel/msgmax /proc/sys/fs/mqueue/msg_max /proc/sys/kernel/shmmni",
    )?;
    bundle.set(
        "/linux/sysctl",
        json!({
            "kernel.msgmax": "12345", "fs.mqueue.msg_max": "17", "kernel.shmmni": "99",
        }),
    );
    ensure_eq!(room.output(&bundle)?, "12345\n17\n99\n", "parameters");
    Ok(())
}

fn slash_notation(room: &Room) -> Verdict {
    let mut bundle = room.script("cat /proc/sys/net/ipv4/conf/lo/forwarding")?;
    bundle.set("/linux/sysctl", json!({ "net/ipv4/conf/lo/forwarding": "1" }));
    ensure_eq!(room.output(&bundle)?, "1\n", "parameter");
    Ok(())
}

fn host_is_untouched(room: &Room) -> Verdict {
    let before = fs::read_to_string("/proc/sys/kernel/msgmax")?;
    ipc(room)?;
    ensure_eq!(fs::read_to_string("/proc/sys/kernel/msgmax")?, before, "kernel.msgmax outside");
    Ok(())
}

fn not_namespaced_is_refused(room: &Room) -> Verdict {
    for name in ["vm.swappiness", "kernel.pid_max", "kernel.core_pattern", "fs.file-max"] {
        let mut bundle = room.script("true")?;
        bundle.set("/linux/sysctl", json!({ name: "1" }));
        room.run(&bundle)?.refuses(&[name])?;
    }
    Ok(())
}

fn shared_namespace_is_refused(room: &Room) -> Verdict {
    let mut bundle = room.script("true")?;
    bundle.share_namespace("ipc").unmount("/dev/mqueue");
    bundle.set("/linux/sysctl", json!({ "kernel.msgmax": "12345" }));
    room.run(&bundle)?.refuses(&["kernel.msgmax"])?;
    let mut bundle = room.script("true")?;
    bundle.share_namespace("network").unmount("/sys").unmount("/sys/fs/cgroup");
    bundle.set("/linux/sysctl", json!({ "net.ipv4.ip_forward": "1" }));
    room.run(&bundle)?.refuses(&["net.ipv4.ip_forward"])?;
    Ok(())
}

fn path_traversal_is_refused(room: &Room) -> Verdict {
    let before = fs::read_to_string("/proc/sys/vm/swappiness")?;
    let mut bundle = room.script("true")?;
    bundle.set("/linux/sysctl", json!({ "net/../vm/swappiness": "1" }));
    room.run(&bundle)?.refuses(&[])?;
    ensure_eq!(fs::read_to_string("/proc/sys/vm/swappiness")?, before, "vm.swappiness");
    Ok(())
}
