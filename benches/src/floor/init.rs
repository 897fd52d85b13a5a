//! What the container's init does between clone3(2) and execve(2).

use lxcri_floor::plan::Place;
use lxcri_floor::plan::Plan;
use lxcri_linux::capability;
use lxcri_linux::cgroup::Cgroup;
use lxcri_linux::seccomp;
use lxcri_testkit::Verdict;

use super::cgroups;
use super::cgroups::Cgroups;
use super::config::Config;
use super::mounts;

/// Name, major, minor (OCI runtime-spec config-linux.md, "Default Devices").
const NODES: [(&str, u32, u32); 6] = [
    ("dev/null", 1, 3),
    ("dev/zero", 1, 5),
    ("dev/full", 1, 7),
    ("dev/random", 1, 8),
    ("dev/urandom", 1, 9),
    ("dev/tty", 5, 0),
];

/// The same, and config.md, "Linux Process".
const LINKS: [(&str, &str); 5] = [
    ("/proc/self/fd", "dev/fd"),
    ("/proc/self/fd/0", "dev/stdin"),
    ("/proc/self/fd/1", "dev/stdout"),
    ("/proc/self/fd/2", "dev/stderr"),
    ("pts/ptmx", "dev/ptmx"),
];

/// The whole child.
pub(super) fn prepare(
    plan: &mut Plan,
    config: &Config,
    cgroup: &Cgroup,
    cgroups: &Cgroups,
) -> Verdict {
    plan.call(libc::SYS_setsid, &[]);
    raise_loopback(plan);
    let name = plan.text(&config.hostname);
    let length = config.hostname.len() as u64;
    plan.call(libc::SYS_sethostname, &[name.into(), length.into()]);
    for (key, value) in &config.sysctls {
        cgroups::write(plan, &format!("/proc/sys/{}", key.replace('.', "/")), value);
    }
    let root = config.rootfs.to_string_lossy().into_owned();
    mounts::mount(plan, None, "/", None, libc::MS_REC | libc::MS_PRIVATE, "");
    mounts::mount(plan, Some(&root), &root, None, libc::MS_BIND | libc::MS_REC, "");
    change_directory(plan, &root);
    plan.call(libc::SYS_umask, &[0.into()]);
    mounts::all(plan, config, cgroup, cgroups)?;
    make_devices(plan);
    mounts::hide(plan, config);
    if config.read_only_root {
        let flags = libc::MS_REMOUNT | libc::MS_BIND | libc::MS_RDONLY;
        mounts::mount(plan, None, ".", None, flags, "");
    }
    let here = plan.text(".");
    plan.call(libc::SYS_pivot_root, &[here.into(), here.into()]);
    plan.call(libc::SYS_umount2, &[here.into(), (libc::MNT_DETACH as u64).into()]);
    change_directory(plan, "/");
    become_payload(plan, config);
    Ok(())
}

fn change_directory(plan: &mut Plan, path: &str) {
    let path = plan.text(path);
    plan.call(libc::SYS_chdir, &[path.into()]);
}

/// Every runtime does it, though no bundle can ask for it: without it localhost is dead.
fn raise_loopback(plan: &mut Plan) {
    let (family, kind) = (libc::AF_INET as u64, (libc::SOCK_DGRAM | libc::SOCK_CLOEXEC) as u64);
    let socket = plan.call(libc::SYS_socket, &[family.into(), kind.into(), 0.into()]);
    // `struct ifreq` of linux/if.h: sixteen bytes of name, then the flags.
    let mut request = [0_u8; 40];
    request[..2].copy_from_slice(b"lo");
    let flags = (libc::IFF_UP | libc::IFF_RUNNING) as u16;
    request[16..18].copy_from_slice(&flags.to_ne_bytes());
    let request = plan.data(&request);
    let call = libc::SIOCSIFFLAGS;
    plan.call(libc::SYS_ioctl, &[socket.into(), call.into(), request.into()]);
    plan.call(libc::SYS_close, &[socket.into()]);
}

fn make_devices(plan: &mut Plan) {
    let here = libc::AT_FDCWD as u64;
    for (path, major, minor) in NODES {
        let path = plan.text(path);
        let mode = u64::from(libc::S_IFCHR | 0o666);
        let device = libc::makedev(major, minor);
        plan.call(libc::SYS_mknodat, &[here.into(), path.into(), mode.into(), device.into()]);
    }
    for (to, path) in LINKS {
        mounts::link(plan, to, path);
    }
}

/// Limits, filter, capabilities, and the program. The filter comes while CAP_SYS_ADMIN is still there.
fn become_payload(plan: &mut Plan, config: &Config) {
    for (resource, soft, hard) in &config.rlimits {
        let limit = plan.words(&[*soft, *hard]);
        plan.call(libc::SYS_prlimit64, &[0.into(), (*resource).into(), limit.into(), 0.into()]);
    }
    plan.call(libc::SYS_umask, &[config.umask.into()]);
    if config.no_new_privileges {
        plan.call(libc::SYS_prctl, &[(libc::PR_SET_NO_NEW_PRIVS as u64).into(), 1.into()]);
    }
    if let Some(program) = &config.seccomp {
        load_filter(plan, program);
    }
    let all = capability::Set::up_to(capability::last_cap());
    let (drop, now) = (libc::PR_CAPBSET_DROP as u64, capability::current());
    let bounding = now.map_or(all, |now| now.bounding);
    for bit in bounding.without(config.bounding).iter() {
        plan.call(libc::SYS_prctl, &[drop.into(), u64::from(bit).into()]);
    }
    plan.call(libc::SYS_setgroups, &[0.into(), 0.into()]);
    set_capabilities(plan, config);
    let (args, env) = (vector(plan, &config.args), vector(plan, &config.env));
    let path = plan.text(config.args.first().map_or("", String::as_str));
    plan.call(libc::SYS_execve, &[path.into(), args.into(), env.into()]);
}

fn load_filter(plan: &mut Plan, program: &seccomp::Program) {
    let count = program.instructions.len() as u64 / 8;
    let code = plan.data(&program.instructions);
    let filter = plan.words(&[count, 0]);
    plan.store_64(filter.offset(8), code);
    let mode = u64::from(libc::SECCOMP_SET_MODE_FILTER);
    let flags = u64::from(program.flags);
    plan.call(libc::SYS_seccomp, &[mode.into(), flags.into(), filter.into()]);
}

/// capset(2), third version: two blocks of effective, permitted, inheritable.
fn set_capabilities(plan: &mut Plan, config: &Config) {
    let [effective, permitted] = [config.effective.bits(), config.permitted.bits()];
    let mut data = Vec::new();
    for half in [|bits: u64| bits as u32, |bits: u64| (bits >> 32) as u32] {
        for number in [half(effective), half(permitted), 0] {
            data.extend(number.to_ne_bytes());
        }
    }
    let (header, data) = (plan.words(&[0x2008_0522]), plan.data(&data));
    plan.call(libc::SYS_capset, &[header.into(), data.into()]);
}

/// A table of strings that ends with a null pointer; filled in before the call.
fn vector(plan: &mut Plan, words: &[String]) -> Place {
    let table = plan.words(&vec![0; words.len() + 1]);
    for (index, word) in words.iter().enumerate() {
        let text = plan.text(word);
        plan.store_64(table.offset(index as u64 * 8), text);
    }
    table
}
