//! Images and registries that mean us no good: each is refused with a line that says why, and leaves no
//! name, no layer that could be used, and no container.

use std::fs;

use lxcri_testkit::Image;
use lxcri_testkit::Room;
use lxcri_testkit::Verdict;
use lxcri_testkit::ensure;
use lxcri_testkit::ensure_eq;
use lxcri_testkit::image::Compression;
use lxcri_testkit::image::Entry;
use lxcri_testkit::image::Kind;
use lxcri_testkit::image::Layer;
use lxcri_testkit::image::busybox_image;
use lxcri_testkit::verdict::Context;
use serde_json::json;

use super::Host;
use super::archive;
use super::server::Answer;
use super::server::Asked;
use super::server::Server;
use crate::registry::cases;

cases!("images": bad_layers, bad_manifests, paths_stay_inside, bad_configurations, labels_with_escapes,
    bad_registries, a_registry_that_dies, a_registry_that_stalls, credentials_for_another_host);

/// busybox with one more layer.
fn with(layer: Layer) -> Verdict<Image> {
    let mut image = busybox_image(Compression::Gzip)?;
    image.layers.push(layer);
    Ok(image)
}

/// busybox with one more layer of these entries.
pub(super) fn with_entries(entries: &[Entry]) -> Verdict<Image> {
    with(Layer::new(entries, Compression::Gzip)?)
}

/// Runs `image`, which has to be refused with `message`, and looks at what is left. `good` layers may
/// stay.
pub(super) fn refused(
    room: &Room,
    what: &str,
    image: &Image,
    message: &str,
    good: usize,
) -> Verdict {
    let host = Host::new(room, "host")?
        .with("PROXMOX_LXCRI_IMAGES_MAX_LAYER_GIB", "1")
        .with("PROXMOX_LXCRI_IMAGES_MAX_LAYER_ENTRIES", "2000");
    let from = archive(room, image)?;
    let judge = || -> Verdict {
        let finished = host.run(&[&from, "echo", "ran"])?.exits(125)?.refuses(&[message])?;
        ensure_eq!(finished.stdout, "", "what ran");
        ensure!(finished.stderr.len() < 2000, "too much is told: {finished}");
        ensure_eq!(host.images()?, Vec::<String>::new(), "names in the store");
        let ready = host.ready_layers()?;
        ensure!(ready.len() <= good, "layers that can be used: {ready:?}");
        let bad = image.layers.iter().skip(good).map(|layer| &layer.diff_id);
        for hex in bad.filter_map(|diff_id| diff_id.strip_prefix("sha256:")) {
            ensure!(!ready.iter().any(|name| name == hex), "{hex} can be used");
        }
        host.ensure_no_containers()
    };
    let verdict = judge().map_err(|stop| stop.within(what));
    fs::remove_dir_all(host.data()).context("the data directory")?;
    verdict
}

fn bad_layers(room: &Room) -> Verdict {
    let layer = Layer::new(&[Entry::file("a", "content")], Compression::Gzip)?;
    let plain = Compression::None.media_type();
    for (what, layer, message) in [
        ("another digest", layer.clone().with_wrong_digest(), "wrong content"),
        ("less than there should be", layer.clone().truncated(20), "bytes, not the"),
        ("a stream that ends early", layer.clone().cut_short(20), "end in the middle"),
        ("another media type", layer.clone().called(plain), "as its media type says"),
        ("another diff_id", layer.with_wrong_diff_id(), "has the diff_id"),
        (
            "10 GiB of zeros",
            Layer::zeros("zeros", 10 << 10, Compression::Gzip)?,
            "more than 1073741824 bytes",
        ),
        ("10 million entries", Layer::thousands(10_000, Compression::Gzip)?, "2000"),
    ] {
        refused(room, what, &with(layer)?, message, 1)?;
    }
    for (entry, message) in [
        (Entry::file("../escaped", ""), "has \"..\" in its path"),
        (Entry::file("a/../../escaped", ""), "has \"..\" in its path"),
        (Entry::hard_link("link", "../../etc/passwd"), "has \"..\" in its path"),
        (Entry::hard_link("link", "/nothing/there"), "hard link"),
        (Entry::file(".wh..", ""), "whiteout"),
        (Entry::opaque(""), "whiteout of the root"),
        (Entry::symlink(".", "/etc"), "the root of the layer and no directory"),
    ] {
        let what = String::from_utf8_lossy(&entry.name).into_owned();
        refused(room, &what, &with_entries(&[entry])?, message, 1)?;
    }
    Ok(())
}

