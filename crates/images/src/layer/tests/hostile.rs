//! Layers that want to get out, or to break something. Each is refused with a line that says why, or
//! ends inside; nothing outside of the target changes.

use std::os::unix::fs::symlink;

use lxcri_linux::capability::{self, Set};

use super::*;

fn overlay() -> Place {
    Place::new(Mode::Overlay)
}

#[test]
fn dot_dot_is_refused() {
    for path in ["../outside/new", "a/../../outside/new", "..", "a/.."] {
        let problem = overlay().refusal(&Tar::default().file(path, "x").end());
        assert_eq!(problem, format!("entry {path:?} has \"..\" in its path"));
    }
}

#[test]
fn absolute_paths_are_the_layers_own() {
    let place = overlay();
    let absolute = place.outside().join("new");
    let archive = Tar::default().pax(&[("path", absolute.to_str().unwrap().as_bytes())]);
    place.unpack(&archive.file("x", "inside").end()).unwrap();
    place.assert_outside_is_untouched();
    let inside = place.path(absolute.strip_prefix("/").unwrap());
    assert_eq!(std::fs::read(inside).unwrap(), b"inside");
}

#[test]
fn links_among_the_parents_lead_nowhere_else() {
    for mode in [Mode::Overlay, Mode::Apply] {
        let place = Place::new(mode);
        let outside = place.outside();
        // The trap is a real one: the kernel alone would follow it.
        symlink(&outside, place.path("trap")).unwrap();
        assert_eq!(std::fs::read(place.path("trap/secret")).unwrap(), b"secret");
        std::fs::remove_file(place.path("trap")).unwrap();
        let archive = Tar::default()
            .symlink("absolute", outside.to_str().unwrap())
            .symlink("relative", "../outside")
            .symlink("further", "../../../../../../../../outside")
            .symlink("indirect", "absolute/deeper/..")
            .file("absolute/new", "1")
            .file("relative/secret", "2")
            .file("further/new", "3")
            .file("indirect/secret", "4")
            .directory("absolute/secret.d")
            .symlink("absolute/link", "secret")
            .device(b'6', "absolute/fifo", 0, 0)
            .hard_link("absolute/hard", "absolute/new");
        place.unpack(&archive.end()).unwrap();
        place.assert_outside_is_untouched();
        let inside = place.path(outside.strip_prefix("/").unwrap());
        assert_eq!(std::fs::read(inside.join("new")).unwrap(), b"1");
        assert_eq!(std::fs::read(inside.join("secret")).unwrap(), b"4");
        assert_eq!(std::fs::read(place.path("outside/secret")).unwrap(), b"2");
        assert_eq!(std::fs::read(place.path("outside/new")).unwrap(), b"3");
    }
}

#[test]
fn a_link_is_replaced_and_not_written_through() {
    let place = overlay();
    let secret = place.outside().join("secret");
    let secret = secret.to_str().unwrap();
    let outside = place.outside();
    let archive = Tar::default()
        .symlink("file", secret)
        .file("file", "mine")
        .symlink("directory", outside.to_str().unwrap())
        .directory("directory")
        .file("directory/secret", "mine")
        .symlink("node", secret)
        .device(b'6', "node", 0, 0);
    place.unpack(&archive.end()).unwrap();
    place.assert_outside_is_untouched();
    assert_eq!(std::fs::read(place.path("directory/secret")).unwrap(), b"mine");
    assert!(!place.path("file").is_symlink() && !place.path("node").is_symlink());
}

