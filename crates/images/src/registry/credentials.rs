//! Names and passwords: Docker's `config.json`, containers' `auth.json` (containers-auth.json(5)), and
//! credential helpers.
//!
//! Secrets come from files, helpers and callers, never from argv, and nothing here shows them.

mod file;
mod helper;

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

pub use file::LoggedOut;
pub(super) use file::is_hub;
use file::{AuthFile, Entry};

/// Text that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps a secret.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// What lets us in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credentials {
    /// A name and a password, or an access token in its place.
    Password {
        /// The name.
        user: String,
        /// The password.
        secret: Secret,
    },
    /// A refresh token (OAuth 2), which buys access tokens.
    IdentityToken(Secret),
}

/// Where credentials are.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The files that are read, first to last. One that is not there is passed over.
    pub files: Vec<PathBuf>,
    /// The file that `login` writes; none where there is no place for it.
    pub login: Option<PathBuf>,
    /// Helpers that are asked for every registry where no file has anything for it, in this order
    /// (`credential-helpers` of containers-registries.conf(5)).
    pub for_all: Vec<String>,
    /// Where helpers are looked for, as in `PATH`; none: `PATH` of this process.
    pub helpers: Option<OsString>,
}

/// A file with credentials, or a helper, that is not usable.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// The file cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: String,
        /// What the kernel says.
        source: std::io::Error,
    },
    /// The file is not what it should be.
    #[error("{path}: {problem}")]
    Content {
        /// The file.
        path: String,
        /// What is wrong with it: without its content.
        problem: String,
    },
    /// A helper does not do.
    #[error("credential helper {program}: {problem}")]
    Helper {
        /// The program.
        program: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Nowhere to keep credentials.
    #[error("no file for credentials: neither XDG_RUNTIME_DIR nor HOME is set")]
    Nowhere,
}

impl CredentialsError {
    /// What the user can do.
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::Nowhere => {
                vec![
                    "images.auth_file in the configuration or REGISTRY_AUTH_FILE names one"
                        .to_owned(),
                ]
            }
            Self::Helper { .. } => {
                vec![
                    "credHelpers and credsStore in the file with credentials name helpers"
                        .to_owned(),
                ]
            }
            Self::File { .. } | Self::Content { .. } => Vec::new(),
        }
    }
}

impl Sources {
    /// One file alone, as `images.auth_file` names it.
    pub fn only(file: &Path) -> Self {
        Self { files: vec![file.to_owned()], login: Some(file.to_owned()), ..Self::default() }
    }

    /// The files of Podman and Docker, in the order of containers-auth.json(5).
    pub(super) fn from_environment(
        user: u32,
        home: Option<&Path>,
        config: Option<&Path>,
        path: &dyn Fn(&str) -> Option<PathBuf>,
    ) -> Self {
        if let Some(only) = path("REGISTRY_AUTH_FILE") {
            return Self::only(&only);
        }
        let runtime = path("XDG_RUNTIME_DIR").map_or_else(
            || PathBuf::from(format!("/run/containers/{user}/auth.json")),
            |directory| directory.join("containers/auth.json"),
        );
        let docker = path("DOCKER_CONFIG").or_else(|| home.map(|home| home.join(".docker")));
        let others = [
            config.map(|config| config.join("containers/auth.json")),
            docker.map(|docker| docker.join("config.json")),
        ];
        let login = Some(runtime.clone());
        let files = std::iter::once(runtime).chain(others.into_iter().flatten()).collect();
        Self { files, login, ..Self::default() }
    }

    /// The credentials for a repository of a registry, from the first file that has some, or else the
    /// first helper.
    ///
    /// # Errors
    /// A file that is there and cannot be read. A helper that fails is a warning: what is public needs
    /// no credentials.
    pub fn find(
        &self,
        host: &str,
        repository: &str,
    ) -> Result<Option<Credentials>, CredentialsError> {
        for path in &self.files {
            let Some(file) = AuthFile::read(path)? else { continue };
            if let Some(found) = self.find_in(&file, host, repository)? {
                log::debug!("credentials for {host} come from {}", path.display());
                return Ok(Some(found));
            }
        }
        Ok(self.for_all.iter().find_map(|program| self.ask(program, host)))
    }

    fn find_in(
        &self,
        file: &AuthFile,
        host: &str,
        repository: &str,
    ) -> Result<Option<Credentials>, CredentialsError> {
        if let Some(program) = file.helper_of(host)
            && let Some(found) = self.ask(program, host)
        {
            return Ok(Some(found));
        }
        match file.entry(host, repository)? {
            Some(Entry::Usable(found)) => Ok(Some(found)),
            Some(Entry::Empty) | None => {
                Ok(file.store().and_then(|program| self.ask(program, host)))
            }
        }
    }

    fn ask(&self, program: &str, host: &str) -> Option<Credentials> {
        helper_names(host).into_iter().find_map(|name| {
            match helper::get(program, self.helpers.as_deref(), name) {
                Ok(found) => found,
                Err(error) => {
                    log::warn!("{error}");
                    None
                }
            }
        })
    }

    /// Keeps a password: by the helper that the file names for this host, else in the file, which
    /// nobody else can read then.
    ///
    /// # Errors
    /// The file cannot be read or written, or the helper fails.
    pub fn store(&self, host: &str, user: &str, secret: &Secret) -> Result<(), CredentialsError> {
        let path = self.login.as_deref().ok_or(CredentialsError::Nowhere)?;
        let program = AuthFile::read(path)?
            .and_then(|file| file.helper_of(host).or_else(|| file.store()).map(str::to_owned));
        match program {
            Some(program) => {
                let name = helper_names(host)[0];
                helper::store(&program, self.helpers.as_deref(), name, user, secret)
            }
            None => file::put(path, host, user, secret),
        }
    }

    /// Forgets the credentials of a registry, in the file that `login` writes and its helper.
    ///
    /// # Errors
    /// The file cannot be read or written, or the helper fails.
    pub fn forget(&self, host: &str) -> Result<LoggedOut, CredentialsError> {
        let path = self.login.as_deref().ok_or(CredentialsError::Nowhere)?;
        let mut out = LoggedOut::default();
        if let Some(file) = AuthFile::read(path)? {
            if let Some(program) = file.helper_of(host).or_else(|| file.store()) {
                for name in helper_names(host) {
                    out.removed |= helper::erase(program, self.helpers.as_deref(), name)?;
                }
            }
            out.removed |= file::remove(path, host)?;
        }
        for other in self.files.iter().filter(|other| other.as_path() != path) {
            let file = AuthFile::read(other)?;
            if file.is_some_and(|file| matches!(file.entry(host, ""), Ok(Some(Entry::Usable(_))))) {
                out.elsewhere.push(other.clone());
            }
        }
        Ok(out)
    }
}

/// What helpers know a registry by. For Docker Hub they are called with its oldest address by Docker,
/// and with its name by Podman.
fn helper_names(host: &str) -> Vec<&str> {
    if is_hub(host) { vec![file::HUB_ADDRESS, "docker.io"] } else { vec![host] }
}

#[cfg(test)]
mod tests;
