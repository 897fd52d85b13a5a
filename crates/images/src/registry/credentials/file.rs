//! One `auth.json` or `config.json`.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD};
use serde_json::{Map, Value, json};

use super::{Credentials, CredentialsError, Secret};

/// The address that Docker keeps Docker Hub's credentials under.
pub(super) const HUB_ADDRESS: &str = "https://index.docker.io/v1/";

/// The most bytes of a file with credentials.
const MAX_FILE: u64 = 1 << 20;

/// How long another login may hold the file.
const LOCK: Duration = Duration::from_secs(5);

/// What became of a logout.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoggedOut {
    /// Whether there was anything to forget.
    pub removed: bool,
    /// Files that still have credentials for the registry, which are not ours to change.
    pub elsewhere: Vec<PathBuf>,
}

/// What stands under a key.
pub(super) enum Entry {
    Usable(Credentials),
    /// `{}`: Docker writes it for what a helper keeps.
    Empty,
}

/// A file that was read.
pub(super) struct AuthFile {
    path: PathBuf,
    content: Map<String, Value>,
}

impl AuthFile {
    /// None where there is no file, or an empty one.
    pub(super) fn read(path: &Path) -> Result<Option<Self>, CredentialsError> {
        let Some(bytes) = read(path)? else { return Ok(None) };
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Ok(None);
        }
        // The parser's words could repeat a part of the file; its place is enough.
        let content = serde_json::from_slice(&bytes).map_err(|error| {
            let place = format!("no JSON object: line {}, column {}", error.line(), error.column());
            content_error(path, place)
        })?;
        Ok(Some(Self { path: path.to_owned(), content }))
    }

    /// The helper for this registry alone.
    pub(super) fn helper_of(&self, host: &str) -> Option<&str> {
        let helpers = self.content.get("credHelpers")?.as_object()?;
        let known = helpers.iter().find(|(key, _)| Key::of(key).is_host(host));
        known?.1.as_str().filter(|name| !name.is_empty())
    }

    /// The helper for everything.
    pub(super) fn store(&self) -> Option<&str> {
        self.content.get("credsStore")?.as_str().filter(|name| !name.is_empty())
    }

    /// What the longest key says that fits `host/repository`.
    pub(super) fn entry(
        &self,
        host: &str,
        repository: &str,
    ) -> Result<Option<Entry>, CredentialsError> {
        let Some(entries) = self.content.get("auths").and_then(Value::as_object) else {
            return Ok(None);
        };
        let fitting = entries.iter().filter_map(|(key, value)| {
            Key::of(key).fit(host, repository).map(|length| (length, key, value))
        });
        let Some((_, key, value)) = fitting.max_by_key(|(length, ..)| *length) else {
            return Ok(None);
        };
        let entry = parse_entry(value);
        entry
            .map(Some)
            .map_err(|problem| content_error(&self.path, format!("entry {key:?}: {problem}")))
    }
}

/// What a key means: a host, or a host and the beginning of a repository's name.
#[derive(Debug, PartialEq, Eq)]
struct Key<'a> {
    host: &'a str,
    prefix: &'a str,
}

impl<'a> Key<'a> {
    /// Old keys are addresses such as `https://index.docker.io/v1/`, whose path means nothing.
    fn of(key: &'a str) -> Self {
        let bare = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://"));
        let (host, path) = bare.unwrap_or(key).split_once('/').unwrap_or((bare.unwrap_or(key), ""));
        let path = path.trim_end_matches('/');
        let is_address = bare.is_some() || matches!(path, "v1" | "v2");
        Self { host, prefix: if is_address { "" } else { path } }
    }

    fn is_host(&self, host: &str) -> bool {
        self.prefix.is_empty()
            && (self.host.eq_ignore_ascii_case(host) || (is_hub(self.host) && is_hub(host)))
    }

    /// How well it fits: the bytes of the prefix, and one more for the very host.
    fn fit(&self, host: &str, repository: &str) -> Option<usize> {
        let whole = Self { host: self.host, prefix: "" };
        if !whole.is_host(host) {
            return None;
        }
        let below = match repository.strip_prefix(self.prefix) {
            _ if self.prefix.is_empty() => true,
            Some(rest) => rest.is_empty() || rest.starts_with('/'),
            None => false,
        };
        let exact = usize::from(self.host.eq_ignore_ascii_case(host));
        below.then_some(2 * self.prefix.len() + exact)
    }
}

/// Whether a host is Docker Hub by one of its names.
pub(in crate::registry) fn is_hub(host: &str) -> bool {
    ["docker.io", "index.docker.io", "registry-1.docker.io"].contains(&host)
}

fn parse_entry(value: &Value) -> Result<Entry, &'static str> {
    let text = |name: &str| value.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    if let Some(token) = text("identitytoken") {
        return Ok(Entry::Usable(Credentials::IdentityToken(Secret::new(token.to_owned()))));
    }
    let (user, secret) = match (text("auth"), text("username"), text("password")) {
        (Some(auth), ..) => decode(auth)?,
        (None, Some(user), Some(secret)) => (user.to_owned(), secret.to_owned()),
        _ => return Ok(Entry::Empty),
    };
    Ok(Entry::Usable(Credentials::Password { user, secret: Secret::new(secret) }))
}