#[test]
fn hard_links_stay_inside() {
    let place = overlay();
    let outside = place.outside();
    let outside = outside.to_str().unwrap();
    // The trap is a real one: such a link can be made.
    std::fs::hard_link(place.outside().join("secret"), place.path("trap")).unwrap();
    std::fs::remove_file(place.path("trap")).unwrap();
    let refusal = |archive: Tar| place.refusal(&archive.end());
    assert_eq!(
        refusal(Tar::default().hard_link("h", "../outside/secret")),
        r#"entry "h" is a hard link to "../outside/secret", which has ".." in its path"#
    );
    let relative = format!("{outside}/secret");
    assert_eq!(
        refusal(Tar::default().hard_link("h", &relative)),
        format!("entry \"h\" is a hard link to {:?}, which is not there", &relative[1..])
    );
    assert_eq!(
        refusal(Tar::default().symlink("out", outside).hard_link("h", "out/secret")),
        r#"entry "h" is a hard link to "out/secret", which is not there"#
    );
    assert_eq!(
        refusal(Tar::default().directory("d").hard_link("h", "d")),
        r#"entry "h" is a hard link to "d", which is a directory"#
    );
    assert_eq!(
        refusal(Tar::default().hard_link("h", "")),
        r#"entry "h" is a hard link to "", which is a directory"#
    );
    assert_eq!(
        refusal(Tar::default().hard_link("self", "self")),
        r#"entry "self" is a hard link to "self", which is not there"#
    );
    assert_eq!(
        refusal(Tar::default().file(".wh.gone", "").hard_link("h", "gone")),
        r#"entry "h" is a hard link to "gone", which is deleted"#
    );
}

#[test]
fn the_root_is_not_deleted_and_stays_a_directory() {
    for mode in [Mode::Overlay, Mode::Apply] {
        let place = Place::new(mode);
        std::fs::write(place.path("lower"), "lower").unwrap();
        for name in [".wh..wh..opq", "./.wh..wh..opq", "/.wh..wh..opq"] {
            let problem = place.refusal(&Tar::default().file(name, "").end());
            assert_eq!(problem, "entry \".wh..wh..opq\" is the whiteout of the root");
        }
        for name in [".wh.", ".wh..", ".wh...", "a/.wh..", "a/.wh..."] {
            let problem = place.refusal(&Tar::default().file(name, "").end());
            let wanted = format!("entry {name:?} is the whiteout of a whole directory from within");
            assert_eq!(problem, wanted);
        }
        for archive in [Tar::default().symlink(".", "/etc"), Tar::default().file("./", "x")] {
            let problem = place.refusal(&archive.end());
            assert_eq!(problem, "entry \"/\" is the root of the layer and no directory");
        }
        assert_eq!(std::fs::read(place.path("lower")).unwrap(), b"lower");
    }
}

#[test]
fn what_overlayfs_would_misunderstand() {
    let place = overlay();
    let problem = place.refusal(&Tar::default().device(b'3', "fake", 0, 0).end());
    assert_eq!(
        problem,
        "entry \"fake\" is a character device 0:0, which overlayfs takes for a deleted file"
    );
    let problem = place.refusal(&Tar::default().device(b'3', "cut", 1 << 12, 0).end());
    assert_eq!(problem, "entry \"cut\" is a device with the impossible number 4096:0");
    let records: [(&str, &[u8]); 4] = [
        ("SCHILY.xattr.trusted.overlay.opaque", b"y"),
        ("SCHILY.xattr.trusted.overlay.redirect", b"/etc"),
        ("SCHILY.xattr.user.overlay.opaque", b"y"),
        ("SCHILY.xattr.user.kept", b"1"),
    ];
    let archive = Tar::default().pax(&records).directory("d").pax(&records).file("f", "");
    let unpacked = place.unpack(&archive.end()).unwrap();
    assert_eq!(unpacked.dropped.xattrs, 6);
    for name in ["d", "f"] {
        let mut names = vec![0_u8; 4096];
        let length = rustix::fs::listxattr(place.path(name), &mut names[..]).unwrap();
        assert_eq!(&names[..length], b"user.kept\0");
    }
}

#[test]
fn names_below_a_whiteout() {
    let place = overlay();
    let problem = place.refusal(&Tar::default().file(".wh.a/b", "").end());
    assert_eq!(problem, "entry \".wh.a/b\" lies in the whiteout of a directory");
    let archive = Tar::default().file(".wh..wh.plnk/1.2", "x").file(".wh..wh.aufs", "");
    assert_eq!(place.unpack(&archive.end()).unwrap().dropped.aufs, 2);
    assert_eq!(paths(&place.target()), [""; 0]);
}

