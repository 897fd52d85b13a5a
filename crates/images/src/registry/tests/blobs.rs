use super::*;
use crate::registry::scripted::{Reply, Seen, Server, head};

/// Takes a blob from `offset` on into what is there already.
fn take(client: &Client, host: &str, blob: &[u8], offset: usize) -> Result<Vec<u8>, String> {
    let mut bytes = blob[..offset].to_vec();
    let result = client.blob(&repository(host), &descriptor(blob), offset as u64, &mut |piece| {
        match piece {
            Piece::Restart => bytes.clear(),
            Piece::Bytes(piece) => bytes.extend_from_slice(piece),
        }
        Ok::<(), ()>(())
    });
    match result {
        Ok(()) => Ok(bytes),
        Err(BlobError::Registry(error)) => Err(error.to_string()),
        Err(BlobError::Taker(())) => unreachable!(),
    }
}

/// The first byte of the range that a request asks for.
fn first_byte(seen: &Seen) -> usize {
    let range = seen.header("range").and_then(|range| range.strip_prefix("bytes="));
    range.map_or(0, |range| range.strip_suffix('-').unwrap().parse().unwrap())
}

/// Answers as a server that knows ranges, but sends `most` bytes at once and hangs up then.
fn part(seen: &Seen, reply: &mut Reply<'_>, blob: &[u8], most: usize) {
    let (first, size) = (first_byte(seen), blob.len());
    let range = format!("Content-Range: bytes {first}-{}/{size}\r\n", size - 1);
    let status = if seen.header("range").is_some() { 206 } else { 200 };
    reply.raw(head(status, if status == 206 { &range } else { "" }, size - first).as_bytes());
    reply.raw(&blob[first..size.min(first + most)]);
    if first + most < size {
        reply.close();
    }
}

