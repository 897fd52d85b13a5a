//! Images made by hand, without other programs: good ones, odd ones, and lies.
//!
//! ```text
//! Entry   one entry of a tar stream           Entry::file("etc/motd", "hi").mode(0o600)
//! Layer   a stream, compressed, and claims    Layer::new(&entries, Compression::Gzip)?.truncated(100)
//! Image   layers and a configuration          Image::new(layers).set("/config/Cmd", json!(["sh"]))
//! Files   an image in a form on disk          image.files(Form::Oci, "1")?.write_archive(&file)?
//! ```

mod entry;
mod files;
mod layer;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde_json::Value;
use serde_json::json;
use sha2::Digest;
use sha2::Sha256;

pub use entry::Entry;
pub use entry::Kind;
pub use entry::LongNames;
pub use entry::SparseFormat;
pub use entry::extended_header;
pub use entry::tar;
pub use files::Files;
pub use files::Form;
pub use layer::Compression;
pub use layer::Layer;

use crate::bundle;
use crate::debian;
use crate::tree::xattrs;
use crate::verdict::Context;
use crate::verdict::Verdict;

/// The search path that images of distributions set.
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// An image.
#[derive(Debug, Clone)]
pub struct Image {
    /// Its layers, the lowest first.
    pub layers: Vec<Layer>,
    /// Its configuration, but for `rootfs` and `history`, which follow from the layers where they are not
    /// set here.
    pub config: Value,
    /// The bytes of the configuration, where they are not to be made of `config`.
    pub raw_config: Option<Vec<u8>>,
    /// What is done to the manifest before it is written.
    pub change_manifest: Option<fn(&mut Value)>,
}

impl Image {
    /// An image for this machine that runs `sh`.
    #[must_use]
    pub fn new(layers: Vec<Layer>) -> Self {
        let config = json!({
            "created": "2024-01-01T00:00:00Z",
            "architecture": architecture(),
            "os": "linux",
            "config": { "Env": [PATH], "Cmd": ["sh"] },
        });
        Self { layers, config, raw_config: None, change_manifest: None }
    }

    /// Puts `value` at a JSON pointer of the configuration.
    pub fn set(&mut self, pointer: &str, value: Value) -> &mut Self {
        bundle::put(&mut self.config, pointer, value);
        self
    }

    /// The files of the image in a form. See [`Files::of`].
    ///
    /// # Errors
    /// A failure when a layer that has to be unpacked for the form is damaged.
    pub fn files(&self, form: Form, tag: &str) -> Verdict<Files> {
        Files::of(self, form, tag)
    }

    /// The bytes of the configuration.
    ///
    /// # Errors
    /// Those of JSON.
    pub fn config_bytes(&self) -> Verdict<Vec<u8>> {
        if let Some(bytes) = &self.raw_config {
            return Ok(bytes.clone());
        }
        let mut config = self.config.clone();
        if config.get("rootfs").is_none() {
            let ids: Vec<&str> = self.layers.iter().map(|layer| layer.diff_id.as_str()).collect();
            config["rootfs"] = json!({ "type": "layers", "diff_ids": ids });
        }
        if config.get("history").is_none() {
            let step = |number| json!({ "created_by": format!("layer {number}") });
            config["history"] = (0..self.layers.len()).map(step).collect();
        }
        Ok(serde_json::to_vec(&config)?)
    }

    /// The digest of the configuration, which Docker and Podman call the image's id.
    ///
    /// # Errors
    /// Those of JSON.
    pub fn id(&self) -> Verdict<String> {
        Ok(digest(&self.config_bytes()?))
    }
}

/// An image of busybox with its usual applets, in one layer of about 2 MB.
///
/// # Errors
/// A failure when Debian's package busybox-static is missing.
pub fn busybox_image(compression: Compression) -> Verdict<Image> {
    let dir = tempfile::tempdir()?;
    bundle::make_busybox_root(dir.path())?;
    Ok(Image::new(vec![Layer::new(&entries_of(dir.path())?, compression)?]))
}

/// An image of a small Debian in one layer of about 120 MB: real names, links, owners and device nodes.
///
/// # Errors
/// A skip when there is no Debian root file system and none can be made.
pub fn debian_image(compression: Compression) -> Verdict<Image> {
    let entries = entries_of(&debian::root()?)?;
    let mut image = Image::new(vec![Layer::new(&entries, compression)?]);
    image.set("/config/Cmd", json!(["bash"]));
    Ok(image)
}

/// The entries of what is below `root`, sorted by path, with everything that a layer can say of them.
/// Sockets are left out.
///
/// # Errors
/// A failure naming the path that cannot be read.
pub fn entries_of(root: &Path) -> Verdict<Vec<Entry>> {
    let (mut entries, mut left) = (Vec::new(), vec![root.to_owned()]);
    let mut seen: BTreeMap<(u64, u64), Vec<u8>> = BTreeMap::new();
    while let Some(path) = left.pop() {
        let relative = path.strip_prefix(root)?.as_os_str().as_bytes();
        let status = fs::symlink_metadata(&path).context(path.display())?;
        if status.is_dir() {
            let mut below: Vec<_> =
                fs::read_dir(&path)?.map(|entry| Ok(entry?.path())).collect::<Verdict<_>>()?;
            below.sort_unstable_by(|one, other| other.cmp(one));
            left.extend(below);
        }
        if relative.is_empty() || status.file_type().is_socket() {
            continue;
        }
        let key = (status.dev(), status.ino());
        let kind = match seen.get(&key) {
            Some(first) => Kind::HardLink(first.clone()),
            None => kind_of(&path, &status)?,
        };
        if !status.is_dir() && status.nlink() > 1 {
            seen.entry(key).or_insert_with(|| relative.to_vec());
        }
        let mut entry = Entry::new(relative, kind, status.mode() & 0o7777)
            .owner(status.uid().into(), status.gid().into())
            .modified(status.mtime(), u32::try_from(status.mtime_nsec())?);
        for (name, value) in xattrs(path.as_os_str().as_bytes(), false).context(path.display())? {
            entry = entry.record([b"SCHILY.xattr.", &name[..]].concat(), value);
        }
        entries.push(entry);
    }
    Ok(entries)
}

fn kind_of(path: &Path, status: &fs::Metadata) -> Verdict<Kind> {
    let kind = status.file_type();
    let numbers = (rustix::fs::major(status.rdev()), rustix::fs::minor(status.rdev()));
    Ok(if kind.is_dir() {
        Kind::Directory
    } else if kind.is_symlink() {
        Kind::Symlink(
            fs::read_link(path).context(path.display())?.into_os_string().as_bytes().to_vec(),
        )
    } else if kind.is_char_device() {
        Kind::Character(numbers.0, numbers.1)
    } else if kind.is_block_device() {
        Kind::Block(numbers.0, numbers.1)
    } else if kind.is_fifo() {
        Kind::Fifo
    } else {
        Kind::File(fs::read(path).context(path.display())?)
    })
}

/// `sha256:…` of these bytes.
#[must_use]
pub fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex(&Sha256::digest(bytes)))
}

/// Bytes in hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}

/// What images call this machine's processor.
#[must_use]
pub fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
