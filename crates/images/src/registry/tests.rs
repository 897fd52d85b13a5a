//! The client against servers that do as they like.

mod auth;
mod blobs;
mod documents;
mod uploads;

use std::path::Path;
use std::time::Duration;

use super::*;
use crate::digest::Digest;
use crate::document::Descriptor;

/// Short waits, three tries, no files.
fn settings() -> Settings {
    let millisecond = Duration::from_millis(1);
    Settings {
        timeouts: Timeouts {
            connect: Duration::from_secs(10),
            stall: 300 * millisecond,
            document: Duration::from_secs(5),
        },
        retry: Retry { tries: 3, pause: millisecond, longest: Duration::from_secs(2) },
        ..Settings::default()
    }
}

fn client() -> Client {
    Client::new(settings())
}

/// A client that knows name and password of some hosts.
fn client_with(dir: &Path, hosts: &[&str]) -> Client {
    let sources = credentials::Sources::only(&dir.join("auth.json"));
    for host in hosts {
        sources.store(host, "user", &credentials::Secret::new("pässword".to_owned())).unwrap();
    }
    Client::new(Settings { credentials: sources, ..settings() })
}

fn repository(host: &str) -> Repository {
    Repository::new(host, "app", false).unwrap()
}

/// What `n` bytes of a blob look like.
fn content(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 7 + at / 256) as u8).collect()
}

fn descriptor(content: &[u8]) -> Descriptor {
    Descriptor::of("application/octet-stream", content)
}

const MANIFEST: &[u8] = br#"{"schemaVersion": 2, "config": {}, "layers": []}"#;

fn manifest_digest() -> Digest {
    Digest::of(MANIFEST)
}

/// `user:pässword` for `Basic`.
const BASIC: &str = "Basic dXNlcjpww6Rzc3dvcmQ=";
