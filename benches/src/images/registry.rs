//! The registry that is pulled from: Debian's, on loopback, without TLS.

use std::path::Path;

use lxcri_testkit::Verdict;
use lxcri_testkit::registry;
use lxcri_testkit::skopeo::Skopeo;

use super::archive::Archives;
use super::archive::LARGE;

/// A running registry with the large image in it.
#[derive(Debug)]
pub(super) struct Registry(registry::Registry);

impl Registry {
    /// Starts it and pushes the image.
    pub(super) fn start(scratch: &Path, archives: &Archives) -> Verdict<Self> {
        let registry = Self(registry::Registry::start(&registry::Options::default())?);
        let from = format!("oci-archive:{}", archives.gzip_oci.display());
        let to = format!("docker://{}", registry.reference());
        let push = ["copy", "--quiet", "--dest-tls-verify=false", &from, &to];
        Skopeo::new(scratch)?.call(&push)?.ok()?;
        Ok(registry)
    }

    /// What the image is called there.
    pub(super) fn reference(&self) -> String {
        format!("{}/{LARGE}", self.0.address())
    }
}
