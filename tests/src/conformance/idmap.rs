//! Idmapped mounts: whose the files of a bind mount are inside, and whose what is written is outside.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};

use lxcri_testkit::Bundle;
use lxcri_testkit::Executor;
use lxcri_testkit::Room;
use lxcri_testkit::Verdict;
use lxcri_testkit::ensure_eq;
use lxcri_testkit::skip;
use rustix::mount::UnmountFlags;
use serde_json::{Value, json};

use super::namespaces::Holder;
use crate::registry::cases;

cases!("idmap": mappings, other_mappings, of_the_container, of_a_joined_namespace, recursive,
    not_recursive, file, readonly, several_ranges, without_mapping, invalid_mapping, only_bind,
    filesystem_without);

fn only_native(room: &Room) -> Verdict {
    if room.runtime.executor != Executor::Native {
        skip!("the crun backend refuses idmapped mounts");
    }
    Ok(())
}

fn range(container: u32, host: u32, size: u32) -> Value {
    json!({ "containerID": container, "hostID": host, "size": size })
}

/// A directory on the host with files of 0:0, 7:8 and 1000:100.
fn source(room: &Room) -> Verdict<PathBuf> {
    let dir = room.dir().join("source");
    fs::create_dir(&dir)?;
    for (name, uid, gid) in [("root", 0, 0), ("other", 7, 8), ("user", 1000, 100)] {
        fs::write(dir.join(name), "content\n")?;
        chown(dir.join(name), Some(uid), Some(gid))?;
    }
    Ok(dir)
}

fn owner(path: &Path) -> Verdict<(u32, u32)> {
    let found = fs::metadata(path)?;
    Ok((found.uid(), found.gid()))
}

/// Puts `source` onto `/mnt` of the bundle, with mappings where `uids` has ranges.
fn put(bundle: &mut Bundle, source: &Path, options: &[&str], uids: &Value, gids: &Value) {
    let mut mount = json!({
        "destination": "/mnt", "type": "bind", "source": source, "options": options,
    });
    for (field, ranges) in [("uidMappings", uids), ("gidMappings", gids)] {
        if !ranges.is_null() {
            mount[field] = ranges.clone();
        }
    }
    bundle.push("/mounts", mount);
}

/// A script in a user namespace that shifts by 100000.
fn shifted(room: &Room, script: &str) -> Verdict<Bundle> {
    let mut bundle = room.script(script)?;
    bundle.user_namespace(100_000, 65_536)?;
    Ok(bundle)
}

const OWNERS: &str = "stat -c %u:%g /mnt /mnt/root /mnt/other /mnt/user";

const OWNERS_OF_HOST: &str = "0:0\n0:0\n7:8\n1000:100\n";

/// With the mapping of the container, files have inside the owners that they have on the host.
fn mappings(room: &Room) -> Verdict {
    only_native(room)?;
    let source = source(room)?;
    let mut bundle = shifted(room, &format!("{OWNERS}; echo x >/mnt/new; echo y >>/mnt/root"))?;
    let map = json!([range(0, 100_000, 65_536)]);
    put(&mut bundle, &source, &["bind"], &map, &map);
    ensure_eq!(room.output(&bundle)?, OWNERS_OF_HOST, "owners inside");
    ensure_eq!(owner(&source.join("new"))?, (0, 0), "owner outside of what was written");
    ensure_eq!(fs::read_to_string(source.join("root"))?, "content\ny\n", "root's file");
    Ok(())
}

/// A mapping of its own, other for users than for groups, and without any user namespace.
fn other_mappings(room: &Room) -> Verdict {
    only_native(room)?;
    let source = source(room)?;
    let mut bundle = room.script(&format!("{OWNERS}; touch /mnt/new"))?;
    let (uids, gids) = (json!([range(0, 5000, 1001)]), json!([range(0, 6000, 101)]));
    put(&mut bundle, &source, &["bind", "idmap"], &uids, &gids);
    // Nobody is 0 of the source here, so root may not write; the owner may.
    bundle.set("/process/user", json!({ "uid": 5007, "gid": 6008 }));
    chown(&source, Some(7), Some(8))?;
    let found = room.output(&bundle)?;
    ensure_eq!(found, "5007:6008\n5000:6000\n5007:6008\n6000:6100\n", "owners inside");
    ensure_eq!(owner(&source.join("new"))?, (7, 8), "owner outside of what was written");
    Ok(())
}

