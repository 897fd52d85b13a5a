use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;

fn password(user: &str, secret: &str) -> Credentials {
    Credentials::Password { user: user.to_owned(), secret: Secret::new(secret.to_owned()) }
}

fn sources(dir: &Path, content: &str) -> Sources {
    let path = dir.join("auth.json");
    fs::write(&path, content).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    Sources { helpers: Some(dir.into()), ..Sources::only(&path) }
}

fn helper(dir: &Path, name: &str, script: &str) {
    let path = dir.join(format!("docker-credential-{name}"));
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn order_of_files() {
    let made = |variables: &[(&str, &str)]| {
        let path = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| PathBuf::from(value))
        };
        Sources::from_environment(0, Some("/h".as_ref()), Some("/h/.config".as_ref()), &path)
    };
    let usual = ["/run/containers/0/auth.json", "/h/.config/containers/auth.json"];
    let plain = made(&[]);
    assert_eq!(plain.files[..2], usual.map(PathBuf::from));
    assert_eq!(plain.files[2], Path::new("/h/.docker/config.json"));
    assert_eq!(plain.login.as_deref(), Some(Path::new(usual[0])));
    let moved = made(&[("XDG_RUNTIME_DIR", "/r"), ("DOCKER_CONFIG", "/d")]);
    assert_eq!(moved.files[0], Path::new("/r/containers/auth.json"));
    assert_eq!(moved.files[2], Path::new("/d/config.json"));
    assert_eq!(made(&[("REGISTRY_AUTH_FILE", "/f")]).files, [Path::new("/f")]);
}

#[test]
fn the_longest_key_wins() {
    let dir = tempfile::tempdir().unwrap();
    // "u:host", "u:team", "u:hub", and a padded one.
    let auths = r#"{"auths": {
        "quay.io": {"auth": "dTpob3N0"}, "quay.io/team": {"auth": "dTp0ZWFt"},
        "https://index.docker.io/v1/": {"auth": "dTpodWI="},
        "r.example:5000": {"identitytoken": "t"}, "empty.example": {},
        "plain.example": {"username": "u", "password": "p"}}}"#;
    let sources = sources(dir.path(), auths);
    let cases = [
        ("quay.io", "other/x", Some(password("u", "host"))),
        ("quay.io", "team", Some(password("u", "team"))),
        ("quay.io", "team/x", Some(password("u", "team"))),
        ("quay.io", "teams/x", Some(password("u", "host"))),
        ("docker.io", "library/nginx", Some(password("u", "hub"))),
        ("plain.example", "x", Some(password("u", "p"))),
        ("r.example:5000", "x", Some(Credentials::IdentityToken(Secret::new("t".to_owned())))),
        ("r.example", "x", None),
        ("empty.example", "x", None),
        ("evil.quay.io", "team/x", None),
        ("quay.io.evil", "team/x", None),
    ];
    for (host, name, expected) in cases {
        assert_eq!(sources.find(host, name).unwrap(), expected, "{host}/{name}");
    }
}

#[test]
fn files_that_are_none() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("auth.json");
    let cases = [
        ("{\"auths\": {\"h\": {\"auth\": \"hunter2\u{1}\"}}", "no JSON object: line 1, column 34"),
        ("[]", "no JSON object: line 1, column 0"),
        (r#"{"auths": {"h": {"auth": "%"}}}"#, "entry \"h\": `auth` is no base64"),
        (r#"{"auths": {"h": {"auth": "dQ=="}}}"#, "entry \"h\": `auth` has no colon inside"),
    ];
    for (content, problem) in cases {
        let error = sources(dir.path(), content).find("h", "x").unwrap_err().to_string();
        assert_eq!(error, format!("{}: {problem}", path.display()));
        assert!(!error.contains("hunter2"));
    }
    assert_eq!(sources(dir.path(), " \n").find("h", "x").unwrap(), None);
    let large = format!("{{\"x\": \"{}\"}}", "x".repeat(1 << 20));
    assert!(sources(dir.path(), &large).find("h", "x").is_err());
    fs::remove_file(&path).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RWXU).unwrap();
    assert!(Sources::only(&path).find("h", "x").is_err());
    fs::remove_file(&path).unwrap();
    assert_eq!(Sources::only(&path).find("h", "x").unwrap(), None);
}

