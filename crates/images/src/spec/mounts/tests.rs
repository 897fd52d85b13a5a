use super::*;
use crate::spec::options::{Ipc, Network, PidNamespace};

const MAPPING: IdMapping = IdMapping { container_id: 0, host_id: 100_000, size: 65_536 };

fn planned(options: &Options, volumes: &[&str], mapped: bool) -> Result<Mounts, SpecError> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("tmp")).unwrap();
    let root = Root::open(dir.path()).unwrap();
    let ground = Ground {
        root: &root,
        mapping: Some(MAPPING),
        idmapped: mapped,
        working_directory: Path::new("/usr"),
    };
    let volumes = volumes.iter().map(|path| ((*path).to_owned(), serde_json::json!({})));
    let image = Config { volumes: Some(volumes.collect()), ..Config::default() };
    plan(&image, options, &ground, &[("/etc/hosts", "/c/hosts".into())], &[])
}

fn request(destination: &str, kind: MountKind) -> MountRequest {
    MountRequest { flag: "-v", destination: destination.into(), read_only: false, kind }
}

fn bound(source: &str, destination: &str) -> MountRequest {
    let source = source.into();
    let kind =
        MountKind::Bind { source, propagation: "rprivate", recursive: true, make_source: true };
    request(destination, kind)
}

fn volume(name: Option<&str>, destination: &str) -> MountRequest {
    request(destination, MountKind::Volume { name: name.map(str::to_owned), copy: true })
}

fn with(mounts: Vec<MountRequest>) -> Options {
    Options { mounts, ..Options::default() }
}

fn lines(mounts: &[Mount]) -> Vec<String> {
    let line = |mount: &Mount| {
        let source = mount.source.as_deref().unwrap_or(Path::new("?"));
        let kind = mount.kind.as_deref().unwrap_or_default();
        let place = mount.destination.display();
        format!("{kind} {} {place} {}", source.display(), mount.options.join(","))
    };
    mounts.iter().map(line).collect()
}

#[test]
fn dockers_defaults() {
    let found = planned(&Options::default(), &[], true).unwrap();
    let wanted = [
        "proc proc /proc nosuid,noexec,nodev",
        "tmpfs tmpfs /dev nosuid,strictatime,mode=755,size=65536k",
        "devpts devpts /dev/pts nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5",
        "sysfs sysfs /sys nosuid,noexec,nodev,ro",
        "cgroup cgroup /sys/fs/cgroup nosuid,noexec,nodev,ro",
        "mqueue mqueue /dev/mqueue nosuid,noexec,nodev",
        "tmpfs shm /dev/shm nosuid,noexec,nodev,mode=1777,size=67108864",
        "bind /c/hosts /etc/hosts rbind,rprivate",
    ];
    assert_eq!(lines(&found.list), wanted);
}

#[test]
fn namespaces_of_the_host() {
    let options = Options {
        network: Network::Host,
        pid: PidNamespace::Host,
        ipc: Ipc::Host,
        ..Options::default()
    };
    let found = lines(&planned(&options, &[], true).unwrap().list);
    assert_eq!(found[0], "bind /proc /proc rbind,rprivate,nosuid,noexec,nodev");
    assert!(found.contains(&"bind /sys /sys rbind,rprivate,nosuid,noexec,nodev,ro,rro".into()));
    assert!(found.contains(&"bind /dev/shm /dev/shm rbind,rprivate,nosuid,noexec,nodev".into()));
    let options = Options { ipc: Ipc::None, ..Options::default() };
    let found = planned(&options, &[], true).unwrap();
    assert!(!found.list.iter().any(|mount| mount.destination == Path::new("/dev/shm")));
}

#[test]
fn parents_come_first_and_the_users_win() {
    let mounts = vec![
        bound("/usr", "/etc/x/y"),
        bound("/usr", "/etc"),
        bound("/usr", "/data"),
        bound("/usr", "/dev/shm/"),
        bound("/usr", "/sys/../etc/hosts"),
    ];
    let found = planned(&with(mounts), &["/data", "/var/lib/db"], true).unwrap();
    let places: Vec<_> =
        found.list.iter().skip(6).map(|m| m.destination.to_str().unwrap()).collect();
    assert_eq!(places, ["/etc", "/data", "/dev/shm", "/etc/hosts", "/etc/x/y", "/var/lib/db"]);
    let wanted = Work::Volume { name: None, destination: "/var/lib/db".into(), copy: true };
    assert_eq!(found.work, [wanted]);
    let over_dev = planned(&with(vec![bound("/dev", "/dev")]), &[], true).unwrap();
    let below = |mount: &&Mount| mount.destination.starts_with("/dev");
    assert_eq!(over_dev.list.iter().filter(below).count(), 1);
}

