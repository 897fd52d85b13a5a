//! Where an image can come from: what users may type as IMAGE.
//!
//! | text | source |
//! | --- | --- |
//! | `nginx`, `foo/bar:1` | a short name |
//! | `quay.io/foo/bar:1`, `docker://NAME` | a registry; `docker://nginx` is docker.io's |
//! | `oci:DIR[:NAME\|:@N]`, `oci-archive:FILE[:NAME\|:@N]` | an OCI image layout, or one as tar |
//! | `docker-archive:FILE[:NAME\|:@N]` | what `docker save` writes |
//! | `dir:DIR` | skopeo's directory of one image |
//! | `rootfs:FILE` | the tarball of a root filesystem, without any configuration |
//!
//! The texts are those of containers-transports(5), but for `rootfs:`, which is ours. As there, path
//! and name are split at the first colon, so that these paths have none; those of `dir:` and
//! `rootfs:`, with nothing behind them, may. What begins with the name of a transport and a colon is
//! never the name of an image, even if it could be one (`oci:latest`); `docker:27` is, as for podman.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use lxcri_core::logging::printable;
use lxcri_core::suggest;

use super::error::{InvalidReference, Part, Problem};
use super::{Name, Reference, ShortName};

/// The kernel's limit of a path (PATH_MAX, limits.h).
const LONGEST_PATH: usize = 4096;

/// Most bytes of a name in an image layout; a complete reference with a digest fits.
const LONGEST_OCI_NAME: usize = 1024;

/// Before the name of an image in a registry.
const DOCKER: &str = "docker://";

/// Transports of other tools that lead to other tools' stores.
const FOREIGN: [&str; 4] = ["containers-storage", "docker-daemon", "ostree", "sif"];

/// Where an image comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A registry.
    Registry(Reference),
    /// A registry that registries.conf knows.
    Short(ShortName),
    /// An OCI image layout in a directory.
    OciDirectory {
        /// The directory, as typed.
        path: PathBuf,
        /// Which of its images; the name is that of `org.opencontainers.image.ref.name`.
        image: Pick<String>,
    },
    /// An OCI image layout in a tar file.
    OciArchive {
        /// The file, as typed.
        path: PathBuf,
        /// Which of its images; the name is that of `org.opencontainers.image.ref.name`.
        image: Pick<String>,
    },
    /// A file as `docker save` writes it.
    DockerArchive {
        /// The file, as typed.
        path: PathBuf,
        /// Which of its images; the name has a tag and no digest.
        image: Pick<Reference>,
    },
    /// A directory as skopeo's `dir:` writes it.
    Directory {
        /// The directory, as typed.
        path: PathBuf,
    },
    /// A root filesystem in a tar file, compressed or not.
    RootFilesystem {
        /// The file, as typed.
        path: PathBuf,
    },
}

/// Which of several images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pick<N> {
    /// The only one there is.
    Only,
    /// The one of this name.
    Named(N),
    /// The one at this place, counted from 0.
    Index(u32),
}

