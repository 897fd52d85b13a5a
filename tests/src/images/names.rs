//! What images are called: short names, ids, and the names that archives have.

use std::fs;

use lxcri_testkit::Room;
use lxcri_testkit::Verdict;
use lxcri_testkit::ensure;
use lxcri_testkit::ensure_eq;
use lxcri_testkit::image::Compression;
use lxcri_testkit::image::Form;
use lxcri_testkit::image::busybox_image;
use lxcri_testkit::process;
use rustix::process::Signal;

use super::Host;
use super::archive;
use super::server::Answer;
use super::server::Server;
use crate::registry::cases;

cases!("images": short_names, names_of_archives, ids, a_used_image, interrupted_run);

fn refused(_: &super::server::Asked) -> Answer {
    let text = br#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"no"}]}"#.to_vec();
    Answer::With(404, "Content-Type: application/json\r\n".to_owned(), text)
}

/// A short name is looked for in one registry after the other, and the image is named by the one that
/// had it; what is named by a short name is found by it again, and pushed there.
fn short_names(room: &Room) -> Verdict {
    let image = busybox_image(Compression::Gzip)?;
    let without = Server::start(&image, Box::new(refused))?;
    let with = Server::start(&image, Box::new(|_| Answer::Honestly))?;
    let (first, second) = (without.address(), with.address());
    let conf = room.dir().join("registries.conf");
    let text = format!(
        "unqualified-search-registries = ['{first}', '{second}']\nshort-name-mode = 'disabled'\n"
    );
    fs::write(&conf, text)?;
    let host = Host::new(room, "host")?
        .with("PROXMOX_LXCRI_IMAGES_REGISTRIES_CONF", &conf.to_string_lossy());
    ensure_eq!(host.run(&["app:1", "echo", "hi"])?.ok()?.stdout, "hi\n", "from the second");
    ensure_eq!(host.images()?, [format!("{second}/app:1")], "named by who had it");
    let asked = with.asked().len();
    host.run(&["--pull", "never", "app:1", "true"])?.ok()?;
    ensure_eq!(with.asked().len(), asked, "requests for what is there");

    host.call(&["image", "tag", "app:1", "other:2"])?.ok()?;
    ensure!(host.images()?.contains(&format!("{first}/other:2")), "{:?}", host.images()?);
    host.run(&["--pull", "never", "other:2", "true"])?.ok()?;
    let pushed = host.call(&["image", "push", "--quiet", "other:2"])?;
    let went = without.asked().iter().any(|asked| asked.target.contains("/other/"));
    ensure!(went, "pushed elsewhere: {pushed}");
    Ok(())
}

/// Every name of a docker-archive, the tag of a layout, and in an export only what was asked for.
fn names_of_archives(room: &Room) -> Verdict {
    let host = Host::new(room, "host")?;
    let image = busybox_image(Compression::Gzip)?;
    let one = archive(room, &image)?;
    host.call(&["image", "import", "--quiet", &one])?.ok()?;
    for name in ["localhost/app:2", "registry.example.com/secret:1"] {
        host.call(&["image", "tag", "localhost/app:1", name])?.ok()?;
    }
    let saved = room.dir().join("saved.tar");
    let (path, source) = (saved.to_string_lossy(), format!("docker-archive:{}", saved.display()));
    let export = ["image", "export", "--quiet", "--format", "docker", "--output", &path];
    host.call(&[&export[..], &["localhost/app:1", "localhost/app:2"]].concat())?.ok()?;
    let other = Host::new(room, "other")?;
    other.call(&["image", "import", "--quiet", &source])?.ok()?;
    ensure_eq!(other.images()?, ["localhost/app:1", "localhost/app:2"], "names of the archive");

    let layout = room.dir().join("layout");
    image.files(Form::Oci, "1.2")?.write_dir(&layout)?;
    let source = format!("oci:{}:1.2", layout.display());
    let third = Host::new(room, "third")?;
    third.call(&["image", "import", "--quiet", &source])?.ok()?;
    ensure_eq!(third.images()?, ["localhost/layout:1.2"], "named after directory and tag");
    Ok(())
}

/// What `image import` prints can be run, and an id alone is pushed nowhere.
fn ids(room: &Room) -> Verdict {
    let host = Host::new(room, "host")?;
    let image = archive(room, &busybox_image(Compression::Gzip)?)?;
    let digest = host.call(&["image", "import", "--quiet", &image])?.ok()?.stdout;
    let digest = digest.trim();
    let hex = digest.split(':').nth(1).unwrap_or_default();
    for id in [digest, hex, &hex[..12]] {
        ensure_eq!(host.run(&[id, "echo", "hi"])?.ok()?.stdout, "hi\n", "{id}");
    }
    let unknown = "0".repeat(64);
    host.run(&[&unknown, "true"])?.exits(125)?.refuses(&["no image"])?;
    host.run(&["--pull", "always", digest, "true"])?.exits(125)?.refuses(&["--pull"])?;
    host.call(&["image", "push", "--quiet", &hex[..12]])?.refuses(&["an id does not say"])?;
    Ok(())
}

/// An image that a container was made of stays, and the user learns which one it is.
fn a_used_image(room: &Room) -> Verdict {
    let host = Host::new(room, "host")?;
    let image = archive(room, &busybox_image(Compression::Gzip)?)?;
    let id = room.id();
    host.call(&["run", "--network", "none", "--name", &id, &image, "true"])?.ok()?;
    let kept = host.call(&["image", "rm", "localhost/app:1"])?.exits(1)?;
    ensure!(kept.stderr.contains(&format!("used by {id}")), "{kept}");
    host.call(&["delete", &id])?.ok()?;
    host.call(&["image", "rm", "localhost/app:1"])?.ok()?;
    Ok(())
}

/// A signal while the image is on its way ends the program; nothing of the container is left. Not
/// SIGINT: who starts the tests in the background has it ignored.
fn interrupted_run(room: &Room) -> Verdict {
    let image = busybox_image(Compression::Gzip)?;
    let is_blob = |asked: &super::server::Asked| asked.target.contains("/blobs/");
    let server = Server::start(
        &image,
        Box::new(move |asked| if is_blob(asked) { Answer::Stalls(10) } else { Answer::Honestly }),
    )?;
    let host = Host::new(room, "host")?;
    let name = format!("{}/app:1", server.address());
    let mut command = host.command(&["run", "--rm", &name, "true"]);
    let run = process::Started::new(&mut command, room.dir(), "run", None)?;
    process::until("a blob is asked for", || server.asked().iter().any(is_blob))?;
    process::signal(run.pid(), Signal::TERM);
    let ended = run.wait(process::DEADLINE)?;
    ensure_eq!(process::exit_code(ended.status), 143, "how it ended");
    host.ensure_no_containers()
}
