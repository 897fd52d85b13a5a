//! Whom we believe: the system's CAs, and those of one registry (containers-certs.d(5)).

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, parse_pem};

use super::Trust;
use crate::registry::error::{Error, told};
use crate::registry::settings::{Roots, Settings};
use crate::registry::url::{Scheme, Url};

/// The most bytes of one file with certificates. Debian's bundle has 220 KiB.
const MAX_FILE: u64 = 4 << 20;

/// The most files that are read of one directory.
const MAX_FILES: usize = 1_000;

/// Whom we believe. The system's bundle is read when TLS is first spoken.
pub(super) struct Trusted {
    settings: Arc<Settings>,
    provider: Arc<CryptoProvider>,
    system: OnceLock<Vec<Certificate<'static>>>,
}

impl Trusted {
    pub(super) fn new(settings: Arc<Settings>) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        Self { settings, provider, system: OnceLock::new() }
    }

    /// How TLS is spoken to the host of `url`.
    pub(super) fn config(&self, url: &Url, trust: Trust) -> Result<TlsConfig, Error> {
        let system = self.system.get_or_init(|| system(&self.settings.roots));
        let own = match self.directory(url) {
            Some(directory) if url.scheme() == Scheme::Https => self.own(&directory)?,
            _ => Own::default(),
        };
        let mut roots = own.authorities;
        roots.extend(system.iter().cloned());
        Ok(TlsConfig::builder()
            .unversioned_rustls_crypto_provider(Arc::clone(&self.provider))
            .root_certs(RootCerts::new_with_certs(&roots))
            .disable_verification(trust == Trust::Unverified)
            .client_cert(own.client)
            .build())
    }

    /// The directory of this registry in the first of the places that has one. Docker Hub's is named
    /// as users name it.
    fn directory(&self, url: &Url) -> Option<PathBuf> {
        let host = match url.host() {
            "registry-1.docker.io" => "docker.io",
            host => host,
        };
        let mut names = vec![format!("{host}:{}", url.port())];
        if url.port() == 443 {
            names.insert(0, host.to_owned());
        }
        let places = self.settings.certificates.iter();
        places.flat_map(|place| names.iter().map(|name| place.join(name))).find(|dir| dir.is_dir())
    }

    fn own(&self, directory: &Path) -> Result<Own, Error> {
        let mut own = Own::default();
        for path in files(directory)? {
            match path.extension().and_then(|extension| extension.to_str()) {
                Some("crt") => own.authorities.extend(certificates(&path)?),
                Some("cert") if own.client.is_none() => own.client = Some(self.client(&path)?),
                _ => {}
            }
        }
        Ok(own)
    }

    /// A client certificate with the key beside it.
    fn client(&self, path: &Path) -> Result<ClientCert, Error> {
        let chain = certificates(path)?;
        let key_path = path.with_extension("key");
        let bytes = read(&key_path)?;
        let setup = |problem: String| setup(&key_path, problem);
        let key = PrivateKey::from_pem(&bytes).map_err(|error| setup(told(&error.to_string())))?;
        // The HTTP library takes for granted that the two fit.
        let der = PrivateKeyDer::from_pem_slice(&bytes)
            .map_err(|error| setup(told(&error.to_string())))?;
        let ders = chain.iter().map(|one| CertificateDer::from(one.der().to_vec())).collect();
        CertifiedKey::from_der(ders, der, &self.provider).map_err(|error| {
            setup(format!("no key for the certificate {}: {error}", path.display()))
        })?;
        Ok(ClientCert::new_with_certs(&chain, key))
    }
}

#[derive(Default)]
struct Own {
    authorities: Vec<Certificate<'static>>,
    client: Option<ClientCert>,
}

/// The system's CAs. What cannot be read is left out with a warning: a registry may well have its own.
fn system(roots: &Roots) -> Vec<Certificate<'static>> {
    let mut paths: Vec<PathBuf> = Vec::new();
    paths.extend(roots.files.iter().find(|path| path.exists()).cloned());
    for directory in &roots.directories {
        match files(directory) {
            Ok(found) => paths.extend(found),
            Err(error) => log::warn!("CA certificates: {error}"),
        }
    }
    let mut all = Vec::new();
    for path in paths {
        match certificates(&path) {
            Ok(found) => all.extend(found),
            Err(error) => log::warn!("CA certificates: {error}"),
        }
    }
    all
}

fn files(directory: &Path) -> Result<Vec<PathBuf>, Error> {
    let failed = |error: std::io::Error| setup(directory, error.to_string());
    let mut paths = Vec::new();
    for item in std::fs::read_dir(directory).map_err(failed)? {
        if paths.len() == MAX_FILES {
            return Err(setup(directory, format!("more than {MAX_FILES} files")));
        }
        let path = item.map_err(failed)?.path();
        if path.is_file() {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

fn certificates(path: &Path) -> Result<Vec<Certificate<'static>>, Error> {
    let bytes = read(path)?;
    let mut all = Vec::new();
    for item in parse_pem(&bytes) {
        match item {
            Ok(PemItem::Certificate(certificate)) => all.push(certificate),
            Ok(_) => {}
            Err(error) => return Err(setup(path, told(&error.to_string()))),
        }
    }
    if all.is_empty() {
        return Err(setup(path, "no certificate in it".to_owned()));
    }
    Ok(all)
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let failed = |error: std::io::Error| setup(path, error.to_string());
    let flags = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or(0);
    let file = File::options().read(true).custom_flags(flags).open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(setup(path, format!("larger than {} MiB", MAX_FILE >> 20)));
    }
    Ok(bytes)
}

fn setup(path: &Path, problem: String) -> Error {
    Error::Setup { what: path.display().to_string(), problem }
}

/// What a failure of TLS means.
pub(super) fn explain(error: &rustls::Error, host: String, what: String) -> Error {
    match error {
        rustls::Error::InvalidCertificate(reason) => {
            Error::Certificate { host, problem: certificate_problem(reason) }
        }
        rustls::Error::InvalidMessage(_) => {
            Error::Connect { host, problem: "its answer is no TLS".to_owned() }
        }
        rustls::Error::AlertReceived(alert) => {
            Error::Connect { host, problem: format!("TLS: it refuses: {alert:?}") }
        }
        error => Error::Broken { what, problem: format!("TLS: {}", told(&error.to_string())) },
    }
}

fn certificate_problem(reason: &rustls::CertificateError) -> String {
    use rustls::CertificateError as Reason;
    match reason {
        // A CA of a name that we know, with another key.
        Reason::UnknownIssuer | Reason::BadSignature => {
            "nobody we know vouches for its certificate".to_owned()
        }
        Reason::Expired | Reason::ExpiredContext { .. } => "its certificate has expired".to_owned(),
        Reason::NotValidYet | Reason::NotValidYetContext { .. } => {
            "its certificate is not valid yet".to_owned()
        }
        Reason::NotValidForName | Reason::NotValidForNameContext { .. } => {
            "its certificate is for another name".to_owned()
        }
        other => format!("its certificate: {}", told(&other.to_string())),
    }
}
