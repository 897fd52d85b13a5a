//! What names become. The tables were compared with skopeo 1.9 and podman 4.3.

use std::path::Path;

use super::super::*;

const DIGEST: &str = "sha256:dbcc1c35ac38df41fd2f5e4130b32ffdb93ebae8b3dbe638c23575912276fc9c";

fn parse(text: &str) -> Registries {
    Registries::parse(Path::new("/r.conf"), text).unwrap_or_else(|error| panic!("{error}"))
}

/// The endpoints as text: `+` before a mirror, `!` after what is insecure.
fn endpoints(registries: &Registries, name: &str) -> Result<Vec<String>, LookupError> {
    let shown = |endpoint: Endpoint| {
        let mirror = if endpoint.is_mirror { "+" } else { "" };
        let insecure = if endpoint.insecure { "!" } else { "" };
        format!("{mirror}{}{insecure}", endpoint.reference)
    };
    let endpoints = registries.endpoints(&name.parse().unwrap())?;
    Ok(endpoints.into_iter().map(shown).collect())
}

fn candidates(registries: &Registries, name: &str) -> Vec<String> {
    let found = registries.resolve_short(&name.parse().unwrap()).unwrap();
    found.iter().map(Reference::to_string).collect()
}

#[test]
fn the_example_of_the_manual() {
    let registries = parse(include_str!("manual.conf"));
    assert_eq!(
        endpoints(&registries, "example.com/foo/image:latest").unwrap(),
        [
            "+example-mirror-0.local/mirror-for-foo/image:latest",
            "+example-mirror-1.local/mirrors/foo/image:latest!",
            "internal-registry-for-example.com/bar/image:latest",
        ]
    );
    assert_eq!(
        endpoints(&registries, "registry.com/image").unwrap(),
        ["+mirror.registry.com/image:latest", "registry.com/image:latest"]
    );
    assert_eq!(candidates(&registries, "app:1"), ["example.com/app:1"]);
}

#[test]
fn mirrors_serve_digests_or_tags() {
    let digest = format!("a.org/x@{DIGEST}");
    let both = format!("a.org/x:1@{DIGEST}");
    let registries = parse(
        "[[registry]]\nlocation = 'a.org'\n\
         [[registry.mirror]]\nlocation = 'all.org'\npull-from-mirror = 'all'\n\
         [[registry.mirror]]\nlocation = 'digests.org'\npull-from-mirror = 'digest-only'\n\
         [[registry.mirror]]\nlocation = 'tags.org'\npull-from-mirror = 'tag-only'\n\
         [[registry.mirror]]\nlocation = 'unset.org'\npull-from-mirror = ''",
    );
    assert_eq!(
        endpoints(&registries, "a.org/x:1").unwrap(),
        ["+all.org/x:1", "+tags.org/x:1", "+unset.org/x:1", "a.org/x:1"]
    );
    for (name, rest) in [(&digest, format!("/x@{DIGEST}")), (&both, format!("/x:1@{DIGEST}"))] {
        let hosts = ["+all.org", "+digests.org", "+unset.org", "a.org"];
        assert_eq!(
            endpoints(&registries, name).unwrap(),
            hosts.map(|host| format!("{host}{rest}"))
        );
    }
    let registries = parse(
        "[[registry]]\nlocation = 'a.org'\nmirror-by-digest-only = true\n\
         [[registry.mirror]]\nlocation = 'm.org'",
    );
    assert_eq!(endpoints(&registries, "a.org/x").unwrap(), ["a.org/x:latest"]);
    assert_eq!(endpoints(&registries, &digest).unwrap().len(), 2);
}

