//! What a client goes by. Nothing here looks at the environment but [`Settings::from_environment`].

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::credentials::Sources;
use super::transport::Proxies;

/// What a client goes by. The default knows no files at all, and no proxy.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Directories with one directory per registry in it, `host[:port]`, as containers-certs.d(5)
    /// describes. The first that has one for a registry counts.
    pub certificates: Vec<PathBuf>,
    /// Whom we believe what a server is called.
    pub roots: Roots,
    /// Where names and passwords are.
    pub credentials: Sources,
    /// Proxies.
    pub proxies: Proxies,
    /// What we call ourselves.
    pub user_agent: String,
    /// How long we wait.
    pub timeouts: Timeouts,
    /// How often we try.
    pub retry: Retry,
}

/// The files and directories with the certificates of CAs, in PEM. All that can be read count.
#[derive(Clone, Debug, Default)]
pub struct Roots {
    /// Files with many certificates; the first that is there.
    pub files: Vec<PathBuf>,
    /// Directories with one certificate per file.
    pub directories: Vec<PathBuf>,
}

/// How long we wait.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// For a name to be found, and for a connection with its TLS.
    pub connect: Duration,
    /// For the next byte in either direction; and in a blob for [`Timeouts::FLOOR`] bytes.
    pub stall: Duration,
    /// For a document (a manifest, a token) as a whole, and for the head of any answer.
    pub document: Duration,
}

impl Timeouts {
    /// Bytes of a blob that must come in the time of one stall. A server that sends a byte now and
    /// then stalls as well.
    pub const FLOOR: u64 = 512;
}

/// How often we try again.
#[derive(Clone, Copy, Debug)]
pub struct Retry {
    /// How many times in a row without progress.
    pub tries: u32,
    /// The wait before the second try; it doubles with each further one.
    pub pause: Duration,
    /// The longest wait, also of those that a registry asks for.
    pub longest: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        let second = Duration::from_secs(1);
        Self {
            certificates: Vec::new(),
            roots: Roots::default(),
            credentials: Sources::default(),
            proxies: Proxies::default(),
            user_agent: concat!("proxmox-lxcri/", env!("CARGO_PKG_VERSION")).to_owned(),
            timeouts: Timeouts { connect: 15 * second, stall: 30 * second, document: 60 * second },
            retry: Retry { tries: 5, pause: second / 2, longest: 60 * second },
        }
    }
}

impl Settings {
    /// What Docker, Podman and curl go by on this machine: `HOME`, `XDG_CONFIG_HOME`,
    /// `XDG_RUNTIME_DIR`, `DOCKER_CONFIG`, `REGISTRY_AUTH_FILE`, `SSL_CERT_FILE`, `SSL_CERT_DIR`,
    /// `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY` (and in lower case), read by `variable`;
    /// `user` is the user's number.
    pub fn from_environment(user: u32, variable: &dyn Fn(&str) -> Option<OsString>) -> Self {
        let filled = |name: &str| variable(name).filter(|value| !value.is_empty());
        let path = |name: &str| filled(name).map(PathBuf::from);
        let home = path("HOME");
        let config = path("XDG_CONFIG_HOME").or_else(|| Some(home.as_ref()?.join(".config")));
        Self {
            certificates: certificates(config.as_deref()),
            roots: Roots::from_environment(&filled),
            credentials: Sources::from_environment(user, home.as_deref(), config.as_deref(), &path),
            proxies: Proxies::from_environment(&filled),
            ..Self::default()
        }
    }
}

/// The user's own come first, as in containers/image.
fn certificates(config: Option<&Path>) -> Vec<PathBuf> {
    let own = config.map(|config| config.join("containers/certs.d"));
    let all = ["/etc/containers/certs.d", "/etc/docker/certs.d"].map(PathBuf::from);
    own.into_iter().chain(all).collect()
}

impl Roots {
    /// Debian's and Alpine's bundle, Fedora's, everybody's; or what OpenSSL's variables name.
    fn from_environment(variable: &dyn Fn(&str) -> Option<OsString>) -> Self {
        let file = variable("SSL_CERT_FILE");
        let directories = variable("SSL_CERT_DIR");
        if file.is_some() || directories.is_some() {
            let split = |value: OsString| std::env::split_paths(&value).collect();
            return Self {
                files: file.into_iter().map(PathBuf::from).collect(),
                directories: directories.map(split).unwrap_or_default(),
            };
        }
        let files = [
            "/etc/ssl/certs/ca-certificates.crt",
            "/etc/pki/tls/certs/ca-bundle.crt",
            "/etc/ssl/cert.pem",
        ];
        Self { files: files.map(PathBuf::from).into(), directories: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(variables: &[(&str, &str)]) -> Settings {
        Settings::from_environment(7, &|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into())
        })
    }

    #[test]
    fn places_of_certificates() {
        let set =
            settings(&[("HOME", "/home/u"), ("SSL_CERT_FILE", "/f"), ("SSL_CERT_DIR", "/a:/b")]);
        assert_eq!(set.certificates[0], Path::new("/home/u/.config/containers/certs.d"));
        assert_eq!(set.roots.files, [Path::new("/f")]);
        assert_eq!(set.roots.directories, [Path::new("/a"), Path::new("/b")]);
        let bare = settings(&[("SSL_CERT_FILE", "")]);
        assert_eq!(bare.certificates[0], Path::new("/etc/containers/certs.d"));
        assert_eq!(bare.roots.files[0], Path::new("/etc/ssl/certs/ca-certificates.crt"));
    }
}
