use std::io::{self, Read};

use super::*;
use crate::registry::scripted::{Reply, Seen, Server};

/// A registry that takes one upload; `script` may answer first and say so.
fn takes_uploads(script: impl Fn(&Seen, &mut Reply<'_>) -> bool + Send + Sync + 'static) -> Server {
    Server::start(move |seen, reply| {
        if script(seen, reply) {
            return;
        }
        match (seen.method.as_str(), seen.target.as_str()) {
            ("HEAD", _) => reply.raw(b"HTTP/1.1 404 Not Found\r\n\r\n"),
            ("POST", "/v2/app/blobs/uploads/") => {
                reply.answer(202, "Location: /upload/1?state=a\r\n", b"");
            }
            ("PATCH", _) => reply.answer(202, "Location: /upload/2?state=b\r\n", b""),
            ("PUT", _) => reply.answer(201, "", b""),
            _ => reply.answer(200, "", b""),
        }
    })
}

fn push(server: &Server, blob: &[u8], from: Option<&str>) -> Result<Pushed, Error> {
    let owned = blob.to_vec();
    client().push_blob(&repository(&server.host()), &descriptor(blob), from, &mut || {
        Ok(Box::new(io::Cursor::new(owned.clone())))
    })
}

#[test]
fn sends_what_is_not_there() {
    let server = takes_uploads(|_, _| false);
    let blob = content(100_000);
    assert_eq!(push(&server, &blob, None).unwrap(), Pushed::Sent);
    let digest = Digest::of(&blob);
    let expected = [
        format!("HEAD /v2/app/blobs/{digest}"),
        "POST /v2/app/blobs/uploads/".to_owned(),
        "PATCH /upload/1?state=a".to_owned(),
        format!("PUT /upload/2?state=b&digest=sha256%3A{}", digest.hex()),
    ];
    assert_eq!(server.targets(), expected);
    let patch = server.seen().into_iter().find(|seen| seen.method == "PATCH").unwrap();
    assert_eq!(patch.body, blob);
}

#[test]
fn what_is_there_stays() {
    let server = Server::start(|_, reply| reply.answer(200, "", b""));
    assert_eq!(push(&server, b"x", None).unwrap(), Pushed::Present);
    assert!(server.seen().iter().all(|seen| seen.method != "POST"));
}

#[test]
fn mounts_or_sends() {
    let server = takes_uploads(|seen, reply| {
        let mounts = seen.target.contains("?mount=sha256%3A");
        if mounts {
            let allowed = seen.target.ends_with("&from=base%2Fdebian");
            reply.answer(if allowed { 201 } else { 202 }, "Location: /x\r\n", b"");
        }
        mounts
    });
    assert_eq!(push(&server, b"x", Some("base/debian")).unwrap(), Pushed::Mounted);
    assert_eq!(push(&server, b"x", Some("other")).unwrap(), Pushed::Sent);
    assert!(matches!(push(&server, b"x", Some("../x")), Err(Error::Invalid { .. })));
}

#[test]
fn begins_anew_where_it_broke() {
    let count = std::sync::atomic::AtomicU32::new(0);
    let server = takes_uploads(move |seen, reply| {
        let first =
            seen.method == "PATCH" && count.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0;
        if first {
            reply.close();
        }
        first
    });
    assert_eq!(push(&server, b"x", None).unwrap(), Pushed::Sent);
    let posts = server.seen().iter().filter(|seen| seen.method == "POST").count();
    assert_eq!(posts, 2);
}

#[test]
fn a_source_that_fails_is_named() {
    struct Failing;
    impl Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("disk on fire"))
        }
    }
    let server = takes_uploads(|_, _| false);
    let result =
        client().push_blob(&repository(&server.host()), &descriptor(b"x"), None, &mut || {
            Ok(Box::new(Failing))
        });
    let error = result.unwrap_err().to_string();
    assert!(error.ends_with("cannot read what is to be pushed: disk on fire"), "{error}");
}

#[test]
fn a_source_of_another_length() {
    let server = takes_uploads(|_, _| false);
    let push = |source: &'static [u8]| {
        let here = repository(&server.host());
        let result =
            client().push_blob(&here, &descriptor(b"abc"), None, &mut || Ok(Box::new(source)));
        result.map_err(|error| error.to_string())
    };
    let error = push(b"ab").unwrap_err();
    assert!(error.ends_with("cannot read what is to be pushed: it ends 1 bytes early"), "{error}");
    // What is too much stays here: the registry finds out by the digest whether the rest is right.
    assert_eq!(push(b"abcd").unwrap(), Pushed::Sent);
    let mut patches = server.seen().into_iter().filter(|seen| seen.method == "PATCH");
    assert_eq!(patches.next_back().unwrap().body, b"abc");
}

#[test]
fn uploads_are_not_sent_to_odd_places() {
    for location in ["", "Location: file:///x\r\n", "Location: http://u:p@x/\r\n"] {
        let server = takes_uploads(move |seen, reply| {
            let begins = seen.method == "POST";
            if begins {
                reply.answer(202, location, b"");
            }
            begins
        });
        assert!(matches!(push(&server, b"x", None), Err(Error::Redirect { .. })), "{location}");
    }
}

#[test]
fn manifests_are_put() {
    let server = Server::start(|_, reply| reply.answer(201, "", b""));
    let (client, repository) = (client(), repository(&server.host()));
    let kind = "application/vnd.oci.image.manifest.v1+json";
    assert_eq!(client.push_manifest(&repository, "1", kind, MANIFEST).unwrap(), manifest_digest());
    let put = server.seen().pop().unwrap();
    assert_eq!((put.method.as_str(), put.target.as_str()), ("PUT", "/v2/app/manifests/1"));
    assert_eq!((put.header("content-type"), put.body.as_slice()), (Some(kind), MANIFEST));
    let other = Digest::of(b"other").to_string();
    assert!(client.push_manifest(&repository, &other, kind, MANIFEST).is_err());
    let header = format!("Docker-Content-Digest: {other}\r\n");
    let server = Server::start(move |_, reply| reply.answer(201, &header, b""));
    let repository = super::repository(&server.host());
    let error = client.push_manifest(&repository, "1", kind, MANIFEST).unwrap_err();
    assert!(matches!(error, Error::Digest { .. }), "{error}");
}
