//! Images from registries: Debian's docker-registry in the clear, with TLS and a password, and behind
//! a gate that holds a pull up in the middle.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use lxcri_testkit::Image;
use lxcri_testkit::Room;
use lxcri_testkit::Verdict;
use lxcri_testkit::ensure;
use lxcri_testkit::ensure_eq;
use lxcri_testkit::image::Compression;
use lxcri_testkit::image::Entry;
use lxcri_testkit::image::Layer;
use lxcri_testkit::image::busybox_image;
use lxcri_testkit::process;
use lxcri_testkit::registry::Options;
use lxcri_testkit::registry::Registry;
use lxcri_testkit::skip;
use lxcri_testkit::verdict::Context;

use super::Host;
use super::archive;
use super::names;
use super::server::Gate;
use crate::registry::cases;

cases!("images": there_and_back, private_registry, interrupted_pull);

fn start(options: &Options) -> Verdict<Registry> {
    if !Registry::is_installed() {
        skip!("docker-registry, htpasswd and openssl are not installed");
    }
    Registry::start(options)
}

/// Imports `image` on `host` and pushes it as `name`; its digest.
fn push(room: &Room, host: &Host<'_>, image: &Image, name: &str) -> Verdict<String> {
    host.call(&["image", "import", &archive(room, image)?])?.ok()?;
    let pushed = host.call(&["image", "push", "--quiet", "localhost/app:1", name])?.ok()?;
    Ok(pushed.stdout.trim().to_owned())
}

/// Pushed from here and run there, by its tag and by its digest; what is there is not fetched again.
fn there_and_back(room: &Room) -> Verdict {
    let registry = start(&Options::default())?;
    let name = format!("{}/app:1", registry.address());
    let digest = push(room, &Host::new(room, "here")?, &busybox_image(Compression::Gzip)?, &name)?;
    let there = Host::new(room, "there")?;
    ensure_eq!(there.run(&[&name, "echo", "hi"])?.ok()?.stdout, "hi\n", "from the registry");
    there.ensure_no_containers()?;
    let before = registry.requests()?.len();
    ensure_eq!(there.run(&[&name, "echo", "hi"])?.ok()?.stdout, "hi\n", "from the store");
    ensure_eq!(registry.requests()?.len(), before, "requests for what is there");
    let by_digest = format!("{}/app@{digest}", registry.address());
    let second = Host::new(room, "second")?;
    ensure_eq!(second.run(&[&by_digest, "echo", "hi"])?.ok()?.stdout, "hi\n", "by its digest");
    let missing = format!("{}/app:2", registry.address());
    second.run(&[&missing, "true"])?.exits(125)?.refuses(&["not found"])?;
    let pulled = second.call(&["image", "pull", "--quiet", &name])?.ok()?.stdout;
    ensure_eq!(pulled.trim(), digest, "what `image pull` prints");
    second.call(&["image", "verify"])?.ok()?;
    Ok(())
}

/// TLS by a CA of its own and a password: each missing piece is told, and with both it works.
fn private_registry(room: &Room) -> Verdict {
    let (user, password) = ("ada", "correct horse");
    let account = Some((user.to_owned(), password.to_owned()));
    let registry = start(&Options { tls: true, account })?;
    let (address, name) = (registry.address(), format!("{}/app:1", registry.address()));
    // A registry on loopback need not be trusted unless somebody says so.
    let conf = room.dir().join("registries.conf");
    fs::write(&conf, format!("[[registry]]\nlocation = \"{address}\"\ninsecure = false\n"))?;
    let conf = conf.to_string_lossy();
    let host = Host::new(room, "host")?.with("PROXMOX_LXCRI_IMAGES_REGISTRIES_CONF", &conf);
    let image = archive(room, &busybox_image(Compression::Gzip)?)?;
    host.call(&["image", "import", "--quiet", &image])?.ok()?;

    host.run(&[&name, "true"])?.exits(125)?.refuses(&["certificate", "cannot trust"])?;
    registry.trust_in(&host.certificates())?;
    let told = host.run(&[&name, "true"])?.exits(125)?.refuses(&["denies access"])?;
    ensure!(told.stderr.contains("login"), "no hint: {told}");
    host.call(&["image", "pull", &name])?.exits(1)?.refuses(&["denies access"])?;
    host.call(&["image", "push", "localhost/app:1", &name])?
        .exits(1)?
        .refuses(&["denies access"])?;

    let login = ["login", "--username", user, "--password-stdin", address];
    host.call_with(&login, room.input("wrong\n")?)?.refuses(&["password", "denies access"])?;
    ensure!(!host.auth_file().exists(), "a wrong password is kept");
    let said = host.call_with(&login, room.input("correct horse\n")?)?.ok()?;
    ensure!(!format!("{said}").contains(password), "the password is told: {said}");
    let mode = fs::metadata(host.auth_file())?.permissions().mode();
    ensure_eq!(mode & 0o777, 0o600, "the mode of the file with the password");
    host.call(&["image", "push", "--quiet", "localhost/app:1", &name])?.ok()?;
    host.call(&["image", "rm", "localhost/app:1"])?.ok()?;
    ensure_eq!(host.run(&[&name, "echo", "hi"])?.ok()?.stdout, "hi\n", "logged in");

    host.call(&["logout", address])?.ok()?;
    host.run(&["--pull", "always", &name, "true"])?.exits(125)?.refuses(&["denies access"])?;
    host.call(&["logout", address])?.exits(1)?.refuses(&["nobody is logged in"])?;
    host.ensure_no_containers()?;
    another_auth_file(room, &registry, &conf, &login)
}

