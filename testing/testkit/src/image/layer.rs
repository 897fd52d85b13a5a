//! Layers: a tar stream, compressed or not, and what manifest and configuration claim of it.

use std::io;
use std::io::Read;
use std::io::Write;

use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use sha2::Digest;
use sha2::Sha256;

use super::Entry;
use super::digest;
use super::entry;
use super::hex;
use crate::verdict::Context;
use crate::verdict::Verdict;

/// How a layer is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip, fast.
    Gzip,
    /// zstd, fast.
    Zstd,
}

impl Compression {
    /// The media type of such layers in OCI manifests.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::None => "application/vnd.oci.image.layer.v1.tar",
            Self::Gzip => "application/vnd.oci.image.layer.v1.tar+gzip",
            Self::Zstd => "application/vnd.oci.image.layer.v1.tar+zstd",
        }
    }

    /// Compresses a whole stream, which is then one that others can be appended to.
    fn apply(self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<Vec<u8>> {
        let mut blob = Vec::new();
        match self {
            Self::None => write(&mut blob)?,
            Self::Gzip => {
                let mut encoder = GzEncoder::new(&mut blob, flate2::Compression::fast());
                write(&mut encoder)?;
                encoder.finish()?;
            }
            Self::Zstd => {
                let mut encoder = zstd::stream::write::Encoder::new(&mut blob, 1)?;
                write(&mut encoder)?;
                encoder.finish()?;
            }
        }
        Ok(blob)
    }
}

/// A layer. What is claimed of the blob is true until somebody changes it.
#[derive(Debug, Clone)]
pub struct Layer {
    /// How it is compressed, whatever the media type says.
    pub compression: Compression,
    /// The media type that the manifest names.
    pub media_type: String,
    /// The bytes.
    pub blob: Vec<u8>,
    /// The digest that the manifest names, under which the blob is kept: `sha256:…`.
    pub digest: String,
    /// The size in bytes that the manifest names.
    pub size: u64,
    /// The digest of the uncompressed stream that the configuration names.
    pub diff_id: String,
}

impl Layer {
    /// A layer with these entries.
    ///
    /// # Errors
    /// A failure when the compressor fails.
    pub fn new(entries: &[Entry], compression: Compression) -> Verdict<Self> {
        Self::of_tar(&entry::tar(entries), compression)
    }

    /// A layer of any bytes at all.
    ///
    /// # Errors
    /// A failure when the compressor fails.
    pub fn of_tar(tar: &[u8], compression: Compression) -> Verdict<Self> {
        Self::streamed(compression, |out| out.write_all(tar))
    }

