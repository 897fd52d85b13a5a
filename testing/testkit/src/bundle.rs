//! OCI bundles made on the spot.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;

use serde_json::Value;
use serde_json::json;

use crate::process::output_of;
use crate::runtime::CgroupDriver;
use crate::verdict::Context;
use crate::verdict::Verdict;

/// What `runc spec` prints, less the terminal and the ambient capabilities (newer versions of runc have none
/// either: the kernel refuses them without inheritable ones).
const DEFAULT: &str = include_str!("default_config.json");

/// The statically linked busybox of Debian's package `busybox-static`.
const BUSYBOX: &str = "/bin/busybox";

/// Makes cgroup names unique within one test program.
static COUNT: AtomicU32 = AtomicU32::new(0);

/// A bundle directory with its configuration, which the test edits before it is written.
#[derive(Debug, Clone)]
pub struct Bundle {
    /// The bundle directory.
    pub dir: PathBuf,
    /// The configuration; [`Bundle::write`] puts it into `config.json`.
    pub config: Value,
    /// The cgroup that the container will have with the `cgroupsPath` that the bundle was made with,
    /// below the root of a hierarchy: absolute.
    pub cgroup: String,
}

impl Bundle {
    /// A bundle in `dir` (made here) whose root file system is busybox with its usual applets.
    ///
    /// # Errors
    /// A failure naming the path that cannot be made, or saying that busybox is missing.
    pub fn busybox(dir: &Path) -> Verdict<Self> {
        let bundle = Self::without_root(dir)?;
        make_busybox_root(&bundle.rootfs())?;
        Ok(bundle)
    }

    /// A bundle in `dir` (made here) without root file system, for roots that lie elsewhere.
    ///
    /// # Errors
    /// A failure naming the path that cannot be made.
    pub fn without_root(dir: &Path) -> Verdict<Self> {
        fs::create_dir_all(dir).context(dir.display())?;
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let cgroup = format!("/lxcri-test-{}-{number}", std::process::id());
        let mut config: Value = serde_json::from_str(DEFAULT)?;
        put(&mut config, "/linux/cgroupsPath", json!(cgroup));
        Ok(Self { dir: dir.to_owned(), config, cgroup })
    }

    /// Names the cgroup as `driver` takes it.
    pub fn driven_by(&mut self, driver: CgroupDriver) -> &mut Self {
        if driver == CgroupDriver::Systemd {
            let name = self.cgroup.trim_start_matches("/lxcri-").to_owned();
            self.cgroup = format!("/system.slice/lxcri-{name}.scope");
            self.set("/linux/cgroupsPath", json!(format!("system.slice:lxcri:{name}")));
        }
        self
    }

    /// The root file system that [`Bundle::busybox`] made.
    #[must_use]
    pub fn rootfs(&self) -> PathBuf {
        self.dir.join("rootfs")
    }

    /// Writes `config.json`.
    ///
    /// # Errors
    /// A failure naming the file.
    pub fn write(&self) -> Verdict {
        self.write_text(&serde_json::to_string_pretty(&self.config)?)
    }

    /// Writes `text` as `config.json`, whatever it is.
    ///
    /// # Errors
    /// A failure naming the file.
    pub fn write_text(&self, text: &str) -> Verdict {
        let path = self.dir.join("config.json");
        fs::write(&path, text).context(path.display())
    }

    /// Puts `value` at a JSON pointer; objects on the way are made.
    pub fn set(&mut self, pointer: &str, value: Value) -> &mut Self {
        put(&mut self.config, pointer, value);
        self
    }

    /// Appends `value` to the array at a JSON pointer; the array is made when it is missing.
    pub fn push(&mut self, pointer: &str, value: Value) -> &mut Self {
        let mut list = self.config.pointer(pointer).cloned().unwrap_or_else(|| json!([]));
        if let Value::Array(items) = &mut list {
            items.push(value);
        }
        self.set(pointer, list)
    }

    /// Removes the member at a JSON pointer of an object.
    pub fn remove(&mut self, pointer: &str) -> &mut Self {
        if let Some((parent, key)) = pointer.rsplit_once('/')
            && let Some(Value::Object(members)) = self.config.pointer_mut(parent)
        {
            members.remove(key);
        }
        self
    }

