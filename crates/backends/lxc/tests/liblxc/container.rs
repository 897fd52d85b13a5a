//! A container of LXC's own tools, made of a plan.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use lxcri_backend_lxc::config::{
    Cgroups, Files, Host, How, Init, Liblxc, OnDisk, Plan, Problem, plan,
};
use lxcri_core::oci::Spec;
use lxcri_linux::cgroup::Layout;
use serde_json::{Value, json};

const BUSYBOX: &str = "/bin/busybox";

/// How long LXC may take for anything.
const PATIENCE: Duration = Duration::from_secs(20);

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// Says so, past the test harness, where a test cannot run on this machine.
pub(crate) fn skip(test: &str, reason: &str) {
    let line = format!("SKIP lxc::{test}: {reason}");
    std::io::Write::write_all(&mut std::io::stdout(), format!("{line}\n").as_bytes()).unwrap();
}

/// Whether the tools are here.
pub(crate) fn can_run(test: &str) -> bool {
    let has = |program: &str| Path::new(program).exists();
    let can = has("/usr/bin/lxc-start") && has(BUSYBOX) && rustix::process::geteuid().is_root();
    if !can {
        skip(test, "needs root, lxc-start and a static busybox");
    }
    can
}

/// A bundle and LXC's directory for it; everything goes away with it.
pub(crate) struct Container {
    directory: tempfile::TempDir,
    pub(crate) name: String,
}

impl Container {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("lxcri-test-{}-{number}", std::process::id());
        let container = Self { directory, name };
        // The root of a user namespace has to walk to the root file system.
        fs::set_permissions(container.path(""), fs::Permissions::from_mode(0o755)).unwrap();
        for name in ["bin", "proc", "sys", "dev", "tmp", "out"] {
            fs::create_dir_all(container.rootfs().join(name)).unwrap();
        }
        fs::set_permissions(container.rootfs().join("out"), fs::Permissions::from_mode(0o777))
            .unwrap();
        fs::copy(BUSYBOX, container.rootfs().join("bin/busybox")).unwrap();
        for applet in ["sh", "cat", "mkdir", "sleep", "mount", "hostname", "stat", "touch", "grep"]
        {
            symlink("busybox", container.rootfs().join("bin").join(applet)).unwrap();
        }
        fs::create_dir_all(container.path("lxc").join(&container.name)).unwrap();
        container
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn rootfs(&self) -> PathBuf {
        self.path("rootfs")
    }

    /// A document with all namespaces but those of users and networks, and `linux` merged into it.
    pub(crate) fn document(&self) -> Value {
        json!({
            "ociVersion": "1.0.2",
            "process": { "args": ["sh"], "cwd": "/", "capabilities": { "bounding": ["CAP_KILL"] } },
            "root": { "path": "rootfs" },
            "mounts": [{ "destination": "/proc", "type": "proc", "source": "proc",
                "options": ["nosuid", "nodev", "noexec"] }],
            "linux": { "namespaces": [{ "type": "mount" }, { "type": "pid" }, { "type": "ipc" },
                { "type": "uts" }, { "type": "network" }] },
        })
    }

    pub(crate) fn host(&self) -> Host {
        Host {
            liblxc: Liblxc { major: 5, minor: 0 },
            cgroups: Cgroups::of(&Layout::detect().unwrap()).unwrap(),
            apparmor: lxcri_linux::security_module::apparmor_is_enabled(),
            selinux: false,
            last_capability: lxcri_linux::capability::last_cap(),
            rootfs: self.rootfs(),
            bundle: self.path(""),
            name: self.name.parse().unwrap(),
            lxcpath: self.path("lxc"),
        }
    }

    /// Lets LXC run `/bin/sh /init`, with all capabilities that busybox may need.
    pub(crate) fn how(&self) -> How {
        let init = Init { command: "/bin/sh /init".into(), ..Init::default() };
        How { init, ..How::default() }
    }

    pub(crate) fn plan(&self, document: &Value, how: &How) -> Result<Plan, Problem> {
        self.plan_with(document, &self.host(), how, &OnDisk::open(&self.rootfs()).unwrap())
    }