/// A text that names no source.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSource {
    /// It is not the name of an image either.
    #[error(transparent)]
    Reference(#[from] InvalidReference),
    /// It begins with a word and a colon, and nobody knows the word.
    #[error("{word:?} is no transport for images")]
    UnknownTransport {
        /// The word, at most 32 bytes.
        word: String,
        /// The transport that was most likely meant.
        nearest: Option<&'static str>,
    },
    /// A transport to the store of another program.
    #[error("images cannot come from {0}:")]
    Foreign(&'static str),
    /// Nothing behind the colon.
    #[error("there is no path behind {0}:")]
    NoPath(&'static str),
    /// A path that the kernel would not take.
    #[error("the path behind {transport}: {problem}")]
    Path {
        /// The transport.
        transport: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A second colon and nothing behind it.
    #[error("there is no name of an image behind {}:", printable(.0))]
    NoName(String),
    /// A name that an image layout cannot have (image-spec annotations.md, "ref.name").
    #[error("{0:?} is no name of an image in an image layout")]
    OciName(String),
    /// What follows `@` is no place in a list.
    #[error("{0:?} is no place of an image, such as @0")]
    Index(String),
    /// An archive knows no digests.
    #[error("docker-archive: knows images by name and tag, not by digest")]
    ArchivedDigest,
}

impl InvalidSource {
    /// What the user can do about it.
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::Reference(error) => error.hints(),
            Self::UnknownTransport { nearest: Some(nearest), .. } => {
                vec![format!("did you mean {nearest}:?")]
            }
            Self::UnknownTransport { nearest: None, .. } => {
                let names: Vec<_> = Transport::ALL.iter().map(|known| known.name()).collect();
                vec![format!("the transports are docker://, {}:", names.join(":, "))]
            }
            Self::Foreign("docker-daemon") => {
                vec!["docker save -o FILE IMAGE, then docker-archive:FILE".to_owned()]
            }
            Self::Foreign("containers-storage") => {
                vec!["podman save -o FILE IMAGE, then docker-archive:FILE".to_owned()]
            }
            Self::Foreign(word) => vec![format!(
                "skopeo copies such images to oci:DIR; for the image of that name, write \
                 docker.io/library/{word}:TAG"
            )],
            Self::ArchivedDigest => vec!["docker-archive:FILE:@0 is the first image".to_owned()],
            _ => Vec::new(),
        }
    }
}

/// The transports to files.
#[derive(Clone, Copy)]
enum Transport {
    OciDirectory,
    OciArchive,
    DockerArchive,
    Directory,
    RootFilesystem,
}

impl Transport {
    const ALL: [Self; 5] = [
        Self::OciDirectory,
        Self::OciArchive,
        Self::DockerArchive,
        Self::Directory,
        Self::RootFilesystem,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::OciDirectory => "oci",
            Self::OciArchive => "oci-archive",
            Self::DockerArchive => "docker-archive",
            Self::Directory => "dir",
            Self::RootFilesystem => "rootfs",
        }
    }

    /// The transport of this text and what follows the colon.
    fn of(text: &str) -> Option<(Self, &str)> {
        let (word, rest) = text.split_once(':')?;
        let known = Self::ALL.into_iter().find(|transport| transport.name() == word)?;
        Some((known, rest))
    }

    fn source(self, rest: &str) -> Result<Source, InvalidSource> {
        if let Self::Directory = self {
            return Ok(Source::Directory { path: self.path(rest)? });
        }
        if let Self::RootFilesystem = self {
            return Ok(Source::RootFilesystem { path: self.path(rest)? });
        }
        let (path, image) = match rest.split_once(':') {
            Some((path, image)) => (path, Some(image)),
            None => (rest, None),
        };
        let path = self.path(path)?;
        if image == Some("") {
            return Err(InvalidSource::NoName(format!("{}:{}", self.name(), path.display())));
        }
        Ok(match self {
            Self::OciDirectory => Source::OciDirectory { path, image: pick(image, oci_name)? },
            Self::OciArchive => Source::OciArchive { path, image: pick(image, oci_name)? },
            _ => Source::DockerArchive { path, image: pick(image, archived_name)? },
        })
    }

    fn path(self, text: &str) -> Result<PathBuf, InvalidSource> {
        let transport = self.name();
        if text.is_empty() {
            return Err(InvalidSource::NoPath(transport));
        }
        if text.len() >= LONGEST_PATH {
            return Err(InvalidSource::Path { transport, problem: "is too long" });
        }
        if text.contains('\0') {
            return Err(InvalidSource::Path { transport, problem: "has a NUL byte" });
        }
        Ok(text.into())
    }
}

fn pick<N>(
    image: Option<&str>,
    name: impl FnOnce(&str) -> Result<N, InvalidSource>,
) -> Result<Pick<N>, InvalidSource> {
    let Some(image) = image else { return Ok(Pick::Only) };
    let Some(index) = image.strip_prefix('@') else { return name(image).map(Pick::Named) };
    let digits = index.bytes().all(|byte| byte.is_ascii_digit());
    match index.parse() {
        Ok(index) if digits => Ok(Pick::Index(index)),
        _ => Err(InvalidSource::Index(image.chars().take(32).collect())),
    }
}