    /// The program and its arguments.
    pub fn args(&mut self, args: &[&str]) -> &mut Self {
        self.set("/process/args", json!(args))
    }

    /// A shell script as the process.
    pub fn sh(&mut self, script: &str) -> &mut Self {
        self.args(&["/bin/sh", "-c", script])
    }

    /// One more environment variable, `NAME=value`.
    pub fn env(&mut self, variable: &str) -> &mut Self {
        self.push("/process/env", json!(variable))
    }

    /// Whether the root file system is mounted read-only.
    pub fn readonly_root(&mut self, readonly: bool) -> &mut Self {
        self.set("/root/readonly", json!(readonly))
    }

    /// One more mount.
    pub fn mount(&mut self, kind: &str, source: &str, target: &str, options: &[&str]) -> &mut Self {
        self.push(
            "/mounts",
            json!({ "destination": target, "type": kind, "source": source, "options": options }),
        )
    }

    /// One more bind mount.
    pub fn bind(&mut self, source: &Path, target: &str, options: &[&str]) -> &mut Self {
        let options: Vec<&str> = ["bind"].iter().chain(options).copied().collect();
        self.mount("bind", &source.to_string_lossy(), target, &options)
    }

    /// Drops every mount on `target` from the configuration.
    pub fn unmount(&mut self, target: &str) -> &mut Self {
        if let Some(Value::Array(mounts)) = self.config.pointer_mut("/mounts") {
            mounts.retain(|mount| mount["destination"] != target);
        }
        self
    }

    /// A namespace of `kind`: new, or the one at `path`. Replaces an earlier entry of that kind.
    pub fn namespace(&mut self, kind: &str, path: Option<&str>) -> &mut Self {
        self.share_namespace(kind);
        let entry = path
            .map_or_else(|| json!({ "type": kind }), |path| json!({ "type": kind, "path": path }));
        self.push("/linux/namespaces", entry)
    }

    /// No namespace of `kind`: the container shares the caller's.
    pub fn share_namespace(&mut self, kind: &str) -> &mut Self {
        if let Some(Value::Array(entries)) = self.config.pointer_mut("/linux/namespaces") {
            entries.retain(|entry| entry["type"] != kind);
        }
        self
    }

    /// A new user namespace in which ids 0 to `size`-1 are `host` to `host`+`size`-1 outside.
    /// The root file system is handed to `host`, so that root inside owns it.
    ///
    /// # Errors
    /// A failure naming the path that cannot be handed over.
    pub fn user_namespace(&mut self, host: u32, size: u32) -> Verdict<&mut Self> {
        let mapping = json!([{ "containerID": 0, "hostID": host, "size": size }]);
        let owner = format!("{host}:{host}");
        let rootfs = self.rootfs();
        output_of(Command::new("chown").args(["-hR", &owner]).arg(rootfs))?;
        self.namespace("user", None);
        self.set("/linux/uidMappings", mapping.clone());
        Ok(self.set("/linux/gidMappings", mapping))
    }

    /// The same capabilities in the bounding, effective and permitted sets.
    pub fn capabilities(&mut self, names: &[&str]) -> &mut Self {
        for set in ["bounding", "effective", "permitted"] {
            self.set(&format!("/process/capabilities/{set}"), json!(names));
        }
        self
    }

    /// One more hook of `kind`: `/bin/sh -c script` on the host.
    pub fn hook(&mut self, kind: &str, script: &str) -> &mut Self {
        self.push(
            &format!("/hooks/{kind}"),
            json!({ "path": "/bin/sh", "args": ["sh", "-c", script] }),
        )
    }

    /// Writes a file into the root file system.
    ///
    /// # Errors
    /// A failure naming the path.
    pub fn file(&self, path: &str, content: &str, mode: u32) -> Verdict<PathBuf> {
        let path = self.rootfs().join(path.trim_start_matches('/'));
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).context(parent.display())?;
        }
        fs::write(&path, content).context(path.display())?;
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).context(path.display())?;
        Ok(path)
    }
}

