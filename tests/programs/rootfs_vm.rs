//! Root filesystems on another kernel: the provider that needs ZFS, and overlays the way of kernels
//! before 6.15.

use std::path::Path;
use std::process::{Command, ExitCode};

use lxcri_images::digest::Digest;
use lxcri_images::layer::Layer;
use lxcri_images::rootfs::{self, IdRange, Place as RootfsPlace, Request};
use lxcri_testkit::{Place, Room, Tier, Verdict, ensure};
use lxcri_tests::registry::{self, Case};

const CASES: &[Case] = &[
    Case { name: "rootfs/zfs", run: zfs },
    Case { name: "rootfs/zfs_is_not_destroyed_for_a_stranger", run: stranger },
    Case { name: "rootfs/overlay", run: overlay },
];

fn main() -> ExitCode {
    registry::main(Place::Guest(Tier::Vm), CASES)
}

fn shell(dir: &Path, script: &str) -> Verdict<String> {
    let output = Command::new("bash").args(["-euc", script]).current_dir(dir).output()?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    ensure!(output.status.success(), "{script}: {}", text(&output.stderr));
    Ok(text(&output.stdout))
}

const MAPPING: [IdRange; 1] = [IdRange { container: 0, host: 100_000, size: 65536 }];

/// Two layers in which the upper deletes and replaces something.
fn layers(room: &Room) -> Verdict<Vec<Layer>> {
    shell(
        room.dir(),
        "mkdir -p 1/etc 1/opaque 2/etc 2/opaque
         echo base >1/etc/file; echo x >1/etc/deleted; echo x >1/opaque/old; chown 5:6 1/etc/file
         mknod 2/etc/deleted c 0 0; echo top >2/etc/new; chown 7:8 2
         python3 -c 'import os; os.setxattr(\"2/opaque\", \"trusted.overlay.opaque\", b\"y\")' ||
             setfattr -n trusted.overlay.opaque -v y 2/opaque",
    )?;
    let layer =
        |name: &str| Layer { diff_id: Digest::of(name.as_bytes()), path: room.dir().join(name) };
    Ok(vec![layer("1"), layer("2")])
}

fn request(room: &Room, id: &str, mapped: bool) -> Verdict<Request> {
    let layers = if room.dir().join("2").exists() {
        let of = |name: &str| Layer {
            diff_id: Digest::of(name.as_bytes()),
            path: room.dir().join(name),
        };
        vec![of("1"), of("2")]
    } else {
        layers(room)?
    };
    let mapping = mapped.then(|| MAPPING.to_vec());
    Ok(Request { id: id.parse()?, layers, mapping, read_only: false, ephemeral: false })
}

/// What [`layers`] come to.
fn is_merged(path: &Path, shift: u32) -> Verdict {
    let seen = shell(path, "find . -printf '%P %y %U:%G\\n' | sort; cat etc/file etc/new")?;
    let at = |id: u32| id + shift;
    let wanted = [
        format!(" d {}:{}", at(7), at(8)),
        format!("etc d {}:{}", at(0), at(0)),
        format!("etc/file f {}:{}", at(5), at(6)),
        format!("etc/new f {}:{}", at(0), at(0)),
        format!("opaque d {}:{}", at(0), at(0)),
        "base".to_owned(),
        "top".to_owned(),
    ];
    ensure!(seen.lines().collect::<Vec<_>>() == wanted, "{seen}");
    Ok(())
}

/// With a pool in a file and a dataset in it for us.
fn with_pool(room: &Room, test: impl FnOnce(&RootfsPlace) -> Verdict) -> Verdict {
    let disk = room.dir().join("disk");
    shell(room.dir(), "truncate -s 512M disk")?;
    shell(
        room.dir(),
        &format!(
            "zpool create -O mountpoint=none lxcri {} && zfs create lxcri/images",
            disk.display()
        ),
    )?;
    let place = RootfsPlace {
        root: room.dir().join("rootfs"),
        dataset: Some("lxcri/images".parse()?),
        sync: false,
    };
    let tested = test(&place);
    shell(room.dir(), "zpool destroy lxcri; rm disk")?;
    tested
}

fn datasets(room: &Room) -> Verdict<Vec<String>> {
    let listed = shell(room.dir(), "zfs list -H -o name -t all -r lxcri/images")?;
    Ok(listed
        .lines()
        .filter_map(|name| name.strip_prefix("lxcri/images/"))
        .map(str::to_owned)
        .collect())
}

