//! Ids, capabilities, working directory and home of a payload.

use std::io::{self, Read};
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Gid, Uid};
use rustix::thread;

use super::{CapabilitySets, Payload, PayloadError, chained, step};
use crate::beneath::Root;
use crate::capability::{self, Set};

/// Most of a passwd file that is read, in bytes: it comes from an image.
const PASSWD_MAX: u64 = 1 << 20;

/// Changes groups, ids and capabilities.
pub(super) fn assume(payload: &Payload) -> Result<(), PayloadError> {
    let other = |what: &'static str| move |error: capability::Error| step(what)(chained(error));
    let sets = &attainable(&payload.capabilities).map_err(other("read our own capabilities"))?;
    capability::drop_bounding(sets.bounding).map_err(other("drop bounding capabilities"))?;
    thread::set_keep_capabilities(true).map_err(step("keep capabilities"))?;
    set_groups(&payload.groups)?;
    let gid = Gid::from_raw(payload.gid);
    thread::set_thread_res_gid(gid, gid, gid)
        .map_err(step(format!("set group id {}", payload.gid)))?;
    let uid = Uid::from_raw(payload.uid);
    thread::set_thread_res_uid(uid, uid, uid)
        .map_err(step(format!("set user id {}", payload.uid)))?;
    thread::set_keep_capabilities(false).map_err(step("stop keeping capabilities"))?;
    capability::set_thread(sets.effective, sets.permitted, sets.inheritable)
        .map_err(other("set capabilities"))?;
    capability::set_ambient(sets.ambient).map_err(other("set ambient capabilities"))
}

/// What can be granted of the wanted sets: nothing that we do not have ourselves, and ambient only
/// what is also permitted and inheritable (capabilities(7)). The rest is told and left out, as the
/// runtime specification asks (config.md, "capabilities").
fn attainable(wanted: &CapabilitySets) -> Result<CapabilitySets, capability::Error> {
    let own = capability::current()?;
    let limit = |name: &str, wanted: Set, ceiling: Set| {
        for bit in wanted.without(ceiling).iter() {
            log::warn!("cannot grant {} ({name})", capability::name(bit));
        }
        wanted.intersection(ceiling)
    };
    let permitted = limit("permitted", wanted.permitted, own.permitted);
    let inheritable = limit("inheritable", wanted.inheritable, own.bounding.union(own.inheritable));
    Ok(CapabilitySets {
        bounding: limit("bounding", wanted.bounding, own.bounding),
        effective: limit("effective", wanted.effective, permitted),
        ambient: ambient(wanted.ambient, permitted.intersection(inheritable)),
        permitted,
        inheritable,
    })
}

/// Ambient capabilities have to be inheritable, too. `runc spec` of some versions lists them in one
/// set alone, so what is left out for that reason is no warning on every run.
fn ambient(wanted: Set, ceiling: Set) -> Set {
    for bit in wanted.without(ceiling).iter() {
        log::info!("{} cannot be ambient: it is not inheritable", capability::name(bit));
    }
    wanted.intersection(ceiling)
}

fn set_groups(groups: &[u32]) -> Result<(), PayloadError> {
    let gids: Vec<_> = groups.iter().map(|&gid| Gid::from_raw(gid)).collect();
    match thread::set_thread_groups(&gids) {
        // An unprivileged user's namespace forbids it; there are none to add then
        // (user_namespaces(7), "/proc/PID/setgroups").
        Err(Errno::PERM) if gids.is_empty() && setgroups_are_denied() => Ok(()),
        result => result.map_err(step(format!("set supplementary groups {groups:?}"))),
    }
}

fn setgroups_are_denied() -> bool {
    std::fs::read("/proc/self/setgroups").is_ok_and(|text| text.starts_with(b"deny"))
}

/// Makes the working directory where the image lacks it, while we are still root, as runc does.
pub(super) fn make_cwd(cwd: &Path) -> Result<(), PayloadError> {
    Root::open(Path::new("/"))
        .and_then(|root| root.make_directory(cwd))
        .map(drop)
        .map_err(step(format!("make working directory {}", cwd.display())))
}

/// Enters the working directory as the container's user and makes sure that it lies inside the
/// container: a path such as `/proc/self/fd/7` may lead to the host (CVE-2024-21626).
pub(super) fn enter_cwd(cwd: &Path) -> Result<(), PayloadError> {
    let shown = cwd.display();
    rustix::process::chdir(cwd).map_err(step(format!("enter working directory {shown}")))?;
    match rustix::process::getcwd(Vec::new()) {
        // getcwd(2): a directory that is not below our root is "(unreachable)…", or ENOENT.
        Ok(path) if path.as_bytes().starts_with(b"/") => Ok(()),
        Ok(_) | Err(Errno::NOENT) => Err(step(format!("enter working directory {shown}"))(
            io::Error::other("it is outside of the container's root"),
        )),
        Err(error) => Err(step(format!("read working directory {shown}"))(error)),
    }
}

/// Adds `HOME` from the container's passwd, or `/`, where the environment has none.
pub(super) fn add_home(environment: &mut Vec<String>, uid: u32) {
    if !environment.iter().any(|entry| entry.starts_with("HOME=")) {
        let home = read_passwd().and_then(|text| home_of(&text, uid));
        environment.push(format!("HOME={}", home.as_deref().unwrap_or("/")));
    }
}

/// The container's passwd; only a regular file, only so much of it.
fn read_passwd() -> Option<String> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = std::fs::File::from(rustix::fs::open("/etc/passwd", flags, Mode::empty()).ok()?);
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let mut bytes = Vec::new();
    file.take(PASSWD_MAX).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// Home directory of `uid` in the text of a passwd(5).
fn home_of(passwd: &str, uid: u32) -> Option<String> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':').skip(2);
        let matches = fields.next()?.parse() == Ok(uid);
        let home = fields.nth(2)?;
        (matches && home.starts_with('/')).then(|| home.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn homes() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nbroken\n:::\napp:x:7:7::/srv/app:/bin/false\n\
            bad:x:8:8::relative:/bin/sh\nshort:x:9:9::";
        for (uid, home) in
            [(0, Some("/root")), (7, Some("/srv/app")), (8, None), (9, None), (1, None)]
        {
            assert_eq!(home_of(passwd, uid).as_deref(), home, "{uid}");
        }
    }

    #[test]
    fn a_home_that_is_set_stays() {
        let mut environment = vec!["HOME=/x".to_owned()];
        add_home(&mut environment, 0);
        assert_eq!(environment, ["HOME=/x"]);
    }
}