fn decode(auth: &str) -> Result<(String, String), &'static str> {
    let auth = auth.trim().trim_end_matches('=');
    let bytes = BASE64_STANDARD_NO_PAD.decode(auth).map_err(|_| "`auth` is no base64")?;
    let text = String::from_utf8(bytes).map_err(|_| "`auth` is no UTF-8 inside")?;
    let (user, secret) = text.split_once(':').ok_or("`auth` has no colon inside")?;
    // Docker itself pads with NUL bytes.
    Ok((user.to_owned(), secret.trim_end_matches('\0').to_owned()))
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, CredentialsError> {
    // Of a fifo nobody may wait for.
    let flags = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or(0);
    let file = match File::options().read(true).custom_flags(flags).open(path) {
        Err(error)
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
        {
            return Ok(None);
        }
        opened => opened.map_err(|source| file_error(path, source))?,
    };
    let metadata = file.metadata().map_err(|source| file_error(path, source))?;
    if !metadata.is_file() {
        return Err(content_error(path, "no regular file".to_owned()));
    }
    if metadata.permissions().mode() & 0o077 != 0 {
        log::warn!("{}: others can read it: it should have mode 0600", path.display());
    }
    let mut bytes = Vec::new();
    let mut reader = file.take(MAX_FILE + 1);
    reader.read_to_end(&mut bytes).map_err(|source| file_error(path, source))?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(content_error(path, "larger than 1 MiB".to_owned()));
    }
    Ok(Some(bytes))
}

/// Adds or replaces what stands for a host.
pub(super) fn put(
    path: &Path,
    host: &str,
    user: &str,
    secret: &Secret,
) -> Result<(), CredentialsError> {
    if user.contains(':') {
        return Err(content_error(path, "a user name with a colon cannot be kept".to_owned()));
    }
    let auth = BASE64_STANDARD.encode(format!("{user}:{}", secret.reveal()));
    change(path, |entries| {
        entries.retain(|key, _| !Key::of(key).is_host(host));
        entries.insert(host.to_owned(), json!({ "auth": auth }));
    })
}

/// Removes what stands for a host, and for repositories of it.
pub(super) fn remove(path: &Path, host: &str) -> Result<bool, CredentialsError> {
    let mut removed = false;
    change(path, |entries| {
        let before = entries.len();
        entries
            .retain(|key, _| Key { host: Key::of(key).host, prefix: "" }.fit(host, "").is_none());
        removed = entries.len() < before;
    })?;
    Ok(removed)
}

/// Reads, changes and replaces the file, one process at a time; what else is in it stays.
fn change(path: &Path, edit: impl FnOnce(&mut Map<String, Value>)) -> Result<(), CredentialsError> {
    // A link is somebody's arrangement: the file behind it is changed.
    let path = &fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(|source| file_error(directory, source))?;
    let _lock = lock(directory)?;
    let mut content = AuthFile::read(path)?.map(|file| file.content).unwrap_or_default();
    let entries = content.entry("auths").or_insert_with(|| json!({}));
    let entries = entries
        .as_object_mut()
        .ok_or_else(|| content_error(path, "`auths` is no object".to_owned()))?;
    edit(entries);
    let mut bytes = serde_json::to_vec_pretty(&content)
        .map_err(|error| content_error(path, error.to_string()))?;
    bytes.push(b'\n');
    replace(directory, path, &bytes).map_err(|source| file_error(path, source))
}

/// Holds the directory itself: no lock file stays behind.
fn lock(directory: &Path) -> Result<File, CredentialsError> {
    let failed = |source| file_error(directory, source);
    let held = File::open(directory).map_err(failed)?;
    let start = Instant::now();
    loop {
        match held.try_lock() {
            Ok(()) => return Ok(held),
            Err(fs::TryLockError::Error(source)) => return Err(failed(source)),
            Err(fs::TryLockError::WouldBlock) if start.elapsed() < LOCK => {
                std::thread::sleep(Duration::from_millis(20));
            }
            Err(fs::TryLockError::WouldBlock) => {
                return Err(content_error(directory, "somebody else holds its lock".to_owned()));
            }
        }
    }
}

/// The file is whole and nobody else's at any time.
fn replace(directory: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let new = directory.join(format!(".{name}.{}", std::process::id()));
    let result = (|| {
        // Left behind by a process of the same number that died here.
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = File::options().write(true).create_new(true).mode(0o600).open(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&new, path)
    })();
    if result.is_err() {
        let _gone = fs::remove_file(&new);
    }
    result
}

fn file_error(path: &Path, source: io::Error) -> CredentialsError {
    CredentialsError::File { path: path.display().to_string(), source }
}

fn content_error(path: &Path, problem: String) -> CredentialsError {
    CredentialsError::Content { path: path.display().to_string(), problem }
}
