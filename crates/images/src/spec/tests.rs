use std::os::unix::fs::MetadataExt;

use lxcri_core::oci::Rlimit;
use serde_json::Value;

use super::*;

const NGINX: &str = r#"{"os": "linux", "architecture": "amd64", "config": {
    "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "NGINX_VERSION=1.27"],
    "Entrypoint": ["/docker-entrypoint.sh"], "Cmd": ["nginx", "-g", "daemon off;"],
    "ExposedPorts": {"80/tcp": {}}, "StopSignal": "SIGQUIT",
    "Labels": {"maintainer": "N", "io.proxmox-lxcri.backend": "crun"}}}"#;

const POSTGRES: &str = r#"{"os": "linux", "architecture": "amd64", "config": {
    "User": "postgres", "WorkingDir": "/srv/work", "Volumes": {"/var/lib/postgresql/data": {}},
    "Env": ["PGDATA=/var/lib/postgresql/data"], "Entrypoint": ["docker-entrypoint.sh"],
    "Cmd": ["postgres"], "StopSignal": "SIGINT"}}"#;

const DISTROLESS: &str = r#"{"os": "linux", "architecture": "amd64", "config": {
    "User": "65532", "WorkingDir": "/home/nonroot", "Entrypoint": ["/app"]}}"#;

/// A root filesystem as the root of a user namespace owns it, and what is around.
struct Fixture {
    dir: tempfile::TempDir,
    machine: Machine,
    mapping: IdMapping,
    idmapped: bool,
}

impl Fixture {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let data = "rootfs/var/lib/postgresql/data";
        for path in ["rootfs/etc", data, "own", "volumes", "etc"] {
            std::fs::create_dir_all(dir.path().join(path)).unwrap();
        }
        let write = |path: &str, text: &str| std::fs::write(dir.path().join(path), text).unwrap();
        write("rootfs/etc/passwd", "root:x:0:0::/root:\npostgres:x:70:70::/var/lib/postgresql:\n");
        write("rootfs/etc/group", "root:x:0:\npostgres:x:70:\nssl:x:101:postgres\n");
        write("etc/hosts", "192.0.2.1 node\n");
        std::os::unix::fs::chown(dir.path().join(data), Some(100_070), Some(100_070)).unwrap();
        let machine = Machine {
            unified: true,
            limits_swap: true,
            limits_pids: true,
            hostname: "node".into(),
            capabilities: vec!["CAP_CHOWN", "CAP_SYS_ADMIN"],
            kernel: (6, 8),
            masked: vec!["/sys/devices/system/cpu/cpu0/thermal_throttle".into()],
            etc: dir.path().join("etc"),
            dev: "/dev".into(),
        };
        let mapping = IdMapping { container_id: 0, host_id: 100_000, size: 65_536 };
        Self { dir, machine, mapping, idmapped: true }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    fn plan(&self, image: &str, options: &Options) -> Result<Plan, SpecError> {
        let image = ImageConfig::parse("image", image.as_bytes()).unwrap();
        let around = Surroundings {
            id: "web-1",
            rootfs: &self.path("rootfs"),
            directory: &self.path("own"),
            working_directory: &self.path("etc"),
            mapping: self.mapping,
            idmapped_mounts: self.idmapped,
            machine: &self.machine,
        };
        plan(&image, options, &around)
    }

    fn prepare(&self, image: &str, options: &Options) -> Prepared {
        let volumes = |request: &VolumeRequest<'_>| {
            let path = self.path("volumes").join(request.name.unwrap_or("anonymous"));
            std::fs::create_dir_all(&path)?;
            Ok(path)
        };
        self.plan(image, options).unwrap().carry_out(&volumes).unwrap()
    }

    /// The document, read back as every backend reads it.
    fn document(&self, image: &str, options: &Options) -> Value {
        let prepared = self.prepare(image, options);
        let text = serde_json::to_vec(&prepared.spec).unwrap();
        assert_eq!(Spec::parse(&text, Path::new("config.json")).unwrap(), prepared.spec);
        serde_json::from_slice(&text).unwrap()
    }
}

fn document(image: &str, options: &Options) -> Value {
    Fixture::new().document(image, options)
}