fn of_the_container(room: &Room) -> Verdict {
    only_native(room)?;
    let source = source(room)?;
    let mut bundle = shifted(room, &format!("{OWNERS}; touch /mnt/new"))?;
    put(&mut bundle, &source, &["rbind", "idmap"], &Value::Null, &Value::Null);
    ensure_eq!(room.output(&bundle)?, OWNERS_OF_HOST, "owners inside");
    ensure_eq!(owner(&source.join("new"))?, (0, 0), "owner outside of what was written");
    Ok(())
}

/// The user namespace that is joined has a mapping, too.
fn of_a_joined_namespace(room: &Room) -> Verdict {
    only_native(room)?;
    let source = source(room)?;
    let holder = Holder::new(room, &["--user"])?;
    for file in ["uid_map", "gid_map"] {
        fs::write(format!("/proc/{}/{file}", holder.pid()), "0 100000 65536\n")?;
    }
    let mut bundle = shifted(room, &format!("{OWNERS}; touch /mnt/new"))?;
    bundle.namespace("user", Some(&format!("/proc/{}/ns/user", holder.pid())));
    bundle.remove("/linux/uidMappings").remove("/linux/gidMappings");
    put(&mut bundle, &source, &["bind", "idmap"], &Value::Null, &Value::Null);
    ensure_eq!(room.output(&bundle)?, OWNERS_OF_HOST, "owners inside");
    ensure_eq!(owner(&source.join("new"))?, (0, 0), "owner outside of what was written");
    Ok(())
}

/// A directory bound onto another one on the host; unmounted when dropped.
struct Nested(PathBuf);

impl Nested {
    /// Binds a new directory with a file of root below `source`.
    fn new(room: &Room, source: &Path) -> Verdict<Self> {
        let (below, target) = (room.dir().join("below"), source.join("nested"));
        fs::create_dir(&below)?;
        fs::write(below.join("file"), "")?;
        fs::create_dir(&target)?;
        rustix::mount::mount_bind(&below, &target)?;
        Ok(Self(target))
    }
}

impl Drop for Nested {
    fn drop(&mut self) {
        // The harness compares the mounts, so a failure here does not go unseen.
        let _result = rustix::mount::unmount(&self.0, UnmountFlags::DETACH);
    }
}

/// Owners of the mount and of what is mounted below it, with `option`.
fn nested(room: &Room, option: &str) -> Verdict<String> {
    only_native(room)?;
    let source = source(room)?;
    let _nested = Nested::new(room, &source)?;
    let mut bundle = shifted(room, "stat -c %u:%g /mnt/user /mnt/nested/file")?;
    put(&mut bundle, &source, &["rbind", option], &Value::Null, &Value::Null);
    room.output(&bundle)
}

fn recursive(room: &Room) -> Verdict {
    ensure_eq!(nested(room, "ridmap")?, "1000:100\n0:0\n", "owners with ridmap");
    Ok(())
}

fn not_recursive(room: &Room) -> Verdict {
    ensure_eq!(nested(room, "idmap")?, "1000:100\n65534:65534\n", "owners with idmap");
    Ok(())
}

fn file(room: &Room) -> Verdict {
    only_native(room)?;
    let source = source(room)?;
    let mut bundle = shifted(room, "stat -c %u:%g /mnt/name; echo more >>/mnt/name")?;
    let map = json!([range(0, 100_000, 65_536)]);
    put(&mut bundle, &source.join("root"), &["bind"], &map, &map);
    if let Some(mount) = bundle.config["mounts"].as_array_mut().and_then(|list| list.last_mut()) {
        mount["destination"] = json!("/mnt/name");
    }
    ensure_eq!(room.output(&bundle)?, "0:0\n", "owner inside");
    ensure_eq!(fs::read_to_string(source.join("root"))?, "content\nmore\n", "file outside");
    Ok(())
}

