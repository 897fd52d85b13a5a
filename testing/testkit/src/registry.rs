//! Debian's `docker-registry` on loopback, with everything it keeps in a directory of its own.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;

use tempfile::TempDir;

use crate::process::output_of;
use crate::process::until;
use crate::verdict::Context;
use crate::verdict::Stop;
use crate::verdict::Verdict;

const PROGRAM: &str = "/usr/bin/docker-registry";

/// What kind of a registry.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// With TLS, and a certificate for 127.0.0.1 and localhost of a CA of its own.
    pub tls: bool,
    /// Only for this name and password.
    pub account: Option<(String, String)>,
}

/// A registry that runs; dropping it ends it and removes what it kept.
#[derive(Debug)]
pub struct Registry {
    child: Child,
    address: String,
    authority: Option<Authority>,
    dir: TempDir,
}

/// One line of the registry's access log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// GET, PUT and so on.
    pub method: String,
    /// The path with its query.
    pub target: String,
    /// The status of the answer.
    pub status: u16,
    /// The bytes of the answer's body.
    pub bytes: u64,
}

impl Registry {
    /// Whether the machine has what it takes.
    #[must_use]
    pub fn is_installed() -> bool {
        [PROGRAM, "/usr/bin/htpasswd", "/usr/bin/openssl"]
            .iter()
            .all(|path| Path::new(path).exists())
    }

    /// Starts a registry at a free port of 127.0.0.1.
    ///
    /// # Errors
    /// A failure with the registry's own words when it does not come up.
    pub fn start(options: &Options) -> Verdict<Self> {
        let dir = tempfile::tempdir()?;
        let authority = if options.tls { Some(Authority::new(dir.path())?) } else { None };
        let configuration = configuration(dir.path(), authority.as_ref(), options)?;
        let file = dir.path().join("config.yml");
        std::fs::write(&file, configuration).context(file.display())?;
        // It ends with the thread that started it, whatever happens to that.
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", PROGRAM, "serve"])
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(File::create(dir.path().join("access"))?)
            .stderr(File::create(dir.path().join("log"))?)
            .spawn()
            .context(PROGRAM)?;
        let mut registry = Self { child, address: String::new(), authority, dir };
        registry.address = registry.wait_for_address()?;
        Ok(registry)
    }

    /// `127.0.0.1:PORT`.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The CA's certificate, with TLS.
    #[must_use]
    pub fn ca_path(&self) -> Option<&Path> {
        self.authority.as_ref().map(|authority| authority.certificate.as_path())
    }

    /// Makes `DIR/ADDRESS/ca.crt`, as containers-certs.d(5) describes, with TLS.
    ///
    /// # Errors
    /// A failure naming the path that cannot be made, or without TLS.
    pub fn trust_in(&self, dir: &Path) -> Verdict {
        let own = dir.join(&self.address);
        std::fs::create_dir_all(&own).context(own.display())?;
        let certificate = self.ca_path().context("a registry without TLS")?;
        std::fs::copy(certificate, own.join("ca.crt")).context(own.display())?;
        Ok(())
    }

    /// Everything that was asked for so far, and answered: the log is written after the answer.
    ///
    /// # Errors
    /// A failure when the log cannot be read.
    pub fn requests(&self) -> Verdict<Vec<Request>> {
        let text = std::fs::read_to_string(self.dir.path().join("access"))?;
        Ok(text.lines().filter_map(request).collect())
    }