fn message(image: &str, options: &Options) -> String {
    Fixture::new().plan(image, options).unwrap_err().to_string()
}

/// The value at `path` as text.
fn at(document: &Value, path: &str) -> String {
    document.pointer(path).unwrap_or(&Value::Null).to_string()
}

fn kinds(document: &Value) -> Vec<&str> {
    let list = document.pointer("/linux/namespaces").unwrap().as_array().unwrap();
    list.iter().map(|namespace| namespace["type"].as_str().unwrap()).collect()
}

#[test]
fn like_nginx() {
    let fixture = Fixture::new();
    let prepared = fixture.prepare(NGINX, &Options::default());
    let found = serde_json::to_value(&prepared.spec).unwrap();
    let process = serde_json::json!({
        "user": {"uid": 0, "gid": 0, "umask": 18, "additionalGids": [0]},
        "args": ["/docker-entrypoint.sh", "nginx", "-g", "daemon off;"],
        "env": [
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOSTNAME=web-1", "NGINX_VERSION=1.27", "HOME=/root",
        ],
        "cwd": "/",
        "capabilities": found["process"]["capabilities"],
    });
    assert_eq!(found["process"], process);
    for set in ["bounding", "effective", "permitted"] {
        assert_eq!(found["process"]["capabilities"][set].as_array().unwrap().len(), 14, "{set}");
    }
    let root = serde_json::json!({"path": fixture.path("rootfs")});
    assert_eq!((&found["root"], &found["hostname"]), (&root, &serde_json::json!("web-1")));
    let linux = found["linux"].as_object().unwrap();
    let parts: Vec<_> = linux.keys().map(String::as_str).collect();
    let wanted = [
        "gidMappings",
        "maskedPaths",
        "namespaces",
        "readonlyPaths",
        "resources",
        "seccomp",
        "sysctl",
        "uidMappings",
    ];
    assert_eq!(parts, wanted);
    assert_eq!(kinds(&found), ["mount", "uts", "pid", "ipc", "network", "cgroup", "user"]);
    let mapping = r#"[{"containerID":0,"hostID":100000,"size":65536}]"#;
    assert_eq!(at(&found, "/linux/uidMappings"), mapping);
    let sysctl =
        r#"{"net.ipv4.ip_unprivileged_port_start":"0","net.ipv4.ping_group_range":"0 65535"}"#;
    assert_eq!(at(&found, "/linux/sysctl"), sysctl);
    assert_eq!(at(&found, "/linux/resources/pids/limit"), "4096");
    assert_eq!(at(&found, "/linux/maskedPaths/11"), "\"/sys/firmware\"");
    assert!(at(&found, "/linux/maskedPaths/12").ends_with("thermal_throttle\""));
    assert_eq!(at(&found, "/annotations/org.opencontainers.image.exposedPorts"), "\"80/tcp\"");
    assert_eq!(at(&found, "/annotations/maintainer"), "\"N\"");
    assert_eq!(at(&found, "/annotations/io.proxmox-lxcri.backend"), "null");
    assert!(prepared.labels.contains_key("io.proxmox-lxcri.backend"), "it stays a label");
    assert_eq!(prepared.warnings.len(), 1);
    assert_eq!(prepared.stop_signal.as_deref(), Some("SIGQUIT"));
}

#[test]
fn like_postgres() {
    let fixture = Fixture::new();
    std::fs::write(fixture.path("rootfs/var/lib/postgresql/data/base"), "").unwrap();
    let found = fixture.document(POSTGRES, &Options::default());
    let user = r#"{"additionalGids":[70,101],"gid":70,"uid":70,"umask":18}"#;
    assert_eq!(at(&found, "/process/user"), user);
    assert!(at(&found, "/process/env").contains("\"HOME=/var/lib/postgresql\""));
    let sets: Vec<_> = found["process"]["capabilities"].as_object().unwrap().keys().collect();
    assert_eq!(sets, ["bounding"]);
    let mounts = found["mounts"].as_array().unwrap();
    let data = mounts.iter().find(|m| m["destination"] == "/var/lib/postgresql/data").unwrap();
    assert_eq!(data["source"], serde_json::json!(fixture.path("volumes/anonymous")));
    assert_eq!(data["uidMappings"][0]["hostID"], 100_000);
    let volume = fixture.path("volumes/anonymous");
    assert_eq!(volume.metadata().unwrap().uid(), 70, "its owner as the mount will map it");
    assert!(volume.join("base").exists());
    // The image lacks the directory; its parent is the container's root's.
    let made = |path: &str| fixture.path(path).metadata().unwrap();
    assert_eq!((made("rootfs/srv").uid(), made("rootfs/srv").gid()), (100_000, 100_000));
    assert_eq!((made("rootfs/srv/work").uid(), made("rootfs/srv/work").gid()), (100_070, 100_070));
}