#[test]
fn devices_need_a_capability() {
    const MKNOD: u32 = 27;
    let archive = Tar::default().device(b'4', "disk", 8, 0).end();
    overlay().unpack(&archive).unwrap();
    // Capabilities belong to a thread.
    let unprivileged = std::thread::spawn(move || {
        let without = Set::from_bits(1 << MKNOD);
        let left = capability::current().unwrap().permitted.without(without);
        capability::set_thread(left, left, Set::EMPTY).unwrap();
        let place = overlay();
        // Deleting takes no such right.
        place.unpack(&Tar::default().file(".wh.gone", "").end()).unwrap();
        place.refusal(&archive)
    });
    assert_eq!(
        unprivileged.join().unwrap(),
        "entry \"disk\" is a device, and making one needs CAP_MKNOD on this host"
    );
}

#[test]
fn bombs() {
    const MIB: usize = 1 << 20;
    let mut place = overlay();
    place.limits.ratio_from = 8 * MIB as u64;
    // 10 GiB of nothing: a header, then the same 64 MiB again and again.
    let head = Tar::default().raw(header(b'0', b"zeros", 10 << 30), b"").cut();
    let zeros = vec![0; 64 * MIB];
    let bombs = [
        [gzip(&head), gzip(&zeros).repeat(160)].concat(),
        [zstd_frame(&head), zstd_frame(&zeros).repeat(160)].concat(),
    ];
    for bomb in bombs {
        assert!(bomb.len() < 11 * MIB, "{}", bomb.len());
        let error = place.unpack_blob(&bomb, &Digest::of(b"")).unwrap_err();
        assert_eq!(
            error.problem.to_string(),
            "it unpacks to more than 100 bytes for each compressed one"
        );
        assert!(error.hints()[0].contains("[images]"));
        let written = place.path("zeros").metadata().unwrap().len();
        assert!(written <= 10 * MIB as u64, "{written}");
    }
    // What the limit is for: with another one it goes on for longer.
    place.limits.ratio_from = 32 * MIB as u64;
    let bomb = [gzip(&head), gzip(&zeros).repeat(2)].concat();
    place.unpack_blob(&bomb, &Digest::of(b"")).unwrap_err();
    assert!(place.path("zeros").metadata().unwrap().len() > 10 * MIB as u64);
}

#[test]
fn holes_count_too() {
    let records: [(&str, &[u8]); 4] = [
        ("GNU.sparse.major", b"1"),
        ("GNU.sparse.minor", b"0"),
        ("GNU.sparse.name", b"huge"),
        ("GNU.sparse.realsize", b"9000000000000000000"),
    ];
    let archive = Tar::default().pax(&records).file("x", "0\n").end();
    let problem = overlay().refusal(&archive);
    assert_eq!(problem, "entry \"huge\" is sparse and has a map longer than what is stored");
    let map = [&b"0\n"[..], &[0; 510]].concat();
    let problem = overlay().refusal(&Tar::default().pax(&records).file("x", &map).end());
    assert_eq!(problem, "more than 137438953472 bytes of files with holes (at \"huge\")");
}

#[test]
fn too_many_entries() {
    assert!(Limits::default().entries < 10_000_000);
    let mut place = overlay();
    place.limits.entries = 1000;
    let mut archive = Tar::default();
    for number in 0..1000 {
        archive = archive.file(format!("{number}"), "");
    }
    place.unpack(&archive.clone().end()).unwrap();
    let problem = place.refusal(&archive.file("one more", "").end());
    assert_eq!(problem, "more than 1000 entries");
    // Headers that only extend others count, too.
    let mut archive = Tar::default();
    for _ in 0..1001 {
        archive = archive.pax(&[("comment", b"x")]);
    }
    assert_eq!(place.refusal(&archive.end()), "more than 1000 entries");
}

