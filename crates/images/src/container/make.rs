//! From an image in the store to a bundle.

use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use lxcri_core::id::ContainerId;
use lxcri_core::oci::IdMapping;
use lxcri_linux::step::Step as _;

use super::record::SCHEMA;
use super::{ContainerError, Record, Step, remove};
use crate::library::Library;
use crate::progress::Progress;
use crate::rootfs::{self, IdRange};
use crate::spec::{self, Machine, Options, Surroundings, VolumeRequest};
use crate::store::{Hold, Image};

/// What is wanted.
#[derive(Debug)]
pub struct Making<'a> {
    /// The container.
    pub id: &'a ContainerId,
    /// What the user called the image.
    pub name: &'a str,
    /// The image.
    pub image: &'a Image,
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
    /// Makes root filesystem and bundle of a container. `hold` is from before the image was looked up.
    ///
    /// # Errors
    /// Nothing of the container is left then; unpacked layers are.
    pub fn make_container(
        &self,
        hold: &Hold,
        making: &Making<'_>,
        progress: &dyn Progress,
    ) -> Result<Made, ContainerError> {
        let contents = hold.store().contents(&making.image.manifest)?;
        let diff_ids = contents.image_config.rootfs.diff_ids.iter().cloned();
        let pairs: Vec<_> = contents.layers.iter().cloned().zip(diff_ids).collect();
        let layers = self.unpacked(hold, &pairs, progress)?;
        let directory = self.reserve(making.id)?;
        let made = self.fill(&directory, making, &contents.image_config, layers);
        made.inspect_err(|_| {
            if let Err(error) = remove::take_away(self, making.id) {
                log::warn!("{}: could not be removed: {error}", making.id);
            }
        })
    }

    /// The container's directory: this mkdir is what two of one name race for.
    fn reserve(&self, id: &ContainerId) -> Result<PathBuf, ContainerError> {
        let containers = self.containers();
        let mut builder = std::fs::DirBuilder::new();
        // The container's root, which is a user of the host, passes through to its files.
        builder.mode(0o711).recursive(true);
        builder.create(&containers).map_err(ContainerError::io("make directory", &containers))?;
        let directory = containers.join(id.as_str());
        match builder.recursive(false).create(&directory) {
            Ok(()) => {
                Step::Directory.reached();
                Ok(directory)
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(ContainerError::Exists { id: id.clone() })
            }
            Err(error) => Err(ContainerError::io("make directory", &directory)(error)),
        }
    }

    fn fill(
        &self,
        directory: &Path,
        making: &Making<'_>,
        image: &crate::document::ImageConfig,
        layers: Vec<crate::layer::Layer>,
    ) -> Result<Made, ContainerError> {
        let mut record = Record {
            schema: SCHEMA,
            id: making.id.clone(),
            image: making.name.to_owned(),
            manifest: making.image.manifest.digest.clone(),
            state_root: making.state_root.to_owned(),
            created: lxcri_core::time::rfc3339(SystemTime::now()),
            labels: making.options.labels.clone(),
        };
        record.write(directory)?;
        Step::Record.reached();
        let rootfs = self.rootfs(making, layers)?;
        Step::Rootfs.reached();
        let (bundle, files) = (directory.join("bundle"), directory.join("files"));
        for path in [&bundle, &files] {
            let mut builder = std::fs::DirBuilder::new();
            let made = builder.mode(0o711).create(path);
            made.map_err(ContainerError::io("make directory", path))?;
        }
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
        let plan = spec::plan(image, making.options, &around)?;
        let prepared = plan.carry_out(&Volumes::new(self, directory).of_request())?;
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
        layers: Vec<crate::layer::Layer>,
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
    std::fs::write(path, text).map_err(ContainerError::io("write", path))
}

/// Where volumes are.
struct Volumes {
    named: PathBuf,
    own: PathBuf,
}

impl Volumes {
    fn new(library: &Library, directory: &Path) -> Self {
        Self { named: library.volumes(), own: directory.join("volumes") }
    }

    /// The directory of a volume, made where it is missing. One without a name is the container's
    /// own, numbered in the order of asking.
    fn of_request(&self) -> impl Fn(&VolumeRequest<'_>) -> io::Result<PathBuf> {
        let next = std::cell::Cell::new(0_u32);
        move |request| {
            let path = match request.name {
                Some(name) => self.named.join(name),
                None => {
                    let number = next.replace(next.get() + 1);
                    self.own.join(number.to_string())
                }
            };
            std::fs::DirBuilder::new().recursive(true).mode(0o711).create(&path)?;
            Ok(path)
        }
    }
}