    /// A layer whose stream is written piece by piece and never in memory.
    ///
    /// # Errors
    /// A failure when the writer or the compressor fails.
    pub fn streamed(
        compression: Compression,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Verdict<Self> {
        let mut hash = Sha256::new();
        let blob = compression.apply(|out| write(&mut Tee { out, hash: &mut hash }));
        let blob = blob.context("a layer")?;
        Ok(Self::claimed(blob, compression, format!("sha256:{}", hex(&hash.finalize()))))
    }

    /// A layer of `first`, `times` times `block`, and `last`, each compressed once: how to have ten
    /// gigabytes of zeros or ten million entries in a moment. Nobody has the time to hash such a
    /// stream, so its `diff_id` is not true: whoever reads it to the end has gone too far anyway.
    ///
    /// # Errors
    /// A failure when the compressor fails.
    pub fn repeated(
        first: &[u8],
        block: &[u8],
        times: usize,
        last: &[u8],
        compression: Compression,
    ) -> Verdict<Self> {
        let packed =
            |bytes: &[u8]| compression.apply(|out| out.write_all(bytes)).context("a layer");
        let mut blob = packed(first)?;
        let block = packed(block)?;
        for _ in 0..times {
            blob.extend(&block);
        }
        blob.extend(packed(last)?);
        Ok(Self::claimed(blob, compression, digest(b"nobody knows")))
    }

    /// A layer with one file of so many MiB of zeros. See [`Self::repeated`].
    ///
    /// # Errors
    /// A failure when the compressor fails.
    pub fn zeros(name: &str, mib: usize, compression: Compression) -> Verdict<Self> {
        let mut file = Entry::file(name, "");
        file.claimed_size = Some((mib as u64) << 20);
        let mut first = Vec::new();
        file.write(&mut first)?;
        // 16 MiB at a time: the compressors do not see further.
        let block = vec![0; 16 << 20];
        Self::repeated(&first, &block, mib / 16, &vec![0; ((mib % 16) << 20) + 1024], compression)
    }

    /// A layer with so many thousands of empty files, of which a thousand names are different. See
    /// [`Self::repeated`].
    ///
    /// # Errors
    /// A failure when the compressor fails.
    pub fn thousands(count: usize, compression: Compression) -> Verdict<Self> {
        let mut block = Vec::new();
        for number in 0..1000 {
            Entry::file(format!("f{number}"), "").write(&mut block)?;
        }
        Self::repeated(&[], &block, count, &[0; 1024], compression)
    }

    fn claimed(blob: Vec<u8>, compression: Compression, diff_id: String) -> Self {
        let (digest, size) = (digest(&blob), blob.len() as u64);
        Self {
            compression,
            media_type: compression.media_type().into(),
            blob,
            digest,
            size,
            diff_id,
        }
    }

    /// The stream, uncompressed.
    ///
    /// # Errors
    /// A failure when the blob is damaged.
    pub fn tar(&self) -> Verdict<Vec<u8>> {
        let mut tar = Vec::new();
        match self.compression {
            Compression::None => tar.clone_from(&self.blob),
            Compression::Gzip => {
                MultiGzDecoder::new(&self.blob[..]).read_to_end(&mut tar).context("a layer")?;
            }
            Compression::Zstd => {
                tar = zstd::stream::decode_all(&self.blob[..]).context("a layer")?;
            }
        }
        Ok(tar)
    }

    /// The same whose blob is other bytes than its digest says, of the same size.
    #[must_use]
    pub fn with_wrong_digest(mut self) -> Self {
        self.digest = digest(b"other bytes");
        self
    }

    /// The same whose blob ends after so many bytes, while the manifest says what it said.
    #[must_use]
    pub fn truncated(mut self, bytes: usize) -> Self {
        self.blob.truncate(bytes);
        self
    }

    /// The same whose compressed stream ends early, with a digest and a size that agree with that.
    #[must_use]
    pub fn cut_short(mut self, bytes: usize) -> Self {
        self.blob.truncate(bytes);
        (self.digest, self.size) = (digest(&self.blob), self.blob.len() as u64);
        self
    }

    /// The same under another media type.
    #[must_use]
    pub fn called(mut self, media_type: &str) -> Self {
        media_type.clone_into(&mut self.media_type);
        self
    }

    /// The same with a `diff_id` of another stream.
    #[must_use]
    pub fn with_wrong_diff_id(mut self) -> Self {
        self.diff_id = digest(b"another stream");
        self
    }
}

/// Hashes what goes through.
struct Tee<'a> {
    out: &'a mut dyn Write,
    hash: &'a mut Sha256,
}

impl Write for Tee<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.out.write(bytes)?;
        self.hash.update(bytes.get(..count).unwrap_or_default());
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Compression; 3] = [Compression::None, Compression::Gzip, Compression::Zstd];

    #[test]
    fn the_claims_are_true() {
        for compression in ALL {
            let layer = Layer::new(&[Entry::file("a", "content")], compression).unwrap();
            let tar = layer.tar().unwrap();
            assert_eq!(tar, entry::tar(&[Entry::file("a", "content")]));
            assert_eq!((layer.digest, layer.size), (digest(&layer.blob), layer.blob.len() as u64));
            assert_eq!(layer.diff_id, digest(&tar));
        }
    }

    #[test]
    fn much_in_little() {
        for (compression, most) in [(Compression::Gzip, 1 << 20), (Compression::Zstd, 1 << 17)] {
            let layer = Layer::zeros("zeros", 100, compression).unwrap();
            assert!(layer.blob.len() < most, "{}", layer.blob.len());
            let tar = layer.tar().unwrap();
            assert_eq!(tar.len(), 512 + (100 << 20) + 1024);
            let header = tar::Header::from_byte_slice(&tar[..512]);
            assert_eq!(header.size().unwrap(), 100 << 20);
        }
        let layer = Layer::thousands(3, Compression::Gzip).unwrap();
        assert_eq!(layer.tar().unwrap().len(), 3000 * 512 + 1024);
    }

    #[test]
    fn lies() {
        let layer = Layer::new(&[Entry::file("a", "content")], Compression::Gzip).unwrap();
        let wrong = layer.clone().with_wrong_digest();
        assert_ne!(wrong.digest, digest(&wrong.blob));
        let truncated = layer.clone().truncated(10);
        assert_eq!((truncated.blob.len(), truncated.size), (10, layer.size));
        let short = layer.clone().cut_short(10);
        assert_eq!((short.digest.clone(), short.size), (digest(&short.blob), 10));
        assert!(short.tar().is_err());
        assert_ne!(layer.clone().with_wrong_diff_id().diff_id, layer.diff_id);
    }
}
