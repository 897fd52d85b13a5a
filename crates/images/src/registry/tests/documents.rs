use super::*;
use crate::registry::scripted::{Seen, Server};

fn fetch(client: &Client, server: &Server) -> Result<Fetched, Error> {
    client.manifest(&repository(&server.host()), "1")
}

/// What becomes of a manifest that is answered in this way.
fn answered(status: u16, headers: &'static str, body: &'static [u8]) -> Result<Fetched, String> {
    let server = Server::start(move |_, reply| reply.answer(status, headers, body));
    let host = server.host();
    fetch(&client(), &server).map_err(|error| error.to_string().replace(&host, "HOST"))
}

#[test]
fn fetches_a_manifest() {
    let server = Server::start(|seen: &Seen, reply| match seen.target.as_str() {
        "/v2/app/manifests/1" => {
            let kind = "application/vnd.oci.image.manifest.v1+json; charset=utf-8";
            reply.answer(200, &format!("Content-Type: {kind}\r\n"), MANIFEST);
        }
        _ => reply.answer(404, "", b""),
    });
    let fetched = fetch(&client(), &server).unwrap();
    assert_eq!((fetched.digest, fetched.bytes), (manifest_digest(), MANIFEST.to_vec()));
    assert_eq!(fetched.media_type, "application/vnd.oci.image.manifest.v1+json");
    let request = server.seen().pop().unwrap();
    let accept = request.header("accept").unwrap();
    for kind in ["oci.image.index", "oci.image.manifest", "manifest.list", "manifest.v2"] {
        assert!(accept.contains(kind), "{accept}");
    }
    assert!(request.header("user-agent").unwrap().starts_with("proxmox-lxcri/"));
    assert_eq!(request.header("accept-encoding"), Some("identity"));
}

#[test]
fn failures_have_words() {
    let html = "Content-Type: text/html; charset=utf-8\r\n";
    let errors = br#"{"errors": [{"code": "X", "message": "no \u001b[31m more"}]}"#;
    let cases = [
        (answered(200, html, b"<html>"), "HOST answers text/html: not a registry"),
        (answered(404, html, b"<html>"), "HOST answers text/html: not a registry"),
        (answered(404, "", b""), "HOST/app:1: not found"),
        (answered(403, "", errors), "HOST/app:1: HOST denies access: no \\x1b[31m more"),
        (answered(500, "", b"oops"), "HOST/app:1: the registry answers 500"),
        (answered(500, html, b"<html>"), "HOST/app:1: the registry answers 500"),
        (
            answered(200, "", b"nonsense"),
            "HOST/app:1: neither manifest nor index: expected ident at line 1 column 2",
        ),
    ];
    for (found, expected) in cases {
        assert_eq!(found.unwrap_err(), expected);
    }
}

#[test]
fn other_content_is_refused() {
    let server = Server::start(|_, reply| reply.answer(200, "", MANIFEST));
    let (client, repository) = (client(), repository(&server.host()));
    let wanted = Digest::of(b"other");
    let error = client.manifest(&repository, &wanted.to_string()).unwrap_err().to_string();
    let expected = format!(
        "{repository}@{wanted}: the registry answers with other content: {}",
        manifest_digest()
    );
    assert_eq!(error, expected);
    assert!(client.manifest(&repository, &manifest_digest().to_string()).is_ok());
    let header = format!("Docker-Content-Digest: {wanted}\r\n");
    let server = Server::start(move |_, reply| reply.answer(200, &header, MANIFEST));
    let error = fetch(&client, &server).unwrap_err();
    assert!(matches!(error, Error::Digest { .. }), "{error}");
}

#[test]
fn documents_are_bounded() {
    let server = Server::start(|_, reply| {
        reply.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 5000000\r\n\r\n");
        reply.stall();
    });
    let error = fetch(&client(), &server).unwrap_err().to_string();
    assert!(error.ends_with("larger than 4194304 bytes"), "{error}");
    // Without a length, and without an end.
    let server = Server::start(|_, reply| {
        reply.raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        for _ in 0..100 {
            reply.raw(b"10000\r\n");
            reply.raw(&[b' '; 65536]);
            reply.raw(b"\r\n");
        }
        reply.stall();
    });
    let error = fetch(&client(), &server).unwrap_err().to_string();
    assert!(error.ends_with("larger than 4194304 bytes"), "{error}");
}

#[test]
fn large_heads_are_refused() {
    let server = Server::start(|_, reply| {
        let line = format!("X: {}\r\n", "x".repeat(1000));
        reply.raw(b"HTTP/1.1 200 OK\r\n");
        for _ in 0..200 {
            reply.raw(line.as_bytes());
        }
        reply.stall();
    });
    let error = fetch(&client(), &server).unwrap_err();
    assert!(matches!(error, Error::Nonsense { .. }), "{error}");
}

#[test]
fn nothing_is_decompressed() {
    let server = Server::start(|_, reply| {
        reply.answer(200, "Content-Encoding: gzip\r\n", MANIFEST);
    });
    assert_eq!(fetch(&client(), &server).unwrap().bytes, MANIFEST);
}

#[test]
fn stalls_end() {
    // Before the head, in the head, in the body.
    let beginnings: [&[u8]; 3] = [b"", b"HTTP/1.1 200 OK\r\nX", b"HTTP/1.1 200 OK\r\n\r\n{"];
    for beginning in beginnings {
        let server = Server::start(move |seen, reply| match seen.target.as_str() {
            "/v2/" => reply.answer(200, "", b""),
            _ => {
                reply.raw(beginning);
                reply.stall();
            }
        });
        let error = fetch(&client(), &server).unwrap_err();
        assert!(matches!(error, Error::Stalled { .. }), "{error}");
    }
}