    pub(crate) fn plan_with(
        &self,
        document: &Value,
        host: &Host,
        how: &How,
        files: &dyn Files,
    ) -> Result<Plan, Problem> {
        let spec: Spec = serde_json::from_value(document.clone()).unwrap();
        let plan = plan(&spec, host, how, files)?;
        fs::write(self.path("lxc").join(&self.name).join("config"), &plan.config).unwrap();
        if let Some(profile) = &plan.seccomp {
            fs::write(&profile.path, &profile.text).unwrap();
        }
        Ok(plan)
    }

    pub(crate) fn tool(&self, tool: &str, args: &[&str]) -> Command {
        let mut command = Command::new("timeout");
        command.args(["--signal=KILL", "20", tool, "-P"]).arg(self.path("lxc"));
        command.args(["-n", &self.name]).args(args);
        command
    }

    /// `lxc-start`. Where newuidmap is installed liblxc uses it even as root, so that root must own the
    /// ids of containers: here it does, whatever the machine says.
    pub(crate) fn start_tool(&self, args: &[&str]) -> Command {
        let owns = self.path("subids");
        fs::write(&owns, "root:100000:65536\n").unwrap();
        let script = "for file in /etc/subuid /etc/subgid; do
                [ ! -e $file ] || mount --bind \"$0\" $file || exit
            done; exec \"$@\"";
        let mut command = Command::new("unshare");
        command.args(["-m", "--propagation", "slave", "sh", "-c", script]).arg(owns);
        let start = self.tool("lxc-start", args);
        command.arg(start.get_program()).args(start.get_args());
        command
    }

    /// Lets LXC read the configuration, and gives its answer for one key.
    pub(crate) fn ask(&self, key: &str) -> Output {
        self.tool("lxc-info", &["-c", key]).output().unwrap()
    }

    /// Runs `script` as the container's init to its end, and gives what it wrote to `/out/text`.
    pub(crate) fn run(&self, script: &str) -> String {
        self.write_init(&format!("exec >/out/text 2>&1\n{script}\n"));
        let log = self.path("log");
        let mut command = self.start_tool(&["-F", "-l", "INFO", "-o"]);
        let output = command.arg(&log).output().unwrap();
        let text = fs::read_to_string(self.rootfs().join("out/text"));
        text.unwrap_or_else(|error| {
            let log = fs::read_to_string(log).unwrap_or_default();
            panic!("no output ({error}), {output:?}\n{}\n{log}", self.config())
        })
    }

    pub(crate) fn write_init(&self, script: &str) {
        fs::write(self.rootfs().join("init"), script).unwrap();
    }

    pub(crate) fn config(&self) -> String {
        fs::read_to_string(self.path("lxc").join(&self.name).join("config")).unwrap()
    }

    /// Starts it with an init that only waits, and gives init's pid.
    pub(crate) fn start(&self) -> u32 {
        self.write_init("while :; do sleep 1; done\n");
        let log = self.path("log");
        let mut command = self.start_tool(&["-d", "-l", "INFO", "-o"]);
        let status = command.arg(&log).status().unwrap();
        let log = fs::read_to_string(log).unwrap_or_default();
        assert!(status.success(), "{}\n{log}", self.config());
        let begin = Instant::now();
        loop {
            let output = self.tool("lxc-info", &["-p", "-H"]).output().unwrap();
            if let Ok(pid) = String::from_utf8_lossy(&output.stdout).trim().parse() {
                return pid;
            }
            assert!(begin.elapsed() < PATIENCE, "no pid: {output:?}\n{log}");
            sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = self.tool("lxc-stop", &["-k"]).output();
        // LXC removes the container's cgroup and leaves those above it.
        let mounts = self.host().cgroups;
        let mounts = mounts.v1.iter().map(|h| &h.mount).chain(mounts.v2.iter().map(|t| &t.mount));
        for pod in mounts.map(|mount| mount.join(format!("{}-pod", self.name))) {
            let begin = Instant::now();
            while pod.exists() && fs::remove_dir(&pod).is_err() && begin.elapsed() < PATIENCE / 10 {
                sleep(Duration::from_millis(20));
            }
        }
    }
}