/// The other options of a mount still have their effect.
fn readonly(room: &Room) -> Verdict {
    only_native(room)?;
    let source = source(room)?;
    let mut bundle = shifted(room, "stat -c %u:%g /mnt/root; touch /mnt/new 2>&1 | grep -o Read")?;
    put(&mut bundle, &source, &["rbind", "idmap", "ro", "rro"], &Value::Null, &Value::Null);
    ensure_eq!(room.output(&bundle)?, "0:0\nRead\n", "owner, and writing");
    Ok(())
}

/// What no range maps belongs to nobody, and nobody's it stays.
fn several_ranges(room: &Room) -> Verdict {
    only_native(room)?;
    let source = source(room)?;
    let mut bundle = shifted(room, &format!("{OWNERS}; echo x >/mnt/user"))?;
    let map = json!([range(0, 100_042, 1), range(7, 100_000, 5)]);
    put(&mut bundle, &source, &["bind"], &map, &map);
    let finished = room.run(&bundle)?.exits(1)?;
    ensure_eq!(finished.stdout, "42:42\n42:42\n0:1\n65534:65534\n", "owners inside");
    ensure_eq!(fs::read_to_string(source.join("user"))?, "content\n", "nobody's file");
    Ok(())
}

fn without_mapping(room: &Room) -> Verdict {
    only_native(room)?;
    let source = source(room)?;
    for option in ["idmap", "ridmap"] {
        for ranges in [Value::Null, json!([])] {
            let mut bundle = room.script("true")?;
            put(&mut bundle, &source, &["bind", option], &ranges, &ranges);
            room.run(&bundle)?.refuses(&["an idmapped mount needs uidMappings and gidMappings"])?;
        }
    }
    Ok(())
}

fn invalid_mapping(room: &Room) -> Verdict {
    only_native(room)?;
    let source = source(room)?;
    let good = json!([range(0, 100_000, 65_536)]);
    let table = [
        (json!([]), "uidMappings: is empty"),
        (Value::Null, "uidMappings: is empty"),
        (json!([range(0, 0, 0)]), "uidMappings: range 0 has size 0"),
        (json!([range(0, u32::MAX, 2)]), "uidMappings: range 0 goes beyond the last id"),
        (json!([range(0, 10, 5), range(4, 20, 5)]), "uidMappings: range 1 overlaps"),
    ];
    for (uids, problem) in table {
        let mut bundle = shifted(room, "true")?;
        put(&mut bundle, &source, &["bind"], &uids, &good);
        room.run(&bundle)?.refuses(&[problem])?;
    }
    Ok(())
}

fn only_bind(room: &Room) -> Verdict {
    only_native(room)?;
    let map = json!([range(0, 100_000, 65_536)]);
    for (options, ranges) in [(&["idmap"][..], &Value::Null), (&[], &map)] {
        let mut bundle = shifted(room, "true")?;
        bundle.push(
            "/mounts",
            json!({ "destination": "/mnt", "type": "tmpfs", "source": "tmpfs",
            "options": options, "uidMappings": ranges, "gidMappings": ranges }),
        );
        room.run(&bundle)?.refuses(&["only a bind mount can be idmapped"])?;
    }
    Ok(())
}

/// The message names the mount and the kind of filesystem.
fn filesystem_without(room: &Room) -> Verdict {
    only_native(room)?;
    let mut bundle = shifted(room, "true")?;
    put(&mut bundle, Path::new("/sys/kernel"), &["bind", "idmap"], &Value::Null, &Value::Null);
    let finished = room.run(&bundle)?;
    let finished = finished.refuses(&["idmap /sys/kernel for /mnt"])?;
    finished.refuses(&["filesystem sysfs does not support idmapped mounts"])?;
    Ok(())
}
