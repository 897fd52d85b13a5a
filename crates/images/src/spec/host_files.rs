//! `/etc/hostname`, `/etc/hosts` and `/etc/resolv.conf`: files of the container's own, mounted over
//! the image's.

use std::fmt::Write as _;
use std::io::Read;
use std::net::IpAddr;
use std::path::Path;

use super::error::SpecError;
use super::options::{Network, Options};

/// The most bytes that are taken over from a file of the host.
const MAX_HOST_FILE: u64 = 256 << 10;

/// Most characters of a host name (Linux: `__NEW_UTS_LEN`, less the one that Docker keeps back).
const MAX_HOSTNAME: usize = 63;

/// What `/etc/hosts` starts with (Docker's lines).
const LOCAL_HOSTS: &str = "127.0.0.1\tlocalhost\n\
    ::1\tlocalhost ip6-localhost ip6-loopback\n\
    fe00::\tip6-localnet\n\
    ff00::\tip6-mcastprefix\n\
    ff02::1\tip6-allnodes\n\
    ff02::2\tip6-allrouters\n";

/// The container's name for itself: the user's word, else the host's where it uses its network,
/// else made from the id.
pub(super) fn hostname(options: &Options, id: &str, host: &str) -> Result<String, SpecError> {
    match &options.hostname {
        Some(name) if !is_hostname(name) => Err(SpecError::hinted(
            "--hostname",
            format!("invalid hostname {name:?}"),
            "letters, digits, dots and dashes, at most 63, starting with a letter or digit",
        )),
        Some(name) => Ok(name.clone()),
        None if options.network == Network::Host && !host.is_empty() => Ok(host.to_owned()),
        None => Ok(made_from(id)),
    }
}

fn is_hostname(name: &str) -> bool {
    let sound = |letter: char| letter.is_ascii_alphanumeric() || ".-_".contains(letter);
    let edge = |letter: char| letter.is_ascii_alphanumeric();
    name.len() <= MAX_HOSTNAME
        && name.chars().all(sound)
        && name.starts_with(edge)
        && name.ends_with(edge)
}

fn made_from(id: &str) -> String {
    let letter = |c: char| if c.is_ascii_alphanumeric() || ".-".contains(c) { c } else { '-' };
    let name: String = id.chars().take(MAX_HOSTNAME).map(letter).collect();
    let name = name.trim_matches(['-', '.']);
    if name.is_empty() { "container".to_owned() } else { name.to_owned() }
}

/// A file of the container's own.
#[derive(Debug)]
pub(super) struct HostFile {
    /// Where it is mounted.
    pub(super) place: &'static str,
    /// Its name on disk.
    pub(super) name: &'static str,
    pub(super) content: Vec<u8>,
}

/// The three files. `etc` is the host's directory of that name.
pub(super) fn files(
    options: &Options,
    hostname: &str,
    etc: &Path,
) -> Result<[HostFile; 3], SpecError> {
    let file = |place, name, content| HostFile { place, name, content };
    Ok([
        file("/etc/hostname", "hostname", format!("{hostname}\n").into_bytes()),
        file("/etc/hosts", "hosts", hosts(options, hostname, etc)?),
        file("/etc/resolv.conf", "resolv.conf", resolv_conf(options, etc)?),
    ])
}

fn hosts(options: &Options, hostname: &str, etc: &Path) -> Result<Vec<u8>, SpecError> {
    let mut text = match options.network {
        Network::Host => host_file(&etc.join("hosts"))?,
        // A program that looks its own name up must find it.
        Network::None => format!("{LOCAL_HOSTS}127.0.0.1\t{hostname}\n").into_bytes(),
    };
    if text.last().is_some_and(|last| *last != b'\n') {
        text.push(b'\n');
    }
    for (name, address) in &options.hosts {
        text.extend_from_slice(format!("{address}\t{name}\n").as_bytes());
    }
    Ok(text)
}

/// The host's, with the user's name servers in place of its own. Without a network there is nobody
/// to ask but whom the user names.
fn resolv_conf(options: &Options, etc: &Path) -> Result<Vec<u8>, SpecError> {
    let host = match options.network {
        Network::Host => host_file(&etc.join("resolv.conf"))?,
        Network::None => Vec::new(),
    };
    Ok(if options.dns.is_empty() { host } else { with_servers(&host, &options.dns) })
}

