use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::super::Limits;
use super::super::tests::{Tar, blob, gzip, header, paths};
use super::*;
use crate::progress::Silent;

type Opened = Result<Blob, Box<dyn std::error::Error + Send + Sync>>;

fn opener(bytes: Vec<u8>) -> impl Fn() -> Opened {
    move || Ok(Blob { file: blob(&bytes), digest: None, compression: None })
}

fn layers(directory: &Path) -> Layers {
    Layers::open(directory.join("layers")).unwrap()
}

fn workers() -> Workers {
    Workers::start(2, &Limits::default())
}

fn some_layer() -> (Vec<u8>, Digest) {
    let archive = Tar::default().directory("d").file("d/f", "content").end();
    let diff_id = Digest::of(&archive);
    (archive, diff_id)
}

/// As if the machine had been booted since.
fn reboot(layers: &mut Layers) {
    layers.boot_id = "00000000-0000-0000-0000-000000000000".into();
}

#[test]
fn a_layer_is_made_once() {
    let dir = tempfile::tempdir().unwrap();
    let (archive, diff_id) = some_layer();
    let (one, other) = (layers(dir.path()), layers(dir.path()));
    assert_eq!(one.get(&diff_id), None);
    let opened = AtomicUsize::new(0);
    let open = || {
        opened.fetch_add(1, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(30));
        opener(gzip(&archive))()
    };
    let make = |layers: &Layers| layers.make(&diff_id, &workers(), &open, &mut Silent).unwrap();
    let (first, second) = std::thread::scope(|scope| {
        let other = scope.spawn(|| make(&other));
        (make(&one), other.join().unwrap())
    });
    assert_eq!(first, second);
    assert_eq!(opened.load(Ordering::SeqCst), 1);
    assert_eq!(one.get(&diff_id), Some(first.clone()));
    assert_eq!(std::fs::read(first.path.join("d/f")).unwrap(), b"content");
    let listed = one.list().unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!((listed[0].bytes, listed[0].entries), (archive.len() as u64, 2));
    assert!(listed[0].usable && !listed[0].synced);
}

#[test]
fn nothing_is_left_of_what_was_refused() {
    let dir = tempfile::tempdir().unwrap();
    let layers = layers(dir.path());
    let good = Tar::default().file("before", "x");
    let archives = [
        good.clone().file("../escape", "").end(),
        good.clone().hard_link("h", "/etc/passwd").end(),
        good.clone().file(".wh..wh..opq", "").end(),
        good.clone().device(b'3', "c", 0, 0).end(),
        good.clone().raw(header(b'0', b"cut", 5000), b"").cut(),
        gzip(&good.clone().end())[..40].to_vec(),
        b"<html>".to_vec(),
    ];
    for archive in archives {
        let diff_id = Digest::of(&archive);
        let error = layers.make(&diff_id, &workers(), &opener(archive), &mut Silent).unwrap_err();
        assert!(error.to_string().starts_with(&format!("layer {}: ", diff_id.short())), "{error}");
        assert_eq!(layers.get(&diff_id), None);
        assert_eq!(paths(&dir.path().join("layers")), [format!("{}.lock", diff_id.hex())]);
        layers.sweep().unwrap();
        assert_eq!(paths(dir.path()), ["layers"]);
    }
    let (archive, _) = some_layer();
    let other = Digest::of(b"other");
    let error = layers.make(&other, &workers(), &opener(archive), &mut Silent).unwrap_err();
    assert!(error.to_string().contains("its content has the diff_id"), "{error}");
    let open = || -> Opened { Err("no such blob".into()) };
    let error = layers.make(&other, &workers(), &open, &mut Silent).unwrap_err();
    assert_eq!(error.to_string(), "layer d9298a10d1b0: cannot open its blob: no such blob");
    assert_eq!(layers.list().unwrap(), []);
}

#[test]
fn what_was_not_synced_does_not_outlive_a_boot() {
    let dir = tempfile::tempdir().unwrap();
    let mut layers = layers(dir.path());
    let (archive, diff_id) = some_layer();
    let make = |layers: &Layers| {
        layers.make(&diff_id, &workers(), &opener(archive.clone()), &mut Silent).unwrap()
    };
    let layer = make(&layers);
    std::fs::write(layer.path.join("d/f"), "").unwrap();
    reboot(&mut layers);
    assert_eq!(layers.get(&diff_id), None, "its files may be empty");
    assert!(!layers.list().unwrap()[0].usable);
    let layer = make(&layers);
    assert_eq!(std::fs::read(layer.path.join("d/f")).unwrap(), b"content");
    assert_eq!((layers.sync().unwrap(), layers.sync().unwrap()), (1, 0));
    layers.boot_id = "another".into();
    assert_eq!(layers.get(&diff_id), Some(layer));
    assert_eq!(layers.sweep().unwrap(), 0);
}

#[test]
fn what_was_made_again_is_not_what_was_written_out() {
    let dir = tempfile::tempdir().unwrap();
    let layers = layers(dir.path());
    let (archive, diff_id) = some_layer();
    let make = || layers.make(&diff_id, &workers(), &opener(archive.clone()), &mut Silent).unwrap();
    let written = File::open(make().path).unwrap();
    assert!(layers.remove(&diff_id).unwrap());
    make();
    assert!(!layers.mark_synced(&diff_id, &written).unwrap());
    assert!(!layers.list().unwrap()[0].synced);
}