#[test]
fn keeps_and_forgets() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("new/auth.json");
    let sources = Sources::only(&path);
    let secret = Secret::new("p:ä\"".to_owned());
    sources.store("r.example", "u", &secret).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(sources.find("r.example", "x").unwrap(), Some(password("u", "p:ä\"")));
    assert!(sources.store("r.example", "a:b", &secret).is_err());
    // Nothing but the file itself stays.
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    assert!(sources.forget("r.example").unwrap().removed);
    assert!(!sources.forget("r.example").unwrap().removed);
    assert_eq!(sources.find("r.example", "x").unwrap(), None);
}

#[test]
fn what_others_wrote_stays() {
    let dir = tempfile::tempdir().unwrap();
    let content = r#"{"auths": {"https://index.docker.io/v1/": {"auth": "dTpvbGQ="},
        "quay.io": {"auth": "dTpx"}}, "psFormat": "x"}"#;
    let sources = sources(dir.path(), content);
    let link = dir.path().join("link.json");
    symlink(dir.path().join("auth.json"), &link).unwrap();
    let linked = Sources::only(&link);
    linked.store("docker.io", "u", &Secret::new("new".to_owned())).unwrap();
    assert!(link.symlink_metadata().unwrap().is_symlink());
    let text = fs::read_to_string(dir.path().join("auth.json")).unwrap();
    assert!(text.contains("psFormat") && !text.contains("index.docker.io"), "{text}");
    assert_eq!(sources.find("docker.io", "x").unwrap(), Some(password("u", "new")));
    assert_eq!(sources.find("quay.io", "x").unwrap(), Some(password("u", "q")));
    // Another file is only named.
    let both = Sources {
        files: vec![dir.path().join("auth.json"), dir.path().join("other.json")],
        ..Sources::only(&dir.path().join("other.json"))
    };
    let out = both.forget("quay.io").unwrap();
    assert_eq!(out, LoggedOut { removed: false, elsewhere: vec![dir.path().join("auth.json")] });
}

#[test]
fn asks_helpers() {
    let dir = tempfile::tempdir().unwrap();
    let answer = r#"{"ServerURL":"x","Username":"u","Secret":"s"}"#;
    let check = "read host; [ \"$1\" = get ] && [ \"$host\" = r.example ]";
    helper(dir.path(), "good", &format!("{check} && echo '{answer}'"));
    helper(dir.path(), "token", r#"echo '{"ServerURL":"","Username":"<token>","Secret":"t"}'"#);
    helper(dir.path(), "none", "echo 'credentials not found in native keychain'; exit 1");
    helper(dir.path(), "large", "head -c 100000 /dev/zero");
    helper(dir.path(), "broken", "echo nonsense");
    let with = |text: &str| sources(dir.path(), text).find("r.example", "x").unwrap();
    assert_eq!(with(r#"{"credHelpers": {"r.example": "good"}}"#), Some(password("u", "s")));
    assert_eq!(with(r#"{"credsStore": "good"}"#), Some(password("u", "s")));
    let token = Some(Credentials::IdentityToken(Secret::new("t".to_owned())));
    assert_eq!(with(r#"{"credHelpers": {"r.example": "token"}}"#), token);
    for name in ["none", "large", "broken", "missing", "../good", "a b"] {
        assert_eq!(with(&format!(r#"{{"credHelpers": {{"r.example": "{name}"}}}}"#)), None);
    }
    let fallback = r#"{"credHelpers": {"r.example": "none"},
        "auths": {"r.example": {"auth": "dTpw"}}}"#;
    assert_eq!(with(fallback), Some(password("u", "p")));
}

#[test]
fn helpers_keep_and_forget() {
    let dir = tempfile::tempdir().unwrap();
    let kept = dir.path().join("kept");
    let script = format!(
        "case $1 in store) cat > {0};; erase) rm {0};; \
         get) cat {0} 2>/dev/null || {{ echo credentials not found; exit 1; }};; esac",
        kept.display()
    );
    helper(dir.path(), "box", &script);
    let sources = sources(dir.path(), r#"{"credsStore": "box"}"#);
    sources.store("r.example", "u", &Secret::new("s\"".to_owned())).unwrap();
    assert_eq!(sources.find("r.example", "x").unwrap(), Some(password("u", "s\"")));
    let file = fs::read_to_string(dir.path().join("auth.json")).unwrap();
    assert!(!file.contains("auths"), "{file}");
    assert!(sources.forget("r.example").unwrap().removed);
    assert!(!kept.exists());
}

#[test]
fn shows_no_secret() {
    let shown = format!("{:?}", password("u", "hunter2"));
    assert!(shown.contains("\"u\"") && !shown.contains("hunter2"), "{shown}");
}
