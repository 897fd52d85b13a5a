//! The v2 view of control groups, in a private mount namespace: which device may be used.

use std::os::unix::process::CommandExt;
use std::process::Command;

use lxcri_backend_lxc::config::{Host, OnDisk, V2Tree};
use lxcri_linux::cgroup::LayoutKind;
use serde_json::json;

use crate::container::{Container, can_run, skip};

#[test]
fn devices_in_the_v2_view() {
    if !can_run("views::devices_in_the_v2_view") {
        return;
    }
    if !std::path::Path::new("/dev/fuse").exists() {
        skip("views::devices_in_the_v2_view", "there is no /dev/fuse");
        return;
    }
    for is_allowed in [false, true] {
        let container = Container::new();
        let mut host: Host = container.host();
        host.cgroups.kind = LayoutKind::V2;
        host.cgroups.v1.clear();
        host.cgroups.v2 = Some(V2Tree { mount: "/sys/fs/cgroup".into(), controllers: vec![] });
        let mut document = container.document();
        document["mounts"].as_array_mut().unwrap().push(json!({ "destination": "/fuse",
            "source": "/dev/fuse", "options": ["bind"] }));
        if is_allowed {
            document["linux"]["resources"] = json!({ "devices": [
                { "allow": true, "type": "c", "major": 10, "minor": 229, "access": "rw" }] });
        }
        let files = OnDisk::open(&container.rootfs()).unwrap();
        container.plan_with(&document, &host, &container.how(), &files).unwrap();
        container.write_init("(: </fuse) && echo opened >/out/text || echo denied >/out/text\n");
        let start = container.tool("lxc-start", &["-F"]);
        let mut args = start.get_args().map(|arg| arg.to_string_lossy().into_owned());
        let words: Vec<_> = args.by_ref().collect();
        let script =
            "umount -l /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup && exec timeout \"$@\"";
        let mut command = Command::new("unshare");
        command.args(["-m", "--propagation", "private", "sh", "-c", script, "sh"]).args(words);
        let output = command.process_group(0).output().unwrap();
        let shown = std::fs::read_to_string(container.rootfs().join("out/text"));
        let shown = shown.unwrap_or_else(|error| panic!("{error}: {output:?}"));
        assert_eq!(
            shown,
            if is_allowed { "opened\n" } else { "denied\n" },
            "{}",
            container.config()
        );
    }
}
