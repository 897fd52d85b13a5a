//! The part of a plan that makes things: files, sources of mounts, volumes, the working directory.

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use lxcri_core::oci::{IdMapping, Spec};
use lxcri_linux::filesystem_ids::FilesystemIds;
use rustix::fs::{AtFlags, Gid, OFlags, Uid};

use super::error::SpecError;
use super::mounts::Work;
use super::volume::{self, Owners};
use super::{Plan, depth};

/// A volume that a container asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VolumeRequest<'v> {
    /// Its name, checked to be one of a file; none for a volume of this container alone.
    pub name: Option<&'v str>,
    /// Where it is mounted.
    pub destination: &'v Path,
}

/// A volume that a container uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeInUse {
    /// Its name, where the user gave one.
    pub name: Option<String>,
    /// Where it is mounted.
    pub destination: PathBuf,
    /// The directory on the host.
    pub path: PathBuf,
}

/// A container's configuration, ready for a backend.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// config.json.
    pub spec: Spec,
    /// Labels of the image and the user.
    pub labels: BTreeMap<String, String>,
    /// What asks it to end, where the image says so.
    pub stop_signal: Option<String>,
    /// Its volumes.
    pub volumes: Vec<VolumeInUse>,
    /// Things the user should know, a line each.
    pub warnings: Vec<String>,
}

impl Plan {
    /// Makes what the container needs. `volumes` gives the directory of a volume, made where it is
    /// missing.
    ///
    /// # Errors
    /// [`SpecError::Io`]. What was made stays: the container's directory and root filesystem are
    /// the caller's to remove, and no volume holds half of its content.
    pub fn carry_out(
        mut self,
        volumes: &dyn Fn(&VolumeRequest<'_>) -> io::Result<PathBuf>,
    ) -> Result<Prepared, SpecError> {
        for (path, content) in std::mem::take(&mut self.files) {
            self.write(&path, &content)?;
        }
        self.make_working_directory()?;
        let mut in_use = Vec::new();
        for work in std::mem::take(&mut self.work) {
            match work {
                Work::MakeSource(path) => self.make_source(&path)?,
                Work::Volume { name, destination, copy } => {
                    let path = self.volume(volumes, name.as_deref(), &destination, copy)?;
                    in_use.push(VolumeInUse { name, destination, path });
                }
            }
        }
        let Self { spec, labels, stop_signal, warnings, .. } = self;
        Ok(Prepared { spec, labels, stop_signal, volumes: in_use, warnings })
    }

    /// The host's id of the container's root.
    fn host_root(&self) -> u32 {
        self.mapping.map_or(0, |mapping| mapping.host_id)
    }

    /// The id of the container's root on the disk below bind mounts and volumes.
    fn root_on_disk(&self) -> u32 {
        if self.idmapped { 0 } else { self.host_root() }
    }

    fn write(&self, path: &Path, content: &[u8]) -> Result<(), SpecError> {
        let made = std::fs::write(path, content)
            .and_then(|()| {
                std::os::unix::fs::chown(path, Some(self.host_root()), Some(self.host_root()))
            })
            .and_then(|()| std::fs::set_permissions(path, Permissions::from_mode(0o644)));
        made.map_err(SpecError::io("write", path))
    }

    /// As Docker does for `-v`: all that is missing, for the container's root.
    fn make_source(&self, path: &Path) -> Result<(), SpecError> {
        let missing: Vec<&Path> = path.ancestors().take_while(|part| !part.exists()).collect();
        for part in missing.into_iter().rev() {
            let root = self.root_on_disk();
            let made = std::fs::create_dir(part)
                .and_then(|()| std::fs::set_permissions(part, Permissions::from_mode(0o755)))
                .and_then(|()| std::os::unix::fs::chown(part, Some(root), Some(root)));
            match made {
                // Somebody else was faster.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                other => other.map_err(SpecError::io("make directory", part))?,
            }
        }
        Ok(())
    }

    fn volume(
        &mut self,
        volumes: &dyn Fn(&VolumeRequest<'_>) -> io::Result<PathBuf>,
        name: Option<&str>,
        destination: &Path,
        copy: bool,
    ) -> Result<PathBuf, SpecError> {
        let path = volumes(&VolumeRequest { name, destination })
            .map_err(SpecError::io("prepare the volume for", destination))?;
        if copy {
            let shift = self.mapping.filter(|_| self.idmapped);
            let owners = Owners { root: self.root_on_disk(), shift };
            volume::fill(&path, &self.root, destination, owners)?;
        }
        let is_it = |mount: &&mut lxcri_core::oci::Mount| mount.destination == destination;
        if let Some(mount) = self.spec.mounts.iter_mut().find(is_it) {
            mount.source = Some(path.clone());
        }
        Ok(path)
    }

    /// Where the image lacks it, it is the program's own (Podman; Docker gives it to root).
    fn make_working_directory(&self) -> Result<(), SpecError> {
        let Some(process) = &self.spec.process else { return Ok(()) };
        let cwd = &process.cwd;
        let failed = |error| SpecError::io("make working directory", cwd)(error);
        let root = self.outside(0, 0);
        for length in 1..=depth(cwd) {
            // The path begins with the root, which is there.
            let part: PathBuf = cwd.components().take(length + 1).collect();
            match self.root.open_existing(&part, OFlags::PATH) {
                Ok(_) => continue,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(failed(error)),
            }
            // A mount that maps ids takes nothing from one that it does not know, such as ours.
            let acting = self.mapping.map(|_| FilesystemIds::take_on(root.0, root.1)).transpose();
            let acting = acting.map_err(failed)?;
            let made = self.root.make_directory(&part).map_err(failed)?;
            drop(acting);
            let is_last = part == *cwd;
            let (uid, gid) = match is_last {
                true => self.outside(self.identity.uid, self.identity.gid),
                false => root,
            };
            let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
            rustix::fs::chownat(&made, "", Some(uid), Some(gid), AtFlags::EMPTY_PATH)
                .map_err(|error| failed(error.into()))?;
        }
        Ok(())
    }

    /// Ids of the container as the host has them in its root filesystem.
    fn outside(&self, uid: u32, gid: u32) -> (u32, u32) {
        let shift = |id: u32, mapping: IdMapping| id.saturating_add(mapping.host_id);
        self.mapping.map_or((uid, gid), |mapping| (shift(uid, mapping), shift(gid, mapping)))
    }
}
