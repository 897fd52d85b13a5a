//! An archive that comes as a stream: its blobs go into the store as they come, before anybody
//! knows which image needs them.

use std::io::Read;
use std::sync::Arc;

use super::content::Content;
use super::members::{InStream, Kind, Member, Members};
use super::table::Table;
use super::{ArchiveError, Job};
use crate::digest::Digest;
use crate::document::{Descriptor, MAX_DOCUMENT, media_type};
use crate::progress::{Ended, Stage};
use crate::store::{Ingest, StoreError};

/// Bytes read at once.
const PIECE: usize = 256 << 10;
/// The most bytes of documents that are kept in memory: there is one for each image, and a few.
const MAX_IN_MEMORY: u64 = 32 << 20;

type Stream<'r> = Members<InStream<Box<dyn Read + Send + 'r>>>;

/// Reads it all.
pub(super) fn receive<'r>(
    job: &Job<'_>,
    stream: Box<dyn Read + Send + 'r>,
) -> Result<Table, ArchiveError> {
    let mut members: Stream<'r> = Members::new(&job.archive, InStream(stream));
    let (mut table, mut in_memory) = (Table::default(), 0);
    while let Some(member) = members.next()? {
        let content = match &member {
            Member { kind: Kind::File, name: Some(name), size, .. } => {
                Some(receive_file(job, &mut members, name, *size, &mut in_memory)?)
            }
            _ => None,
        };
        table.insert(&job.archive, &member, content)?;
    }
    members.drain();
    Ok(table)
}

fn receive_file(
    job: &Job<'_>,
    members: &mut Stream<'_>,
    name: &str,
    size: u64,
    in_memory: &mut u64,
) -> Result<Content, ArchiveError> {
    if let Some(digest) = digest_of(name) {
        return receive_blob(job, members, name, &digest, size);
    }
    if name.ends_with(".tar") || name.ends_with(".tar.gz") {
        return receive_unknown(job, members, name, size);
    }
    // Documents, and small files that nobody will ask for.
    *in_memory += size.min(MAX_DOCUMENT + 1);
    if size > MAX_DOCUMENT || *in_memory > MAX_IN_MEMORY {
        return Err(job.refuse(&format!("{name:?} is neither a blob nor a small document")));
    }
    let mut bytes = vec![0; usize::try_from(size).unwrap_or(0)];
    members.read(&mut bytes)?;
    Ok(Content::Bytes(Arc::from(bytes)))
}

/// The digest that a name of an image layout says.
fn digest_of(name: &str) -> Option<Digest> {
    let name = name.trim_start_matches("./").strip_prefix("blobs/")?;
    name.replacen('/', ":", 1).parse().ok()
}

fn receive_blob(
    job: &Job<'_>,
    members: &mut Stream<'_>,
    name: &str,
    digest: &Digest,
    size: u64,
) -> Result<Content, ArchiveError> {
    let wanted = Descriptor::new(media_type::LAYER, digest.clone(), size);
    let mut task = job.listeners.progress.begin(Stage::Import, digest.short(), Some(size));
    let content = Content::Blob { digest: digest.clone(), size };
    let mut partial = match job.hold.ingest(&wanted).map_err(job.member(name))? {
        Ingest::Present => {
            task.end(Ended::Present);
            return Ok(content);
        }
        Ingest::Partial(partial) => partial,
    };
    // The bytes come anyway; the beginning of an earlier try saves nothing.
    partial.restart().map_err(job.member(name))?;
    pieces(job, members, name, &mut |piece| {
        task.advance(u64::try_from(piece.len()).unwrap_or(0));
        partial.write(piece)
    })?;
    partial.commit().map_err(job.member(name))?;
    task.end(Ended::Done);
    Ok(content)
}

fn receive_unknown(
    job: &Job<'_>,
    members: &mut Stream<'_>,
    name: &str,
    size: u64,
) -> Result<Content, ArchiveError> {
    let short: String = name.chars().take(12).collect();
    let mut task = job.listeners.progress.begin(Stage::Import, &short, Some(size));
    let mut fresh = job.hold.ingest_new()?;
    pieces(job, members, name, &mut |piece| {
        task.advance(u64::try_from(piece.len()).unwrap_or(0));
        fresh.write(piece)
    })?;
    let (digest, size) = fresh.commit().map_err(job.member(name))?;
    task.end(Ended::Done);
    Ok(Content::Blob { digest, size })
}

fn pieces(
    job: &Job<'_>,
    members: &mut Stream<'_>,
    name: &str,
    each: &mut dyn FnMut(&[u8]) -> Result<(), StoreError>,
) -> Result<(), ArchiveError> {
    let mut buffer = vec![0; PIECE];
    loop {
        let count = members.read(&mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        each(&buffer[..count]).map_err(job.member(name))?;
    }
}