/// Puts a value at a JSON pointer, making objects on the way.
pub(crate) fn put(root: &mut Value, pointer: &str, value: Value) {
    let mut place = root;
    for key in pointer.split('/').skip(1) {
        place = match place {
            Value::Array(items) => {
                let index = key.parse().unwrap_or(usize::MAX);
                let Some(item) = items.get_mut(index) else {
                    return;
                };
                item
            }
            other => {
                if !other.is_object() {
                    *other = json!({});
                }
                &mut other[key]
            }
        };
    }
    *place = value;
}

/// The applets that are linked: what tests use, and what one types by hand. Each link of each test
/// costs an emulated machine a millisecond.
const APPLETS: &str = "[ awk base64 cat chmod chown clear cmp cp cut date dd df echo env expr false \
    find fold free grep groups head hostname id ifconfig ionice ip kill last less link ln ls mkdir \
    mkfifo mknod more mount nproc od passwd printf ps pwd readlink rev rm rmdir sed seq setsid sh \
    sleep sort stat strings stty swapon sync sysctl tail test time timeout top touch tr true \
    truncate tty umount uname unshare uptime w wc which who xargs yes";

/// A root file system of busybox, its applets as links, the usual directories and accounts.
pub(crate) fn make_busybox_root(root: &Path) -> Verdict {
    let dirs = "bin dev etc home/alice mnt proc root run sbin sys tmp usr/bin usr/sbin var/tmp";
    for dir in dirs.split(' ') {
        fs::create_dir_all(root.join(dir)).context(root.display())?;
    }
    fs::set_permissions(root.join("tmp"), fs::Permissions::from_mode(0o1777))?;
    let busybox = root.join("bin/busybox");
    fs::copy(BUSYBOX, &busybox).context(format!("{BUSYBOX} (package busybox-static)"))?;
    for applet in APPLETS.split_whitespace() {
        symlink("busybox", root.join("bin").join(applet)).context(applet)?;
    }
    let accounts = "root:x:0:0:root:/root:/bin/sh\nalice:x:1000:1000:Alice:/home/alice:/bin/sh\n";
    fs::write(root.join("etc/passwd"), accounts)?;
    fs::write(root.join("etc/group"), "root:x:0:\ntty:x:5:\nalice:x:1000:\nusers:x:100:alice\n")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn set_makes_the_objects_on_the_way_and_keeps_the_rest() {
        let mut config = json!({ "a": { "b": 1 }, "list": [{ "x": 1 }] });
        put(&mut config, "/a/c/d", json!(2));
        put(&mut config, "/list/0/x", json!(3));
        put(&mut config, "/list/7/x", json!(4));
        assert_eq!(config, json!({ "a": { "b": 1, "c": { "d": 2 } }, "list": [{ "x": 3 }] }));
    }

    #[test]
    fn systemd_takes_another_path() {
        let dir = tempfile::tempdir().unwrap();
        let mut bundle = Bundle::without_root(&dir.path().join("b")).unwrap();
        let usual = bundle.cgroup.clone();
        bundle.driven_by(CgroupDriver::Cgroupfs);
        assert_eq!(bundle.config["linux"]["cgroupsPath"], usual);
        bundle.driven_by(CgroupDriver::Systemd);
        assert_eq!(bundle.cgroup, format!("/system.slice{usual}.scope"));
        let path = bundle.config["linux"]["cgroupsPath"].as_str().unwrap();
        assert_eq!(path, format!("system.slice:lxcri:{}", &usual["/lxcri-".len()..]));
    }

    #[test]
    fn a_namespace_replaces_the_entry_of_its_kind() {
        let dir = tempfile::tempdir().unwrap();
        let mut bundle = Bundle::without_root(&dir.path().join("b")).unwrap();
        bundle.namespace("pid", Some("/proc/1/ns/pid")).share_namespace("ipc").remove("/hostname");
        let namespaces = bundle.config["linux"]["namespaces"].as_array().unwrap();
        assert_eq!(namespaces.iter().filter(|entry| entry["type"] == "pid").count(), 1);
        assert!(namespaces.contains(&json!({ "type": "pid", "path": "/proc/1/ns/pid" })));
        assert!(!namespaces.contains(&json!({ "type": "ipc" })));
        assert!(bundle.config.get("hostname").is_none());
    }
}