fn bad_manifests(room: &Room) -> Verdict {
    let mut image = busybox_image(Compression::Gzip)?;
    image.change_manifest = Some(|manifest| {
        let layer = manifest["layers"][0].clone();
        manifest["layers"] = vec![layer; 10_000].into();
    });
    refused(room, "10,000 layers", &image, "10000 layers", 0)?;
    image.change_manifest = Some(|manifest| manifest["layers"] = json!([]));
    refused(room, "no layers", &image, "layers", 0)?;
    image.change_manifest = Some(|manifest| manifest["config"]["digest"] = json!("sha256:../../x"));
    refused(room, "a digest that is a path", &image, "digest", 0)?;
    image.change_manifest = Some(|manifest| {
        manifest["layers"][0]["urls"] = json!(["http://192.0.2.1/layer"]);
        manifest["layers"][0]["digest"] = json!(lxcri_testkit::image::digest(b"elsewhere"));
    });
    refused(room, "a layer that is elsewhere", &image, "has no", 0)?;
    image.change_manifest = None;
    image.raw_config = Some(b"<html>".to_vec());
    refused(room, "a configuration that is none", &image, "configuration", 0)
}

/// Absolute names, and links among the parents, end inside of the layer.
fn paths_stay_inside(room: &Room) -> Verdict {
    let outside = room.dir().join("outside");
    fs::create_dir(&outside)?;
    fs::write(outside.join("secret"), "secret")?;
    let path = outside.to_string_lossy();
    let image = with_entries(&[
        Entry::file(format!("{path}/absolute"), "inside"),
        Entry::symlink("trap", path.as_bytes()),
        Entry::file("trap/secret", "inside"),
        Entry::symlink("climb", "../../../../../../../../../../../tmp"),
        Entry::file("climb/climbed", "inside"),
    ])?;
    let host = Host::new(room, "host")?;
    let script = format!("cat {path}/absolute {path}/secret /tmp/climbed");
    let said = host.run(&[&archive(room, &image)?, "sh", "-c", &script])?.ok()?.stdout;
    ensure_eq!(said, "insideinsideinside", "in the container");
    ensure_eq!(fs::read(outside.join("secret"))?, b"secret", "a file of the host");
    ensure!(!outside.join("absolute").exists(), "made on the host");
    ensure!(!std::path::Path::new("/tmp/climbed").exists(), "made in /tmp of the host");
    host.ensure_no_containers()
}

/// What an image says of its program, and cannot be. The image is whole: it may stay in the store.
fn bad_configurations(room: &Room) -> Verdict {
    let fifo = [Entry::directory("etc"), Entry::new("etc/passwd", Kind::Fifo, 0o644)];
    let link = [Entry::directory("etc"), Entry::symlink("etc/passwd", "../../../../etc/passwd")];
    let huge = [Entry::directory("etc"), Entry::new("etc/passwd", Kind::Zeros(256 << 20), 0o644)];
    let plain: &[Entry] = &[Entry::file("a", "")];
    for (what, entries, pointer, value, message) in [
        ("a line break in User", plain, "/config/User", json!("root\n0"), "User"),
        ("a line break in Env", plain, "/config/Env", json!(["A=b\nC=d\0"]), "Env"),
        ("no name in Env", plain, "/config/Env", json!(["=b"]), "Env"),
        ("passwd is a FIFO", &fifo, "/config/User", json!("somebody"), "etc/passwd"),
        ("passwd is huge", &huge, "/config/User", json!("somebody"), "etc/passwd"),
        ("passwd is the host's", &link, "/config/User", json!("sshd"), "symbolic links"),
        ("a user of numbers", plain, "/config/User", json!("99999999999"), "2147483647"),
    ] {
        let mut image = with_entries(entries)?;
        image.set(pointer, value);
        let host = Host::new(room, "host")?;
        let finished = host.run(&[&archive(room, &image)?, "echo", "ran"])?;
        let finished = finished.exits(125).map_err(|stop| stop.within(what))?;
        finished.refuses(&[message]).map_err(|stop| stop.within(what))?;
        host.ensure_no_containers().map_err(|stop| stop.within(what))?;
    }
    Ok(())
}

/// What an image says of itself does not reach a terminal as it is.
fn labels_with_escapes(room: &Room) -> Verdict {
    let mut image = busybox_image(Compression::Gzip)?;
    image.set("/config/Labels", json!({ "\u{1b}]0;owned\u{7}": "\u{1b}[2J", "a": "b\nc" }));
    image.set("/author", json!("\u{1b}[31m"));
    let host = Host::new(room, "host")?;
    host.call(&["image", "import", "--quiet", &archive(room, &image)?])?.ok()?;
    let id = room.id();
    host.call(&["create", "--image", "localhost/app:1", "--network", "none", &id, "true"])?.ok()?;
    for words in [
        &["image", "inspect", "localhost/app:1"][..],
        &["image", "list"],
        &["list"],
        &["state", &id],
    ] {
        let finished = host.call(words)?.ok()?;
        let said = [finished.stdout.as_bytes(), finished.stderr.as_bytes()].concat();
        ensure!(!said.contains(&0x1b) && !said.contains(&7), "escapes: {finished}");
    }
    host.call(&["delete", "--force", &id])?.ok()?;
    host.ensure_no_containers()
}

