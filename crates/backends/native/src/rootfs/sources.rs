//! What mounts need from the host: judged before anything is made, opened before init exists. What
//! only a filesystem itself can judge, such as an option of tmpfs, fails when init mounts it.

use std::os::fd::OwnedFd;
use std::path::Path;

use lxcri_core::backend::Create;
use lxcri_core::oci::{Linux, Mount, Spec};
use lxcri_linux::beneath::{self, Root};
use lxcri_linux::cgroup::Cgroup;
use lxcri_linux::mount::{self, Bind, Options, Propagation};

use super::idmap::{self, Maps};
use super::{bind, cgroup, devices, filesystem, proc_guard};
use crate::error::{NativeError, step};
use crate::namespaces::{Namespaces, has_user_namespace};

/// Everything about the file system that follows from the configuration.
#[derive(Debug)]
pub(crate) struct Plan<'p> {
    pub(crate) spec: &'p Spec,
    pub(crate) linux: &'p Linux,
    pub(crate) bundle: &'p Path,
    pub(crate) cgroup: &'p Cgroup,
    pub(crate) namespaces: &'p Namespaces,
    pub(crate) own_cgroup_namespace: bool,
    pub(crate) user_namespace: bool,
    pub(crate) no_pivot: bool,
}

/// Descriptors of detached mounts, in the order of the configuration.
#[derive(Debug)]
pub(crate) struct Sources {
    pub(crate) rootfs: OwnedFd,
    pub(crate) mounts: Vec<Source>,
    pub(crate) devices: Vec<Option<OwnedFd>>,
}

/// Where one mount comes from.
#[derive(Debug)]
pub(crate) enum Source {
    /// A bind mount: the detached tree, options applied, and whether it is a directory.
    Tree { tree: OwnedFd, is_directory: bool },
    /// A filesystem that init makes in the container's namespaces.
    Filesystem { kind: String, options: Options },
    /// The container's view of its own control groups.
    Cgroup(Options),
}

impl Plan<'_> {
    /// A bind mount at /dev is the host's (or somebody's) whole /dev: nothing is added to it.
    pub(super) fn makes_devices(&self) -> bool {
        let is_dev = |mount: &&Mount| beneath::normal(&mount.destination) == Path::new("/dev");
        let last = self.spec.mounts.iter().rev().find(is_dev);
        !last.is_some_and(|mount| is_bind(mount, &options_of(mount)))
    }
}

fn options_of(mount: &Mount) -> Options {
    Options::parse(mount.options.iter().map(String::as_str))
}

fn is_bind(mount: &Mount, options: &Options) -> bool {
    options.bind().is_some() || mount.kind.as_deref() == Some("bind")
}

/// Judges the mounts without opening anything.
pub(crate) fn check(create: &Create<'_>) -> Result<(), NativeError> {
    let user_namespace = has_user_namespace(&create.spec.linux());
    for (index, mount) in create.spec.mounts.iter().enumerate() {
        let wrong = |what: &str, problem: String| NativeError::Field {
            field: format!("mounts[{index}]{what}"),
            problem,
        };
        if mount.destination.as_os_str().is_empty() {
            return Err(wrong(".destination", "is empty".to_owned()));
        }
        if beneath::normal(&mount.destination) == Path::new("/") {
            return Err(wrong(
                ".destination",
                "is the root itself, which root.path names".to_owned(),
            ));
        }
        let options = options_of(mount);
        if is_bind(mount, &options) {
            if let Some(word) = options.unknown_for_bind() {
                let problem = format!("unknown mount option {word:?} for a bind mount");
                return Err(wrong(".options", problem));
            }
            if mount.source.as_ref().is_none_or(|source| source.as_os_str().is_empty()) {
                return Err(wrong(".source", "a bind mount needs one".to_owned()));
            }
        } else if mount.kind.as_deref().is_none_or(str::is_empty) {
            return Err(wrong(".type", "is missing, and the options do not say bind".to_owned()));
        }
        let is_bind = is_bind(mount, &options);
        idmap::check(mount, &options, is_bind, user_namespace)
            .map_err(|(what, problem)| wrong(what, problem))?;
        proc_guard::check_destination(mount, is_bind)
            .map_err(|problem| wrong(".destination", problem))?;
    }
    if let Some(word) = create.spec.linux().rootfs_propagation.as_deref()
        && !word.is_empty()
        && Propagation::parse(word).is_none()
    {
        let problem = format!("unknown propagation {word:?}");
        return Err(NativeError::Field { field: "linux.rootfsPropagation".to_owned(), problem });
    }
    Ok(())
}

/// Opens the sources.
pub(crate) fn open(plan: &Plan<'_>, rootfs: &Path) -> Result<Sources, NativeError> {
    let tree = mount::clone_host_tree(rootfs, true)
        .map_err(step(format!("open root filesystem {}", rootfs.display())))?;
    // The host's mounts must not see what is mounted inside.
    mount::set_attributes(&tree, true, mount::Attributes::default(), Some(Propagation::SLAVE))
        .map_err(step("cut the root filesystem off from the host's"))?;
    let mut maps = Maps::default();
    let mounts = plan.spec.mounts.iter().map(|mount| open_one(plan, mount, &mut maps));
    Ok(Sources {
        rootfs: tree,
        mounts: mounts.collect::<Result<_, _>>()?,
        devices: devices::open(plan)?,
    })
}

fn open_one(plan: &Plan<'_>, mount: &Mount, maps: &mut Maps) -> Result<Source, NativeError> {
    let options = options_of(mount);
    if is_bind(mount, &options) {
        return bind::open(plan, mount, &options, maps);
    }
    let kind = mount.kind.clone().unwrap_or_default();
    Ok(if kind == "cgroup" || kind == "cgroup2" {
        Source::Cgroup(options)
    } else {
        Source::Filesystem { kind, options }
    })
}

/// Mounts one source at its destination.
pub(super) fn apply(
    plan: &Plan<'_>,
    root: &Root,
    mount: &Mount,
    source: Source,
) -> Result<(), NativeError> {
    let destination = &mount.destination;
    let open = |is_directory: bool| {
        let target = if is_directory {
            root.make_directory(destination)
        } else {
            root.make_file(destination)
        };
        let target = target.map_err(step(format!("open mount point {}", destination.display())))?;
        proc_guard::check_target(&target, mount)?;
        Ok::<_, NativeError>(target)
    };
    match source {
        Source::Tree { tree, is_directory } => {
            super::attach(&tree, &open(is_directory)?, destination)
        }
        Source::Filesystem { kind, options } => {
            let target = open(true)?;
            filesystem::mount(&kind, mount, &options, root, &target)
        }
        Source::Cgroup(options) => cgroup::mount(plan, root, mount, &options, &open(true)?),
    }
}

/// Whether the options ask for the mounts below the source, too.
pub(super) fn is_recursive(options: &Options) -> bool {
    options.bind() == Some(Bind::Recursive)
}
