//! The container's init until it becomes the user's program: joins, mounts, hides, drops, waits.
//! Runs in the child that `create` cloned; whatever fails is said over the channel.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::io;
use std::os::fd::{AsFd, AsRawFd};

use lxcri_core::lifecycle::Status;
use lxcri_core::oci::State;
use lxcri_linux::channel::{Channel, Message};
use lxcri_linux::namespace::{self, Kind};
use lxcri_linux::network;
use lxcri_linux::payload;
use lxcri_linux::procfs::Proc;
use lxcri_linux::step::Step as _;
use lxcri_linux::{sysctl, terminal};

use crate::error::{NativeError, step};
use crate::gate::Gate;
use crate::hooks;
use crate::plan::Plan;
use crate::rootfs::{self, Sources};
use crate::step::Step;

/// What init needs; all of it was opened or worked out by its maker.
#[derive(Debug)]
pub(crate) struct Init<'i> {
    pub(crate) plan: &'i Plan<'i>,
    pub(crate) files: rootfs::Plan<'i>,
    pub(crate) state: State,
    pub(crate) proc: Proc,
}

/// Does everything. Never returns: descriptors that values here own may be closed already.
pub(crate) fn main(init: &Init<'_>, sources: Sources, channel: Channel, mut gate: Gate) -> i32 {
    match prepare(init, sources, &channel, &gate) {
        Err(error) => {
            // Without a listener there is nobody to tell: our maker has died.
            let _ = channel.send(&Message::Failed(error.to_string()));
        }
        Ok((ready, state)) => {
            drop(channel);
            match go(init, ready, &state, &mut gate) {
                Ok(never) => match never {},
                Err(error) => gate.fail(&error.to_string()),
            }
        }
    }
    lxcri_linux::clone::end(1)
}

/// Up to the point where only `start` is missing.
fn prepare<'i>(
    init: &'i Init<'i>,
    sources: Sources,
    channel: &Channel,
    gate: &Gate,
) -> Result<(payload::Ready<'i>, State), NativeError> {
    await_go(channel)?;
    Step::InitReleased.reached();
    let pid = init.proc.own_pid().map_err(step("read our own pid"))?;
    let state = State { pid, ..init.state.clone() };
    rustix::process::setsid().map_err(step("setsid"))?;
    settle(init)?;
    Step::InitSettled.reached();
    let mut membership = Membership { init, channel, is_settled: false };
    let root = rootfs::assemble(&init.files, sources, &mut || membership.settle())?;
    membership.settle()?;
    Step::InitMounted.reached();
    let slave = match &init.plan.terminal {
        None => None,
        Some(terminal) => {
            let slave = terminal.make(&root).map_err(step("make a terminal"))?;
            rootfs::mount_console(&root, &slave)?;
            Some(slave)
        }
    };
    run_create_hooks(init, &state, channel)?;
    Step::InitHooks.reached();
    rootfs::hide(&init.plan.linux, &root)?;
    rootfs::enter(&init.files, &root)?;
    Step::InitEntered.reached();
    drop(root);
    let uid = init.plan.payload.uid;
    match slave {
        Some(slave) => terminal::adopt(&slave, uid).map_err(step("take the terminal"))?,
        None => payload::own_stdio(uid).map_err(step("own the standard streams"))?,
    }
    await_limits(init, channel)?;
    let [fifo, said] = gate.descriptors();
    let keep = [fifo, said, channel.as_fd().as_raw_fd()];
    let ready = init
        .plan
        .payload
        .become_it(Some(&init.proc), &keep)
        .map_err(step("unable to start container process"))?;
    Step::InitReady.reached();
    channel.send(&Message::Go).map_err(step("talk to the runtime"))?;
    Ok((ready, state))
}

fn await_go(channel: &Channel) -> Result<(), NativeError> {
    match channel.receive().map_err(step("listen to the runtime"))? {
        Some(Message::Go) => Ok(()),
        other => Err(step("listen to the runtime")(io::Error::other(format!("got {other:?}")))),
    }
}

/// The limits come late, because the file system needs more descriptors than the program may have,
/// but before the user changes: our maker may be allowed to set them for root alone (prlimit(2)).
fn await_limits(init: &Init<'_>, channel: &Channel) -> Result<(), NativeError> {
    if !init.plan.payload.needs_parent() {
        return Ok(());
    }
    channel.send(&Message::Limits).map_err(step("talk to the runtime"))?;
    await_go(channel)
}

