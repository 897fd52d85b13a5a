use super::super::*;

const DIGEST: &str = "sha256:dbcc1c35ac38df41fd2f5e4130b32ffdb93ebae8b3dbe638c23575912276fc9c";
const HEX: &str = "dbcc1c35ac38df41fd2f5e4130b32ffdb93ebae8b3dbe638c23575912276fc9c";

fn reference(text: &str) -> Reference {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn problem(text: &str) -> Problem {
    text.parse::<Reference>().map_err(|error| error.problem).expect_err(text)
}

/// Typed, complete, for people; what `docker image ls` and distribution's `FamiliarString` show.
#[test]
fn names_are_completed_and_shortened_as_docker_does() {
    let cases = [
        ("nginx", "docker.io/library/nginx", "nginx"),
        ("nginx:latest", "docker.io/library/nginx:latest", "nginx:latest"),
        ("library/nginx", "docker.io/library/nginx", "nginx"),
        ("docker.io/nginx", "docker.io/library/nginx", "nginx"),
        ("index.docker.io/nginx:1", "docker.io/library/nginx:1", "nginx:1"),
        ("index.docker.io/foo/bar", "docker.io/foo/bar", "foo/bar"),
        ("foo/bar", "docker.io/foo/bar", "foo/bar"),
        ("library/foo/bar", "docker.io/library/foo/bar", "library/foo/bar"),
        ("nginx:1/2", "nginx:1/2", "nginx:1/2"),
        ("127.0.0.1:5000/app:1", "127.0.0.1:5000/app:1", "127.0.0.1:5000/app:1"),
        ("localhost/app", "localhost/app", "localhost/app"),
        (
            "localhost:5000/a/b/c:V1.2-x_",
            "localhost:5000/a/b/c:V1.2-x_",
            "localhost:5000/a/b/c:V1.2-x_",
        ),
        ("[fd00::1]:5000/app", "[fd00::1]:5000/app", "[fd00::1]:5000/app"),
        ("[FD00::A]/app", "[fd00::a]/app", "[fd00::a]/app"),
        ("Quay.IO/foo/bar", "quay.io/foo/bar", "quay.io/foo/bar"),
        ("xn--n3h.com:18080/foo", "xn--n3h.com:18080/foo", "xn--n3h.com:18080/foo"),
        ("test_com/foo", "docker.io/test_com/foo", "test_com/foo"),
        ("dock__er/a.b_c-----d", "docker.io/dock__er/a.b_c-----d", "dock__er/a.b_c-----d"),
        // Without a slash there is no registry.
        ("localhost", "docker.io/library/localhost", "localhost"),
        ("192.168.0.1:80", "docker.io/library/192.168.0.1:80", "192.168.0.1:80"),
        // Shortened, these would be other names.
        ("docker.io/localhost/x", "docker.io/localhost/x", "docker.io/localhost/x"),
        ("docker.io/foo.bar/x", "docker.io/foo.bar/x", "docker.io/foo.bar/x"),
        ("docker.io/library/library/x", "docker.io/library/library/x", "library/library/x"),
    ];
    for (typed, full, familiar) in cases {
        let read = reference(typed);
        assert_eq!(read.to_string(), full, "{typed}");
        assert_eq!(read.familiar(), familiar, "{typed}");
        assert_eq!(reference(full), read, "{typed}");
        assert_eq!(reference(familiar), read, "{typed}");
    }
}

#[test]
fn digests_stand_alone_or_with_a_tag() {
    let both = reference(&format!("busybox:1@{DIGEST}"));
    assert_eq!(both.to_string(), format!("docker.io/library/busybox:1@{DIGEST}"));
    assert_eq!(both.familiar(), format!("busybox:1@{DIGEST}"));
    assert_eq!((both.registry(), both.repository()), ("docker.io", "library/busybox"));
    assert_eq!(both.tag(), Some("1"));
    assert_eq!(both.digest().unwrap().to_string(), DIGEST);
    assert_eq!(both.tagged_or_latest(), both);
    let alone = reference(&format!("busybox@{DIGEST}"));
    assert_eq!((alone.tag(), alone.tagged_or_latest()), (None, alone.clone()));
    assert_eq!(reference("busybox").tagged_or_latest().tag(), Some("latest"));
    let sha512 = format!("a.b/c@sha512:{HEX}{HEX}");
    assert_eq!(reference(&sha512).to_string(), sha512);
    // An id needs a registry before it to be a name.
    let hex = reference(&format!("docker.io/{HEX}"));
    assert_eq!(hex.familiar(), format!("docker.io/library/{HEX}"));
}

#[test]
fn parts_are_exchanged() {
    let name = reference("quay.io/foo/bar:1");
    assert_eq!(name.name(), "quay.io/foo/bar");
    assert_eq!(name.with_registry("[::1]:5000").unwrap().to_string(), "[::1]:5000/foo/bar:1");
    assert_eq!(name.with_repository("x/y").unwrap().to_string(), "quay.io/x/y:1");
    assert_eq!(name.with_tag("2").unwrap().to_string(), "quay.io/foo/bar:2");
    let digest: Digest = DIGEST.parse().unwrap();
    let pinned = name.with_digest(digest);
    assert_eq!(pinned.to_string(), format!("quay.io/foo/bar:1@{DIGEST}"));
    assert_eq!(pinned.with_tag("2").unwrap().digest(), None);
    assert_eq!(pinned.without_tag_and_digest().to_string(), "quay.io/foo/bar");
    assert_eq!(reference("a.b/x").with_registry("docker.io").unwrap(), reference("x"));
    for registry in ["", "mirror", "a.b/c", "https://a.b", "a.b:0", "a.b\n", "[::1", "..", ":1"] {
        assert!(name.with_registry(registry).is_err(), "{registry:?}");
    }
    for repository in ["", "/", "a//b", "../b", "a:1", "A", "a@b", "a\nb"] {
        assert!(name.with_repository(repository).is_err(), "{repository:?}");
    }
    for tag in ["", "a:b", "-a", ".a", "a/b", "a b", &"a".repeat(129)] {
        assert!(name.with_tag(tag).is_err(), "{tag:?}");
    }
    assert!(name.with_repository(&"a".repeat(248)).is_err());
    assert!(name.with_repository(&"a".repeat(247)).is_ok());
}

#[test]
fn lengths_are_those_of_the_specification() {
    let path = "a".repeat(LONGEST_NAME - "docker.io/library/".len());
    assert_eq!(reference(&path).name().len(), LONGEST_NAME);
    let part = Part::Name;
    assert_eq!(problem(&format!("{path}a")), Problem::TooLong { part, most: 255 });
    assert_eq!(reference(&format!("x:{}", "t".repeat(128))).tag().unwrap().len(), 128);
    let tag = format!("x:{}", "t".repeat(129));
    assert_eq!(problem(&tag), Problem::TooLong { part: Part::Tag, most: 128 });
    let longest = format!("{path}:{}@sha512:{HEX}{HEX}", "t".repeat(128));
    let longest = reference(&longest).to_string();
    assert_eq!(reference(&longest).to_string(), longest);
    let huge = "a".repeat(10 << 20);
    let error = huge.parse::<Reference>().unwrap_err();
    assert!(matches!(error.problem, Problem::TooLong { part: Part::Reference, .. }));
    assert!(error.to_string().len() < 300 && error.hints().is_empty());
}

#[test]
fn loopback_is_this_machine_only() {
    for name in ["localhost/a", "localhost:1/a", "127.0.0.1/a", "127.9.9.9:5000/a", "[::1]:5/a"] {
        assert!(reference(name).is_loopback(), "{name}");
    }
    for name in ["a", "localhost.example.com/a", "128.0.0.1/a", "[::2]/a", "127.0.0.1.nip.io/a"] {
        assert!(!reference(name).is_loopback(), "{name}");
    }
}

/// What is wrong, the message, and the hint where there is one.
#[test]
fn mistakes_are_explained() {
    let id = "this is an id, and no registry knows images by id alone";
    let path = "this is a path";
    let host = |host: &str| format!("the registry {host:?} is no host name");
    let port = |port: &str| format!("the registry's port {port:?} is not a number from 1 to 65535");
    let cases: &[(&str, &str, &str)] = &[
        ("", "it is empty", ""),
        ("Foo/Bar:V1", "the repository must be in lower case", "did you mean foo/bar:V1?"),
        (
            "docker.io/docker/Docker",
            "the repository must be in lower case",
            "did you mean docker.io/docker/docker?",
        ),
        ("foo//bar", "a component of the path is empty", ""),
        ("foo/bar/", "a component of the path is empty", "did you mean foo/bar?"),
        ("docker.io/", "a component of the path is empty", ""),
        ("nginx:", "there is no tag behind the colon", "did you mean nginx?"),
        ("nginx:-1", "the tag must not begin with '-'", ""),
        ("a.b/nginx:1:2", "the tag must not have ':'", ""),
        ("nginx@", "\"\" is no digest: no algorithm and colon before it", "a digest is sha256:"),
        (
            "nginx@sha256:12",
            "\"sha256:12\" is no digest: wrong number of digits",
            "a digest is sha256:",
        ),
        ("nginx@md5:12", "\"md5:12\" is no digest: the algorithm", "a digest is sha256:"),
        (HEX, id, "write NAME@sha256:"),
        (DIGEST, id, "write NAME@sha256:"),
        (
            "https://quay.io/foo/bar",
            "names have no scheme such as https://",
            "did you mean quay.io/foo/bar?",
        ),
        ("docker://nginx", "names have no scheme such as docker://", "did you mean nginx?"),
        ("./image.tar", path, "rootfs:FILE"),
        ("../x", path, "rootfs:FILE"),
        ("/x", path, "rootfs:FILE"),
        ("~/x", path, "rootfs:FILE"),
        (" nginx", "it must not have ' '", "did you mean nginx?"),
        ("nginx\n", "it must not have '\\n' (U+000A)", "did you mean nginx?"),
        ("ngi\nnx", "it must not have '\\n' (U+000A)", ""),
        ("nginx\0", "it must not have '\\0' (U+0000)", ""),
        ("\u{1b}[31mred", "it must not have '\\u{1b}' (U+001B)", ""),
        // Cyrillic and full-width twins, a zero-width space, a right-to-left override.
        ("ng\u{456}nx", "the repository must not have 'і' (U+0456)", "only look the same"),
        ("quay\u{ff0e}io/x", "the repository must not have '．' (U+FF0E)", "only look the same"),
        ("qu\u{430}y.io/x", "the registry must not have 'а' (U+0430)", "only look the same"),
        (
            "nginx\u{200b}",
            "the repository must not have '\\u{200b}' (U+200B)",
            "only look the same",
        ),
        ("a\u{202e}b", "the repository must not have '\\u{202e}' (U+202E)", "only look the same"),
        ("nginx:1\u{661}", "the tag must not have '\u{661}' (U+0661)", "only look the same"),
        ("-foo", "\"-foo\" must begin and end with a letter or digit", ""),
        ("a.-b", "\"a.-b\" must begin", ""),
        ("a___b", "\"a___b\" must begin", ""),
        ("a..b", "\"a..b\" must begin", ""),
        ("____/____", "\"____\" must begin", ""),
        ("-docker.io/a/b", &host("-docker.io"), ""),
        ("docker..io/a", &host("docker..io"), ""),
        ("docker.io./a", &host("docker.io."), ""),
        ("my_host:5000/a", "the registry must not have '_'", ""),
        ("user:pass@host/a", "\"host/a\" is no digest", "a digest is sha256:"),
        ("a:b/c", &port("b"), ""),
        (":5000/c", &host(":5000"), ""),
        ("a.b:/c", &port(""), ""),
        ("a.b:0/c", &port("0"), ""),
        ("a.b:+80/c", &port("+80"), ""),
        ("a.b:65536/c", &port("65536"), ""),
        ("fc00::1:5000/debian", &port(":1:5000"), ""),
        ("[fc00::1]", "there is no repository behind the registry", ""),
        ("[fe80::1%eth0]:5000/d", "the registry \"[fe80::1%eth0]:5000\" is no IPv6 address", ""),
        ("[2001:db8::192.0.2.33]/d", "is no IPv6 address", ""),
        ("[:]/d", "is no IPv6 address", ""),
        ("[::1]5000/d", "is no IPv6 address", ""),
        ("[::1/d", "is no IPv6 address", ""),
    ];
    for (text, message, hint) in cases {
        let error = text.parse::<Reference>().expect_err(text);
        let shown = error.to_string();
        assert!(shown.contains(*message), "{text:?}: {shown}");
        assert!(shown.starts_with(&format!("{text:?} is no image name: ")), "{shown}");
        let hints = error.hints().join("");
        assert!(hints.contains(*hint) && hints.is_empty() == hint.is_empty(), "{text:?}: {hints}");
        let line = format!("{shown}{hints}");
        assert!(!line.chars().any(|c| c.is_control() || c == '\u{202e}' || c == '\u{200b}'));
        assert!(text.parse::<Name>().is_err(), "{text:?}");
    }
}

#[test]
fn short_names_keep_what_was_typed() {
    for text in ["nginx", "library/nginx", "foo/bar:1", &format!("x:1@{DIGEST}"), "localhost:80"] {
        let short: ShortName = text.parse().unwrap();
        assert_eq!(short.to_string(), text);
        assert!(matches!(text.parse().unwrap(), Name::Short(name) if name == short));
    }
    let short: ShortName = "foo:1".parse().unwrap();
    assert_eq!(short.on("docker.io").unwrap().to_string(), "docker.io/library/foo:1");
    assert_eq!(short.on("Quay.io").unwrap().to_string(), "quay.io/foo:1");
    assert!(short.on("registry").is_err() && short.on("a.b/c").is_err());
    let long: ShortName = "a".repeat(237).parse().unwrap();
    assert!(long.on("registry.example.com:5000").is_err());
    let error = "quay.io/x".parse::<ShortName>().unwrap_err();
    assert_eq!(error.problem, Problem::Qualified);
    assert!(matches!("localhost/x".parse().unwrap(), Name::Qualified(_)));
}

#[test]
fn stored_names_are_checked() {
    let name = reference("localhost:5000/a:1");
    let json = serde_json::to_string(&name).unwrap();
    assert_eq!(json, "\"localhost:5000/a:1\"");
    assert_eq!(serde_json::from_str::<Reference>(&json).unwrap(), name);
    assert!(serde_json::from_str::<Reference>("\"a//b\"").is_err());
}

#[test]
fn prefixes_of_registries() {
    for (text, expected) in [
        ("Example.com", "example.com"),
        ("example.com:5000/", "example.com:5000"),
        ("localhost/a/b", "localhost/a/b"),
        ("index.docker.io/library", "docker.io/library"),
        ("a.b/c:Tag", "a.b/c:Tag"),
        ("[::1]:5000/x", "[::1]:5000/x"),
    ] {
        assert_eq!(prefix(text).unwrap(), expected);
    }
    let with_digest = format!("a.b/c@{DIGEST}");
    assert_eq!(prefix(&with_digest).unwrap(), with_digest);
    for text in ["", "/", "example", "example/a", "https://a.b", "a.b/C", "a.b//c", "a.b/c:", "*.a"]
    {
        assert!(prefix(text).is_err(), "{text:?}");
    }
}