#[test]
fn extensions_are_bounded() {
    let place = overlay();
    for kind in [b'x', b'g', b'L', b'K'] {
        let problem = place.refusal(&Tar::default().raw(header(kind, b"x", 1 << 33), b"").end());
        assert_eq!(
            problem,
            "the tar header at byte 0 is damaged: it extends another by more than 1048576 bytes"
        );
    }
    let long = vec![b'n'; 256];
    let problem = place.refusal(&Tar::default().pax(&[("path", &long)]).file("x", "").end());
    assert!(problem.ends_with("has a name longer than 255 bytes"), "{problem}");
}

#[test]
fn deep_paths() {
    let mut place = overlay();
    let deep = b"d/".repeat(512);
    place.unpack(&Tar::default().pax(&[("path", &deep)]).directory("x").end()).unwrap();
    let deeper = b"d/".repeat(513);
    let problem = place.refusal(&Tar::default().pax(&[("path", &deeper)]).directory("x").end());
    assert!(problem.starts_with("a path deeper than 512 names (at "), "{problem}");
    // By links a tree gets deeper than any path in the archive: it can be removed all the same.
    place.limits.depth = 60;
    let mut archive = Tar::default();
    let segment = "s/".repeat(50);
    let mut start = String::new();
    // Half of what the kernel follows: a walk that it has to begin anew counts its links twice.
    for number in 0..19 {
        let path = format!("{start}{segment}");
        archive = archive.pax(&[("path", path.as_bytes())]).directory("x");
        let link = format!("l{number}");
        archive = archive.symlink(&link, path.trim_end_matches('/'));
        start = format!("{link}/");
    }
    place.unpack(&archive.end()).unwrap();
    let directory = File::open(place.directory.path()).unwrap();
    lxcri_linux::tree::remove(directory, "target".as_ref()).unwrap();
    assert!(!place.target().exists());
}

#[test]
fn circles_of_links() {
    let place = overlay();
    let problem =
        place.refusal(&Tar::default().symlink("a", "b").symlink("b", "a").file("a/x", "").end());
    assert_eq!(problem, "entry \"a\" leads through too many symbolic links");
    let archive = Tar::default().symlink("up", "up/../up/x").file("up/y", "");
    let problem = place.refusal(&archive.end());
    assert_eq!(problem, "entry \"up\" leads through too many symbolic links");
}

#[test]
fn damaged_archives() {
    let place = overlay();
    let archive = Tar::default().file("a", [b'x'; 1000]).end();
    assert_eq!(
        place.refusal(&archive[..700]),
        "its tar archive ends in the middle, after 700 bytes (at \"a\")"
    );
    assert_eq!(
        place.refusal(&archive[..1]),
        "it is something unknown, and no tar archive, plain or compressed by gzip or zstd"
    );
    let two = Tar::default().file("a", "").file("b", "").end();
    assert_eq!(place.refusal(&two[..600]), "its tar archive ends in the middle, after 600 bytes");
    let mut lone = Tar::default().file("a", "").cut();
    lone.resize(1024, 0);
    lone.extend(Tar::default().file("b", "").end());
    assert_eq!(
        place.refusal(&lone),
        "the tar header at byte 1024 is damaged: a lone block of zeros stands before it"
    );
    for kind in [b'V', b'M', b'?', 0xff] {
        let problem = place.refusal(&Tar::default().raw(header(kind, b"odd", 0), b"").end());
        assert!(problem.starts_with("entry \"odd\" is of the unknown type"), "{problem}");
    }
    let records: [(&str, &[u8]); 1] = [("uid", b"4294967295")];
    let problem = place.refusal(&Tar::default().pax(&records).file("f", "").end());
    assert_eq!(problem, "entry \"f\" belongs to the impossible uid 4294967295");
    let problem = place.refusal(&Tar::default().file("f", "").file("f/x", "").end());
    assert_eq!(problem, "entry \"f\" is no directory, and other entries lie in it");
}

