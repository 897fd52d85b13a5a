//! `config.json` and the plan that the lxc room makes of it.
//!
//! Whatever the document says, the configuration for LXC has only lines that this program means:
//! comments, or a key and a value that liblxc reads as they stand. No key that runs something comes
//! from the document. What lxcri-init gets is read as it was written.

use std::io;
use std::path::Path;

use lxcri_backend_lxc::config::{
    By, Cgroups, Destination, Files, Found, Host, HostDevice, How, Init, Inside, Liblxc, OwnMount,
    Plan, V1Hierarchy, V2Tree, WeightFile, plan,
};
use lxcri_core::oci::Spec;
use lxcri_linux::cgroup::LayoutKind;
use lxcri_linux::namespace::Kind;

use crate::broken::{Broken, Outcome, holds, never, same};

/// The only line that runs something on the host, and what it runs.
const HOOK: &str = "/usr/libexec/lxcri-hook box";
const INIT: &str = "/.lxcri/init";

pub(super) fn run(input: &[u8]) -> Outcome {
    let Ok(spec) = Spec::parse(input, Path::new("config.json")) else { return Ok(()) };
    // One arrangement for each input: a thousand inputs try them all many times over.
    let number = input.iter().fold(0usize, |sum, byte| sum.wrapping_add(usize::from(*byte)));
    let kinds = [LayoutKind::V2, LayoutKind::Hybrid, LayoutKind::V1];
    let host = host(kinds[number % kinds.len()])?;
    let by = if number & 1 == 0 { By::Lxc } else { By::Init };
    let how = how(by, number & 2 == 0);
    match plan(&spec, &host, &how, &Anywhere) {
        Ok(plan) => check(&plan),
        Err(error) => holds(!error.to_string().is_empty(), "a refusal says why"),
    }
}

fn check(plan: &Plan) -> Outcome {
    for line in plan.config.lines() {
        check_line(line)?;
    }
    if let Some(profile) = &plan.seccomp {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || b"_ [],\n".contains(&byte);
        holds(profile.text.bytes().all(known), "a profile has plain words only")?;
        holds(profile.text.starts_with("2\n"), "a profile is of version 2")?;
        let sections = profile.text.lines().filter(|line| line.starts_with('[')).count();
        holds(sections == 1, "a profile has one section")?;
    }
    let text = serde_json::to_vec(&plan.inside).map_err(never("the part of init is written"))?;
    let again: Inside =
        serde_json::from_slice(&text).map_err(never("the part of init is read back"))?;
    same(&again, &plan.inside, "the part of init is read as it was written")?;
    for entry in &plan.read_back {
        // Any text may stand in a file.
        entry.wanted.holds("8:0 rbps=1 \u{0}\nmax");
        holds(!entry.file.contains('/'), "a limit is a file of the container's own cgroup")?;
    }
    Ok(())
}

fn check_line(line: &str) -> Outcome {
    if line.is_empty() || line.starts_with("# ") {
        return Ok(());
    }
    let is_plain = !line.chars().any(|c| c.is_control() && c != '\t');
    holds(is_plain && line.starts_with("lxc."), "a line is a key of LXC's")?;
    let (key, value) =
        line.split_once(" = ").ok_or(()).map_err(never("a line is a key and a value"))?;
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    holds(key.bytes().all(known), "a key is a key")?;
    holds(!value.is_empty() && value.trim() == value, "a value is read as it stands")?;
    let quote = value.chars().next().filter(|c| matches!(c, '\'' | '"'));
    holds(quote.is_none_or(|c| !value.ends_with(c) || value.len() == 1), "no quotes are cut off")?;
    match key {
        "lxc.hook.mount" => holds(value == HOOK, "only our hook is run"),
        "lxc.hook.version" => holds(value == "1", "hooks get no arguments"),
        "lxc.init.cmd" => holds(value == INIT, "only our init is run"),
        "lxc.mount.entry" => check_entry(value),
        _ => {
            let runs = ["lxc.hook", "lxc.include", "lxc.environment", "lxc.execute", "lxc.log"];
            holds(!runs.iter().any(|start| key.starts_with(start)), "no key runs or reads anything")
        }
    }
}

/// Six fields; the second is below the root, without links or a way up.
fn check_entry(value: &str) -> Outcome {
    let fields: Vec<&str> = value.split(' ').collect();
    holds(fields.len() == 6, "an entry has six fields")?;
    let is_below = !fields[1].starts_with('/') && fields[1].split('/').all(|name| name != "..");
    holds(is_below && !fields[1].is_empty(), "a destination is below the root")?;
    holds(value.len() < 4096, "an entry is read whole")
}

fn host(kind: LayoutKind) -> Result<Host, Broken> {
    let names = ["devices", "memory", "cpu", "cpuset", "pids", "blkio"];
    let hierarchy = |name: &str| V1Hierarchy {
        controllers: vec![name.to_owned()],
        mount: format!("/sys/fs/cgroup/{name}").into(),
    };
    let v1 = if kind == LayoutKind::V2 { Vec::new() } else { names.map(hierarchy).into() };
    let of_tree: &[&str] = if kind == LayoutKind::V2 {
        &["cpu", "cpuset", "io", "memory", "pids"]
    } else {
        &["hugetlb"]
    };
    let controllers = of_tree.iter().map(ToString::to_string).collect();
    let tree = V2Tree { mount: "/sys/fs/cgroup/unified".into(), controllers };
    let v2 = (kind != LayoutKind::V1).then_some(tree);
    let weight = Some(WeightFile::General);
    Ok(Host {
        liblxc: Liblxc { major: 6, minor: 0 },
        cgroups: Cgroups { kind, v1, v2, weight, counts_swap: true },
        apparmor: true,
        selinux: false,
        last_capability: 40,
        rootfs: "/srv/rootfs".into(),
        bundle: "/srv/bundle".into(),
        name: "box".parse().map_err(never("a name is a name"))?,
        lxcpath: "/var/lib/lxcri".into(),
    })
}

fn how(by: By, nested: bool) -> How {
    let mount = OwnMount {
        source: "/usr/libexec/lxcri".into(),
        destination: "/.lxcri".into(),
        directory: true,
        writable: false,
    };
    How {
        init: Init {
            command: INIT.to_owned(),
            capabilities: vec!["CAP_SYS_ADMIN".to_owned()],
            mounts: vec![mount],
            nested_pid_namespace: nested,
        },
        seccomp: by,
        apparmor: by,
        mount_hook: nested.then(|| HOOK.to_owned()),
        raw_keys: vec!["lxc.*".to_owned()],
        ..How::default()
    }
}

/// Files that are what their names say.
#[derive(Debug)]
struct Anywhere;

impl Files for Anywhere {
    fn is_directory(&self, source: &Path) -> io::Result<bool> {
        Ok(source.extension().is_none())
    }

    fn destination(&self, path: &Path) -> io::Result<Destination> {
        let found = path.extension().is_none().then_some(Found::Directory(0o755));
        Ok(Destination { path: path.to_owned(), found })
    }

    fn device(&self, path: &Path) -> io::Result<Option<HostDevice>> {
        let known = [("/dev/null", 3), ("/dev/zero", 5), ("/dev/full", 7), ("/dev/random", 8)];
        let found = known.iter().find(|(name, _)| path == Path::new(name));
        Ok(found.map(|(_, minor)| HostDevice { is_block: false, major: 1, minor: *minor }))
    }

    fn is_own_namespace(&self, _: Kind, path: &Path) -> io::Result<bool> {
        Ok(path.starts_with("/proc/self"))
    }
}
