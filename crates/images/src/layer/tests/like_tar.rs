//! Archives that GNU tar made become what GNU tar makes of them.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::process::Command;

use super::*;

fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {output:?}");
}

/// Everything that is to be known of every path, but access and change times.
fn facts(directory: &Path) -> BTreeMap<PathBuf, String> {
    let mut links = BTreeMap::new();
    let mut describe = |path: &Path| {
        let full = directory.join(path);
        let meta = full.symlink_metadata().unwrap();
        let content = match meta.file_type() {
            kind if kind.is_file() => Digest::of(&std::fs::read(&full).unwrap()).to_string(),
            kind if kind.is_symlink() => format!("-> {:?}", full.read_link().unwrap()),
            _ => format!("{:x}", meta.rdev()),
        };
        let first = links.entry(meta.ino()).or_insert_with(|| path.to_owned()).clone();
        let size = if meta.is_dir() { 0 } else { meta.size() };
        let mut xattrs = vec![0_u8; 4096];
        let length = rustix::fs::llistxattr(&full, &mut xattrs[..]).unwrap();
        let mut values = Vec::new();
        for name in xattrs[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
            let mut value = vec![0_u8; 4096];
            let length = rustix::fs::lgetxattr(&full, name, &mut value[..]).unwrap();
            values.push((name.to_vec(), value[..length].to_vec()));
        }
        values.sort();
        format!(
            "{:o} {}:{} {size} {}.{:09} {first:?} {content} {values:?}",
            meta.mode(),
            meta.uid(),
            meta.gid(),
            meta.mtime(),
            meta.mtime_nsec(),
        )
    };
    let mut all = all_paths(directory);
    all.push(PathBuf::new());
    all.into_iter().map(|path| (path.clone(), describe(&path))).collect()
}

/// Packs `source` with `options`, unpacks it with tar and with us, and compares.
#[track_caller]
fn compare(source: &Path, options: &[&str]) {
    let place = Place::new(Mode::Overlay);
    let archive = place.directory.path().join("archive.tar");
    let theirs = tempfile::tempdir().unwrap();
    let (archive, source) = (archive.to_str().unwrap(), source.to_str().unwrap());
    let pack = ["--numeric-owner", "-C", source, "-cf", archive, "."];
    run("tar", &[options, &pack].concat());
    let unpack = ["--xattrs", "--xattrs-include=*", "--numeric-owner", "-xpf", archive, "-C"];
    run("tar", &[&unpack[..], &[theirs.path().to_str().unwrap()]].concat());
    place.unpack(&std::fs::read(archive).unwrap()).unwrap();
    let (theirs, ours) = (facts(theirs.path()), facts(&place.target()));
    for (path, fact) in &theirs {
        assert_eq!(ours.get(path), Some(fact), "{options:?} {path:?}");
    }
    assert_eq!(theirs.len(), ours.len());
}

/// A tree with something of everything.
fn nasty() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let script = r#"
        cd "$1"
        mkdir -p deep/$(printf 'd/%.0s' $(seq 80)) modes closed
        mkdir "$(printf 'n%.0s' $(seq 200))"
        echo x > "$(printf 'n%.0s' $(seq 200))/$(printf 'm%.0s' $(seq 200))"
        printf 'bytes' > "$(printf '\377\n name')"
        for mode in 0 1777 2755 4755 6711 644; do echo $mode > modes/$mode; chmod $mode modes/$mode; done
        echo x > closed/file; chown 123:456 closed closed/file; chmod 0 closed
        ln -s "$(printf 'l%.0s' $(seq 150))" long-link; ln -s ../../etc/passwd up
        echo hard > hard1; ln hard1 hard2; ln hard1 modes/hard3; ln up up2
        mknod null c 1 3; mknod disk b 8 1; mkfifo fifo
        chown -h 7:8 up fifo; chown 2000000000:2000000001 modes/4755; chmod 4755 modes/4755
        touch -d '1960-01-02 03:04:05.678901234' modes/644
        touch -hd '2001-02-03 04:05:06.7' up
        setfattr -n user.text -v value modes/644 2>/dev/null
        setcap cap_net_raw+ep modes/2755 2>/dev/null
        setfacl -m u:1000:r modes/1777 2>/dev/null
        touch -d '2010-01-01' modes deep closed .
        true
    "#;
    run("bash", &["-c", script, "bash", dir.path().to_str().unwrap()]);
    dir
}

#[test]
fn nasty_trees_in_every_format() {
    let tree = nasty();
    let xattrs = ["--format=posix", "--xattrs", "--xattrs-include=*"];
    compare(tree.path(), &xattrs);
    compare(tree.path(), &["--format=gnu"]);
    compare(tree.path(), &["--format=oldgnu"]);
}

#[test]
fn a_tree_of_a_distribution() {
    compare(Path::new("/usr/share/perl5"), &["--format=posix"]);
    compare(Path::new("/etc/alternatives"), &["--format=ustar"]);
    compare(Path::new("/usr/share/zoneinfo"), &["--format=v7"]);
}

#[test]
fn holes_in_every_format() {
    let dir = tempfile::tempdir().unwrap();
    let script = r#"
        cd "$1"
        truncate -s 100M empty
        truncate -s 10M tail; echo begin | dd of=tail conv=notrunc status=none
        for i in $(seq 0 60); do echo $i | dd of=many bs=64k seek=$((i * 2)) conv=notrunc status=none; done
        echo plain > plain
    "#;
    run("bash", &["-c", script, "bash", dir.path().to_str().unwrap()]);
    compare(dir.path(), &["--sparse", "--format=gnu"]);
    for version in ["0.0", "0.1", "1.0"] {
        let version = format!("--sparse-version={version}");
        compare(dir.path(), &["--sparse", "--format=posix", &version]);
    }
    let place = Place::new(Mode::Overlay);
    let archive = place.directory.path().join("archive.tar");
    let (archive, source) = (archive.to_str().unwrap(), dir.path().to_str().unwrap());
    run("tar", &["--sparse", "-C", source, "-cf", archive, "."]);
    place.unpack(&std::fs::read(archive).unwrap()).unwrap();
    let empty = place.path("empty").metadata().unwrap();
    assert_eq!((empty.size(), empty.blocks()), (100 << 20, 0), "the hole is a hole");
}
