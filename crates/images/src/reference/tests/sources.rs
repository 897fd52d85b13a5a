use super::super::*;

const DIGEST: &str = "sha256:dbcc1c35ac38df41fd2f5e4130b32ffdb93ebae8b3dbe638c23575912276fc9c";

fn source(text: &str) -> Source {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn transports_are_those_of_containers_transports() {
    let path = |text: &str| std::path::PathBuf::from(text);
    let name = |text: &str| Pick::Named(text.to_owned());
    let reference = |text: &str| text.parse::<Reference>().unwrap();
    let cases = [
        ("nginx:1", Source::Short("nginx:1".parse().unwrap())),
        ("docker:27-dind", Source::Short("docker:27-dind".parse().unwrap())),
        ("oci-archve:x.tar", Source::Short("oci-archve:x.tar".parse().unwrap())),
        ("quay.io/a/b", Source::Registry(reference("quay.io/a/b"))),
        ("127.0.0.1:5000/a:1", Source::Registry(reference("127.0.0.1:5000/a:1"))),
        ("docker://nginx", Source::Registry(reference("docker.io/library/nginx"))),
        ("docker://oci:5000/x", Source::Registry(reference("oci:5000/x"))),
        // Nobody means a scheme here: it is a path with two slashes.
        ("oci://x", Source::OciDirectory { path: path("//x"), image: Pick::Only }),
        ("oci:/a b/c", Source::OciDirectory { path: path("/a b/c"), image: Pick::Only }),
        ("oci:5000/x", Source::OciDirectory { path: path("5000/x"), image: Pick::Only }),
        ("oci:d:v1", Source::OciDirectory { path: path("d"), image: name("v1") }),
        ("oci:d:a/b:1@c", Source::OciDirectory { path: path("d"), image: name("a/b:1@c") }),
        ("oci:d:@3", Source::OciDirectory { path: path("d"), image: Pick::Index(3) }),
        ("oci-archive:f.tar", Source::OciArchive { path: path("f.tar"), image: Pick::Only }),
        ("oci-archive:f:A--b", Source::OciArchive { path: path("f"), image: name("A--b") }),
        ("docker-archive:f", Source::DockerArchive { path: path("f"), image: Pick::Only }),
        ("docker-archive:f:@0", Source::DockerArchive { path: path("f"), image: Pick::Index(0) }),
        (
            "docker-archive:f:nginx",
            Source::DockerArchive {
                path: path("f"),
                image: Pick::Named(reference("docker.io/library/nginx:latest")),
            },
        ),
        (
            "docker-archive:f:localhost:5000/a:1",
            Source::DockerArchive {
                path: path("f"),
                image: Pick::Named(reference("localhost:5000/a:1")),
            },
        ),
        ("dir:a:b", Source::Directory { path: path("a:b") }),
        ("rootfs:./d:12/x.tar.zst", Source::RootFilesystem { path: path("./d:12/x.tar.zst") }),
    ];
    for (text, expected) in cases {
        let read = source(text);
        assert_eq!(read, expected, "{text}");
        assert_eq!(source(&read.to_string()), expected, "{text}: {read}");
    }
    assert_eq!(source("docker://oci:5000/x").to_string(), "docker://oci:5000/x");
    assert_eq!(
        source("docker-archive:f:nginx").to_string(),
        "docker-archive:f:docker.io/library/nginx:latest"
    );
}

/// What is wrong, the message, and the hint where there is one.
#[test]
fn mistakes_are_explained() {
    let long = format!("oci:{}", "a".repeat(10 << 20));
    let name = format!("oci:d:{}", "a".repeat(2000));
    let digest = format!("docker-archive:f:a@{DIGEST}");
    let cases: &[(&str, &str, &str)] = &[
        ("oci:", "there is no path behind oci:", ""),
        ("oci::x", "there is no path behind oci:", ""),
        ("dir:", "there is no path behind dir:", ""),
        ("rootfs:", "there is no path behind rootfs:", ""),
        ("oci:d:", "there is no name of an image behind oci:d:", ""),
        ("docker-archive:\u{1b}d:", "behind docker-archive:\\x1bd:", ""),
        ("oci:a\0b", "the path behind oci: has a NUL byte", ""),
        (&long, "the path behind oci: is too long", ""),
        (&name, "is no name of an image in an image layout", ""),
        ("oci:d:-a", "\"-a\" is no name of an image", ""),
        ("oci:d:a b", "\"a b\" is no name of an image", ""),
        ("oci:d:a\n", "\"a\\n\" is no name of an image", ""),
        ("oci:d:a//b", "\"a//b\" is no name", ""),
        ("oci:d:a---b", "\"a---b\" is no name", ""),
        ("oci:d:@", "\"@\" is no place of an image", ""),
        ("oci:d:@-1", "\"@-1\" is no place of an image", ""),
        ("docker-archive:f:@+1", "\"@+1\" is no place of an image", ""),
        ("docker-archive:f:@4294967296", "\"@4294967296\" is no place", ""),
        ("docker-archive:f:A", "the repository must be in lower case", "did you mean a?"),
        (&digest, "knows images by name and tag", ":@0 is the first"),
        ("docker://", "\"\" is no image name: it is empty", ""),
        ("docker://https://a.b/c", "names have no scheme such as https://", "a.b/c"),
        ("docker-daemon:x:1", "images cannot come from docker-daemon:", "docker save"),
        ("containers-storage:x", "cannot come from containers-storage:", "podman save"),
        ("sif:x", "images cannot come from sif:", "docker.io/library/sif:TAG"),
        ("oci-archve:./x.tar", "\"oci-archve\" is no transport for images", "oci-archive:?"),
        ("docker_archive:a/b.tar", "\"docker_archive\" is no transport", "docker-archive:?"),
        ("OCI:/x", "\"OCI\" is no transport", "did you mean oci:?"),
        ("ocidir:/x", "\"ocidir\" is no transport", "the transports are docker://, oci:,"),
        ("tarball:/x", "\"tarball\" is no transport", "rootfs:"),
        ("ftp://a/b", "\"ftp\" is no transport", "the transports are"),
        ("https://a.b/c", "names have no scheme such as https://", "did you mean a.b/c?"),
        ("foo:bar/baz", "the registry's port \"bar\" is not a number", ""),
        ("./x.tar", "this is a path", "rootfs:FILE"),
    ];
    for (text, message, hint) in cases {
        let error = text.parse::<Source>().expect_err(text);
        let shown = error.to_string();
        assert!(shown.contains(*message), "{text:.80?}: {shown}");
        let hints = error.hints().join("");
        assert!(
            hints.contains(*hint) && hints.is_empty() == hint.is_empty(),
            "{text:.80?}: {hints}"
        );
        assert!(shown.len() < 500 && !shown.chars().any(char::is_control), "{shown}");
    }
}
