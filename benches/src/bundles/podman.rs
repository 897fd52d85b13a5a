//! Podman's default bundle, from Podman itself: its runtime is a script that keeps config.json.

use std::path::Path;
use std::path::PathBuf;

use lxcri_testkit::Verdict;
use lxcri_testkit::View;
use lxcri_testkit::ensure;
use lxcri_testkit::podman::Podman;
use lxcri_testkit::verdict::Context;
use serde_json::Value;
use serde_json::json;

/// The configuration that `podman run` makes in this view, made to work without Podman; and what was
/// changed for that.
///
/// # Errors
/// A failure when Podman is missing or never calls its runtime.
pub(super) fn capture(view: View, dir: &Path, rootfs: &Path) -> Verdict<(Value, Vec<String>)> {
    ensure!(
        Podman::is_installed(),
        "podman and conmon are missing, and with them Podman's default bundle: \
         apt-get install podman conmon"
    );
    let captured = dir.join("captured.json");
    let recorder = recorder(dir, &captured)?;
    let podman = Podman::new(dir, &recorder)?;
    let finished = podman.run(&["--rm"], rootfs, &["/bin/true"])?;
    let home = podman.dir().to_owned();
    drop(podman);
    let text = std::fs::read(&captured)
        .context(format!("podman did not call its runtime with a bundle: {finished}"))?;
    let mut config: Value = serde_json::from_slice(&text).context("the captured config.json")?;
    ensure!(
        config.pointer("/linux/seccomp/syscalls").is_some(),
        "the captured bundle has no seccomp profile: is golang-github-containers-common installed?"
    );
    restore_sources(&mut config, &home, &dir.join("podman-files"), rootfs)?;
    let mut notes = vec![
        "Captured with limits that need no CAP_SYS_RESOURCE (`--ulimit nofile=1024:1024 --ulimit \
         nproc=1024:1024`) and `--network=none`."
            .to_owned(),
    ];
    let resources = config.pointer_mut("/linux/resources").and_then(Value::as_object_mut);
    if !view.has_controller("pids")
        && resources.is_some_and(|resources| resources.remove("pids").is_some())
    {
        notes.push("Without the limit of processes: this view has no pids controller.".to_owned());
    }
    Ok((config, notes))
}

/// A runtime that keeps the configuration and fails: Podman then cleans up as after any failure.
fn recorder(dir: &Path, captured: &Path) -> Verdict<PathBuf> {
    let path = dir.join("recorder");
    let script = format!(
        "#!/bin/sh\nfor word; do\n  case $previous in\n  --bundle|-b) cp \"$word/config.json\" '{}' ;;\n  \
         esac\n  previous=$word\ndone\nexit 1\n",
        captured.display()
    );
    std::fs::write(&path, script).context(path.display())?;
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    Ok(path)
}

/// Podman has removed what its bind mounts came from: something of the same kind takes its place. What
/// they are mounted on is made in the root file system, as the first run would.
fn restore_sources(config: &mut Value, home: &Path, files: &Path, rootfs: &Path) -> Verdict {
    std::fs::create_dir_all(files).context(files.display())?;
    let mounts = config.get_mut("mounts").and_then(Value::as_array_mut);
    for mount in mounts.into_iter().flatten() {
        let source = PathBuf::from(mount["source"].as_str().unwrap_or_default());
        if !source.starts_with(home) {
            continue;
        }
        let destination = mount["destination"].as_str().unwrap_or_default().to_owned();
        let name = destination.trim_start_matches('/');
        let copy = files.join(name.replace('/', "-"));
        if destination == "/dev/shm" {
            std::fs::create_dir_all(&copy).context(copy.display())?;
        } else {
            std::fs::write(&copy, "127.0.0.1 localhost\n").context(copy.display())?;
            let target = rootfs.join(name);
            std::fs::create_dir_all(target.parent().unwrap_or(rootfs))?;
            std::fs::write(&target, "").context(target.display())?;
        }
        mount["source"] = json!(copy);
    }
    Ok(())
}
