//! Everything below `runtime.data_root`, and the ways of an image through it.
//!
//! ```text
//! images/      the store
//! rootfs/      layers/ unpacked, golden/ and containers/ of the rootfs providers
//! containers/  containers made of images
//! volumes/     named volumes
//! ```

mod bring;
mod tidy;

use std::path::{Path, PathBuf};

use lxcri_core::config::{Config, LookupError};

pub use bring::{Bring, BringError, Brought};
pub use tidy::{Tidied, TidyError};

use crate::layer::{CacheError, Layers, Limits, Workers};
use crate::passage;
use crate::rootfs;
use crate::store::{Store, StoreError};

/// The directories, and what the configuration says of them.
#[derive(Clone, Debug)]
pub struct Library {
    root: PathBuf,
    workers: usize,
    limits: Limits,
    provider: String,
    dataset: Option<String>,
    sync: bool,
}

impl Library {
    /// By the configuration. Nothing is made yet.
    ///
    /// # Errors
    /// A key that the schema does not have: a defect of the program.
    pub fn new(config: &Config) -> Result<Self, LookupError> {
        let root: &Path = config.get("runtime", "data_root")?;
        let number = |key| config.get::<i64>("images", key);
        let gib = u64::try_from(number("max_layer_gib")?).unwrap_or_default();
        let limits = Limits {
            bytes: gib.saturating_mul(1 << 30),
            entries: u64::try_from(number("max_layer_entries")?).unwrap_or_default(),
            ..Limits::default()
        };
        Ok(Self {
            root: root.to_owned(),
            workers: usize::try_from(number("workers")?).unwrap_or_default(),
            limits,
            provider: config.get::<&str>("rootfs", "provider")?.to_owned(),
            dataset: config.get::<Option<&str>>("zfs", "dataset")?.map(ToOwned::to_owned),
            sync: config.get("images", "sync")?,
        })
    }

    /// `images/`.
    ///
    /// # Errors
    /// The store's.
    pub fn store(&self) -> Result<Store, StoreError> {
        passage::make_open(&self.root).map_err(StoreError::io("make", &self.root))?;
        Store::open(self.root.join("images"))
    }

    /// `rootfs/layers/`.
    ///
    /// # Errors
    /// The kernel's.
    pub fn layers(&self) -> Result<Layers, CacheError> {
        let rootfs = self.root.join("rootfs");
        passage::make_open(&rootfs).map_err(CacheError::io("make", &rootfs))?;
        Layers::open(rootfs.join("layers"))
    }

    /// `containers/`.
    pub fn containers(&self) -> PathBuf {
        self.root.join("containers")
    }

    /// `volumes/`.
    pub fn volumes(&self) -> PathBuf {
        self.root.join("volumes")
    }

    /// Where root filesystems are made.
    ///
    /// # Errors
    /// `zfs.dataset` is no name of a dataset.
    pub fn place(&self) -> Result<rootfs::Place, rootfs::RootfsError> {
        let dataset = self.dataset.as_deref().map(str::parse).transpose()?;
        Ok(rootfs::Place { root: self.root.join("rootfs"), dataset, sync: false })
    }

    /// `rootfs.provider`.
    pub fn provider(&self) -> &str {
        &self.provider
    }

    /// `images.sync`.
    pub fn sync(&self) -> bool {
        self.sync
    }

    fn start_workers(&self) -> Workers {
        match self.workers {
            0 => Workers::for_this_machine(&self.limits),
            count => Workers::start(count, &self.limits),
        }
    }
}