#[test]
fn the_longest_prefix_decides() {
    let registries = parse(
        "[[registry]]\nprefix = 'a.org'\nlocation = '1.org'\n\
         [[registry]]\nprefix = 'a.org/foo'\nlocation = '2.org/x'\n\
         [[registry]]\nprefix = 'a.org/foo/img:tagged'\nlocation = '3.org/y:other'\n\
         [[registry]]\nprefix = '*.org'\ninsecure = true\n\
         [[registry]]\nprefix = '*.Wild.org'\nlocation = '4.org/w'\n\
         [[registry]]\nprefix = 'docker.io/library'\nlocation = '5.org/hub'\n\
         [[registry]]\nprefix = 'docker.io/alpine'\nlocation = '6.org'\n\
         [[registry]]\nprefix = 'index.docker.io'\nlocation = '7.org'",
    );
    let cases = [
        ("a.org/bar/x", "1.org/bar/x:latest"),
        ("a.org/foo/bar:1", "2.org/x/bar:1"),
        ("a.org/foo:1", "2.org/x:1"),
        // A prefix ends where a component ends.
        ("a.org/foobar:1", "1.org/foobar:1"),
        ("a.org.uk/x", "a.org.uk/x:latest"),
        ("a.org/foo/img:tagged", "3.org/y:other"),
        ("a.org/foo/img:tagged2", "2.org/x/img:tagged2"),
        ("A.ORG/bar", "1.org/bar:latest"),
        ("b.org/x", "b.org/x:latest!"),
        ("b.c.org:5000/x", "b.c.org:5000/x:latest!"),
        ("org/x", "7.org/org/x:latest"),
        ("b.org.uk/x", "b.org.uk/x:latest"),
        ("uk/b.org", "7.org/uk/b.org:latest"),
        ("x.b.wild.org/img", "4.org/w/img:latest"),
        ("wild.org/img", "wild.org/img:latest!"),
        ("awild.org/img", "awild.org/img:latest!"),
        ("nginx", "5.org/hub/nginx:latest"),
        ("alpine", "5.org/hub/alpine:latest"),
        ("alpine/git", "6.org/git:latest"),
        ("foo/bar", "7.org/foo/bar:latest"),
        ("quay.io/x", "quay.io/x:latest"),
    ];
    for (name, expected) in cases {
        assert_eq!(endpoints(&registries, name).unwrap(), [expected], "{name}");
    }
    // A host covers its ports, but then a location with a path is none.
    assert_eq!(endpoints(&registries, "a.org:443/x").unwrap(), ["1.org:443/x:latest"]);
    let error = endpoints(&registries, "x.wild.org:5000/x").unwrap_err();
    assert_eq!(
        error.to_string(),
        "x.wild.org:5000/x:latest is to be had as \"4.org/w:5000/x:latest\" by /r.conf, but that is \
         no name: the repository must not have ':'"
    );
}

#[test]
fn a_location_changes_no_digest() {
    let other = DIGEST.replace("dbcc", "0000");
    let registries = parse(&format!(
        "[[registry]]\nprefix = 'a.org/x@{DIGEST}'\nlocation = 'b.org/y@{other}'\n\
         [[registry.mirror]]\nlocation = 'c.org/z'\n\
         [[registry]]\nprefix = 'a.org/x:1'\nlocation = 'b.org/y'"
    ));
    let expected = [format!("+c.org/z@{DIGEST}"), format!("b.org/y@{DIGEST}")];
    assert_eq!(endpoints(&registries, &format!("a.org/x@{DIGEST}")).unwrap(), expected);
    let both = format!("a.org/x:1@{DIGEST}");
    assert_eq!(endpoints(&registries, &both).unwrap(), [format!("b.org/y@{DIGEST}")]);
    assert_eq!(endpoints(&registries, "a.org/x:1").unwrap(), ["b.org/y:latest"]);
}

