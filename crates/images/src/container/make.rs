//! From an image in the store to a bundle.

use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use lxcri_core::id::ContainerId;
use lxcri_core::oci::IdMapping;
use lxcri_linux::step::Step as _;

use super::record::SCHEMA;
use super::{Claim, ContainerError, Record, Step, remove};
use crate::digest::Digest;
use crate::document::{Descriptor, ImageConfig};
use crate::layer::Layer;
use crate::library::Library;
use crate::passage;
use crate::progress::Progress;
use crate::rootfs::{self, IdRange};
use crate::spec::{self, Machine, Options, Surroundings, VolumeRequest};
use crate::store::Hold;

/// An image whose layers are unpacked. While this lives nobody removes anything of it.
#[derive(Debug)]
pub struct Ready {
    _hold: Hold,
    manifest: Digest,
    config: ImageConfig,
    layers: Vec<Layer>,
}

/// What is wanted.
#[derive(Debug)]
pub struct Making<'a> {
    /// The container.
    pub id: &'a ContainerId,
    /// What the user called the image.
    pub name: &'a str,
    /// The user's wishes.
    pub options: &'a Options,
    /// The ids of a user namespace.
    pub mapping: IdMapping,
    /// Whether the backend applies `mounts[].uidMappings`.
    pub idmapped_mounts: bool,
    /// It goes with its end (`--rm`), and is never synced to the disk.
    pub ephemeral: bool,
    /// Where the state of what runs is (`runtime.root`).
    pub state_root: &'a Path,
    /// What relative paths of the user count from.
    pub working_directory: &'a Path,
}

/// A container that a backend can create.
#[derive(Clone, Debug)]
pub struct Made {
    /// Its bundle.
    pub bundle: PathBuf,
    /// What the user should know, a line each.
    pub warnings: Vec<String>,
}

impl Library {
    /// Sees to it that the layers of an image are unpacked. `hold` is from before it was looked up.
    ///
    /// # Errors
    /// The image is damaged, or a layer cannot be unpacked; layers that are stay.
    pub fn ready(
        &self,
        hold: Hold,
        manifest: &Descriptor,
        progress: &dyn Progress,
    ) -> Result<Ready, ContainerError> {
        let contents = hold.store().contents(manifest)?;
        let config = contents.image_config;
        let diff_ids = config.rootfs.diff_ids.iter().cloned();
        let pairs: Vec<_> = contents.layers.into_iter().zip(diff_ids).collect();
        let layers = self.unpacked(&hold, &pairs, progress)?;
        Ok(Ready { _hold: hold, manifest: manifest.digest.clone(), config, layers })
    }

    /// Makes root filesystem and bundle of a container. Until the claim is let go nobody else removes
    /// it.
    ///
    /// # Errors
    /// Nothing of the container is left then.
    pub fn make_container(
        &self,
        image: Ready,
        making: &Making<'_>,
    ) -> Result<(Made, Claim<'_>), ContainerError> {
        let claim = Claim::reserve(self, making.id)?;
        match self.fill(&claim.path, image, making) {
            Ok(made) => Ok((made, claim)),
            Err(error) => {
                if let Err(error) = remove::take_away(&claim) {
                    log::warn!("{}: could not be removed: {error}", making.id);
                }
                Err(error)
            }
        }
    }

    fn fill(
        &self,
        directory: &Path,
        image: Ready,
        making: &Making<'_>,
    ) -> Result<Made, ContainerError> {
        let mut record = Record {
            schema: SCHEMA,
            id: making.id.clone(),
            image: making.name.to_owned(),
            manifest: image.manifest.clone(),
            state_root: making.state_root.to_owned(),
            created: lxcri_core::time::rfc3339(SystemTime::now()),
            labels: making.options.labels.clone(),
        };
        record.write(directory)?;
        Step::Record.reached();
        let rootfs = self.rootfs(making, image.layers)?;
        Step::Rootfs.reached();
        let (bundle, files) = (directory.join("bundle"), directory.join("files"));
        let made = std::fs::DirBuilder::new().mode(0o700).create(&bundle);
        made.map_err(ContainerError::io("make directory", &bundle))?;
        let group = if making.options.wants_user_namespace() { making.mapping.host_id } else { 0 };
        passage::make_guarded(&files, group)
            .map_err(ContainerError::io("make directory", &files))?;
        let machine = Machine::here();
        let around = Surroundings {
            id: making.id.as_str(),
            rootfs: &rootfs.path,
            directory: &files,
            working_directory: making.working_directory,
            mapping: making.mapping,
            idmapped_mounts: making.idmapped_mounts,
            machine: &machine,
        };
        let plan = spec::plan(&image.config, making.options, &around)?;
        let prepared = plan.carry_out(&Volumes::new(self, directory, making).of_request())?;
        Step::Files.reached();
        record.labels = prepared.labels;
        record.write(directory)?;
        write_config(&bundle.join("config.json"), &prepared.spec)?;
        Step::Bundle.reached();
        Ok(Made { bundle, warnings: prepared.warnings })
    }

    fn rootfs(
        &self,
        making: &Making<'_>,
        layers: Vec<Layer>,
    ) -> Result<rootfs::Rootfs, ContainerError> {
        let IdMapping { container_id: container, host_id: host, size } = making.mapping;
        let mapped = making.options.wants_user_namespace();
        let place = self.place()?;
        let provider = rootfs::choose(self.provider(), &place, mapped)?;
        let request = rootfs::Request {
            id: making.id.clone(),
            layers,
            mapping: mapped.then(|| vec![IdRange { container, host, size }]),
            // Places to mount things are still to be made in it: the backend makes it read-only then
            // (`root.readonly`), as Docker's does.
            read_only: false,
            ephemeral: making.ephemeral,
        };
        Ok(rootfs::prepare(&place, provider, request)?)
    }
}

fn write_config(path: &Path, spec: &lxcri_core::oci::Spec) -> Result<(), ContainerError> {
    let text = serde_json::to_vec_pretty(spec).map_err(|error| ContainerError::Damaged {
        path: path.to_owned(),
        problem: error.to_string(),
    })?;
    write_private(path, &text)
}

/// Writes a new file for root alone: the environment of a program has secrets in it.
pub(super) fn write_private(path: &Path, content: &[u8]) -> Result<(), ContainerError> {
    let mut options = std::fs::OpenOptions::new();
    let opened = options.write(true).create(true).truncate(true).mode(0o600).open(path);
    opened
        .and_then(|mut file| std::io::Write::write_all(&mut file, content))
        .map_err(ContainerError::io("write", path))
}

/// Where volumes are.
struct Volumes {
    named: PathBuf,
    own: PathBuf,
    /// Who passes through. Containers of all kinds share what is named.
    group: u32,
}

impl Volumes {
    fn new(library: &Library, directory: &Path, making: &Making<'_>) -> Self {
        let group = making.mapping.host_id;
        Self { named: library.volumes(), own: directory.join("volumes"), group }
    }

    /// The directory of a volume, made where it is missing. One without a name is the container's
    /// own, numbered in the order of asking.
    fn of_request(&self) -> impl Fn(&VolumeRequest<'_>) -> io::Result<PathBuf> {
        let next = std::cell::Cell::new(0_u32);
        move |request| {
            let number = || next.replace(next.get() + 1).to_string();
            let (parent, name) = match request.name {
                Some(name) => (&self.named, name.to_owned()),
                None => (&self.own, number()),
            };
            passage::make_guarded(parent, self.group)?;
            let path = parent.join(name);
            passage::make_open(&path)?;
            Ok(path)
        }
    }
}
