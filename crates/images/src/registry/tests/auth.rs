use std::path::PathBuf;

use lxcri_testkit::registry::Authority;

use super::*;
use crate::registry::credentials::{Secret, Sources};
use crate::registry::scripted::{Reply, Seen, Server};

/// A registry that wants a token from `realm`, and takes `Bearer good`.
fn wants_token(realm: &str) -> impl Fn(&Seen, &mut Reply<'_>) + Send + Sync + 'static {
    let challenge = format!(
        "WWW-Authenticate: Bearer realm=\"{realm}\",service=\"s&x\",scope=\"repository:app:pull\"\r\n"
    );
    move |seen, reply| match seen.header("authorization") {
        Some("Bearer good") => reply.answer(200, "", MANIFEST),
        _ => reply.answer(401, &challenge, b"{}"),
    }
}

fn fetch(client: &Client, host: &str) -> Result<Fetched, String> {
    client.manifest(&repository(host), "1").map_err(|error| error.to_string())
}

/// A registry on 127.0.0.1 with its token service at `/token`, which answers with `token`.
fn with_service(token: &'static str) -> Server {
    Server::start(move |seen, reply| {
        let host = seen.header("host").unwrap();
        match seen.target.split('?').next().unwrap() {
            "/token" => reply.answer(200, "", token.as_bytes()),
            _ => wants_token(&format!("http://{host}/token"))(seen, reply),
        }
    })
}

#[test]
fn anybody_gets_a_token() {
    // One without an expiry holds for a minute: long enough for the second request.
    let server = with_service(r#"{"access_token": "good"}"#);
    let client = client();
    assert!(fetch(&client, &server.host()).is_ok());
    assert!(fetch(&client, &server.host()).is_ok());
    let expected = [
        "GET /v2/app/manifests/1",
        "GET /token?service=s%26x&scope=repository%3Aapp%3Apull",
        "GET /v2/app/manifests/1",
        "GET /v2/app/manifests/1",
    ];
    assert_eq!(server.targets(), expected);
    assert!(server.seen()[2].header("authorization").is_none());
}

#[test]
fn a_token_for_name_and_password() {
    let dir = tempfile::tempdir().unwrap();
    let server = with_service(r#"{"token": "good", "expires_in": 300}"#);
    let client = client_with(dir.path(), &[&server.host()]);
    assert!(fetch(&client, &server.host()).is_ok());
    let token = server.seen().into_iter().find(|seen| seen.target.starts_with("/token")).unwrap();
    assert!(token.target.ends_with("&account=user"), "{}", token.target);
    assert_eq!(token.header("authorization"), Some(BASIC));
}

#[test]
fn a_token_for_an_identity() {
    let dir = tempfile::tempdir().unwrap();
    let server = with_service(r#"{"access_token": "good"}"#);
    let file = dir.path().join("auth.json");
    let host = server.host();
    let content = format!(r#"{{"auths": {{"{host}": {{"identitytoken": "refresh&me"}}}}}}"#);
    std::fs::write(&file, content).unwrap();
    let client = Client::new(Settings { credentials: Sources::only(&file), ..settings() });
    assert!(fetch(&client, &host).is_ok());
    let bought = server.seen().into_iter().find(|seen| seen.method == "POST").unwrap();
    assert_eq!(
        String::from_utf8(bought.body).unwrap(),
        "grant_type=refresh_token&client_id=proxmox-lxcri&service=s%26x\
         &scope=repository%3Aapp%3Apull&refresh_token=refresh%26me"
    );
}

#[test]
fn a_token_that_does_not_do_is_not_asked_for_twice() {
    let server = with_service(r#"{"token": "bad"}"#);
    let error = fetch(&client(), &server.host()).unwrap_err();
    let host = server.host();
    assert_eq!(error, format!("{host}/app:1: {host} denies access"));
    assert_eq!(server.targets().len(), 3);
}

#[test]
fn an_old_token_is_replaced() {
    let count = std::sync::atomic::AtomicU32::new(0);
    let server = Server::start(move |seen, reply| {
        let host = seen.header("host").unwrap();
        if seen.target.starts_with("/token") {
            let number = count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            return reply.answer(200, "", format!("{{\"token\": \"t{number}\"}}").as_bytes());
        }
        match (seen.target.as_str(), seen.header("authorization")) {
            ("/v2/app/manifests/1", Some("Bearer t0")) | (_, Some("Bearer t1")) => {
                reply.answer(200, "", MANIFEST);
            }
            _ => wants_token(&format!("http://{host}/token"))(seen, reply),
        }
    });
    let (client, repository) = (client(), repository(&server.host()));
    assert!(client.manifest(&repository, "1").is_ok());
    assert!(client.manifest(&repository, "2").is_ok());
}

#[test]
fn answers_that_are_no_tokens() {
    for answer in [r#"{"token": "a\r\nX: y"}"#, "<html>", "{}", ""] {
        let server = with_service(answer);
        let error = fetch(&client(), &server.host()).unwrap_err();
        assert!(error.starts_with("token of 127.0.0.1:"), "{error}");
    }
    let server = Server::start(|seen, reply| match seen.target.split('?').next().unwrap() {
        "/token" => reply.answer(401, "", br#"{"details": "incorrect username"}"#),
        _ => wants_token(&format!("http://{}/token", seen.header("host").unwrap()))(seen, reply),
    });
    let error = fetch(&client(), &server.host()).unwrap_err();
    assert!(error.ends_with("denies access: incorrect username"), "{error}");
}

#[test]
fn a_realm_on_another_host_gets_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let other = Server::elsewhere(|_, reply| reply.answer(200, "", br#"{"token": "good"}"#));
    let server = Server::start(wants_token(&format!("http://{}/token", other.host())));
    let host = server.host();
    for client in [client_with(dir.path(), &[&host, &other.host()]), client()] {
        let error = client.manifest(&repository(&host), "1").unwrap_err();
        let expected = format!(
            "{host} sends us for a token to http://{}/token: that is another host, and reached \
             without TLS",
            other.host()
        );
        assert_eq!(error.to_string(), expected);
        assert_eq!(error.hints(), [format!("credentials for {host} were not sent anywhere")]);
    }
    assert_eq!(other.seen().len(), 0);
    for realm in ["file:///etc/passwd", "//x/", "http://user:word@127.0.0.1/", "", "\\\"\u{7f}"] {
        let server = Server::start(wants_token(realm));
        assert!(fetch(&client_with(dir.path(), &[&server.host()]), &server.host()).is_err());
        assert!(server.seen().iter().all(|seen| seen.header("authorization").is_none()));
    }
}

#[test]
fn a_token_service_that_redirects_keeps_the_password() {
    let dir = tempfile::tempdir().unwrap();
    let other = Server::elsewhere(|_, reply| reply.answer(200, "", br#"{"token": "good"}"#));
    let there = format!("Location: http://{}/token\r\n", other.host());
    let server = Server::start(move |seen, reply| match seen.target.split('?').next().unwrap() {
        "/token" => reply.answer(307, &there, b""),
        _ => wants_token(&format!("http://{}/token", seen.header("host").unwrap()))(seen, reply),
    });
    let client = client_with(dir.path(), &[&server.host()]);
    assert!(fetch(&client, &server.host()).is_ok());
    assert!(other.seen().iter().all(|seen| seen.header("authorization").is_none()));
}

#[test]
fn challenges_that_are_none() {
    for challenge in ["", "WWW-Authenticate: Digest realm=x\r\n", "WWW-Authenticate: Bearer\r\n"] {
        let server = Server::start(move |_, reply| reply.answer(401, challenge, b""));
        let error = fetch(&client(), &server.host()).unwrap_err();
        assert!(error.contains("in a way that is not understood"), "{error}");
    }
    let server = Server::start(|_, reply| reply.answer(401, "WWW-Authenticate: Basic\r\n", b""));
    let error = client().manifest(&repository(&server.host()), "1").unwrap_err();
    assert!(matches!(error, Error::Denied { known: false, .. }));
    assert_eq!(
        error.hints(),
        [format!("`proxmox-lxcri login {}` stores a name and password for it", server.host())]
    );
}

#[test]
fn login_keeps_only_what_is_right() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(|seen, reply| match seen.header("authorization") {
        Some(BASIC) => reply.answer(200, "", b"{}"),
        _ => reply.answer(401, "WWW-Authenticate: Basic realm=x\r\n", b""),
    });
    let (host, client) = (server.host(), client_with(dir.path(), &[]));
    let wrong = client.login(&host, false, "user", &Secret::new("hunter2".to_owned())).unwrap_err();
    assert_eq!(wrong.to_string(), format!("login to {host}: {host} denies access"));
    assert!(!dir.path().join("auth.json").exists());
    let client = client_with(dir.path(), &[]);
    let right = Secret::new("pässword".to_owned());
    assert_eq!(client.login(&host, false, "user", &right).unwrap(), Login::Verified);
    assert!(dir.path().join("auth.json").exists());
    assert!(client.logout(&host).unwrap().removed);
    for host in ["", "a/b", "https://x", "u@h"] {
        assert!(client.login(host, false, "user", &right).is_err());
    }
    let open = Server::start(|_, reply| reply.answer(200, "", b"{}"));
    assert_eq!(client.login(&open.host(), false, "user", &right).unwrap(), Login::Unasked);
}

/// A directory with a CA that a client believes, and a certificate for both of our hosts.
struct Trusted {
    dir: tempfile::TempDir,
    pair: (PathBuf, PathBuf),
    authority: Authority,
}

impl Trusted {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::new(dir.path()).unwrap();
        let pair = authority.issue("both", "IP:127.0.0.1,IP:127.0.0.2").unwrap();
        Self { dir, pair, authority }
    }

    fn settings(&self) -> Settings {
        let roots = Roots { files: vec![self.authority.certificate.clone()], ..Roots::default() };
        Settings { roots, ..settings() }
    }

    fn client(&self, host: &str) -> Client {
        let sources = Sources::only(&self.dir.path().join("auth.json"));
        sources.store(host, "user", &Secret::new("pässword".to_owned())).unwrap();
        Client::new(Settings { credentials: sources, ..self.settings() })
    }
}

#[test]
fn a_verified_registry_may_name_another_host() {
    let trusted = Trusted::new();
    let service = Server::with_tls("127.0.0.2:0", &trusted.pair, |_, reply| {
        reply.answer(200, "", br#"{"token": "good"}"#);
    });
    let script = wants_token(&format!("https://{}/token", service.host()));
    let server = Server::with_tls("127.0.0.1:0", &trusted.pair, script);
    assert!(fetch(&trusted.client(&server.host()), &server.host()).is_ok());
    assert_eq!(service.seen()[0].header("authorization"), Some(BASIC));
    // In the clear it does not.
    let plain = Server::start(|_, reply| reply.answer(200, "", br#"{"token": "good"}"#));
    let script = wants_token(&format!("http://{}/token", plain.host()));
    let server = Server::with_tls("127.0.0.1:0", &trusted.pair, script);
    let error = fetch(&trusted.client(&server.host()), &server.host()).unwrap_err();
    assert!(error.ends_with("the registry is reached with TLS, and that is not"), "{error}");
    assert_eq!(plain.seen().len(), 0);
}

#[test]
fn an_unverified_registry_may_not() {
    let (trusted, stranger) = (Trusted::new(), Trusted::new());
    let service = Server::with_tls("127.0.0.2:0", &trusted.pair, |_, reply| {
        reply.answer(200, "", br#"{"token": "good"}"#);
    });
    let script = wants_token(&format!("https://{}/token", service.host()));
    let server = Server::with_tls("127.0.0.1:0", &stranger.pair, script);
    let host = server.host();
    // Not insecure: not even asked.
    let error = fetch(&trusted.client(&host), &host).unwrap_err();
    let problem = "nobody we know vouches for its certificate";
    assert_eq!(error, format!("cannot trust {host}: {problem}"));
    assert_eq!(server.seen().len(), 0);
    let insecure = Repository::new(&host, "app", true).unwrap();
    let error = trusted.client(&host).manifest(&insecure, "1").unwrap_err().to_string();
    assert!(error.contains("nobody vouches for the registry"), "{error}");
    assert_eq!(service.seen().len(), 0);
    // Without a password there is nothing to lose.
    assert!(Client::new(trusted.settings()).manifest(&insecure, "1").is_ok());
}

#[test]
fn tls_does_not_lead_to_the_clear() {
    let trusted = Trusted::new();
    let plain = Server::start(|_, reply| reply.answer(200, "", MANIFEST));
    let there = format!("Location: http://{}/x\r\n", plain.host());
    let server = Server::with_tls("127.0.0.1:0", &trusted.pair, move |seen, reply| {
        match seen.target.as_str() {
            "/v2/" => reply.answer(200, "", b""),
            _ => reply.answer(307, &there, b""),
        }
    });
    let client = Client::new(trusted.settings());
    let error = fetch(&client, &server.host()).unwrap_err();
    assert!(error.contains("refused to follow a redirect: from https to http://"), "{error}");
    assert_eq!(plain.seen().len(), 0);
    let insecure = Repository::new(&server.host(), "app", true).unwrap();
    assert!(client.manifest(&insecure, "1").is_ok());
}

#[test]
fn certificates_for_other_names() {
    let trusted = Trusted::new();
    let pair = trusted.authority.issue("other", "DNS:r.example").unwrap();
    let server = Server::with_tls("127.0.0.1:0", &pair, |_, reply| reply.answer(200, "", MANIFEST));
    let error = fetch(&Client::new(trusted.settings()), &server.host()).unwrap_err();
    let host = server.host();
    assert_eq!(error, format!("cannot trust {host}: its certificate is for another name"));
}

#[test]
fn directories_of_certificates() {
    let trusted = Trusted::new();
    let server =
        Server::with_tls("127.0.0.1:0", &trusted.pair, |_, reply| reply.answer(200, "", MANIFEST));
    let host = server.host();
    let places = [trusted.dir.path().join("a"), trusted.dir.path().join("b")];
    let own = places[1].join(&host);
    std::fs::create_dir_all(&own).unwrap();
    std::fs::copy(&trusted.authority.certificate, own.join("ca.crt")).unwrap();
    let client = || Client::new(Settings { certificates: places.to_vec(), ..settings() });
    assert!(fetch(&client(), &host).is_ok());
    // A client certificate, and one whose key is another's.
    std::fs::copy(&trusted.pair.0, own.join("client.cert")).unwrap();
    std::fs::copy(&trusted.pair.1, own.join("client.key")).unwrap();
    assert!(fetch(&client(), &host).is_ok());
    let (_, key) = trusted.authority.issue("third", "DNS:x").unwrap();
    std::fs::copy(key, own.join("client.key")).unwrap();
    let error = fetch(&client(), &host).unwrap_err();
    assert!(error.contains("client.key: no key for the certificate"), "{error}");
    std::fs::remove_file(own.join("client.key")).unwrap();
    assert!(fetch(&client(), &host).unwrap_err().contains("client.key: No such file"));
}

#[test]
fn no_secret_is_shown() {
    let dir = tempfile::tempdir().unwrap();
    let server = with_service(r#"{"token": "good"}"#);
    let client = client_with(dir.path(), &[&server.host()]);
    assert!(fetch(&client, &server.host()).is_ok());
    let shown = format!("{client:?}");
    assert!(!shown.contains("good") && !shown.contains("word\""), "{shown}");
}
