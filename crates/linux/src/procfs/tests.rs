use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::process::{getpid, getppid};

use super::*;
use crate::forked_child;

fn own_pid() -> i32 {
    getpid().as_raw_nonzero().get()
}

#[test]
fn own_process() {
    let proc = Proc::open().unwrap();
    let stat = proc.stat(own_pid()).unwrap();
    assert_eq!(stat.ppid, getppid().map_or(0, |pid| pid.as_raw_nonzero().get()));
    assert!(stat.start_time_ticks > 0 && !stat.has_ended());
    assert_eq!(proc.stat(own_pid()).unwrap().start_time_ticks, stat.start_time_ticks);
    let cgroups = proc.cgroups(own_pid()).unwrap();
    assert!(!cgroups.is_empty());
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    assert_eq!(proc.boot_id().unwrap(), boot.trim());
}

/// The own group and session may be led from outside of this pid namespace and then read 0; a
/// child that leads a group of its own is certain.
#[test]
fn group_and_session() {
    let proc = Proc::open().unwrap();
    let mut child = Command::new("sleep").arg("60").process_group(0).spawn().unwrap();
    let pid = i32::try_from(child.id()).unwrap();
    let stat = proc.stat(pid);
    child.kill().unwrap();
    child.wait().unwrap();
    let stat = stat.unwrap();
    assert_eq!((stat.ppid, stat.pgrp), (own_pid(), pid));
    assert_eq!(stat.session, proc.stat(own_pid()).unwrap().session);
}

#[test]
fn no_such_process() {
    let proc = Proc::open().unwrap();
    for pid in [0, -1, i32::MAX, i32::MIN] {
        assert!(matches!(proc.stat(pid), Err(Error::NoProcess(p)) if p == pid), "{pid}");
        assert!(matches!(proc.cgroups(pid), Err(Error::NoProcess(_))), "{pid}");
        assert!(matches!(proc.oom_score_adj(pid), Err(Error::NoProcess(_))), "{pid}");
    }
}

#[test]
fn only_a_procfs_root_will_do() {
    let open_dir = |path: &str| {
        open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).unwrap()
    };
    assert!(Proc::from_root(open_dir("/proc"), "x").is_ok());
    for path in ["/", "/sys", "/proc/sys", "/proc/self", "/tmp"] {
        let error = Proc::from_root(open_dir(path), path).unwrap_err();
        assert_eq!(error.to_string(), format!("{path} is not the root of a proc filesystem"));
    }
}

#[test]
fn paths_stay_beneath_and_follow_nothing() {
    let proc = Proc::open().unwrap();
    let pid = own_pid();
    for path in [
        "../etc/passwd".into(),
        "/etc/passwd".into(),
        "self/stat".into(),
        format!("{pid}/root/etc/passwd"),
        format!("{pid}/exe"),
        format!("{pid}/../../etc/passwd"),
        format!("{pid}/ns/mnt"),
        String::new(),
    ] {
        let error = open_beneath(proc.as_fd(), &path, OFlags::RDONLY).unwrap_err();
        assert!(matches!(error, Error::File { .. }), "{path}: {error}");
    }
}

#[test]
fn oom_score() {
    let proc = Proc::open().unwrap();
    assert!(matches!(proc.set_oom_score_adj(1, 1001), Err(Error::OomScore(1001))));
    assert!(matches!(proc.set_oom_score_adj(1, i32::MIN), Err(Error::OomScore(_))));
    let outcome = forked_child::run(|| {
        let before = proc.oom_score_adj(own_pid()).unwrap();
        proc.set_oom_score_adj(own_pid(), before + 5).unwrap();
        (proc.oom_score_adj(own_pid()).unwrap() - before).to_le_bytes().to_vec()
    });
    assert_eq!(outcome.output, 5i32.to_le_bytes());
}

#[test]
fn labels() {
    let proc = Proc::open().unwrap();
    for bad in ["", "a\0b", "a\nb", "a\x1bb"] {
        assert!(matches!(proc.set_apparmor_exec(bad), Err(Error::Label(_))), "{bad:?}");
    }
    // Whatever security module runs here, it does not know this one, and that must not pass.
    let outcome = forked_child::run(|| {
        let told = |result: Result<(), Error>| match result {
            Err(Error::File { path, .. }) => path.contains("/attr/"),
            _ => false,
        };
        let name = "lxcri-test-no-such-profile";
        vec![u8::from(told(proc.set_apparmor_exec(name)))]
    });
    assert_eq!(outcome.output, [1]);
}

#[test]
fn links_have_the_kernels_shape() {
    let proc = Proc::open().unwrap();
    assert_eq!(proc.link("self").unwrap(), own_pid().to_string());
    let thread = rustix::thread::gettid().as_raw_nonzero();
    assert_eq!(proc.link("thread-self").unwrap(), format!("{}/task/{thread}", own_pid()));
    assert!(matches!(proc.link("mounts"), Err(Error::Format { .. })));
}

#[test]
fn cgroup_lines() {
    let member = |hierarchy, controllers: &[&str], path: &str| Membership {
        hierarchy,
        controllers: controllers.iter().map(ToString::to_string).collect(),
        path: path.into(),
    };
    let text = b"12:cpu,cpuacct:/a:b/c\n3:name=systemd:/\n0::/x (deleted)\n";
    assert_eq!(
        parse_cgroups(text).unwrap(),
        [
            member(12, &["cpu", "cpuacct"], "/a:b/c"),
            member(3, &["name=systemd"], "/"),
            member(0, &[], "/x (deleted)"),
        ]
    );
    assert_eq!(parse_cgroups(b"").unwrap(), []);
    for bad in [
        &b"0"[..],
        b"0:",
        b"0:x",
        b"x::/",
        b"-1::/",
        b"99999999999::/",
        b"0::rel",
        b"0:\xff:/",
        b"::",
    ] {
        assert!(parse_cgroups(bad).is_err(), "{}", bad.escape_ascii());
    }
}
