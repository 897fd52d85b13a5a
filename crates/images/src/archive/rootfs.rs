//! A tarball of a root file system becomes an image of one layer.

use std::io::Read;
use std::sync::Arc;
use std::time::SystemTime;

use lxcri_core::time::rfc3339_seconds;
use serde_json::json;

use super::content::Content;
use super::docker::put_manifest;
use super::{ArchiveError, Imported, Job, Origin, input};
use crate::digest::{Algorithm, Digest, Hasher};
use crate::document::{Descriptor, media_type};
use crate::layer::Compression;
use crate::progress::{Ended, Stage};

/// Bytes read at once.
const PIECE: usize = 256 << 10;

/// Imports it. The configuration is for the platform that is asked for, with a shell to run.
pub(super) fn import(job: &Job<'_>, origin: Origin<'_>) -> Result<Imported, ArchiveError> {
    let (content, created) = take(job, origin)?;
    let head = content.head(job.hold)?;
    let compression = input::known(&job.archive, &head)?;
    let task = job.listeners.progress.begin(Stage::Import, "rootfs", Some(content.size()));
    let (digest, size) = job.place(&content, None, task)?;
    let diff_id = diff_id(job, compression, &digest)?;
    let layer = Descriptor::new(compression.layer_type(), digest, size);
    (job.listeners.on_layer)(0, &layer, &diff_id);
    let config = config(job, created, &diff_id);
    let config = job.hold.put_document(media_type::CONFIG, config.to_string().as_bytes())?;
    let layers = vec![(layer, diff_id)];
    let mut manifest = put_manifest(job, config, &layers)?;
    manifest.platform = Some(job.platform.clone());
    Ok(Imported { manifest, names: Vec::new(), layers })
}

/// The bytes of the tarball, and when it was made: a file's own time, so that the same file gives
/// the same image again.
fn take(job: &Job<'_>, origin: Origin<'_>) -> Result<(Content, SystemTime), ArchiveError> {
    let failed = |source| ArchiveError::Read { archive: job.archive.clone(), source };
    let stream: Box<dyn Read + Send + '_> = match origin {
        Origin::Stream(stream) => stream,
        Origin::Path(path) => match input::open_path(path).map_err(failed)? {
            (file, true) => {
                let found = file.metadata().map_err(failed)?;
                let created = found.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                let (file, size) = (Arc::new(file), found.len());
                return Ok((Content::Range { file, offset: 0, size }, created));
            }
            (file, false) => Box::new(file),
        },
    };
    Ok((receive(job, stream)?, SystemTime::now()))
}

fn receive(job: &Job<'_>, mut stream: Box<dyn Read + Send + '_>) -> Result<Content, ArchiveError> {
    let failed = |source| ArchiveError::Read { archive: job.archive.clone(), source };
    let mut task = job.listeners.progress.begin(Stage::Import, "rootfs", None);
    let (mut fresh, mut buffer) = (job.hold.ingest_new()?, vec![0; PIECE]);
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => {
                fresh.write(&buffer[..count])?;
                task.advance(u64::try_from(count).unwrap_or(0));
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(error)),
        }
    }
    let (digest, size) = fresh.commit()?;
    task.end(Ended::Done);
    Ok(Content::Blob { digest, size })
}

/// The digest of the plain tar, which it must be.
fn diff_id(
    job: &Job<'_>,
    compression: Compression,
    digest: &Digest,
) -> Result<Digest, ArchiveError> {
    let failed = |source: std::io::Error| match source.kind() {
        std::io::ErrorKind::UnexpectedEof => ArchiveError::CutOff {
            archive: job.archive.clone(),
            member: "compressed data".to_owned(),
        },
        _ => ArchiveError::Read { archive: job.archive.clone(), source },
    };
    let open = || {
        let blob = job.hold.store().open_blob(digest)?;
        compression.decoder(blob).map_err(failed)
    };
    if !input::is_tar(&mut open()?).map_err(failed)? {
        let problem = "it does not begin with a header".to_owned();
        return Err(ArchiveError::Tar { archive: job.archive.clone(), problem, offset: 0 });
    }
    if compression == Compression::Plain {
        return Ok(digest.clone());
    }
    let (mut plain, mut hasher) = (open()?, Hasher::new(Algorithm::Sha256));
    let mut buffer = vec![0; PIECE];
    loop {
        match plain.read(&mut buffer).map_err(failed)? {
            0 => return Ok(hasher.finish()),
            count => hasher.update(&buffer[..count]),
        }
    }
}

fn config(job: &Job<'_>, created: SystemTime, diff_id: &Digest) -> serde_json::Value {
    let platform = job.platform;
    let created = rfc3339_seconds(created);
    let name = job.archive.rsplit('/').next().unwrap_or_default();
    let mut config = json!({
        "created": created,
        "architecture": platform.architecture,
        "os": platform.os,
        "config": { "Cmd": ["/bin/sh"] },
        "rootfs": { "type": "layers", "diff_ids": [diff_id] },
        "history": [{ "created": created, "comment": format!("imported from {name}") }],
    });
    if let Some(variant) = &platform.variant {
        config["variant"] = json!(variant);
    }
    config
}
