//! One blob through three threads: one decompresses, one hashes what comes of it, the caller's
//! writes files. Pieces go from one to the next in a few buffers that go round.
//!
//! With as many layers at once as there are processors this is no faster than one thread for each;
//! with one layer left over, or an image of one layer, it is.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::{Builder, scope};

use super::compression::{Compression, Decompressor, PEEK};
use super::error::Problem;
use super::limits::Limits;
use super::stream::Chunks;
use crate::digest::{Algorithm, Digest, Hasher};

/// Bytes of a buffer: system calls per byte are few, and it stays in the cache from one thread to
/// the next.
const BUFFER: usize = 256 << 10;
/// How many go round.
const BUFFERS: usize = 6;
/// Bytes read of the blob at once.
const INPUT: usize = 128 << 10;
/// Bytes of a thread's stack: zlib and zstd keep their state on the heap.
const STACK: usize = 512 << 10;

/// A blob to read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source<'s> {
    pub(super) blob: &'s File,
    /// What its digest has to be, where that is to be verified again.
    pub(super) digest: Option<&'s Digest>,
    /// What its media type says.
    pub(super) compression: Option<Compression>,
    pub(super) limits: &'s Limits,
}

/// A piece of the archive.
struct Piece {
    buffer: Vec<u8>,
    /// How much of the buffer counts.
    filled: usize,
    /// Bytes of the blob that were read for it and all before it.
    compressed: u64,
}

enum Message {
    Piece(Piece),
    Failed(Problem),
    /// Everything was read.
    End,
}

/// What the reader of pieces sees.
pub(super) struct Pieces<'p> {
    pieces: Receiver<Message>,
    empty: Sender<Vec<u8>>,
    current: Option<Piece>,
    at_end: bool,
    progress: &'p mut dyn FnMut(u64) -> Result<(), Problem>,
}

impl Chunks for Pieces<'_> {
    fn current(&self) -> &[u8] {
        self.current.as_ref().map_or(&[], |piece| &piece.buffer[..piece.filled])
    }

    fn advance(&mut self) -> Result<bool, Problem> {
        if let Some(piece) = self.current.take() {
            // Fails only where the decompressor has ended, which needs no more buffers then.
            let _ = self.empty.send(piece.buffer);
        }
        if self.at_end {
            return Ok(false);
        }
        match self.pieces.recv() {
            Ok(Message::Piece(piece)) => {
                (self.progress)(piece.compressed)?;
                self.current = Some(piece);
                Ok(true)
            }
            Ok(Message::End) => {
                self.at_end = true;
                Ok(false)
            }
            Ok(Message::Failed(problem)) => Err(problem),
            Err(_) => Err(Problem::Worker("lost one of its threads".into())),
        }
    }
}

