//! System call filters.

use lxcri_testkit::Bundle;
use lxcri_testkit::Room;
use lxcri_testkit::Verdict;
use lxcri_testkit::ensure;
use lxcri_testkit::ensure_eq;
use lxcri_testkit::skip;
use serde_json::Value;
use serde_json::json;

use crate::registry::cases;

cases!("seccomp": errno, default_errno, kill, kill_thread, argument, masked_argument, several_arguments,
    comparisons, default_action, default_errno_ret, log_and_flags, default_profile,
    without_no_new_privileges, unknown_call_is_ignored, unknown_action_is_refused,
    unknown_operator_is_refused, foreign_architectures);

/// The filter of Podman's default container.
pub const PODMAN: &str = include_str!("../../data/podman-seccomp.json");

/// A bundle with a filter that allows everything but the given rules.
fn with_rules(room: &Room, script: &str, rules: &Value) -> Verdict<Bundle> {
    let mut bundle = room.script(script)?;
    bundle.readonly_root(false).set(
        "/linux/seccomp",
        json!({
            "defaultAction": "SCMP_ACT_ALLOW",
            "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"],
            "syscalls": rules,
        }),
    );
    Ok(bundle)
}

fn errno(room: &Room) -> Verdict {
    let rules =
        json!([{ "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28 }]);
    let bundle = with_rules(room, "grep Seccomp: /proc/self/status; mkdir /tmp/x 2>&1", &rules)?;
    let finished = room.run(&bundle)?.exits(1)?;
    ensure!(finished.stdout.starts_with("Seccomp:\t2\n"), "a filter is in force: {finished}");
    ensure!(finished.stdout.contains("No space left on device"), "errno 28: {finished}");
    Ok(())
}

fn default_errno(room: &Room) -> Verdict {
    let rules = json!([{ "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO" }]);
    let finished = room.run(&with_rules(room, "mkdir /tmp/x 2>&1", &rules)?)?.exits(1)?;
    ensure!(finished.stdout.contains("Operation not permitted"), "EPERM: {finished}");
    Ok(())
}

fn kill(room: &Room) -> Verdict {
    let rules = json!([{ "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_KILL_PROCESS" }]);
    let bundle = with_rules(room, "ulimit -c 0; mkdir /tmp/x; echo $?", &rules)?;
    let finished = room.run(&bundle)?.ok()?;
    // SIGSYS is 31.
    ensure!(finished.stdout.ends_with("159\n"), "killed by SIGSYS: {finished}");
    Ok(())
}

fn kill_thread(room: &Room) -> Verdict {
    for action in ["SCMP_ACT_KILL", "SCMP_ACT_KILL_THREAD"] {
        let rules = json!([{ "names": ["mkdir", "mkdirat"], "action": action }]);
        let bundle = with_rules(room, "ulimit -c 0; mkdir /tmp/x; echo $?", &rules)?;
        let finished = room.run(&bundle)?.ok()?;
        ensure!(finished.stdout.ends_with("159\n"), "{action}: {finished}");
    }
    Ok(())
}

/// A rule about `chmod` with comparisons; the mode is its second argument (third of fchmodat).
fn chmod_rule(comparison: &Value) -> Value {
    let with_index = |index: u32| {
        let mut comparison = comparison.clone();
        comparison["index"] = json!(index);
        comparison
    };
    json!([
        { "names": ["chmod"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13, "args": [with_index(1)] },
        { "names": ["fchmodat", "fchmodat2"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13, "args": [with_index(2)] },
    ])
}

/// Which of some modes chmod refuses under a comparison.
fn refused_modes(room: &Room, comparison: &Value) -> Verdict<String> {
    let script = "touch /tmp/f; for m in 600 644 700 755; do chmod $m /tmp/f 2>/dev/null || echo -n \"$m \"; done";
    let printed = room.output(&with_rules(room, script, &chmod_rule(comparison))?)?;
    Ok(printed.trim().to_owned())
}

fn argument(room: &Room) -> Verdict {
    let found = refused_modes(room, &json!({ "value": 0o700, "op": "SCMP_CMP_EQ" }))?;
    ensure_eq!(found, "700", "refused modes");
    Ok(())
}

fn masked_argument(room: &Room) -> Verdict {
    let comparison = json!({ "value": 0o100, "valueTwo": 0o100, "op": "SCMP_CMP_MASKED_EQ" });
    ensure_eq!(refused_modes(room, &comparison)?, "700 755", "refused modes");
    Ok(())
}

fn comparisons(room: &Room) -> Verdict {
    for (operator, wanted) in [
        ("SCMP_CMP_NE", "600 700 755"),
        ("SCMP_CMP_LT", "600"),
        ("SCMP_CMP_LE", "600 644"),
        ("SCMP_CMP_GE", "644 700 755"),
        ("SCMP_CMP_GT", "700 755"),
    ] {
        let found = refused_modes(room, &json!({ "value": 0o644, "op": operator }))?;
        ensure_eq!(found, wanted, "modes refused by {operator}");
    }
    Ok(())
}

/// Comparisons of one rule on different arguments all have to hold; on the same argument, runc and
/// crun make a rule of each.
fn several_arguments(room: &Room) -> Verdict {
    let rules = json!([{
        "names": ["kill"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28,
        "args": [
            { "index": 0, "value": 4_000_001, "op": "SCMP_CMP_EQ" },
            { "index": 1, "value": 10, "op": "SCMP_CMP_EQ" },
        ],
    }]);
    let script = "kill -10 4000001 2>&1; kill -12 4000001 2>&1; kill -10 4000002 2>&1; true";
    let printed = room.output(&with_rules(room, script, &rules)?)?;
    let lines: Vec<bool> = printed.lines().map(|line| line.contains("No space left")).collect();
    ensure_eq!(lines, [true, false, false], "refused in {printed:?}");
    let rules = json!([{
        "names": ["chmod", "fchmodat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13,
        "args": [
            { "index": 1, "value": 0o700, "op": "SCMP_CMP_EQ" },
            { "index": 1, "value": 0o755, "op": "SCMP_CMP_EQ" },
        ],
    }]);
    let script = "touch /tmp/f; for m in 600 700 755; do chmod $m /tmp/f 2>/dev/null || echo -n \"$m \"; done";
    let printed = room.output(&with_rules(room, script, &rules)?)?;
    ensure_eq!(printed, "700 755 ", "refused modes");
    Ok(())
}

/// Podman's profile with one more rule in which a default action other than allow is visible.
fn with_podman(room: &Room, script: &str) -> Verdict<Bundle> {
    let mut bundle = room.script(script)?;
    bundle.set("/linux/seccomp", serde_json::from_str(PODMAN)?);
    Ok(bundle)
}

fn default_action(room: &Room) -> Verdict {
    // The default answers a call that no rule names; busybox has no better unlisted call than
    // swapon, and a bundle without capabilities gets EPERM from the kernel itself.
    let mut bundle = with_podman(room, "swapon /tmp 2>&1; pivot_root / / 2>&1; true")?;
    bundle.capabilities(&["CAP_SYS_ADMIN"]);
    let printed = room.output(&bundle)?;
    ensure!(printed.contains("not implemented") || printed.contains("not permitted"), "{printed}");
    Ok(())
}

/// `defaultErrnoRet` is the answer to every call that no rule names.
fn default_errno_ret(room: &Room) -> Verdict {
    let mut bundle = with_podman(room, "swapon /dev/null 2>&1; true")?;
    bundle.capabilities(&["CAP_SYS_ADMIN"]).set("/linux/seccomp/defaultErrnoRet", json!(28));
    remove_call(&mut bundle, "swapon");
    let printed = room.output(&bundle)?;
    ensure!(printed.contains("No space left on device"), "errno 28: {printed}");
    Ok(())
}

/// Takes a call out of every rule of a bundle's filter.
fn remove_call(bundle: &mut Bundle, name: &str) {
    if let Some(Value::Array(rules)) = bundle.config.pointer_mut("/linux/seccomp/syscalls") {
        for rule in rules {
            if let Some(names) = rule["names"].as_array_mut() {
                names.retain(|call| call != name);
            }
        }
    }
}

fn log_and_flags(room: &Room) -> Verdict {
    let rules = json!([
        { "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_LOG" },
        { "names": ["rmdir"], "action": "SCMP_ACT_ERRNO" },
    ]);
    let mut bundle =
        with_rules(room, "mkdir /tmp/x && rmdir /tmp/x 2>/dev/null || echo refused", &rules)?;
    bundle.set("/linux/seccomp/flags", json!(["SECCOMP_FILTER_FLAG_LOG"]));
    ensure_eq!(room.output(&bundle)?, "refused\n", "calls");
    Ok(())
}

fn default_profile(room: &Room) -> Verdict {
    let script = "grep Seccomp: /proc/self/status; ls / | wc -l; unshare -n true 2>&1; true";
    let printed = room.output(&with_podman(room, script)?)?;
    ensure!(printed.starts_with("Seccomp:\t2\n"), "a filter is in force: {printed}");
    ensure!(printed.contains("Operation not permitted"), "unshare: {printed}");
    Ok(())
}

/// Without no_new_privs the filter has to be loaded while there are still privileges.
fn without_no_new_privileges(room: &Room) -> Verdict {
    let rules =
        json!([{ "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28 }]);
    let script = "grep -E 'Seccomp:|NoNewPrivs' /proc/self/status; mkdir /tmp/x 2>&1";
    let mut bundle = with_rules(room, script, &rules)?;
    bundle.set("/process/noNewPrivileges", json!(false));
    bundle.set("/process/user", json!({ "uid": 1000, "gid": 1000 }));
    let finished = room.run(&bundle)?.exits(1)?;
    ensure!(finished.stdout.starts_with("NoNewPrivs:\t0\nSeccomp:\t2\n"), "{finished}");
    ensure!(finished.stdout.contains("No space left on device"), "{finished}");
    Ok(())
}

/// Profiles name calls of newer kernels and other architectures.
fn unknown_call_is_ignored(room: &Room) -> Verdict {
    let rules = json!([
        { "names": ["not_a_call_at_all", "mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO" },
    ]);
    room.run(&with_rules(room, "mkdir /tmp/x 2>/dev/null", &rules)?)?.exits(1)?;
    Ok(())
}

fn unknown_action_is_refused(room: &Room) -> Verdict {
    let rules = json!([{ "names": ["mkdir"], "action": "SCMP_ACT_MAYBE" }]);
    room.run(&with_rules(room, "true", &rules)?)?.refuses(&["SCMP_ACT_MAYBE", "seccomp"])?;
    Ok(())
}

fn unknown_operator_is_refused(room: &Room) -> Verdict {
    let rules = json!([{
        "names": ["mkdir"], "action": "SCMP_ACT_ERRNO",
        "args": [{ "index": 0, "value": 1, "op": "SCMP_CMP_ALMOST" }],
    }]);
    room.run(&with_rules(room, "true", &rules)?)?.refuses(&["SCMP_CMP_ALMOST", "seccomp"])?;
    Ok(())
}

/// A filter for one architecture alone must not stay open for the other way into the kernel.
fn foreign_architectures(room: &Room) -> Verdict {
    if !cfg!(target_arch = "x86_64") {
        skip!("needs the 32-bit system calls of x86");
    }
    let mut bundle = with_podman(room, "grep Seccomp_filters /proc/self/status; echo ok")?;
    bundle.set(
        "/linux/seccomp/architectures",
        json!(["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]),
    );
    let printed = room.output(&bundle)?;
    ensure!(printed.starts_with("Seccomp_filters:\t1\n") && printed.ends_with("ok\n"), "{printed}");
    Ok(())
}
