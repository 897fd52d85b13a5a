//! What is proven.

use std::fs;
use std::os::unix::process::ExitStatusExt;

use lxcri_testkit::process::{signal, until};
use lxcri_testkit::{Room, Verdict, ensure_eq};
use rustix::process::Signal;

use super::scene::{Ids, Scene, forbid_ids};
use crate::registry::cases;

cases!("lxc_parent": exit_code, exit_code_unprivileged, sigkill, sigkill_unprivileged);

fn exit_code(room: &Room) -> Verdict {
    exits_with_seven(room, Ids::Host)
}

fn exit_code_unprivileged(room: &Room) -> Verdict {
    let verdict = exits_with_seven(room, Ids::Mapped);
    forbid_ids();
    verdict
}

/// The streams arrive apart, the code arrives, the pid is the container's, LXC sees it.
fn exits_with_seven(room: &Room, ids: Ids) -> Verdict {
    let scene = Scene::create(room, ids, "echo out; echo err >&2; read -r _ </hold; exit 7")?;
    let root = room.dir().join("bundle/rootfs");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        root.join("hold"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o666),
        0,
    )?;
    scene.pid_is_the_containers()?;
    ensure_eq!(scene.stdout()?, "", "before start");
    scene.start()?;
    until("the output", || scene.stdout().is_ok_and(|text| text == "out\n"))?;
    until("the errors", || scene.stderr().is_ok_and(|text| text == "err\n"))?;
    scene.pid_is_the_containers()?;
    let info = |what: &str| scene.lxc("lxc-info", &["-n", &scene.name, what, "-H"]);
    ensure_eq!(info("-s")?, "RUNNING\n", "lxc-info");
    ensure_eq!(info("-p")?, format!("{}\n", scene.init), "lxc-info: PID 1");
    ensure_eq!(scene.lxc("lxc-ls", &["--running", "-1"])?.trim(), scene.name, "lxc-ls");
    fs::write(root.join("hold"), "\n")?;
    ensure_eq!(scene.finish()?.into_raw(), 7 << 8, "the wait status");
    ensure_eq!(scene.lxc("lxc-ls", &["--running", "-1"])?, "", "lxc-ls afterwards");
    Ok(())
}

fn sigkill(room: &Room) -> Verdict {
    dies_by_sigkill(room, Ids::Host)
}

fn sigkill_unprivileged(room: &Room) -> Verdict {
    let verdict = dies_by_sigkill(room, Ids::Mapped);
    forbid_ids();
    verdict
}

fn dies_by_sigkill(room: &Room, ids: Ids) -> Verdict {
    let scene = Scene::create(room, ids, "exec sleep 1000")?;
    scene.start()?;
    signal(scene.process, Signal::KILL);
    ensure_eq!(scene.finish()?.into_raw(), 9, "the wait status: a signal and no core");
    Ok(())
}