/// Has `write` read the archive in `source`; the result is what it returned, and the archive's digest
/// where `write` has read all of it. `progress` is told how many bytes of the blob are done; what it
/// returns ends everything.
pub(super) fn run<T>(
    source: Source<'_>,
    algorithm: Algorithm,
    progress: &mut dyn FnMut(u64) -> Result<(), Problem>,
    write: impl FnOnce(Pieces<'_>) -> Result<T, Problem>,
) -> Result<(T, Digest), Problem> {
    let start = |errno| Problem::io("start a thread", b"", &errno);
    scope(|scope| {
        let (to_hash, from_decompressor) = sync_channel(BUFFERS);
        let (to_writer, pieces) = sync_channel(BUFFERS);
        let (empty, buffers) = channel();
        for _ in 0..BUFFERS {
            let _ = empty.send(Vec::new());
        }
        let thread = || Builder::new().stack_size(STACK);
        thread()
            .spawn_scoped(scope, move || decompress_to(source, &buffers, &to_hash))
            .map_err(start)?;
        let hashing = thread()
            .spawn_scoped(scope, move || hash(algorithm, &from_decompressor, &to_writer))
            .map_err(start)?;
        // Dropped when `write` returns, so that the threads before it end, too.
        let written = write(Pieces { pieces, empty, current: None, at_end: false, progress })?;
        let digest = hashing.join().ok().flatten();
        let lost = || Problem::Worker("lost one of its threads".into());
        digest.map(|digest| (written, digest)).ok_or_else(lost)
    })
}

fn decompress_to(source: Source<'_>, buffers: &Receiver<Vec<u8>>, pieces: &SyncSender<Message>) {
    let send = |piece| pieces.send(Message::Piece(piece)).is_ok();
    let last = match decompress(source, buffers, &send) {
        Ok(()) => Message::End,
        Err(problem) => Message::Failed(problem),
    };
    // Fails only where the reader has ended, which knows why.
    let _ = pieces.send(last);
}

/// Ends early, and well, where nobody reads any more.
fn decompress(
    source: Source<'_>,
    buffers: &Receiver<Vec<u8>>,
    send: &dyn Fn(Piece) -> bool,
) -> Result<(), Problem> {
    let compression = detect(source)?;
    let mut decompressor = Decompressor::new(compression)?;
    let mut input = Input::new(source);
    let (mut produced, mut at_end) = (0_u64, false);
    while !at_end {
        let Ok(mut buffer) = buffers.recv() else { return Ok(()) };
        buffer.resize(BUFFER, 0);
        let mut filled = 0;
        while filled < BUFFER {
            input.fill()?;
            let step = decompressor.step(input.left(), &mut buffer[filled..])?;
            input.take(step.read);
            filled += step.written;
            if step.is_nothing() {
                at_end = true;
                break;
            }
        }
        produced += filled as u64;
        source.limits.check_ratio(input.consumed(), produced)?;
        if filled > 0 && !send(Piece { buffer, filled, compressed: input.consumed() }) {
            return Ok(());
        }
    }
    if !input.left().is_empty() {
        let message = "no progress".to_owned();
        return Err(Problem::Compressed { format: compression.name().into(), message });
    }
    decompressor.end(input.consumed())?;
    input.verify()
}

/// How the blob is compressed, by its first bytes, which must be what its media type says.
fn detect(source: Source<'_>) -> Result<Compression, Problem> {
    let mut start = [0; PEEK];
    let mut length = 0;
    while length < PEEK {
        match read_at(source.blob, &mut start[length..], length as u64)? {
            0 => break,
            count => length += count,
        }
    }
    let media_type = |found: &str| {
        source.compression.map(|expected| Problem::MediaType {
            expected: expected.name().into(),
            found: found.into(),
        })
    };
    match Compression::of(&start[..length]) {
        Ok(found) if source.compression.is_none_or(|expected| expected == found) => Ok(found),
        Ok(found) => Err(media_type(found.name()).unwrap_or_else(unknown)),
        Err(Problem::NoLayer { found }) => {
            Err(media_type(&found).unwrap_or(Problem::NoLayer { found }))
        }
        Err(problem) => Err(problem),
    }
}

fn unknown() -> Problem {
    Problem::NoLayer { found: "something unknown".into() }
}

/// The blob's bytes, hashed where that is wanted.
struct Input<'s> {
    source: Source<'s>,
    buffer: Vec<u8>,
    at: usize,
    end: usize,
    offset: u64,
    hasher: Option<Hasher>,
}

impl<'s> Input<'s> {
    fn new(source: Source<'s>) -> Self {
        let hasher = source.digest.map(|digest| Hasher::new(digest.algorithm()));
        Self { source, buffer: vec![0; INPUT], at: 0, end: 0, offset: 0, hasher }
    }

    /// Reads on where everything was taken.
    fn fill(&mut self) -> Result<(), Problem> {
        if self.at < self.end {
            return Ok(());
        }
        let count = read_at(self.source.blob, &mut self.buffer, self.offset)?;
        (self.at, self.end) = (0, count);
        self.offset += count as u64;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&self.buffer[..count]);
        }
        Ok(())
    }

    fn left(&self) -> &[u8] {
        &self.buffer[self.at..self.end]
    }

    fn take(&mut self, count: usize) {
        self.at += count;
    }

    fn consumed(&self) -> u64 {
        self.offset - (self.end - self.at) as u64
    }

    fn verify(self) -> Result<(), Problem> {
        match (self.source.digest, self.hasher.map(Hasher::finish)) {
            (Some(expected), Some(found)) if *expected != found => {
                Err(Problem::BlobDigest { expected: expected.clone(), found })
            }
            _ => Ok(()),
        }
    }
}

fn read_at(blob: &File, buffer: &mut [u8], offset: u64) -> Result<usize, Problem> {
    loop {
        match blob.read_at(buffer, offset) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Problem::Blob(error.to_string())),
            Ok(count) => return Ok(count),
        }
    }
}

/// Hands pieces on; the digest of all of them, where none is missing.
fn hash(
    algorithm: Algorithm,
    from: &Receiver<Message>,
    to: &SyncSender<Message>,
) -> Option<Digest> {
    let mut hasher = Hasher::new(algorithm);
    while let Ok(message) = from.recv() {
        if let Message::Piece(piece) = &message {
            hasher.update(&piece.buffer[..piece.filled]);
        }
        let is_last = !matches!(message, Message::Piece(_));
        let is_end = matches!(message, Message::End);
        to.send(message).ok()?;
        if is_last {
            return is_end.then(|| hasher.finish());
        }
    }
    None
}