fn with_servers(host: &[u8], servers: &[IpAddr]) -> Vec<u8> {
    let mut text = String::new();
    for server in servers {
        // Writing to a string cannot fail.
        let _: std::fmt::Result = writeln!(text, "nameserver {server}");
    }
    for line in String::from_utf8_lossy(host).lines() {
        if line.split_whitespace().next() != Some("nameserver") {
            let _: std::fmt::Result = writeln!(text, "{line}");
        }
    }
    text.into_bytes()
}

/// A file of the host, empty where it has none.
fn host_file(path: &Path) -> Result<Vec<u8>, SpecError> {
    let file = match std::fs::File::open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(SpecError::io("read", path))?,
    };
    let mut text = Vec::new();
    file.take(MAX_HOST_FILE + 1).read_to_end(&mut text).map_err(SpecError::io("read", path))?;
    if text.len() as u64 > MAX_HOST_FILE {
        let error = std::io::Error::other(format!("larger than {} KiB", MAX_HOST_FILE >> 10));
        return Err(SpecError::io("read", path)(error));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn etc() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("hosts"), "192.0.2.1 node").unwrap();
        let resolv = "search example.org\nnameserver 192.0.2.53\noptions edns0\n";
        std::fs::write(dir.path().join("resolv.conf"), resolv).unwrap();
        dir
    }

    fn text(options: &Options, which: usize) -> String {
        let etc = etc();
        String::from_utf8(files(options, "web", etc.path()).unwrap()[which].content.clone())
            .unwrap()
    }

    #[test]
    fn without_a_network() {
        let mut options = Options::default();
        assert_eq!(text(&options, 0), "web\n");
        assert!(text(&options, 1).starts_with("127.0.0.1\tlocalhost\n::1\t"));
        assert!(text(&options, 1).ends_with("127.0.0.1\tweb\n"));
        assert_eq!(text(&options, 2), "");
        options.dns = vec!["192.0.2.9".parse().unwrap(), "2001:db8::1".parse().unwrap()];
        options.hosts = vec![("db".into(), "198.51.100.7".parse().unwrap())];
        assert!(text(&options, 1).ends_with("127.0.0.1\tweb\n198.51.100.7\tdb\n"));
        assert_eq!(text(&options, 2), "nameserver 192.0.2.9\nnameserver 2001:db8::1\n");
    }

    #[test]
    fn with_the_hosts_network() {
        let mut options = Options { network: Network::Host, ..Options::default() };
        assert_eq!(text(&options, 1), "192.0.2.1 node\n");
        assert!(text(&options, 2).contains("nameserver 192.0.2.53\n"));
        options.dns = vec!["192.0.2.9".parse().unwrap()];
        let wanted = "nameserver 192.0.2.9\nsearch example.org\noptions edns0\n";
        assert_eq!(text(&options, 2), wanted);
        let nowhere = files(&options, "web", Path::new("/nonexistent")).unwrap();
        assert_eq!(nowhere[1].content, b"");
    }

    #[test]
    fn names() {
        let named = |name: Option<&str>, network, id: &str| {
            let name = name.map(str::to_owned);
            let options = Options { hostname: name, network, ..Options::default() };
            hostname(&options, id, "node").map_err(|error| error.to_string())
        };
        assert_eq!(named(Some("a.b-c"), Network::None, "id").unwrap(), "a.b-c");
        assert_eq!(named(None, Network::Host, "id").unwrap(), "node");
        assert_eq!(named(None, Network::None, "web_1+x").unwrap(), "web-1-x");
        assert_eq!(named(None, Network::None, "__").unwrap(), "container");
        assert_eq!(named(None, Network::None, &"x".repeat(300)).unwrap().len(), 63);
        for bad in ["", "-a", "a-", "a b", "a\nb", ".", &"x".repeat(64)] {
            let error = named(Some(bad), Network::None, "id").unwrap_err();
            assert!(error.starts_with("--hostname: invalid hostname"), "{error}");
        }
    }
}
