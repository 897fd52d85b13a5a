//! `create`: clones the container's init into its namespaces and cgroup and sees it through to the
//! gate. Every step that makes something registers how to unmake it.

use std::cell::Cell;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

use lxcri_core::Error;
use lxcri_core::backend::{Container, Create};
use lxcri_core::lifecycle::Status;
use lxcri_core::oci::{Hooks, State};
use lxcri_core::undo::Undo;
use lxcri_linux::channel::{Channel, Message};
use lxcri_linux::clone::{Child, clone_by_way_of, clone_into};
use lxcri_linux::namespace::{self, Handle, Kind};
use lxcri_linux::process::{self, Process};
use lxcri_linux::procfs::Proc;
use lxcri_linux::step::Step as _;
use rustix::fs::{Mode, OFlags};

use crate::error::{NativeError, step};
use crate::gate::Gate;
use crate::init::{self, Init};
use crate::plan::{How, Plan};
use crate::rootfs::{self, Sources};
use crate::step::Step;
use crate::{hooks, namespaces};

/// Makes the container.
pub(crate) fn create(
    container: &mut Container,
    mut create: Create<'_>,
    how: How,
) -> Result<(), Error> {
    let plan = Plan::new(container, &mut create, how)?;
    let bundle = container.record.bundle.clone();
    let files = rootfs::Plan {
        spec: create.spec,
        linux: &plan.linux,
        bundle: &bundle,
        cgroup: &plan.cgroup,
        namespaces: &plan.namespaces,
        own_cgroup_namespace: plan.namespaces.has_own(Kind::Cgroup),
        user_namespace: namespaces::has_user_namespace(&plan.linux),
        no_pivot: plan.no_pivot,
    };
    let sources = rootfs::open(&files, &container.record.rootfs)?;
    let boot_id = &container.record.boot_id;
    plan.room_file(boot_id, create.spec.hooks.as_ref()).write(&container.entry)?;
    Step::CreateRoomFile.reached();
    let mut undo = Undo::new();
    // Once the first hook ran, poststop hooks belong to every end (runtime.md, "Lifecycle").
    let hooks_ran = Rc::new(Cell::new(false));
    let (unmade, ran) = (container.clone(), Rc::clone(&hooks_ran));
    undo.push(Step::CreateHooks, move || {
        if ran.get() {
            crate::delete::run_poststop(&unmade, how.hook_timeout);
        }
        Ok::<_, NativeError>(())
    });
    make_cgroup(&plan, &mut undo)?;
    let gate = Gate::make(&container.entry)?;
    Step::CreateGate.reached();
    let (ours, theirs) = Channel::pair().map_err(step("make a socket pair"))?;
    let state = container.state(Status::Creating);
    let proc = Proc::open().map_err(step("open /proc"))?;
    let init = Init { plan: &plan, files, state, proc };
    let child = spawn(init, sources, (&ours, theirs), gate, &mut undo)?;
    let hooks = create.spec.hooks.as_ref().map(|hooks| (hooks, hooks_ran.as_ref()));
    see_through(container, hooks, &plan, &child, &ours)?;
    undo.commit();
    Ok(())
}

/// Makes the cgroup that init is cloned into. A scope cannot be without a process: it is made later.
fn make_cgroup(plan: &Plan<'_>, undo: &mut Undo<'_>) -> Result<(), NativeError> {
    if let Some(scope) = &plan.scope {
        // systemd makes it around a process, of which there is none yet.
        undo.push(Step::CreateCgroup, scope.undo(&plan.cgroup));
        return Ok(());
    }
    let made = plan.cgroup.create(&plan.resources)?;
    undo.push(Step::CreateCgroup, move || made.undo());
    plan.cgroup.apply(&plan.resources)?;
    Step::CreateLimits.reached();
    Ok(())
}

/// Clones init. What it inherits is closed on our side, so that only init holds the gate.
fn spawn(
    init: Init<'_>,
    sources: Sources,
    (ours, theirs): (&Channel, Channel),
    gate: Gate,
    undo: &mut Undo<'_>,
) -> Result<Rc<Child>, NativeError> {
    let plan = init.plan;
    let namespaces = &plan.namespaces;
    let directory = match plan.scope {
        None => plan.cgroup.dir_fd()?,
        Some(_) => None,
    };
    let own_pids = namespaces.joins(Kind::Pid).map(enter_pids).transpose()?;
    let flags = namespaces.clone_flags();
    let run = move || match ours.close_copy() {
        Ok(()) => init::main(&init, sources, theirs, gate),
        Err(_) => lxcri_linux::clone::end(1),
    };
    let cgroup = directory.as_ref().map(AsFd::as_fd);
    let child = match namespaces.joins(Kind::User) {
        None => clone_into(flags, cgroup, run),
        // New namespaces are owned by the user namespace of their maker.
        Some(user) => clone_by_way_of(flags, cgroup, |_| user.kind.join(&user.fd), run),
    };
    if let Some(own) = own_pids {
        Kind::Pid.join(own).map_err(step("return to our own pid namespace"))?;
    }
    let child = Rc::new(child.map_err(step("clone the container's init"))?);
    let doomed = Rc::clone(&child);
    undo.push(Step::CreateInit, move || {
        doomed.fd.signal(libc::SIGKILL)?;
        match doomed.fd.reap(true) {
            // It ended by itself and was reaped to see how.
            Err(error) if error.raw_os_error() == Some(libc::ECHILD) => Ok(()),
            result => result.map(drop),
        }
    });
    Ok(child)
}