#[test]
fn blocked_names_are_not_to_be_had() {
    let registries = parse(
        "[[registry]]\nlocation = 'blocked.org'\nblocked = true\n\
         [[registry.mirror]]\nlocation = 'm.org'\n\
         [[registry]]\nlocation = 'open.org/bad'\nblocked = true\n\
         [[registry]]\nprefix = '*.evil.org'\nblocked = true\n\
         [[registry]]\nprefix = 'moved.org'\nlocation = 'blocked.org'\nblocked = true\n\
         [[registry]]\nprefix = 'there.org'\nlocation = 'open.org/bad'\nblocked = true\n\
         [[registry]]\nprefix = 'mirrored.org'\nlocation = 'a.evil.org/x'\n\
         [[registry.mirror]]\nlocation = 'blocked.org:5000'\n\
         [[registry.mirror]]\nlocation = 'good.org'\n\
         [[registry]]\nprefix = 'lost.org'\nlocation = 'b.evil.org'\n",
    );
    for name in [
        "blocked.org/x",
        "BLOCKED.org/x",
        "blocked.org:443/x",
        "open.org/bad/x",
        "open.org/bad:1",
        "a.b.evil.org/x",
        "a.evil.org:5000/x",
        "moved.org/x",
        "there.org/x",
    ] {
        let name: Reference = name.parse().unwrap();
        assert!(matches!(registries.endpoints(&name), Err(LookupError::Blocked { .. })), "{name}");
        assert!(
            matches!(registries.push_endpoint(&name), Err(LookupError::Blocked { .. })),
            "{name}"
        );
    }
    for name in ["open.org/badly", "blocked.org.uk/x", "evil.org/x"] {
        assert_eq!(endpoints(&registries, name).unwrap(), [format!("{name}:latest")]);
    }
    let digest = parse(&format!("[[registry]]\nlocation = 'a.org/x@{DIGEST}'\nblocked = true"));
    assert!(endpoints(&digest, &format!("a.org/x@{DIGEST}")).is_err());
    assert!(endpoints(&digest, &format!("a.org/x:1@{DIGEST}")).is_err());
    assert!(endpoints(&digest, "a.org/x:1").is_ok());
    // Neither a mirror nor another location leads round it.
    assert_eq!(endpoints(&registries, "mirrored.org/x").unwrap(), ["+good.org/x:latest"]);
    let error = endpoints(&registries, "lost.org/x").unwrap_err();
    assert_eq!(
        error.to_string(),
        "b.evil.org/x:latest is blocked by the prefix \"*.evil.org\" in /r.conf"
    );
}

#[test]
fn this_machine_may_speak_plainly() {
    let registries = parse(
        "[[registry]]\nlocation = 'localhost:1'\ninsecure = false\n\
         [[registry]]\nlocation = 'a.org'\n\
         [[registry.mirror]]\nlocation = '127.0.0.1:5000'\n\
         [[registry]]\nprefix = 'b.org'\nlocation = 'c.org'\ninsecure = true\n\
         [[registry.mirror]]\nlocation = '[::1]:5000'\ninsecure = false",
    );
    let cases: [(&str, &[&str]); 4] = [
        ("localhost:1/x:1", &["localhost:1/x:1"]),
        ("localhost:2/x:1", &["localhost:2/x:1!"]),
        ("a.org/x:1", &["+127.0.0.1:5000/x:1!", "a.org/x:1"]),
        ("b.org/x:1", &["+[::1]:5000/x:1", "c.org/x:1!"]),
    ];
    for (name, expected) in cases {
        assert_eq!(endpoints(&registries, name).unwrap(), expected);
    }
}

#[test]
fn pushes_go_where_the_name_says() {
    let registries = parse(include_str!("manual.conf"));
    let push = |name: &str| registries.push_endpoint(&name.parse().unwrap()).unwrap();
    for name in ["example.com/foo/image:1", "registry.com/image:1", "quay.io/x:1"] {
        let endpoint = push(name);
        assert_eq!(endpoint.reference.to_string(), name);
        assert!(!endpoint.is_mirror && !endpoint.insecure);
    }
    assert!(push("localhost:5000/x").insecure);
    let insecure = parse("[[registry]]\nlocation = 'a.org/x'\ninsecure = true");
    assert!(insecure.push_endpoint(&"a.org/x/y".parse().unwrap()).unwrap().insecure);
}