/// Checks a name in an image layout (image-spec annotations.md: components of letters and digits,
/// separated by one of `-._:@+` or by `--`, and slashes between them).
fn oci_name(text: &str) -> Result<String, InvalidSource> {
    let separator = |run: &str| matches!(run, "" | "-" | "." | "_" | ":" | "@" | "+" | "--");
    let component = |text: &str| {
        let mut runs = text.split(|c: char| c.is_ascii_alphanumeric());
        let ends = [runs.next(), runs.next_back()];
        ends.iter().all(|end| end.is_some_and(str::is_empty)) && runs.all(separator)
    };
    if text.len() <= LONGEST_OCI_NAME && text.split('/').all(component) {
        return Ok(text.to_owned());
    }
    Err(InvalidSource::OciName(text.chars().take(160).collect()))
}

fn archived_name(text: &str) -> Result<Reference, InvalidSource> {
    let reference: Reference = text.parse()?;
    if reference.digest().is_some() {
        return Err(InvalidSource::ArchivedDigest);
    }
    Ok(reference.tagged_or_latest())
}

impl FromStr for Source {
    type Err = InvalidSource;

    fn from_str(text: &str) -> Result<Self, InvalidSource> {
        if let Some(name) = text.strip_prefix(DOCKER) {
            return Ok(Self::Registry(name.parse()?));
        }
        if let Some((transport, rest)) = Transport::of(text) {
            return transport.source(rest);
        }
        let word = text.split_once(':').map_or("", |(word, _)| word);
        if let Some(foreign) = FOREIGN.into_iter().find(|foreign| *foreign == word) {
            return Err(InvalidSource::Foreign(foreign));
        }
        match text.parse() {
            Ok(Name::Qualified(reference)) => Ok(Self::Registry(reference)),
            Ok(Name::Short(short)) => Ok(Self::Short(short)),
            Err(error) => Err(mistaken_transport(text, &error).unwrap_or(error.into())),
        }
    }
}

/// What is no name might have been meant as a transport: `oci-archve:./image.tar`.
fn mistaken_transport(text: &str, error: &InvalidReference) -> Option<InvalidSource> {
    let (word, rest) = text.split_once(':')?;
    let is_word = (1..=32).contains(&word.len())
        && word.bytes().all(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'-' | b'_'));
    let is_web = ["http", "https"].contains(&word.to_ascii_lowercase().as_str());
    // What one gets where a transport is read as a host.
    let fits = matches!(
        error.problem,
        Problem::Port(_) | Problem::Scheme(_) | Problem::Character { part: Part::Registry, .. }
    );
    if !is_word || is_web || !fits {
        return None;
    }
    let known = Transport::ALL.iter().map(|transport| transport.name());
    let nearest = suggest::nearest(word, known);
    let is_path = rest.starts_with(['/', '.', '~']);
    (nearest.is_some() || is_path)
        .then(|| InvalidSource::UnknownTransport { word: word.to_owned(), nearest })
}

impl fmt::Display for Source {
    /// A text that reads back to the same source.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registry(reference) => {
                let text = reference.to_string();
                // A host can have the name of a transport: oci:5000/image.
                let is_ambiguous = Transport::of(&text).is_some()
                    || FOREIGN.iter().any(|word| Some(*word) == text.split(':').next());
                write!(f, "{}{text}", if is_ambiguous { DOCKER } else { "" })
            }
            Self::Short(short) => short.fmt(f),
            Self::OciDirectory { path, image } => write!(f, "oci:{}{image}", path.display()),
            Self::OciArchive { path, image } => {
                write!(f, "oci-archive:{}{image}", path.display())
            }
            Self::DockerArchive { path, image } => {
                write!(f, "docker-archive:{}{image}", path.display())
            }
            Self::Directory { path } => write!(f, "dir:{}", path.display()),
            Self::RootFilesystem { path } => write!(f, "rootfs:{}", path.display()),
        }
    }
}

impl<N: fmt::Display> fmt::Display for Pick<N> {
    /// With the colon before it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Only => Ok(()),
            Self::Named(name) => write!(f, ":{name}"),
            Self::Index(index) => write!(f, ":@{index}"),
        }
    }
}