#[test]
fn like_distroless() {
    let fixture = Fixture::new();
    std::fs::remove_dir_all(fixture.path("rootfs/etc")).unwrap();
    let options = Options { command: vec!["--serve".into()], ..Options::default() };
    let found = fixture.document(DISTROLESS, &options);
    assert_eq!(at(&found, "/process/args"), r#"["/app","--serve"]"#);
    assert_eq!(at(&found, "/process/user/uid"), "65532");
    assert_eq!(at(&found, "/process/user/gid"), "0");
    assert!(at(&found, "/process/env").contains("\"HOME=/\""));
    assert_eq!(fixture.path("rootfs/home/nonroot").metadata().unwrap().uid(), 165_532);
}

#[test]
fn the_containers_own_files() {
    let fixture = Fixture::new();
    let options = Options { read_only: true, ..Options::default() };
    let found = fixture.document(NGINX, &options);
    for name in ["hostname", "hosts", "resolv.conf"] {
        let metadata = fixture.path("own").join(name).metadata().unwrap();
        assert_eq!((metadata.uid(), metadata.mode() & 0o777), (100_000, 0o644));
        let place = format!("/etc/{name}");
        let mounts = found["mounts"].as_array().unwrap();
        let mount = mounts.iter().find(|mount| mount["destination"] == *place).unwrap();
        assert_eq!(mount["options"], serde_json::json!(["rbind", "rprivate", "ro"]));
    }
    assert_eq!(std::fs::read_to_string(fixture.path("own/hostname")).unwrap(), "web-1\n");
    assert_eq!(at(&found, "/root/readonly"), "true");
}

/// Every other flag, with what it changes in the document.
#[test]
fn each_flag_has_its_effect() {
    let words = |list: &[&str]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
    let base = Options::default;
    let limit = Rlimit { kind: "RLIMIT_NOFILE".into(), soft: 10, hard: 20 };
    let security = |security| Options { security, ..Options::default() };
    let limits = |limits| Options { limits, ..Options::default() };
    let table: Vec<(Options, &str, &str)> = vec![
        (Options { terminal: true, ..base() }, "/process/terminal", "true"),
        (Options { user: Some("postgres:ssl".into()), ..base() }, "/process/user/gid", "101"),
        (
            Options { groups: words(&["ssl", "9"]), ..base() },
            "/process/user/additionalGids",
            "[0,101,9]",
        ),
        (Options { working_directory: Some("/etc/".into()), ..base() }, "/process/cwd", "\"/etc\""),
        (Options { hostname: Some("db".into()), ..base() }, "/hostname", "\"db\""),
        (Options { network: Network::Host, ..base() }, "/hostname", "\"node\""),
        (
            Options { rlimits: vec![limit], ..base() },
            "/process/rlimits",
            r#"[{"hard":20,"soft":10,"type":"RLIMIT_NOFILE"}]"#,
        ),
        (
            Options { cap_drop: words(&["ALL"]), cap_add: words(&["KILL"]), ..base() },
            "/process/capabilities/bounding",
            r#"["CAP_KILL"]"#,
        ),
        (
            security(Security { no_new_privileges: true, ..Security::default() }),
            "/process/noNewPrivileges",
            "true",
        ),
        (
            security(Security { seccomp: SeccompChoice::Unconfined, ..Security::default() }),
            "/linux/seccomp",
            "null",
        ),
        (
            security(Security { apparmor: Some("p".into()), ..Security::default() }),
            "/process/apparmorProfile",
            "\"p\"",
        ),
        (
            security(Security { unmasked: true, ..Security::default() }),
            "/linux/maskedPaths",
            "null",
        ),
        (Options { shm_size: Some(1 << 20), ..base() }, "/mounts/6/options/4", "\"size=1048576\""),
        (
            limits(Limits { memory: Some(8 << 20), ..Limits::default() }),
            "/linux/resources/memory/limit",
            "8388608",
        ),
        (
            limits(Limits { nano_cpus: Some(250_000_000), ..Limits::default() }),
            "/linux/resources/cpu/quota",
            "25000",
        ),
        (limits(Limits { pids: Some(7), ..Limits::default() }), "/linux/resources/pids/limit", "7"),
        (
            Options { sysctls: [("net.core.somaxconn".into(), "9".into())].into(), ..base() },
            "/linux/sysctl/net.core.somaxconn",
            "\"9\"",
        ),
        (
            Options { labels: [("a".into(), "b".into())].into(), ..base() },
            "/annotations/a",
            "\"b\"",
        ),
        (
            Options {
                devices: vec![DeviceRequest {
                    host: "/dev/full".into(),
                    container: "/dev/full".into(),
                    access: "r".into(),
                }],
                ..base()
            },
            "/linux/devices/0/minor",
            "7",
        ),
    ];
    for (options, place, wanted) in table {
        assert_eq!(at(&document(NGINX, &options), place), wanted, "{place}");
        let before = document(NGINX, &Options::default());
        assert_ne!(at(&before, place), wanted, "{place} was so before");
    }
}

#[test]
fn namespaces_by_flags() {
    let with = |options: Options| kinds(&document(NGINX, &options)).join(" ");
    let base = Options::default;
    assert_eq!(with(Options { network: Network::Host, ..base() }), "mount uts pid ipc cgroup user");
    assert_eq!(
        with(Options { pid: PidNamespace::Host, ipc: Ipc::Host, ..base() }),
        "mount uts network cgroup user"
    );
    let host = Options { user_namespace: UserNamespace::Host, ..base() };
    assert_eq!(with(host.clone()), "mount uts pid ipc network cgroup");
    assert_eq!(at(&document(NGINX, &host), "/linux/uidMappings"), "null");
    let mut fixture = Fixture::new();
    fixture.machine.unified = false;
    assert!(!kinds(&fixture.document(NGINX, &base())).contains(&"cgroup"));
    let shared = Options { network: Network::Host, ..base() };
    assert_eq!(at(&document(NGINX, &shared), "/linux/sysctl"), "null");
}

#[test]
fn privileged_is_everything() {
    let found = document(NGINX, &Options { privileged: true, ..Options::default() });
    assert_eq!(kinds(&found), ["mount", "uts", "pid", "ipc", "network", "cgroup"]);
    for gone in ["/linux/seccomp", "/linux/maskedPaths", "/linux/readonlyPaths"] {
        assert_eq!(at(&found, gone), "null", "{gone}");
    }
    let range = "/linux/sysctl/net.ipv4.ping_group_range";
    assert_eq!(at(&found, range), "\"0 2147483647\"", "all groups, without a user namespace");
    let wanted = r#"["CAP_CHOWN","CAP_SYS_ADMIN"]"#;
    assert_eq!(at(&found, "/process/capabilities/effective"), wanted);
    assert_eq!(at(&found, "/linux/resources/devices"), r#"[{"access":"rwm","allow":true}]"#);
    assert!(!at(&found, "/mounts/3/options").contains("\"ro\""), "sysfs can be written to");
    let security = Security { seccomp: SeccompChoice::Builtin, ..Security::default() };
    let found = document(NGINX, &Options { privileged: true, security, ..Options::default() });
    assert!(found.pointer("/linux/seccomp/syscalls").is_some());
}

#[test]
fn a_profile_of_the_users() {
    let fixture = Fixture::new();
    std::fs::write(fixture.path("etc/p.json"), r#"{"defaultAction": "SCMP_ACT_ALLOW"}"#).unwrap();
    let with = |file: &str| {
        let seccomp = SeccompChoice::File(file.into());
        let security = Security { seccomp, ..Security::default() };
        let options = Options { security, ..Options::default() };
        fixture.plan(NGINX, &options).map(|plan| plan.spec().linux().seccomp.clone().unwrap())
    };
    assert_eq!(with("p.json").unwrap().default_action, "SCMP_ACT_ALLOW");
    std::fs::write(fixture.path("etc/bad.json"), "{").unwrap();
    let error = with("bad.json").unwrap_err().to_string();
    assert!(error.contains("bad.json: EOF while parsing"), "{error}");
    let error = with("/dev/zero").unwrap_err().to_string();
    assert!(error.contains("is no regular file"), "{error}");
    assert!(with("none.json").unwrap_err().to_string().contains("No such file"));
}

#[test]
fn what_cannot_be_made() {
    let base = Options::default;
    let image = |config: &str| format!(r#"{{"config": {config}}}"#);
    let table = [
        (image("{}"), base(), "no command specified"),
        (
            NGINX.to_owned(),
            Options { user: Some("nginx".into()), ..base() },
            "unable to find user nginx: no matching entries in passwd file",
        ),
        (
            NGINX.to_owned(),
            Options { user: Some("70000".into()), ..base() },
            "user 70000 has no place in the user namespace, which maps 65536 ids",
        ),
        (
            NGINX.to_owned(),
            Options { groups: vec!["99999".into()], ..base() },
            "group 99999 has no place in the user namespace, which maps 65536 ids",
        ),
        (
            NGINX.to_owned(),
            Options { sysctls: [("kernel.panic".into(), "1".into())].into(), ..base() },
            "--sysctl: sysctl \"kernel.panic\" belongs to no namespace and would change the whole machine",
        ),
        (
            NGINX.to_owned(),
            Options {
                network: Network::Host,
                sysctls: [("net.core.somaxconn".into(), "1".into())].into(),
                ..base()
            },
            "--sysctl: sysctl \"net.core.somaxconn\" needs a network namespace of the container's own",
        ),
    ];
    for (image, options, wanted) in table {
        assert_eq!(message(&image, &options), wanted);
    }
    let options = Options {
        user: Some("70000".into()),
        user_namespace: UserNamespace::Host,
        ..Options::default()
    };
    assert_eq!(at(&document(NGINX, &options), "/process/user/uid"), "70000");
}

#[test]
fn a_missing_source_is_made_for_the_containers_root() {
    let mut fixture = Fixture::new();
    fixture.idmapped = false;
    let kind = MountKind::Bind {
        source: "../new/deep".into(),
        propagation: "rprivate",
        recursive: true,
        make_source: true,
    };
    let request = MountRequest { flag: "-v", destination: "/data".into(), read_only: false, kind };
    let options = Options { mounts: vec![request], ..Options::default() };
    let prepared = fixture.prepare(NGINX, &options);
    assert_eq!(fixture.path("new/deep").metadata().unwrap().uid(), 100_000);
    let mount = prepared.spec.mounts.iter().find(|m| m.destination == Path::new("/data")).unwrap();
    assert_eq!(mount.source.as_deref(), Some(fixture.path("new/deep").as_path()));
}

#[test]
fn a_working_directory_stays_inside() {
    let fixture = Fixture::new();
    std::os::unix::fs::symlink("../../out", fixture.path("rootfs/link")).unwrap();
    let options = Options { working_directory: Some("/link/x".into()), ..Options::default() };
    fixture.prepare(NGINX, &options);
    assert!(!fixture.path("out").exists());
    assert!(fixture.path("rootfs/out/x").is_dir());
    let options = Options { working_directory: Some("/etc/passwd".into()), ..Options::default() };
    // A file there is an error of the start, as with every runtime.
    fixture.prepare(NGINX, &options);
    let options = Options { working_directory: Some("/etc/passwd/x".into()), ..Options::default() };
    let plan = fixture.plan(NGINX, &options).unwrap();
    let error = plan.carry_out(&|_| unreachable!()).unwrap_err().to_string();
    assert!(error.starts_with("cannot make working directory /etc/passwd/x"), "{error}");
}
