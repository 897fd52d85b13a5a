//! `delete`.

use std::path::Path;
use std::process::ExitCode;

use lxcri_core::Error;
use lxcri_core::id::ContainerId;
use lxcri_core::runtime::Runtime;
use lxcri_core::store::StoreError;
use lxcri_images::container::Claim;
use lxcri_images::library::Library;

use super::id;
use crate::failure::Failure;
use crate::program::Program;

/// Words of `delete`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  proxmox-lxcri delete web-1
  proxmox-lxcri delete --force web-1    kill it first if it runs

Of a container that was made of an image it removes the root filesystem and unnamed volumes, too; also where
only these are left after a boot or a crash.")]
pub(crate) struct Args {
    /// Kill what still runs; a container that does not exist is fine
    #[arg(short, long)]
    force: bool,
    /// The container
    id: String,
}

/// Removes it, and with it what it had of an image: root filesystem, bundle and unnamed volumes.
///
/// Where only that is left, as after a boot or a crash, there is no state that could say of it that
/// it runs, and it goes without `--force`, too.
pub(crate) fn run(args: &Args, program: &Program) -> Result<ExitCode, Failure> {
    let (id, runtime) = (id(&args.id)?, program.runtime()?);
    let library = Library::new(&program.config).map_err(Error::from)?;
    if !is_of_image(&id, &runtime, &library) {
        runtime.delete(&id, args.force)?;
        return Ok(ExitCode::SUCCESS);
    }
    // Who makes it has this until the state is there, too.
    let claim = Claim::of(&library, &id)?;
    let unknown = match runtime.delete(&id, args.force) {
        Err(error @ Error::Store(StoreError::NotFound { .. })) => Some(error),
        other => other.map(|()| None)?,
    };
    let state_root: &Path = program.config.get("runtime", "root").map_err(Error::from)?;
    let was_there = claim.map_or(Ok(false), |claim| claim.remove(state_root))?;
    // Below another state directory it is another container.
    unknown.filter(|_| !was_there).map_or(Ok(ExitCode::SUCCESS), |error| Err(error.into()))
}

/// Whether this container may have been made of an image. Costs one stat(2) where no container of its
/// name was. One whose record names another bundle was made later, and of that bundle.
fn is_of_image(id: &ContainerId, runtime: &Runtime<'_>, library: &Library) -> bool {
    let directory = library.containers().join(id.as_str());
    if !directory.exists() {
        return false;
    }
    let Ok(record) = runtime.store().open(id).and_then(|entry| entry.record()) else {
        return true;
    };
    let resolved = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    resolved(&record.bundle) == resolved(&directory.join("bundle"))
}