/// Joins and makes namespaces, and sets what lives in them.
fn settle(init: &Init<'_>) -> Result<(), NativeError> {
    let namespaces = &init.plan.namespaces;
    // Before we change our ids, which takes the files of our own /proc entry away from us.
    if namespaces.is_new(Kind::Time) {
        set_clocks(init)?;
    }
    // A joined user namespace was entered before we were cloned; either way its root is 0.
    if namespaces.has_own(Kind::User) {
        namespace::become_root().map_err(step("become root of the user namespace"))?;
    }
    for handle in namespaces.to_join_inside() {
        let name = handle.kind.file_name();
        handle.kind.join(&handle.fd).map_err(step(format!("join the {name} namespace")))?;
    }
    if namespaces.is_new(Kind::Net) {
        network::raise_loopback().map_err(step("bring the loopback interface up"))?;
    }
    let spec = init.files.spec;
    if let Some(name) = spec.hostname.as_deref().filter(|name| !name.is_empty()) {
        rustix::system::sethostname(name.as_bytes()).map_err(step("set hostname"))?;
    }
    if let Some(name) = spec.domainname.as_deref().filter(|name| !name.is_empty()) {
        rustix::system::setdomainname(name.as_bytes()).map_err(step("set domainname"))?;
    }
    for (key, value) in &init.plan.linux.sysctl {
        sysctl::write(init.proc.as_fd(), key, value).map_err(step("linux.sysctl"))?;
    }
    Ok(())
}

/// Being in the container's v1 cgroups. The kernel takes milliseconds to move a process there, so
/// our maker does that while we mount, and we wait for it only where it matters.
struct Membership<'m> {
    init: &'m Init<'m>,
    channel: &'m Channel,
    is_settled: bool,
}

impl Membership<'_> {
    /// Waits until we are in all cgroups, and makes their namespace, whose root that is.
    fn settle(&mut self) -> Result<(), NativeError> {
        if self.is_settled {
            return Ok(());
        }
        await_go(self.channel)?;
        if self.init.plan.namespaces.is_new(Kind::Cgroup) {
            Kind::Cgroup.unshare().map_err(step("make a cgroup namespace"))?;
        }
        self.is_settled = true;
        Ok(())
    }
}

/// Makes a time namespace; it takes effect at execve(2).
fn set_clocks(init: &Init<'_>) -> Result<(), NativeError> {
    Kind::Time.unshare().map_err(step("make a time namespace"))?;
    let mut lines = String::new();
    for (clock, offset) in &init.plan.linux.time_offsets {
        // Writing to a String cannot fail.
        let _ = writeln!(lines, "{clock} {} {}", offset.secs, offset.nanosecs);
    }
    if lines.is_empty() {
        return Ok(());
    }
    init.proc.set_time_offsets(&lines).map_err(step("set linux.timeOffsets"))
}

/// The runtime's hooks run in its namespaces, by the runtime; createContainer runs here, with the
/// mounts made and the host's paths still in reach.
fn run_create_hooks(init: &Init<'_>, state: &State, channel: &Channel) -> Result<(), NativeError> {
    let Some(hooks) = &init.files.spec.hooks else { return Ok(()) };
    if !hooks.prestart.is_empty() || !hooks.create_runtime.is_empty() {
        channel.send(&Message::YourTurn).map_err(step("talk to the runtime"))?;
        await_go(channel)?;
    }
    hooks::run("createContainer", &hooks.create_container, state, init.plan.hook_timeout)
}

/// Waits for `start` and executes the user's program.
fn go(
    init: &Init<'_>,
    ready: payload::Ready<'_>,
    state: &State,
    gate: &mut Gate,
) -> Result<Infallible, NativeError> {
    gate.wait().map_err(step("wait for start"))?;
    Step::InitThrough.reached();
    if let Some(hooks) = &init.files.spec.hooks {
        let state = State { status: Status::Created, ..state.clone() };
        hooks::run("startContainer", &hooks.start_container, &state, init.plan.hook_timeout)?;
    }
    Step::InitLast.reached();
    gate.last_word();
    Err(NativeError::Init(ready.execute().to_string()))
}