/// Answers the question whether anybody is there, and leaves the rest to `script`.
fn start(script: impl Fn(&Seen, &mut Reply<'_>) + Send + Sync + 'static) -> Server {
    Server::start(move |seen, reply| match seen.target.as_str() {
        "/v2/" => reply.answer(200, "", b""),
        _ => script(seen, reply),
    })
}

fn ranges(server: &Server) -> Vec<Option<String>> {
    let blobs = server.seen().into_iter().filter(|seen| seen.target.contains("/blobs/"));
    blobs.map(|seen| seen.header("range").map(str::to_owned)).collect()
}

#[test]
fn goes_on_where_it_broke() {
    let blob = content(300_000);
    let served = blob.clone();
    let server = start(move |seen, reply| part(seen, reply, &served, 100_000));
    assert_eq!(take(&client(), &server.host(), &blob, 0).unwrap(), blob);
    let asked = ranges(&server);
    assert_eq!(asked[0], None);
    let expected = ["bytes=100000-", "bytes=200000-"].map(|range| Some(range.to_owned()));
    assert_eq!(asked[1..], expected);
}

#[test]
fn begins_in_the_middle() {
    let blob = content(1000);
    let served = blob.clone();
    let server = start(move |seen, reply| part(seen, reply, &served, 5000));
    assert_eq!(take(&client(), &server.host(), &blob, 600).unwrap(), blob);
    assert_eq!(ranges(&server), [Some("bytes=600-".to_owned())]);
    // All of it is there: nothing is asked for.
    assert_eq!(take(&client(), "r.invalid", &blob, 1000).unwrap(), blob);
    let more = client()
        .blob(&repository("r.invalid"), &descriptor(&blob), 1001, &mut |_| Ok::<(), ()>(()));
    assert!(matches!(more, Err(BlobError::Registry(Error::Length { .. }))));
}

#[test]
fn gives_up_without_progress() {
    let blob = content(1000);
    let served = blob.clone();
    let server = start(move |seen, reply| part(seen, reply, &served, 10));
    let error = take(&client(), &server.host(), &blob, 0).unwrap_err();
    assert!(error.contains("the connection broke"), "{error}");
    assert_eq!(ranges(&server).len(), 3);
}

#[test]
fn begins_again_without_ranges() {
    let blob = content(1000);
    let served = blob.clone();
    let server = start(move |_, reply| reply.answer(200, "", &served));
    assert_eq!(take(&client(), &server.host(), &blob, 600).unwrap(), blob);
    let served = blob.clone();
    let server = start(move |seen, reply| match seen.header("range") {
        Some(_) => reply.answer(416, "", b""),
        None => reply.answer(200, "", &served),
    });
    assert_eq!(take(&client(), &server.host(), &blob, 600).unwrap(), blob);
    assert_eq!(ranges(&server), [Some("bytes=600-".to_owned()), None]);
    let server = start(|_, reply| reply.answer(416, "", b""));
    let error = take(&client(), &server.host(), &blob, 600).unwrap_err();
    assert!(error.ends_with("the registry has no such range of it"), "{error}");
}

#[test]
fn other_ranges_are_refused() {
    let blob = content(1000);
    for range in [
        "bytes 0-999/1000",
        "bytes 601-999/1000",
        "bytes 600-999/2000",
        "bytes 600-1999/2000",
        "bytes 600-1999/*",
        "nonsense",
        "",
    ] {
        let server = start(move |_, reply| {
            reply.answer(206, &format!("Content-Range: {range}\r\n"), &[0; 400]);
        });
        let error = take(&client(), &server.host(), &blob, 600).unwrap_err();
        assert!(error.contains("Content-Range") || error.contains("in place of"), "{error}");
        assert_eq!(ranges(&server).len(), 1, "{range}");
    }
    // A part that nobody asked for.
    let server =
        start(|_, reply| reply.answer(206, "Content-Range: bytes 5-999/1000\r\n", &[0; 995]));
    assert!(take(&client(), &server.host(), &blob, 0).is_err());
}

#[test]
fn lies_about_the_length() {
    let blob = content(1000);
    let long = [blob.clone(), vec![0; 10]].concat();
    let served = long.clone();
    let server = start(move |_, reply| reply.answer(200, "", &served));
    let error = take(&client(), &server.host(), &blob, 0).unwrap_err();
    assert!(error.ends_with("has 1010 bytes of it, the manifest says 1000"), "{error}");
    // Without a length: no byte too many is handed on.
    let server = start(move |_, reply| {
        reply.raw(b"HTTP/1.1 200 OK\r\n\r\n");
        reply.raw(&long);
        reply.close();
    });
    let mut taken = 0;
    let result = client().blob(&repository(&server.host()), &descriptor(&blob), 0, &mut |piece| {
        taken += if let Piece::Bytes(bytes) = piece { bytes.len() } else { 0 };
        Ok::<(), ()>(())
    });
    let Err(BlobError::Registry(error)) = result else { panic!("{result:?}") };
    assert!(error.to_string().ends_with("more bytes come than it has"), "{error}");
    assert_eq!(taken, 1000);
    // Shorter than it should be, for ever.
    let server = start(|seen, reply| match seen.header("range") {
        None => {
            reply.raw(b"HTTP/1.1 200 OK\r\n\r\n");
            reply.raw(&content(900));
            reply.close();
        }
        Some(_) => reply.answer(416, "", b""),
    });
    assert!(take(&client(), &server.host(), &blob, 0).is_err());
}

#[test]
fn a_stall_in_the_middle_goes_on_elsewhere() {
    let blob = content(1000);
    let served = blob.clone();
    let server = start(move |seen, reply| {
        if first_byte(seen) > 0 {
            return part(seen, reply, &served, 1000);
        }
        reply.raw(head(200, "", 1000).as_bytes());
        reply.raw(&served[..600]);
        reply.stall();
    });
    assert_eq!(take(&client(), &server.host(), &blob, 0).unwrap(), blob);
    assert_eq!(ranges(&server), [None, Some("bytes=600-".to_owned())]);
}

#[test]
fn a_taker_that_refuses_ends_it() {
    let blob = content(1000);
    let served = blob.clone();
    let server = start(move |seen, reply| part(seen, reply, &served, 1000));
    let result =
        client().blob(&repository(&server.host()), &descriptor(&blob), 0, &mut |_| Err("full"));
    assert!(matches!(result, Err(BlobError::Taker("full"))));
    assert_eq!(ranges(&server).len(), 1);
}

#[test]
fn documents_are_verified() {
    let blob = content(1000);
    let mut served = blob.clone();
    served[500] ^= 1;
    let server = start(move |_, reply| reply.answer(200, "", &served));
    let error = client().document(&repository(&server.host()), &descriptor(&blob)).unwrap_err();
    assert!(matches!(error, Error::Digest { .. }), "{error}");
    let served = blob.clone();
    let server = start(move |_, reply| reply.answer(200, "", &served));
    let found = client().document(&repository(&server.host()), &descriptor(&blob)).unwrap();
    assert_eq!(found, blob);
    let mut huge = descriptor(&blob);
    huge.size = 1 << 40;
    assert!(client().document(&repository(&server.host()), &huge).is_err());
    // Addresses elsewhere are not even looked at.
    let mut foreign = descriptor(b"x");
    foreign.urls = vec![format!("http://{}/x", server.host())];
    let before = server.seen().len();
    assert!(client().document(&repository("127.0.0.1:1"), &foreign).is_err());
    assert_eq!(server.seen().len(), before);
}

#[test]
fn redirects_lead_on_without_authorization() {
    let dir = tempfile::tempdir().unwrap();
    let blob = content(1000);
    let served = blob.clone();
    let other = Server::elsewhere(move |seen, reply| part(seen, reply, &served, 5000));
    let there = format!("Location: http://{}/store?signature=x\r\n", other.host());
    let server = Server::start(move |seen, reply| match seen.header("authorization") {
        None => reply.answer(401, "WWW-Authenticate: Basic realm=x\r\n", b""),
        Some(BASIC) if seen.target == "/here" => reply.answer(307, &there, b""),
        Some(BASIC) => reply.answer(302, "Location: /here\r\n", b""),
        Some(other) => panic!("{other}"),
    });
    let client = client_with(dir.path(), &[&server.host()]);
    assert_eq!(take(&client, &server.host(), &blob, 600).unwrap(), blob);
    let asked = other.seen();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].header("authorization"), None);
    assert_eq!(asked[0].header("range"), Some("bytes=600-"));
    assert_eq!(asked[0].target, "/store?signature=x");
}