/// `images.auth_file` goes before everything else.
fn another_auth_file(room: &Room, registry: &Registry, conf: &str, login: &[&str]) -> Verdict {
    let file = room.dir().join("own.json");
    let host = Host::new(room, "other")?
        .with("PROXMOX_LXCRI_IMAGES_REGISTRIES_CONF", conf)
        .with("PROXMOX_LXCRI_IMAGES_AUTH_FILE", &file.to_string_lossy());
    registry.trust_in(&host.certificates())?;
    host.call_with(login, room.input("correct horse")?)?.ok()?;
    ensure!(file.exists() && !host.auth_file().exists(), "written elsewhere");
    let name = format!("{}/app:1", registry.address());
    ensure_eq!(host.run(&[&name, "echo", "hi"])?.ok()?.stdout, "hi\n", "logged in");
    Ok(())
}

/// A pull that is killed in the middle of a blob is gone on with, and not begun anew.
fn interrupted_pull(room: &Room) -> Verdict {
    const SIZE: u64 = 24 << 20;
    let registry = start(&Options::default())?;
    let mut image = busybox_image(Compression::Gzip)?;
    let noise: Vec<u8> =
        (0..SIZE as u32 / 4).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    image.layers.push(Layer::new(&[Entry::file("noise", &noise)], Compression::None)?);
    let total: u64 = image.layers.iter().map(|layer| layer.size).sum();
    let direct = format!("{}/app:1", registry.address());
    push(room, &Host::new(room, "here")?, &image, &direct)?;

    let most = total / 2;
    let gate = Gate::start(registry.address(), most)?;
    let (host, name) = (Host::new(room, "there")?, format!("{}/app:1", gate.address()));
    let mut command = host.command(&["image", "pull", "--quiet", &name]);
    let pull = process::Started::new(&mut command, room.dir(), "pull", None)?;
    let kept = || sizes(&host.data().join("images")).unwrap_or_default();
    // Some of what has passed is still on its way to the file.
    process::until("half of the image", || gate.bytes() >= most && kept() + (2 << 20) > most)?;
    pull.kill()?;
    ensure_eq!(host.images()?, Vec::<String>::new(), "images after half a pull");
    let first = gate.bytes();
    gate.open();
    host.call(&["image", "pull", "--quiet", &name])?.ok()?;
    let second = gate.bytes();
    ensure!(gate.requests().contains("range: bytes="), "no Range: {}", gate.requests());
    let sum = first + second;
    ensure!((total..total + (3 << 20)).contains(&sum), "{first} + {second} bytes of {total}");
    host.call(&["image", "verify"])?.ok()?;
    let said = host.run(&[&name, "busybox", "sha256sum", "/noise"])?.ok()?.stdout;
    let wanted = lxcri_testkit::image::digest(&noise);
    ensure_eq!(said.split(' ').next(), wanted.strip_prefix("sha256:"), "what came");
    Ok(())
}

/// The bytes of all files below a directory.
fn sizes(dir: &std::path::Path) -> Verdict<u64> {
    let mut sum = 0;
    for name in names(dir)? {
        let path = dir.join(name);
        let status = fs::symlink_metadata(&path).context(path.display())?;
        sum += if status.is_dir() { sizes(&path)? } else { status.len() };
    }
    Ok(sum)
}