#[test]
fn marks_that_are_none() {
    let dir = tempfile::tempdir().unwrap();
    let layers = layers(dir.path());
    let (archive, diff_id) = some_layer();
    let layer = layers.make(&diff_id, &workers(), &opener(archive.clone()), &mut Silent).unwrap();
    let mark = layer.path.with_file_name("ready.json");
    let good = std::fs::read_to_string(&mark).unwrap();
    let other = good.replace(diff_id.hex(), Digest::of(b"x").hex());
    let newer = good.replace("\"schema\":1", "\"schema\":2");
    for bad in ["", "{}", "[", &good[..good.len() - 1], &other, &newer] {
        std::fs::write(&mark, bad).unwrap();
        assert_eq!(layers.get(&diff_id), None, "{bad}");
    }
    // It is made again.
    layers.make(&diff_id, &workers(), &opener(archive), &mut Silent).unwrap();
    assert_eq!(std::fs::read_to_string(&mark).unwrap(), good);
    std::fs::remove_dir_all(&layer.path).unwrap();
    assert_eq!(layers.get(&diff_id), None);
}

#[test]
fn removing_and_sweeping() {
    let dir = tempfile::tempdir().unwrap();
    let layers = layers(dir.path());
    let (archive, diff_id) = some_layer();
    layers.make(&diff_id, &workers(), &opener(archive.clone()), &mut Silent).unwrap();
    assert!(layers.remove(&diff_id).unwrap());
    assert!(!layers.remove(&diff_id).unwrap());
    assert_eq!(paths(dir.path()), ["layers"]);
    let ready = layers.make(&diff_id, &workers(), &opener(archive), &mut Silent).unwrap();
    let (left, busy) = (Digest::of(b"left"), Digest::of(b"busy"));
    for diff_id in [&left, &busy, &diff_id] {
        std::fs::create_dir_all(layers.path(diff_id, Some(PART)).join("fs/x")).unwrap();
    }
    std::fs::create_dir_all(layers.path(&left, Some(GONE)).join("fs")).unwrap();
    std::fs::write(dir.path().join("layers/not ours"), "").unwrap();
    let lock = layers.lock(&busy).unwrap();
    assert_eq!(layers.sweep().unwrap(), 2);
    drop(lock);
    assert_eq!(layers.get(&diff_id), Some(ready));
    let mut wanted = [
        diff_id.hex().to_owned(),
        format!("{}.lock", diff_id.hex()),
        format!("{}.lock", busy.hex()),
        format!("{}.part", busy.hex()),
        "not ours".to_owned(),
    ];
    wanted.sort();
    assert_eq!(
        layers
            .names()
            .map(|mut names| {
                names.sort();
                names
            })
            .unwrap(),
        wanted
    );
}

const DIRECTORY: &str = "LXCRI_TEST_LAYERS";

fn endless() -> (Tar, Digest) {
    (Tar::default().raw(header(b'0', b"large", 4 << 30), b""), Digest::of(b"endless"))
}

/// Makes a layer that takes long, until it is killed, where the next test has started it.
#[test]
fn a_process_that_makes_a_layer() {
    let Some(directory) = std::env::var_os(DIRECTORY) else { return };
    let layers = Layers::open(directory).unwrap();
    let (archive, diff_id) = endless();
    let open = || {
        let file = blob(&archive.clone().cut());
        file.set_len(5 << 30)?;
        Ok(Blob { file, digest: None, compression: None })
    };
    layers.make(&diff_id, &workers(), &open, &mut Silent).unwrap();
}

#[test]
fn kill_in_the_middle_leaves_nothing_that_is_used() {
    let dir = tempfile::tempdir().unwrap();
    let (_, diff_id) = endless();
    let layers = layers(dir.path());
    let name = "layer::cache::tests::a_process_that_makes_a_layer";
    let mut maker = Command::new("/proc/self/exe")
        .args(["--exact", name])
        .env(DIRECTORY, dir.path().join("layers"))
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let file = layers.path(&diff_id, Some(PART)).join("fs/large");
    let size = || file.metadata().map_or(0, |meta| meta.len());
    while size() == 0 {
        assert_eq!(maker.try_wait().unwrap(), None);
        std::thread::sleep(Duration::from_millis(2));
    }
    assert!(layers.try_lock(&diff_id).unwrap().is_none(), "it is being made");
    maker.kill().unwrap();
    maker.wait().unwrap();
    // Its own child ends with it, before it has written everything.
    let mut last = size();
    loop {
        std::thread::sleep(Duration::from_millis(50));
        if size() == last {
            break;
        }
        last = size();
    }
    assert!(last < 4 << 30, "{last}");
    assert_eq!(layers.get(&diff_id), None);
    assert_eq!(layers.list().unwrap(), []);
    assert_eq!(layers.sweep().unwrap(), 1);
    assert_eq!(paths(dir.path()), ["layers"]);
}