#[test]
fn ids_of_mounts() {
    let options = with(vec![bound("bin", "/a"), volume(Some("db"), "/b")]);
    let mapped = planned(&options, &[], true).unwrap();
    let at = |place: &str| {
        mapped.list.iter().find(|mount| mount.destination == Path::new(place)).unwrap()
    };
    assert_eq!(at("/a").uid_mappings, [MAPPING]);
    assert_eq!(at("/b").gid_mappings, [MAPPING]);
    assert!(at("/etc/hosts").uid_mappings.is_empty(), "it belongs to the right one already");
    assert_eq!(at("/a").source.as_deref(), Some(Path::new("/usr/bin")));
    assert!(mapped.warnings.is_empty());
    let plain = planned(&options, &[], false).unwrap();
    assert!(plain.list.iter().all(|mount| mount.uid_mappings.is_empty()));
    assert_eq!(plain.warnings.len(), 1, "{:?}", plain.warnings);
}

#[test]
fn how_a_bind_mount_is_made() {
    let mut mount = bound("/usr", "/a");
    mount.read_only = true;
    let options = |found: Mounts| {
        let mount = found.list.into_iter().find(|m| m.destination == Path::new("/a")).unwrap();
        (mount.options.join(","), found.root_propagation)
    };
    let found = planned(&with(vec![mount.clone()]), &[], true).unwrap();
    assert_eq!(options(found), ("rbind,rprivate,ro,rro".into(), None));
    let set = |mount: &mut MountRequest, word, deep| {
        if let MountKind::Bind { propagation, recursive, .. } = &mut mount.kind {
            (*propagation, *recursive) = (word, deep);
        }
    };
    set(&mut mount, "rslave", false);
    let found = planned(&with(vec![mount.clone()]), &[], true).unwrap();
    assert_eq!(options(found), ("bind,rslave,ro".into(), Some("rslave")));
    let mut shared = bound("/usr", "/b");
    set(&mut shared, "rshared", true);
    let found = planned(&with(vec![mount, shared]), &[], true).unwrap();
    assert_eq!(found.root_propagation, Some("shared"));
}

#[test]
fn missing_sources() {
    let missing = bound("/nonexistent/x", "/a");
    let found = planned(&with(vec![missing.clone()]), &[], true).unwrap();
    assert_eq!(found.work, [Work::MakeSource("/nonexistent/x".into())]);
    let mut strict = missing;
    strict.flag = "--mount";
    if let MountKind::Bind { make_source, .. } = &mut strict.kind {
        *make_source = false;
    }
    let error = planned(&with(vec![strict]), &[], true).unwrap_err();
    let wanted = "--mount: bind source path does not exist: /nonexistent/x";
    assert_eq!(error.to_string(), wanted);
    let error = planned(&with(vec![bound("/etc/passwd/x", "/a")]), &[], true).unwrap_err();
    assert!(error.to_string().starts_with("cannot find mount source /etc/passwd/x"), "{error}");
}

#[test]
fn memory() {
    let tmpfs = |place: &str, words: &[&str]| {
        let options = words.iter().map(ToString::to_string).collect();
        let options = with(vec![request(place, MountKind::Tmpfs { options })]);
        let is_it = |mount: &Mount| mount.destination == Path::new(place);
        let found = planned(&options, &[], true)?;
        let position = found.list.iter().position(is_it).unwrap();
        Ok::<_, SpecError>(lines(&found.list).remove(position))
    };
    assert_eq!(tmpfs("/tmp", &[]).unwrap(), "tmpfs tmpfs /tmp noexec,nosuid,nodev");
    assert_eq!(
        tmpfs("/new/run", &["exec", "size=1m"]).unwrap(),
        "tmpfs tmpfs /new/run nosuid,nodev,exec,size=1m,mode=1777"
    );
    assert_eq!(
        tmpfs("/new/run", &["mode=700", "nodev"]).unwrap(),
        "tmpfs tmpfs /new/run noexec,nosuid,nodev,mode=700"
    );
    for word in ["bind", "sise=1", "upperdir=/x", "", "x"] {
        let error = tmpfs("/tmp", &[word]).unwrap_err();
        assert_eq!(error.to_string(), format!("-v: invalid tmpfs option {word:?}"));
    }
    assert_eq!(tmpfs("/tmp", &["sise=1"]).unwrap_err().hints(), ["did you mean size?"]);
}

#[test]
fn what_cannot_be_mounted() {
    let twice = with(vec![volume(None, "/a"), bound("/usr", "/b/../a/")]);
    let table = [
        (planned(&twice, &[], true), "duplicate mount point: /a"),
        (
            planned(&with(vec![volume(None, "a")]), &[], true),
            "-v: invalid mount path: \"a\": mount path must be absolute",
        ),
        (
            planned(&Options::default(), &["/"], true),
            "the image's Volumes have an invalid mount path: \"/\": destination can't be '/'",
        ),
        (
            planned(&Options::default(), &["a\u{1b}[31m\n"], true),
            "the image's Volumes have an invalid mount path: \"a\\\\x1b[31m\\\\n\": mount path must be absolute",
        ),
        (
            planned(&with(vec![volume(Some("../x"), "/a")]), &[], true),
            "-v: \"../x\" is no name of a volume: only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed",
        ),
    ];
    for (found, message) in table {
        assert_eq!(found.unwrap_err().to_string(), message);
    }
    let many: Vec<_> = (0..=MAX_MOUNTS).map(|number| format!("/v{number}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert!(planned(&Options::default(), &many, true).is_err());
}
