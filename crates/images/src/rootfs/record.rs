//! What a root filesystem is made of, on disk: `rootfs.json`.

use lxcri_core::id::ContainerId;
use lxcri_linux::procfs::Proc;
use serde::{Deserialize, Serialize};

use super::{IdRange, Place, Request, RootfsError, chain_id, mapping};
use crate::digest::Digest;
use crate::document::MAX_LAYERS;
use crate::layer::Layer;

/// The version of the file.
pub const SCHEMA: u32 = 1;

/// Largest record that is read: far more than [`MAX_LAYERS`] layers with long paths take.
pub(super) const RECORD_MAX: u64 = 16 * 1024 * 1024;

/// What a root filesystem is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Record {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The container.
    pub id: ContainerId,
    /// Who made it.
    pub provider: String,
    /// Its layers by one name (image-spec config.md, "Layer ChainID").
    pub chain: Digest,
    /// The layers, lowest first.
    pub layers: Vec<Layer>,
    /// The container's user namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mapping: Option<Vec<IdRange>>,
    /// Nothing can be written.
    pub read_only: bool,
    /// It does not outlive the boot it was made in.
    pub ephemeral: bool,
    /// The ZFS filesystem it is a child's child of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dataset: Option<String>,
    /// A random word that the dataset carries, so that another of the same name, of another data root
    /// or of an earlier installation, is never taken for this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dataset_owner: Option<String>,
    /// The boot it was made in.
    pub boot_id: String,
}

impl Record {
    pub(super) fn new(
        place: &Place,
        provider: &str,
        request: Request,
    ) -> Result<Self, RootfsError> {
        if request.layers.len() > MAX_LAYERS {
            let count = request.layers.len();
            return Err(RootfsError::TooManyLayers { count, max: MAX_LAYERS });
        }
        if let Some(ranges) = &request.mapping {
            mapping::check(ranges)?;
        }
        Ok(Self {
            schema: SCHEMA,
            id: request.id,
            provider: provider.to_owned(),
            chain: chain_id(request.layers.iter().map(|layer| &layer.diff_id)),
            layers: request.layers,
            mapping: request.mapping,
            read_only: request.read_only,
            ephemeral: request.ephemeral,
            dataset: place.dataset.as_ref().map(ToString::to_string),
            dataset_owner: place.dataset.as_ref().map(|_| random_word()).transpose()?,
            boot_id: boot_id()?,
        })
    }

    /// Parses the bytes of the file.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let record: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if record.schema != SCHEMA {
            return Err(format!("its schema is {}, not {SCHEMA}", record.schema));
        }
        Ok(record)
    }
}

/// 128 random bits.
fn random_word() -> Result<String, RootfsError> {
    let mut bytes = [0; 16];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()).map_err(
        |errno| RootfsError::Io { what: "read", path: "/dev/urandom".into(), source: errno.into() },
    )?;
    Ok(format!("{:032x}", u128::from_ne_bytes(bytes)))
}

/// This boot.
pub(super) fn boot_id() -> Result<String, RootfsError> {
    let read = Proc::open().and_then(|proc| proc.boot_id());
    read.map_err(|error| RootfsError::Io {
        what: "read",
        path: "/proc/sys/kernel/random/boot_id".into(),
        source: std::io::Error::other(lxcri_linux::chain(&error)),
    })
}
