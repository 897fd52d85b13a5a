//! Blobs, from any byte on, and on again where the connection breaks.

use std::io::Read;
use std::time::Instant;

use ureq::http::{HeaderName, Method, header};

use super::Client;
use super::endpoint::Endpoint;
use super::error::{Error, told};
use super::exchange::{Answer, Call, drain};
use super::manifest::{digest_of, invalid_path};
use super::repository::Repository;
use super::settings::Timeouts;
use super::token::Scope;
use super::transport::{Payload, Wait, explain};
use crate::document::{Descriptor, MAX_DOCUMENT};

/// Bytes that are handed on at once.
const PIECE: usize = 128 * 1024;

/// So many new bytes are progress: with less, a try counts as one that failed.
const PROGRESS: u64 = 64 * 1024;

/// What a blob's taker is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// The registry cannot go on in the middle: everything taken so far is to be forgotten, what was
    /// there before the call as well, and the blob comes from its first byte.
    Restart,
    /// The next bytes.
    Bytes(&'a [u8]),
}

/// Why a blob did not come whole.
#[derive(Debug, thiserror::Error)]
pub enum BlobError<E> {
    /// The registry, or the way to it.
    #[error(transparent)]
    Registry(#[from] Error),
    /// Whoever takes the bytes.
    #[error("{0}")]
    Taker(E),
}

/// Takes the pieces of a blob.
type Taker<'a, E> = &'a mut dyn FnMut(Piece<'_>) -> Result<(), E>;

/// A blob on its way.
struct Transfer<'a> {
    endpoint: &'a Endpoint,
    repository: &'a Repository,
    descriptor: &'a Descriptor,
    what: String,
    /// The next byte.
    at: u64,
    /// The byte after the last that ever came.
    furthest: u64,
    /// Whether the registry is asked for a range; not any more, once it could not do it.
    ranges: bool,
}

impl Client {
    /// Streams a blob from the byte `offset` on to its last. Where the connection breaks it goes on
    /// with the next byte, a few times, or more as long as it gets further. No more than the
    /// descriptor's size is ever handed on, and no less when this ends well; that the bytes are the
    /// right ones is for whoever takes them to find out. The descriptor's `urls` are not looked at.
    ///
    /// # Errors
    /// The registry's, when trying again does not help, or the taker's, at once.
    pub fn blob<E>(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
        offset: u64,
        taker: Taker<'_, E>,
    ) -> Result<(), BlobError<E>> {
        let what = format!("blob {} of {repository}", descriptor.digest);
        if offset > descriptor.size {
            let problem = format!("{offset} bytes are there, and it has {}", descriptor.size);
            return Err(Error::Length { what, problem }.into());
        }
        let endpoint = &self.endpoint(repository.host(), repository.insecure())?;
        let mut transfer = Transfer {
            endpoint,
            repository,
            descriptor,
            what,
            at: offset,
            furthest: offset,
            ranges: true,
        };
        let mut failures = 0;
        while transfer.at < descriptor.size {
            let before = transfer.furthest;
            match self.transfer(&mut transfer, taker) {
                Ok(()) => {}
                Err(BlobError::Registry(error)) if error.is_passing() => {
                    if transfer.furthest - before >= PROGRESS {
                        failures = 0;
                    }
                    failures += 1;
                    if failures >= self.settings.retry.tries {
                        return Err(error.into());
                    }
                    log::info!("{error}; goes on at byte {}", transfer.at);
                    self.pause(failures);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// A small blob, such as an image's configuration, with its size and digest verified.
    ///
    /// # Errors
    /// As [`Client::blob`]; larger than [`MAX_DOCUMENT`]; other content.
    pub fn document(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
    ) -> Result<Vec<u8>, Error> {
        let what = format!("blob {} of {repository}", descriptor.digest);
        if descriptor.size > MAX_DOCUMENT {
            return Err(Error::TooLarge { what, limit: MAX_DOCUMENT });
        }
        let mut bytes = Vec::new();
        let result = self.blob(repository, descriptor, 0, &mut |piece| {
            match piece {
                Piece::Restart => bytes.clear(),
                Piece::Bytes(piece) => bytes.extend_from_slice(piece),
            }
            Ok::<(), std::convert::Infallible>(())
        });
        match result {
            Ok(()) => {}
            Err(BlobError::Registry(error)) => return Err(error),
            Err(BlobError::Taker(never)) => match never {},
        }
        let found = digest_of(descriptor.digest.algorithm(), &bytes);
        if found == descriptor.digest { Ok(bytes) } else { Err(Error::Digest { what, found }) }
    }

    /// One connection's worth of a blob.
    fn transfer<E>(
        &self,
        transfer: &mut Transfer<'_>,
        taker: Taker<'_, E>,
    ) -> Result<(), BlobError<E>> {
        let answer = self.open(transfer)?;
        let answer = answer.expect(&transfer.endpoint.host, &transfer.what, &[200, 206, 416])?;
        match answer.status {
            416 => {
                drain(answer.body);
                return transfer.give_up_ranges();
            }
            206 => transfer.check_range(&answer)?,
            _ => transfer.begin_again(&answer, taker)?,
        }
        self.hand_on(transfer, answer, taker)
    }

    fn open(&self, transfer: &Transfer<'_>) -> Result<Answer, Error> {
        let Transfer { endpoint, repository, descriptor, .. } = *transfer;
        let path = format!("/v2/{}/blobs/{}", repository.name(), descriptor.digest);
        let url = endpoint.origin.at(&path).map_err(|problem| invalid_path(repository, problem))?;
        let mut headers: Vec<(HeaderName, String)> = Vec::new();
        if transfer.ranges && transfer.at > 0 {
            headers.push((header::RANGE, format!("bytes={}-", transfer.at)));
        }
        self.exchange(&mut Call {
            endpoint,
            scope: &Scope::pull(repository),
            method: Method::GET,
            url,
            headers,
            payload: Payload::Nothing,
            wait: Wait::Stream,
            what: &transfer.what,
        })
    }

    fn hand_on<E>(
        &self,
        transfer: &mut Transfer<'_>,
        answer: Answer,
        taker: Taker<'_, E>,
    ) -> Result<(), BlobError<E>> {
        let host = answer.url.authority();
        let mut reader = answer.body.into_reader();
        let mut buffer = vec![0; PIECE];
        let mut pace = Pace::new(self.settings.timeouts);
        while transfer.at < transfer.descriptor.size {
            let left = transfer.descriptor.size - transfer.at;
            let room = usize::try_from(left).unwrap_or(usize::MAX).min(PIECE);
            let length = reader
                .read(&mut buffer[..room])
                .map_err(|error| explain(error.into(), &host, &transfer.what))?;
            if length == 0 {
                let problem = format!("it ends {left} bytes early");
                return Err(Error::Broken { what: transfer.what.clone(), problem }.into());
            }
            taker(Piece::Bytes(&buffer[..length])).map_err(BlobError::Taker)?;
            let length = u64::try_from(length).unwrap_or(u64::MAX);
            transfer.at += length;
            transfer.furthest = transfer.furthest.max(transfer.at);
            if pace.is_too_slow(length) {
                let (what, problem) = (transfer.what.clone(), "hardly anything comes".to_owned());
                return Err(Error::Stalled { what, host, problem }.into());
            }
        }
        // The connection is used again only when the answer was read to its end.
        match reader.read(&mut buffer[..1]) {
            Ok(0) => Ok(()),
            Ok(_) => Err(transfer.wrong("more bytes come than it has".to_owned()).into()),
            // All of it is here.
            Err(_) => Ok(()),
        }
    }
}

impl Transfer<'_> {
    fn wrong(&self, problem: String) -> Error {
        Error::Length { what: self.what.clone(), problem }
    }

    /// The registry says that our range is none of its blob.
    fn give_up_ranges<E>(&mut self) -> Result<(), BlobError<E>> {
        if !self.ranges || self.at == 0 {
            return Err(self.wrong("the registry has no such range of it".to_owned()).into());
        }
        self.ranges = false;
        Ok(())
    }

    /// A part came: it must be the one that was asked for.
    fn check_range(&self, answer: &Answer) -> Result<(), Error> {
        let text = answer.header("content-range").unwrap_or_default();
        let shown = || told(text);
        let Some((first, last, total)) = content_range(text) else {
            return Err(self.wrong(format!("part without a proper Content-Range: {:?}", shown())));
        };
        let size = self.descriptor.size;
        let fits = first == self.at && last < size && total.is_none_or(|total| total == size);
        if !fits || !self.ranges {
            let asked = format!("bytes {}-{}/{size}", self.at, size.saturating_sub(1));
            return Err(self.wrong(format!("{:?} came in place of {asked:?}", shown())));
        }
        Ok(())
    }

    /// The whole came: what is there already is to be forgotten.
    fn begin_again<E>(&mut self, answer: &Answer, taker: Taker<'_, E>) -> Result<(), BlobError<E>> {
        let size = self.descriptor.size;
        if let Some(length) = answer.body.content_length().filter(|length| *length != size) {
            let problem =
                format!("the registry has {length} bytes of it, the manifest says {size}");
            return Err(self.wrong(problem).into());
        }
        if self.at > 0 {
            self.at = 0;
            taker(Piece::Restart).map_err(BlobError::Taker)?;
        }
        Ok(())
    }
}

/// Whether enough comes, over the time of one stall.
struct Pace {
    timeouts: Timeouts,
    since: Instant,
    bytes: u64,
}

impl Pace {
    fn new(timeouts: Timeouts) -> Self {
        Self { timeouts, since: Instant::now(), bytes: 0 }
    }

    fn is_too_slow(&mut self, bytes: u64) -> bool {
        self.bytes += bytes;
        if self.bytes >= Timeouts::FLOOR {
            *self = Self::new(self.timeouts);
        }
        self.since.elapsed() > self.timeouts.stall
    }
}

/// First byte, last byte and size of `Content-Range: bytes 0-9/10`, or `/*` (RFC 9110 section 14.4).
fn content_range(text: &str) -> Option<(u64, u64, Option<u64>)> {
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if digits { text.parse::<u64>().ok() } else { None }
    };
    let (range, total) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last) = (number(first)?, number(last)?);
    let total = if total == "*" { None } else { Some(number(total)?) };
    let holds = first <= last && total.is_none_or(|total| last < total);
    holds.then_some((first, last, total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ranges() {
        assert_eq!(content_range("bytes 0-9/10"), Some((0, 9, Some(10))));
        assert_eq!(content_range("bytes 5-9/*"), Some((5, 9, None)));
        for text in [
            "",
            "bytes",
            "bytes 9-0/10",
            "bytes 0-10/10",
            "bytes */10",
            "bytes -1-9/10",
            "bytes 0-9",
            "bits 0-9/10",
            "bytes 0-99999999999999999999/*",
            "bytes +0-9/10",
        ] {
            assert_eq!(content_range(text), None, "{text}");
        }
    }

    #[test]
    fn one_byte_now_and_then_is_a_stall() {
        let timeouts = Timeouts {
            connect: std::time::Duration::ZERO,
            stall: std::time::Duration::ZERO,
            document: std::time::Duration::ZERO,
        };
        let mut pace = Pace::new(timeouts);
        std::thread::sleep(std::time::Duration::from_millis(1));
        assert!(pace.is_too_slow(1));
    }
}