#[test]
fn a_broken_answer_is_asked_for_again() {
    let count = std::sync::atomic::AtomicU32::new(0);
    let server = Server::start(move |seen, reply| {
        if seen.target == "/v2/" {
            return reply.answer(200, "", b"");
        }
        match count.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
            0 => reply.close(),
            1 => reply.answer(502, "", b""),
            _ => reply.answer(200, "", MANIFEST),
        }
    });
    assert!(fetch(&client(), &server).is_ok());
    assert_eq!(server.targets().len(), 3);
}

#[test]
fn waits_as_asked_but_not_for_ever() {
    let limited = |header: &'static str, times: usize| {
        let count = std::sync::atomic::AtomicUsize::new(0);
        Server::start(move |seen, reply| {
            let asks = seen.target != "/v2/"
                && count.fetch_add(1, std::sync::atomic::Ordering::SeqCst) < times;
            if asks { reply.answer(429, header, b"") } else { reply.answer(200, "", MANIFEST) }
        })
    };
    let server = limited("Retry-After: 0\r\n", 2);
    assert!(fetch(&client(), &server).is_ok());
    assert_eq!(server.targets().len(), 3);
    let server = limited("Retry-After: 3600\r\n", 1);
    let error = fetch(&client(), &server).unwrap_err().to_string();
    assert_eq!(error, format!("{} asks to be left alone for 3600 s", server.host()));
    let server = limited("Retry-After: Fri, 31 Dec 1999 23:59:59 GMT\r\n", 99);
    let error = fetch(&client(), &server).unwrap_err().to_string();
    assert!(error.ends_with("the registry answers 429"), "{error}");
    assert_eq!(server.targets().len(), 4);
}

#[test]
fn head_tells_the_digest() {
    let header = format!("Docker-Content-Digest: {}\r\n", manifest_digest());
    let server = Server::start(move |seen, reply| match seen.target.as_str() {
        "/v2/app/manifests/1" => {
            assert_eq!(seen.method, "HEAD");
            let kind = "Content-Type: application/vnd.oci.image.index.v1+json\r\n";
            reply
                .raw(crate::registry::scripted::head(200, &(header.clone() + kind), 77).as_bytes());
        }
        _ => reply.raw(crate::registry::scripted::head(404, "", 9).as_bytes()),
    });
    let (client, repository) = (client(), repository(&server.host()));
    let found = client.head_manifest(&repository, "1").unwrap().unwrap();
    assert_eq!((found.digest, found.size), (Some(manifest_digest()), Some(77)));
    assert_eq!(found.media_type, Some("application/vnd.oci.image.index.v1+json"));
    assert_eq!(client.head_manifest(&repository, "2").unwrap(), None);
}

#[test]
fn nobody_there() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    drop(listener);
    let error = client().manifest(&repository(&host), "1").unwrap_err().to_string();
    assert!(error.starts_with(&format!("cannot connect to {host}: ")), "{error}");
}

#[test]
fn tags_come_in_pages() {
    let server = Server::start(|seen, reply| match seen.target.as_str() {
        "/v2/app/tags/list?n=1000" => {
            let link = "Link: </v2/app/tags/list?n=1000&last=b>; rel=\"next\"\r\n";
            reply.answer(200, link, br#"{"name": "app", "tags": ["a", "b", "no tag", "../x"]}"#);
        }
        "/v2/app/tags/list?n=1000&last=b" => {
            let link = "Link: <http://127.0.0.2/x>; rel=\"next\"\r\n";
            reply.answer(200, link, br#"{"name": "app", "tags": ["c"]}"#);
        }
        "/v2/loop/tags/list?n=1000" => {
            let link = "Link: </v2/loop/tags/list?n=1000>; rel=\"next\"\r\n";
            reply.answer(200, link, br#"{"tags": null}"#);
        }
        _ => reply.answer(404, "", b""),
    });
    let host = server.host();
    assert_eq!(client().tags(&repository(&host)).unwrap(), ["a", "b", "c"]);
    let endless = Repository::new(&host, "loop", false).unwrap();
    assert!(client().tags(&endless).is_err());
}

#[test]
fn proxies_are_used() {
    // The proxy is asked to connect, and refuses: what matters is that it is asked, and how.
    let proxy = Server::start(|_, reply| reply.answer(403, "", b""));
    let proxies =
        Proxies { https: Some(format!("http://name:word@{}", proxy.host())), ..Proxies::default() };
    let client = Client::new(Settings { proxies, ..settings() });
    let error = client.manifest(&repository("r.invalid"), "1").unwrap_err();
    assert!(matches!(error, Error::Connect { .. }), "{error}");
    let seen = proxy.seen();
    assert_eq!((seen[0].method.as_str(), seen[0].target.as_str()), ("CONNECT", "r.invalid:443"));
    assert_eq!(seen[0].header("proxy-authorization"), Some("Basic bmFtZTp3b3Jk"));
    // Not on the way to this machine.
    let server = Server::start(|_, reply| reply.answer(200, "", MANIFEST));
    assert!(fetch(&client, &server).is_ok());
    assert_eq!(proxy.seen().len(), seen.len());
}