#[test]
fn short_names_without_configuration_are_dockers() {
    let registries = Registries::empty();
    let found = registries.candidates(&"nginx".parse().unwrap()).unwrap();
    assert_eq!(found.references, ["docker.io/library/nginx:latest".parse().unwrap()]);
    assert!(found.origin == Origin::Default && !found.ask);
    assert_eq!(
        candidates(&parse("[[registry]]\nlocation = 'a.org'"), "a/b:1"),
        ["docker.io/a/b:1"]
    );
    let empty = parse("unqualified-search-registries = []");
    let error = empty.resolve_short(&"nginx".parse().unwrap()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the short name nginx has no alias, and unqualified-search-registries is empty in /r.conf"
    );
    assert_eq!(error.hints(), ["write the complete name, such as docker.io/library/nginx"]);
}

#[test]
fn short_names_are_searched_in_order() {
    let text = "unqualified-search-registries = ['b.org', 'docker.io', 'a.org:5000/', 'b.org']\n";
    let registries = parse(text);
    let expected = ["b.org/x:1", "docker.io/library/x:1", "a.org:5000/x:1"];
    assert_eq!(candidates(&registries, "x:1"), expected);
    assert!(registries.candidates(&"x".parse().unwrap()).unwrap().ask);
    let disabled = parse(&format!("{text}short-name-mode = 'disabled'"));
    assert_eq!(candidates(&disabled, "x:1"), expected);
    assert!(!disabled.candidates(&"x".parse().unwrap()).unwrap().ask);
    let enforcing =
        parse(&format!("{text}short-name-mode = 'enforcing'\n[aliases]\ny = 'c.org/y'"));
    let error = enforcing.resolve_short(&"x:1".parse().unwrap()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the short name x:1 could be b.org/x:1 or docker.io/library/x:1 or a.org:5000/x:1"
    );
    assert_eq!(error.hints().len(), 2);
    assert!(enforcing.candidates(&"x".parse().unwrap()).unwrap().ask);
    assert_eq!(candidates(&enforcing, "y"), ["c.org/y:latest"]);
    let one = parse("unqualified-search-registries = ['b.org']\nshort-name-mode = 'enforcing'");
    assert_eq!(candidates(&one, "x"), ["b.org/x:latest"]);
}

#[test]
fn aliases_are_of_repositories() {
    let registries = parse(
        "unqualified-search-registries = []\n[aliases]\n\
         'al' = 'a.org:5000/ali'\n'lib/al' = 'docker.io/alpine'\n'gone' = ''",
    );
    let digest = format!("al:3@{DIGEST}");
    assert_eq!(candidates(&registries, "al"), ["a.org:5000/ali:latest"]);
    assert_eq!(candidates(&registries, "al:3"), ["a.org:5000/ali:3"]);
    assert_eq!(candidates(&registries, &digest), [format!("a.org:5000/ali:3@{DIGEST}")]);
    assert_eq!(candidates(&registries, "lib/al"), ["docker.io/library/alpine:latest"]);
    for name in ["gone", "library/al", "al/x"] {
        assert!(registries.resolve_short(&name.parse().unwrap()).is_err(), "{name}");
    }
    let origin = registries.candidates(&"al".parse().unwrap()).unwrap().origin;
    assert_eq!(origin, Origin::Alias(Path::new("/r.conf").into()));
}

#[test]
fn names_that_do_not_fit_are_errors() {
    let long = "a".repeat(230);
    let registries = parse(
        "unqualified-search-registries = ['registry.example.org:5000']\n\
         [[registry]]\nprefix = 'docker.io/library'\nlocation = 'registry.example.org:5000'",
    );
    assert!(registries.resolve_short(&long.parse().unwrap()).is_err());
    let error = endpoints(&registries, &long).unwrap_err();
    assert!(matches!(error, LookupError::Rewrite { .. }), "{error}");
}