    /// Where it keeps blobs: `docker/registry/v2/blobs/sha256/XX/DIGEST/data`.
    #[must_use]
    pub fn storage(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn wait_for_address(&mut self) -> Verdict<String> {
        let log = self.dir.path().join("log");
        let read = || std::fs::read_to_string(&log).unwrap_or_default();
        let mut address = None;
        let child = &mut self.child;
        let came = until("docker-registry", || {
            let text = read();
            let listening = text.lines().find_map(|line| line.split_once("listening on "));
            let rest = listening.map(|(_, rest)| rest);
            let end = |rest: &str| rest.find(['"', ',', ' ']).unwrap_or(rest.len());
            address = rest.map(|rest| rest[..end(rest)].to_owned());
            address.is_some() || !matches!(child.try_wait(), Ok(None))
        });
        let words = || Stop::Failed(format!("docker-registry does not come up: {}", read()));
        came.map_err(|_| words())?;
        address.ok_or_else(words)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _killed = self.child.kill();
        let _status = self.child.wait();
    }
}

fn configuration(dir: &Path, authority: Option<&Authority>, options: &Options) -> Verdict<String> {
    let mut text = format!(
        "version: 0.1\nlog: {{level: info}}\nstorage:\n  filesystem: {{rootdirectory: {0}}}\n  \
         delete: {{enabled: true}}\nhttp:\n  addr: 127.0.0.1:0\n  secret: test\n",
        dir.join("data").display()
    );
    if let Some(authority) = authority {
        let (certificate, key) = authority.issue("server", "IP:127.0.0.1,DNS:localhost")?;
        let (certificate, key) = (certificate.display(), key.display());
        text.push_str(&format!("  tls: {{certificate: {certificate}, key: {key}}}\n"));
    }
    if let Some((user, password)) = &options.account {
        let path = dir.join("htpasswd");
        std::fs::write(&path, htpasswd(user, password)?).context(path.display())?;
        let path = path.display();
        text.push_str(&format!("auth:\n  htpasswd: {{realm: test, path: {path}}}\n"));
    }
    Ok(text)
}

/// A line of a file of names and bcrypt hashes.
fn htpasswd(user: &str, password: &str) -> Verdict<Vec<u8>> {
    let mut child = Command::new("htpasswd")
        .args(["-niB", user])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("htpasswd")?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(password.as_bytes())?;
    }
    Ok(child.wait_with_output()?.stdout)
}

/// `127.0.0.1 - - [22/Nov/2026:03:04:05 +0000] "GET /v2/ HTTP/1.1" 200 2 "" "agent"`.
fn request(line: &str) -> Option<Request> {
    let (_, rest) = line.split_once("] \"")?;
    let (words, rest) = rest.split_once("\" ")?;
    let mut words = words.split(' ');
    let mut numbers = rest.split(' ');
    Some(Request {
        method: words.next()?.to_owned(),
        target: words.next()?.to_owned(),
        status: numbers.next()?.parse().ok()?,
        bytes: numbers.next()?.parse().ok()?,
    })
}

/// A CA that openssl(1) made.
#[derive(Debug)]
pub struct Authority {
    dir: PathBuf,
    /// Its certificate, in PEM.
    pub certificate: PathBuf,
}

impl Authority {
    /// Makes a CA in `dir`.
    ///
    /// # Errors
    /// A failure with openssl's words.
    pub fn new(dir: &Path) -> Verdict<Self> {
        let certificate = dir.join("ca.crt");
        let mut command = new_key("req", &dir.join("ca.key"));
        command.args(["-x509", "-days", "30", "-subj", "/CN=test CA", "-out"]).arg(&certificate);
        output_of(&mut command)?;
        Ok(Self { dir: dir.to_owned(), certificate })
    }

    /// A certificate for `names`, such as `IP:127.0.0.1,DNS:localhost`, and its key: both in PEM, in
    /// files called `NAME.crt` and `NAME.key`.
    ///
    /// # Errors
    /// A failure with openssl's words.
    pub fn issue(&self, name: &str, names: &str) -> Verdict<(PathBuf, PathBuf)> {
        let path = |extension: &str| self.dir.join(format!("{name}.{extension}"));
        let (certificate, key, wish, words) = (path("crt"), path("key"), path("csr"), path("ext"));
        let mut command = new_key("req", &key);
        command.arg("-subj").arg(format!("/CN={name}")).arg("-out").arg(&wish);
        output_of(&mut command)?;
        std::fs::write(&words, format!("subjectAltName={names}\nbasicConstraints=CA:FALSE\n"))?;
        let mut command = Command::new("openssl");
        command.args(["x509", "-req", "-days", "30", "-CAcreateserial", "-in"]).arg(&wish);
        command.arg("-CA").arg(&self.certificate).arg("-CAkey").arg(self.dir.join("ca.key"));
        command.arg("-extfile").arg(&words).arg("-out").arg(&certificate);
        output_of(&mut command)?;
        Ok((certificate, key))
    }
}

fn new_key(verb: &str, key: &Path) -> Command {
    let mut command = Command::new("openssl");
    command.args([verb, "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]);
    command.arg("-keyout").arg(key);
    command
}