#[test]
fn a_challenge_of_another_host_is_not_answered() {
    let dir = tempfile::tempdir().unwrap();
    let other =
        Server::elsewhere(|_, reply| reply.answer(401, "WWW-Authenticate: Basic realm=x\r\n", b""));
    let there = format!("Location: http://{}/\r\n", other.host());
    let server = start(move |_, reply| reply.answer(302, &there, b""));
    // Not even where we know a password for it.
    let client = client_with(dir.path(), &[&server.host(), &other.host()]);
    let error = take(&client, &server.host(), b"x", 0).unwrap_err();
    assert!(error.contains("denies access"), "{error}");
    assert_eq!(other.seen().len(), 1);
    assert!(
        other
            .seen()
            .iter()
            .chain(&server.seen())
            .all(|seen| seen.header("authorization").is_none())
    );
}

#[test]
fn redirects_that_are_refused() {
    let redirected = |location: &'static str| {
        let server = start(move |_, reply| {
            reply.answer(307, &format!("Location: {location}\r\n"), b"");
        });
        let error = take(&client(), &server.host(), b"x", 0).unwrap_err();
        (error, server.targets().len())
    };
    let (error, asked) = redirected("/v2/again");
    assert!(error.contains("leads in a circle"), "{error}");
    assert_eq!(asked, 2);
    for location in ["file:///etc/passwd", "gopher://x/", "http://u:p@127.0.0.1/", "http://"] {
        let (error, asked) = redirected(location);
        assert!(error.contains("refused to follow a redirect"), "{error}");
        assert_eq!(asked, 1);
    }
    let server = start(|seen, reply| {
        reply.answer(302, &format!("Location: {}x\r\n", seen.target), b"");
    });
    let error = take(&client(), &server.host(), b"x", 0).unwrap_err();
    assert!(error.ends_with("more than 5 in a row"), "{error}");
    assert_eq!(server.targets().len(), 6);
    let server = start(|_, reply| reply.answer(302, "", b""));
    assert!(take(&client(), &server.host(), b"x", 0).unwrap_err().ends_with("leads nowhere"));
}

#[test]
fn connections_are_used_again_by_many_threads() {
    let blob = content(5000);
    let served = blob.clone();
    let server = start(move |seen, reply| part(seen, reply, &served, 5000));
    let (client, host) = (client(), server.host());
    // The first looks how the registry is reached, by a connection that it closes.
    assert_eq!(take(&client, &host, &blob, 0).unwrap(), blob);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..10 {
                    assert_eq!(take(&client, &host, &blob, 0).unwrap(), blob);
                }
            });
        }
    });
    assert_eq!(ranges(&server).len(), 41);
    assert!(server.connections() <= 5, "{}", server.connections());
}