/// Makes our next child a member of a joined pid namespace. Processes there must not be able to
/// look into it, or through it at us. Gives our own pid namespace, to return to.
fn enter_pids(handle: &Handle) -> Result<OwnedFd, NativeError> {
    process::hide().map_err(step("hide from the pid namespace's processes"))?;
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let own = rustix::fs::open("/proc/self/ns/pid", flags, Mode::empty())
        .map_err(step("open our own pid namespace"))?;
    handle.kind.join(&handle.fd).map_err(step("join the pid namespace"))?;
    Ok(own)
}

/// The runtime's part while init prepares itself.
fn see_through(
    container: &mut Container,
    hooks: Option<(&Hooks, &Cell<bool>)>,
    plan: &Plan<'_>,
    child: &Child,
    channel: &Channel,
) -> Result<(), Error> {
    let namespaces = &plan.namespaces;
    if namespaces.is_new(Kind::User) {
        let privileged = rustix::process::geteuid().is_root();
        namespace::write_id_maps(child.pid, &namespaces.uids, &namespaces.gids, !privileged)
            .map_err(step("write the id mappings of the user namespace"))?;
    }
    Step::CreateMapped.reached();
    // From here on a create that dies leaves a process; its pid has to be known before it goes on.
    container.record.process = Some(Process::of(child.pid).map_err(step("read init's identity"))?);
    container.entry.write_record(&container.record)?;
    Step::CreateRecorded.reached();
    if let Some(scope) = &plan.scope {
        scope.make(container.id().as_str(), child.pid, &plan.cgroup, &plan.resources)?;
        Step::CreateLimits.reached();
    }
    channel.send(&Message::Go).map_err(step("talk to init"))?;
    Step::CreateReleased.reached();
    // Init is at its mounts meanwhile.
    plan.cgroup
        .add_v1(child.pid)
        .map_err(NativeError::from)
        .and_then(|()| channel.send(&Message::Go).map_err(step("talk to init")))
        .map_err(|error| first_cause(child, channel, plan, error))?;
    Step::CreateJoined.reached();
    loop {
        match channel.receive().map_err(step("listen to init"))? {
            Some(Message::Go) => break,
            Some(Message::Limits) => {
                let proc = Proc::open().map_err(step("open /proc"))?;
                plan.payload
                    .prepare_from_parent(&proc, child.pid)
                    .map_err(step("unable to start container process"))?;
                Step::CreateRlimits.reached();
                channel.send(&Message::Go).map_err(step("talk to init"))?;
            }
            Some(Message::YourTurn) => {
                run_hooks(hooks, &container.state(Status::Creating), child.pid, plan.hook_timeout)?;
                Step::CreateHooksRun.reached();
                channel.send(&Message::Go).map_err(step("talk to init"))?;
            }
            Some(Message::Failed(text)) => return Err(NativeError::Init(text).into()),
            None => return Err(died(child, plan)?.into()),
        }
    }
    Step::CreateReady.reached();
    Ok(())
}

/// Init may have failed while we were busy with it: then what it said, or how it ended, is the
/// cause, and ours only that it is gone.
fn first_cause(
    child: &Child,
    channel: &Channel,
    plan: &Plan<'_>,
    error: NativeError,
) -> NativeError {
    let ended = child.fd.reap(false).ok().flatten();
    // It is lost either way, and ends the wait below.
    let _ = child.fd.signal(libc::SIGKILL);
    match (channel.receive(), ended) {
        (Ok(Some(Message::Failed(text))), _) => NativeError::Init(text),
        (_, Some(ended)) => ended_early(&ended.to_string(), plan),
        _ => error,
    }
}

fn run_hooks(
    hooks: Option<(&Hooks, &Cell<bool>)>,
    state: &State,
    pid: i32,
    timeout: Option<Duration>,
) -> Result<(), NativeError> {
    let Some((hooks, ran)) = hooks else { return Ok(()) };
    ran.set(true);
    let state = State { pid, ..state.clone() };
    hooks::run("prestart", &hooks.prestart, &state, timeout)?;
    hooks::run("createRuntime", &hooks.create_runtime, &state, timeout)
}

/// Init ended without a word: the kernel killed it, and mostly for want of memory.
fn died(child: &Child, plan: &Plan<'_>) -> Result<NativeError, NativeError> {
    let ended = child.fd.reap(true).map_err(step("wait for init"))?;
    let how = ended.map_or_else(|| "unknown".to_owned(), |ended| ended.to_string());
    Ok(ended_early(&how, plan))
}

fn ended_early(how: &str, plan: &Plan<'_>) -> NativeError {
    let limited = plan.resources.memory.as_ref().is_some_and(|memory| memory.limit.is_some());
    let guess = if limited { "; linux.resources.memory.limit may be too low" } else { "" };
    NativeError::Init(format!("the container's init ended before it was ready ({how}){guess}"))
}
