//! The client against Debian's registry: there and back, in the clear and with TLS, for anybody and
//! for those who are logged in.
#![cfg(test)]

use std::io::Cursor;
use std::path::Path;

use lxcri_images::digest::Digest;
use lxcri_images::document::{Descriptor, Manifest, media_type};
use lxcri_images::registry::credentials::{Secret, Sources};
use lxcri_images::registry::{
    BlobError, Client, Error, Login, Piece, Pushed, Repository, Settings,
};
use lxcri_testkit::registry::{Options, Registry};

fn registry(options: &Options) -> Registry {
    Registry::start(options).unwrap_or_else(|stop| panic!("{stop}"))
}

/// Everything a client reads is below `dir`.
fn client(dir: &Path) -> Client {
    Client::new(Settings {
        certificates: vec![dir.join("certs.d")],
        credentials: Sources::only(&dir.join("auth.json")),
        ..Settings::default()
    })
}

fn repository(registry: &Registry, name: &str) -> Repository {
    Repository::new(registry.address(), name, false).unwrap()
}

/// 3 MB that no two pieces of are the same.
fn layer() -> Vec<u8> {
    (0..750_000_u32).flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes()).collect()
}

fn push_blob(client: &Client, to: &Repository, from: Option<&str>, blob: &[u8]) -> Pushed {
    let descriptor = Descriptor::of(media_type::LAYER, blob);
    let owned = blob.to_vec();
    let source = &mut || -> std::io::Result<Box<dyn std::io::Read>> {
        Ok(Box::new(Cursor::new(owned.clone())))
    };
    client.push_blob(to, &descriptor, from, source).unwrap()
}

/// Pushes an image of one layer and returns its manifest.
fn push(client: &Client, to: &Repository) -> (Manifest, Digest) {
    let config = br#"{"os": "linux", "architecture": "amd64"}"#;
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(media_type::MANIFEST.to_owned()),
        artifact_type: None,
        config: Descriptor::of(media_type::CONFIG, config),
        layers: vec![Descriptor::of(media_type::LAYER, &layer())],
        annotations: Default::default(),
    };
    push_blob(client, to, None, config);
    push_blob(client, to, None, &layer());
    let bytes = serde_json::to_vec(&manifest).unwrap();
    let digest = client.push_manifest(to, "1.0", media_type::MANIFEST, &bytes).unwrap();
    assert_eq!(digest, Digest::of(&bytes));
    (manifest, digest)
}

/// Pulls the image that [`push`] pushed and compares it.
fn pull(client: &Client, from: &Repository, (manifest, digest): &(Manifest, Digest)) {
    let found = client.head_manifest(from, "1.0").unwrap().unwrap();
    assert_eq!(found.digest.as_ref(), Some(digest));
    for label in ["1.0".to_owned(), digest.to_string()] {
        let fetched = client.manifest(from, &label).unwrap();
        assert_eq!((&fetched.digest, fetched.media_type), (digest, media_type::MANIFEST));
        assert_eq!(&Manifest::parse("m", &fetched.bytes).unwrap(), manifest);
    }
    assert!(client.document(from, &manifest.config).unwrap().starts_with(b"{\"os\""));
    assert_eq!(take(client, from, &manifest.layers[0], &[]), layer());
}

/// The blob, of which `there` is there already.
fn take(client: &Client, from: &Repository, blob: &Descriptor, there: &[u8]) -> Vec<u8> {
    let mut bytes = there.to_vec();
    let result = client.blob(from, blob, there.len() as u64, &mut |piece| {
        match piece {
            Piece::Restart => bytes.clear(),
            Piece::Bytes(piece) => bytes.extend_from_slice(piece),
        }
        Ok::<(), ()>(())
    });
    result.unwrap();
    bytes
}