#[test]
fn the_place_of_the_next_entry_is_not_a_matter_of_taste() {
    // The size of the extended header counts; readers that take the other one see an entry that is
    // only content here.
    let hidden = Tar::default().file("hidden", "").cut();
    let archive = Tar::default()
        .pax(&[("size", hidden.len().to_string().as_bytes())])
        .raw(header(b'0', b"content", 0), &hidden)
        .file("after", "");
    let place = overlay();
    place.unpack(&archive.end()).unwrap();
    assert_eq!(paths(&place.target()), ["after", "content"]);
    // Links and directories have no content, whatever their size says.
    let mut link = header(b'2', b"link", 512);
    link.set_link_name("x").unwrap();
    let archive = Tar::default().raw(link, b"").raw(header(b'5', b"d", 512), b"").file("f", "");
    let place = overlay();
    place.unpack(&archive.end()).unwrap();
    assert_eq!(paths(&place.target()), ["d", "f", "link"]);
}

#[test]
fn blobs_that_are_not_what_they_should_be() {
    let mut place = overlay();
    let archive = Tar::default().file("a", b"some text, again and again ".repeat(1000)).end();
    let diff_id = Digest::of(&archive);
    let problem = |place: &Place, bytes: &[u8]| {
        place.unpack_blob(bytes, &diff_id).unwrap_err().problem.to_string()
    };
    let packed = gzip(&archive);
    let cut = &packed[..packed.len() - 9];
    let wanted = format!("its gzip data end in the middle, after {} bytes", cut.len());
    assert_eq!(problem(&place, cut), wanted);
    let frame = zstd_frame(&archive);
    let cut = &frame[..frame.len() - 5];
    let wanted = format!("its zstd data end in the middle, after {} bytes", cut.len());
    assert_eq!(problem(&place, cut), wanted);
    let mut damaged = packed.clone();
    let last = damaged.len() - 6;
    damaged[last] ^= 1;
    assert!(problem(&place, &damaged).starts_with("its gzip data are damaged: "));
    let garbage = [&packed[..], b"garbage"].concat();
    assert!(problem(&place, &garbage).starts_with("its gzip data are damaged: "));
    for (bytes, found) in [
        (&b"<html>"[..], "a text document"),
        (b"\xfd7zXZ\0", "xz data"),
        (b"BZh9", "bzip2 data"),
        (b"PK\x03\x04", "a zip archive"),
    ] {
        let wanted =
            format!("it is {found}, and no tar archive, plain or compressed by gzip or zstd");
        assert_eq!(problem(&place, bytes), wanted);
    }
    place.compression = Some(Compression::Gzip);
    for (bytes, found) in [(&archive, "a plain tar archive"), (&frame, "zstd data")] {
        let wanted = format!("it is {found}, and not gzip data as its media type says");
        assert_eq!(problem(&place, bytes), wanted);
    }
    let wanted = "it is a text document, and not gzip data as its media type says";
    assert_eq!(problem(&place, b"<html>"), wanted);
}

#[test]
fn digests_are_verified() {
    let place = overlay();
    let archive = Tar::default().file("a", "x").end();
    let other = Digest::of(b"other");
    let error = place.unpack_blob(&archive, &other).unwrap_err();
    let wanted = format!(
        "layer d9298a10d1b0: its content has the diff_id {} instead of {other}",
        Digest::of(&archive)
    );
    assert_eq!(error.to_string(), wanted);
    assert_eq!(error.hints().len(), 1);
    // Also what follows the end of the archive is part of it.
    let longer = [archive.clone(), vec![7; 5]].concat();
    assert!(place.unpack_blob(&longer, &Digest::of(&archive)).is_err());
    place.unpack_blob(&longer, &Digest::of(&longer)).unwrap();
    let (blob, target) = (blob(&gzip(&archive)), File::open(place.target()).unwrap());
    let request = Request {
        blob: &blob,
        digest: Some(&other),
        compression: None,
        diff_id: &Digest::of(&archive),
        target: target.as_fd(),
        mode: place.mode,
        ids: &place.ids,
        limits: &place.limits,
    };
    let error = unpack(&request, &mut |_| {}).unwrap_err().problem;
    assert!(matches!(error, Problem::BlobDigest { expected, .. } if expected == other));
}