fn zfs(room: &Room) -> Verdict {
    with_pool(room, |place| {
        let provider = rootfs::choose("zfs", place, true)?;
        for (id, shift) in [("plain+1", 0), ("mapped", 100_000)] {
            let made = rootfs::prepare(place, provider, request(room, id, shift != 0)?)?;
            is_merged(&made.path, shift)?;
            let script =
                format!("setpriv --reuid {shift} --regid {shift} --clear-groups touch new");
            shell(&made.path, &format!("chown {shift} .; {script}"))?;
            // As after a reboot.
            shell(room.dir(), &format!("umount {}", made.path.display()))?;
            ensure!(!made.path.join("etc").exists(), "it is mounted still");
            let again = rootfs::remount(place, &id.parse()?)?;
            ensure!(again == made && made.path.join("new").exists(), "{again:?}");
        }
        let found = datasets(room)?;
        let ready = found.iter().filter(|name| name.ends_with("@ready")).count();
        ensure!(ready == 1, "one golden tree for both: {found:?}");
        for name in ["containers/plain:1", "containers/mapped"] {
            ensure!(found.iter().any(|found| found == name), "{found:?}");
        }
        ensure!(rootfs::prune(place, &[].into())?.is_empty(), "it is in use");
        for id in ["plain+1", "mapped"] {
            rootfs::remove(place, &id.parse()?)?;
        }
        killed_before_ready(room, place)?;
        let pruned = rootfs::prune(place, &[].into())?;
        ensure!(pruned.len() == 1, "{pruned:?}");
        let left = datasets(room)?;
        ensure!(left == ["containers", "golden"], "{left:?}");
        Ok(())
    })
}

/// A golden dataset without its snapshot is made anew.
fn killed_before_ready(room: &Room, place: &RootfsPlace) -> Verdict {
    shell(
        room.dir(),
        "golden=$(zfs list -H -o name -d 1 lxcri/images/golden | tail -n 1)
         zfs destroy \"$golden@ready\"; mkdir at; mount -t zfs \"$golden\" at
         rm at/etc/file; umount at; rmdir at",
    )?;
    let provider = rootfs::choose("zfs", place, false)?;
    let made = rootfs::prepare(place, provider, request(room, "again", false)?)?;
    is_merged(&made.path, 0)?;
    Ok(rootfs::remove(place, &"again".parse()?)?)
}

fn stranger(room: &Room) -> Verdict {
    with_pool(room, |place| {
        let provider = rootfs::choose("zfs", place, false)?;
        let id = "a".parse()?;
        rootfs::prepare(place, provider, request(room, "a", false)?)?;
        let is_there =
            || -> Verdict<bool> { Ok(datasets(room)?.iter().any(|name| name == "containers/a")) };
        // Another data root with the same dataset: the first one's container is not its own.
        let other = RootfsPlace { root: room.dir().join("other"), ..place.clone() };
        let made = rootfs::prepare(&other, provider, request(room, "a", false)?);
        ensure!(made.is_err(), "{made:?}");
        rootfs::remove(&other, &id)?;
        ensure!(is_there()?, "it went with another's");
        rootfs::remove(place, &id)?;
        ensure!(!is_there()?, "it stays");
        // Somebody else's by the word that it carries.
        rootfs::prepare(place, provider, request(room, "a", false)?)?;
        shell(room.dir(), "zfs set proxmox-lxcri:owner=somebody lxcri/images/containers/a")?;
        rootfs::remove(place, &id)?;
        ensure!(is_there()?, "a stranger's is gone");
        Ok(())
    })
}

fn overlay(room: &Room) -> Verdict {
    let place = RootfsPlace { root: room.dir().join("rootfs"), dataset: None, sync: false };
    let provider = rootfs::choose("auto", &place, true)?;
    ensure!(provider.name() == "overlay", "{provider:?}");
    for (id, shift) in [("plain", 0), ("mapped", 100_000)] {
        let made = rootfs::prepare(&place, provider, request(room, id, shift != 0)?)?;
        is_merged(&made.path, shift)?;
        let script = format!("setpriv --reuid {shift} --regid {shift} --clear-groups touch new");
        let upper = place.root.join("containers").join(id).join("data/upper");
        shell(&made.path, "rm etc/file")?;
        shell(&made.path, &format!("chown {shift} .; {script}"))?;
        let seen = shell(&upper, "stat -c %u new; stat -c %t,%T etc/file")?;
        ensure!(seen == "0\n0,0\n", "{seen}");
        rootfs::remove(&place, &id.parse()?)?;
    }
    Ok(())
}