#[test]
fn there_and_back_in_the_clear() {
    let (dir, registry) = (tempfile::tempdir().unwrap(), registry(&Options::default()));
    let (client, here) = (client(dir.path()), repository(&registry, "team/app"));
    let image = push(&client, &here);
    pull(&client, &here, &image);
    assert_eq!(client.tags(&here).unwrap(), ["1.0"]);
    assert_eq!(push_blob(&client, &here, None, &layer()), Pushed::Present);
    let there = repository(&registry, "other");
    assert_eq!(push_blob(&client, &there, Some("team/app"), &layer()), Pushed::Mounted);
    assert_eq!(client.head_manifest(&here, "2.0").unwrap(), None);
    let error = client.manifest(&here, "2.0").unwrap_err();
    assert!(error.to_string().ends_with("team/app:2.0: not found: manifest unknown"), "{error}");
    let absent = Descriptor::of(media_type::LAYER, b"absent");
    let result = client.blob(&here, &absent, 0, &mut |_| Ok::<(), ()>(()));
    assert!(matches!(result, Err(BlobError::Registry(Error::NotFound { .. }))), "{result:?}");
    assert!(!client.blob_exists(&here, &absent.digest).unwrap());
}

#[test]
fn a_blob_goes_on_in_the_middle() {
    let (dir, registry) = (tempfile::tempdir().unwrap(), registry(&Options::default()));
    let (client, here) = (client(dir.path()), repository(&registry, "app"));
    let (manifest, _) = push(&client, &here);
    let whole = layer();
    assert_eq!(take(&client, &here, &manifest.layers[0], &whole[..2_000_000]), whole);
    let blob = format!("/v2/app/blobs/{}", manifest.layers[0].digest);
    let sent = |registry: &Registry| {
        let requests = registry.requests().unwrap();
        let got = requests.into_iter().filter(|one| one.method == "GET" && one.target == blob);
        got.map(|one| (one.status, one.bytes)).collect::<Vec<_>>()
    };
    lxcri_testkit::process::until("the registry's log", || !sent(&registry).is_empty()).unwrap();
    assert_eq!(sent(&registry), [(206, 1_000_000)]);
}

#[test]
fn a_private_registry_with_tls() {
    let account = Some(("user".to_owned(), "word:ä".to_owned()));
    let (dir, registry) = (tempfile::tempdir().unwrap(), registry(&Options { tls: true, account }));
    let here = repository(&registry, "app");
    let host = registry.address();
    let error = client(dir.path()).manifest(&here, "1.0").unwrap_err();
    assert!(matches!(error, Error::Certificate { .. }), "{error}");
    registry.trust_in(&dir.path().join("certs.d")).unwrap();

    let stranger = client(dir.path());
    let error = stranger.manifest(&here, "1.0").unwrap_err();
    assert!(matches!(error, Error::Denied { known: false, .. }), "{error}");
    let wrong = Secret::new("wrong".to_owned());
    let error = stranger.login(host, false, "user", &wrong).unwrap_err();
    assert!(matches!(error, Error::Denied { .. }), "{error}");
    assert!(!dir.path().join("auth.json").exists());

    let client = client(dir.path());
    let right = Secret::new("word:ä".to_owned());
    assert_eq!(client.login(host, false, "user", &right).unwrap(), Login::Verified);
    let image = push(&client, &here);
    pull(&client, &here, &image);

    assert!(client.logout(host).unwrap().removed);
    let error = self::client(dir.path()).manifest(&here, "1.0").unwrap_err();
    assert!(matches!(error, Error::Denied { known: false, .. }), "{error}");
}

#[test]
fn a_private_registry_in_the_clear() {
    let account = Some(("user".to_owned(), "word".to_owned()));
    let (dir, registry) =
        (tempfile::tempdir().unwrap(), registry(&Options { tls: false, account }));
    let (client, here) = (client(dir.path()), repository(&registry, "app"));
    client.login(registry.address(), false, "user", &Secret::new("word".to_owned())).unwrap();
    let image = push(&client, &here);
    pull(&client, &here, &image);
}

#[test]
fn an_insecure_registry_with_any_certificate() {
    let options = Options { tls: true, account: None };
    let (dir, registry) = (tempfile::tempdir().unwrap(), registry(&options));
    let client = client(dir.path());
    let insecure = Repository::new(registry.address(), "app", true).unwrap();
    let image = push(&client, &insecure);
    pull(&client, &insecure, &image);
    // What one reference allows, another does not inherit.
    assert!(client.manifest(&repository(&registry, "app"), "1.0").is_err());
}
