//! A bundle of busybox, as small as it can be.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

/// A bundle in a directory of its own.
#[derive(Debug)]
pub(crate) struct Bundle {
    dir: tempfile::TempDir,
    config: Value,
}

/// A statically linked busybox of this machine.
pub(crate) fn busybox() -> Option<PathBuf> {
    ["/usr/bin/busybox", "/bin/busybox"].map(PathBuf::from).into_iter().find(|path| path.exists())
}

impl Bundle {
    /// Runs `args` as root.
    pub(crate) fn new(args: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("rootfs");
        for directory in ["bin", "proc", "dev", "sys", "tmp"] {
            std::fs::create_dir_all(root.join(directory)).unwrap();
        }
        if let Some(busybox) = busybox() {
            std::fs::copy(busybox, root.join("bin/busybox")).unwrap();
        }
        for name in ["sh", "sleep", "true", "tty"] {
            std::os::unix::fs::symlink("busybox", root.join("bin").join(name)).unwrap();
        }
        let bundle = Self { dir, config: config(args) };
        bundle.write();
        bundle
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn rootfs(&self) -> PathBuf {
        self.dir.path().join("rootfs")
    }

    /// Sets a field at the top.
    pub(crate) fn set(&mut self, field: &str, value: Value) {
        self.config[field] = value;
        self.write();
    }

    /// Sets a field one below.
    pub(crate) fn set_in(&mut self, outer: &str, field: &str, value: Value) {
        self.config[outer][field] = value;
        self.write();
    }

    fn write(&self) {
        std::fs::write(self.path().join("config.json"), self.config.to_string()).unwrap();
    }
}

fn config(args: &[&str]) -> Value {
    let all = json!(["CAP_KILL", "CAP_CHOWN"]);
    let namespaces = ["pid", "mount", "ipc", "uts", "network"].map(|kind| json!({"type": kind}));
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "user": {"uid": 0, "gid": 0}, "args": args, "env": ["PATH=/bin"], "cwd": "/",
            "capabilities": {"bounding": all, "effective": all, "permitted": all},
            "noNewPrivileges": true,
        },
        "root": {"path": "rootfs"},
        "hostname": "drive",
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
             "options": ["nosuid", "mode=755", "size=65536k"]},
            {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
             "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]},
        ],
        "linux": {"namespaces": namespaces, "maskedPaths": ["/proc/keys"]},
    })
}
