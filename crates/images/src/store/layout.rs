//! Making and recognising the directory.

use std::ffi::OsString;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use lxcri_linux::step::Step as _;
use serde::{Deserialize, Serialize};

use super::index::{self, INDEX};
use super::lock::{self, INDEX_LOCK};
use super::{Store, StoreError};
use crate::document::Index;
use crate::step::Step;

/// image-layout.md, "oci-layout file".
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Layout {
    image_layout_version: String,
}

/// The file and the only version there is.
const FILE: &str = "oci-layout";
const VERSION: &str = "1.0.0";
/// No such file has more bytes.
const MAX_FILE: u64 = 4096;
/// What a store that is being made can have in it.
const OURS: [&str; 3] = ["blobs", "ingest", INDEX];

/// Checks the version of a store that is there, or makes it.
pub(super) fn ensure(store: &Store) -> Result<(), StoreError> {
    match check(&store.file(FILE)) {
        Err(StoreError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            make(store)
        }
        result => result,
    }
}

fn check(path: &Path) -> Result<(), StoreError> {
    let bytes = index::read(path, MAX_FILE)?;
    let layout: Layout = serde_json::from_slice(&bytes).map_err(|error| StoreError::Damaged {
        path: path.to_owned(),
        problem: error.to_string(),
    })?;
    if layout.image_layout_version == VERSION {
        return Ok(());
    }
    let found = layout.image_layout_version.chars().take(40).collect();
    Err(StoreError::Version { path: path.to_owned(), found })
}

/// Two processes may do it at once, and one that was killed half-way may have begun. The file
/// `oci-layout` comes last.
fn make(store: &Store) -> Result<(), StoreError> {
    refuse_strangers(store)?;
    for name in ["ingest", "blobs/sha256"] {
        make_directory(&store.file(name))?;
    }
    Step::OpenDirectories.reached();
    let _lock = lock::exclusive(&store.ingest_path(INDEX_LOCK))?;
    if !store.file(INDEX).exists() {
        index::replace(store, INDEX, &Index::empty(), Step::OpenIndex)?;
    }
    let layout = Layout { image_layout_version: VERSION.to_owned() };
    index::replace(store, FILE, &layout, Step::OpenLayout)
}

/// Mode 0700 for all that is missing: what an image holds is not everybody's.
pub(super) fn make_directory(path: &Path) -> Result<(), StoreError> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(StoreError::io("make", path))
}

/// A directory that somebody named by mistake is left as it is.
fn refuse_strangers(store: &Store) -> Result<(), StoreError> {
    let io = || StoreError::io("read", &store.directory);
    let items = match std::fs::read_dir(&store.directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        result => result.map_err(io())?,
    };
    for item in items {
        let name: OsString = item.map_err(io())?.file_name();
        // An `oci-layout` that is there now came from another process since we looked.
        if name != FILE && !OURS.iter().any(|ours| name == *ours) {
            let found = name.to_string_lossy().chars().take(80).collect();
            return Err(StoreError::NotAStore { path: store.directory.clone(), found });
        }
    }
    Ok(())
}
