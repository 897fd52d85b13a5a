//! The registry that is pulled from: Debian's, on loopback, without TLS.

use std::net::TcpListener;
use std::net::TcpStream;
use std::path::Path;

use lxcri_testkit::Verdict;
use lxcri_testkit::process;
use lxcri_testkit::process::Started;
use lxcri_testkit::process::until;
use lxcri_testkit::skopeo::Skopeo;
use lxcri_testkit::verdict::Context;

use super::archive::Archives;
use super::archive::LARGE;

/// A running registry with the large image in it.
#[derive(Debug)]
pub(super) struct Registry {
    port: u16,
    program: Option<Started>,
}

impl Registry {
    /// Starts it in `scratch/registry` and pushes the image.
    pub(super) fn start(scratch: &Path, archives: &Archives) -> Verdict<Self> {
        let dir = scratch.join("registry");
        std::fs::create_dir(&dir).context(dir.display())?;
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let config = dir.join("config.yml");
        let text = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage:\n  filesystem: {{rootdirectory: {}}}\n\
             http: {{addr: \"127.0.0.1:{port}\"}}\n",
            dir.join("data").display()
        );
        std::fs::write(&config, text).context(config.display())?;
        let mut command = std::process::Command::new("docker-registry");
        let program = Started::new(command.arg("serve").arg(&config), &dir, "registry", None)?;
        let registry = Self { port, program: Some(program) };
        until("the registry", || TcpStream::connect(("127.0.0.1", port)).is_ok())?;
        let from = format!("oci-archive:{}", archives.gzip_oci.display());
        let to = format!("docker://{}", registry.reference());
        let push = ["copy", "--quiet", "--dest-tls-verify=false", &from, &to];
        Skopeo::new(&dir)?.call(&push)?.ok()?;
        Ok(registry)
    }

    /// What the image is called there.
    pub(super) fn reference(&self) -> String {
        format!("127.0.0.1:{}/{LARGE}", self.port)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        if let Some(program) = self.program.take() {
            process::signal(program.pid(), rustix::process::Signal::TERM);
            let _status = program.wait(process::DEADLINE);
        }
    }
}