/// Runs from a registry, which has to fail with `message`; whose requests are then looked at.
fn from_registry(
    room: &Room,
    script: impl Fn(&Asked) -> Answer + Send + Sync + 'static,
    message: &str,
) -> Verdict<Vec<Asked>> {
    let server = Server::start(&busybox_image(Compression::Gzip)?, Box::new(script))?;
    let host = Host::new(room, "host")?.with("PROXMOX_LXCRI_IMAGES_STALL_TIMEOUT", "1s");
    let auth = json!({ "auths": { server.address(): { "auth": "YWRhOnNlY3JldA==" } } });
    fs::write(host.auth_file(), auth.to_string())?;
    let name = format!("{}/app:1", server.address());
    let finished = host.run(&[&name, "echo", "ran"])?.exits(125)?.refuses(&[message])?;
    ensure_eq!(finished.stdout, "", "what ran");
    ensure!(!finished.stderr.contains('\u{1b}'), "escapes: {finished}");
    ensure_eq!(host.images()?, Vec::<String>::new(), "names in the store");
    ensure_eq!(host.ready_layers()?, Vec::<String>::new(), "layers that can be used");
    host.ensure_no_containers()?;
    Ok(server.asked())
}

fn bad_registries(room: &Room) -> Verdict {
    const HTML: &str = "Content-Type: text/html\r\n";
    let html = |asked: &Asked| match asked.target.contains("/manifests/") {
        true => Answer::With(200, HTML.to_owned(), b"<html>\x1b[2J hello</html>".to_vec()),
        false => Answer::Honestly,
    };
    from_registry(room, html, "not a registry")?;
    let around = |asked: &Asked| match asked.target.contains("/blobs/") {
        true => Answer::With(307, format!("Location: {}\r\n", asked.target), Vec::new()),
        false => Answer::Honestly,
    };
    let asked = from_registry(room, around, "redirect")?;
    ensure!(asked.len() < 60, "{} requests", asked.len());
    let other = |asked: &Asked| match asked.target.contains("/blobs/") {
        true => Answer::With(200, String::new(), b"other bytes".to_vec()),
        false => Answer::Honestly,
    };
    from_registry(room, other, "")?;
    let endless = |asked: &Asked| match asked.target.contains("/manifests/") {
        true => Answer::With(200, String::new(), vec![b' '; 64 << 20]),
        false => Answer::Honestly,
    };
    from_registry(room, endless, "larger than")?;
    Ok(())
}

/// The configuration comes whole; of the layer the same beginning, again and again.
fn is_layer(asked: &Asked, seen: &std::sync::atomic::AtomicUsize) -> bool {
    let count = || seen.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
    asked.target.contains("/blobs/") && count() > 0
}

fn a_registry_that_dies(room: &Room) -> Verdict {
    let seen = std::sync::atomic::AtomicUsize::new(0);
    let dies = move |asked: &Asked| match is_layer(asked, &seen) {
        true => Answer::Dies(1000),
        false => Answer::Honestly,
    };
    let asked = from_registry(room, dies, "the connection broke")?;
    ensure!(asked.len() < 20, "{} requests", asked.len());
    Ok(())
}

fn a_registry_that_stalls(room: &Room) -> Verdict {
    let seen = std::sync::atomic::AtomicUsize::new(0);
    let stalls = move |asked: &Asked| match is_layer(asked, &seen) {
        true => Answer::Stalls(1000),
        false => Answer::Honestly,
    };
    let asked = from_registry(room, stalls, "stalls")?;
    ensure!(asked.len() < 20, "{} requests", asked.len());
    Ok(())
}

/// A registry that wants its password sent somewhere else does not get it sent there.
fn credentials_for_another_host(room: &Room) -> Verdict {
    let thief = Server::start(&busybox_image(Compression::Gzip)?, Box::new(|_| Answer::Honestly))?;
    let realm = format!(
        "http://localhost:{}/token",
        thief.address().rsplit(':').next().unwrap_or_default()
    );
    let asks = move |_: &Asked| {
        let line = format!("WWW-Authenticate: Bearer realm=\"{realm}\",service=\"x\"\r\n");
        Answer::With(401, line, b"{}".to_vec())
    };
    from_registry(room, asks, "token")?;
    let told =
        thief.asked().iter().any(|asked| asked.head.to_lowercase().contains("authorization"));
    ensure!(!told, "the password was sent: {:?}", thief.asked());
    Ok(())
}
