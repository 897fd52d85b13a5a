use super::*;

/// A program in place of zfs(8), written in shell. The real one is asked in the virtual machine.
fn stand_in(script: &str) -> (tempfile::TempDir, Zfs) {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("zfs");
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    (dir, Zfs::new(path))
}

fn dataset(name: &str) -> Dataset {
    name.parse().unwrap()
}

#[test]
fn names() {
    for name in ["tank", "tank/a", "tank/a-b_c:d.e/0", "rpool/lxcri/golden/00ff"] {
        assert_eq!(dataset(name).as_str(), name);
    }
    let long = format!("tank/{}", "x".repeat(251));
    for name in [
        "", "-r", "0x", "/tank", "tank/", "tank//a", "tank/..", "tank@a", "tank/a b", "tank\n",
        "t%", &long,
    ] {
        assert!(name.parse::<Dataset>().is_err(), "{name:?}");
    }
    assert_eq!(dataset("tank/a").at("ready").unwrap().to_string(), "tank/a@ready");
    assert!(dataset("tank").at("a@b").is_err() && dataset("tank").at("%").is_err());
    assert!(dataset("tank").child("../x").is_err());
}

#[test]
fn refusals_are_told_by_their_words() {
    for (text, refusal) in [
        ("cannot open 'tank/x': dataset does not exist", Refusal::NotFound),
        ("cannot create 'tank/x': dataset already exists", Refusal::Exists),
        ("cannot destroy 'tank/x': dataset is busy", Refusal::Busy),
        ("cannot destroy 'tank/x': pool or dataset is busy", Refusal::Busy),
        (
            "cannot destroy 'tank/x@a': snapshot has dependent clones use '-R' to destroy the \
             following datasets: tank/y",
            Refusal::HasClones,
        ),
        ("cannot destroy 'tank/x': filesystem has children use '-r'", Refusal::HasChildren),
        ("cannot create 'tank/x': permission denied", Refusal::Permission),
        ("Permission denied the ZFS utilities must be run as root.", Refusal::Permission),
        ("The ZFS modules are not loaded. Try running '/sbin/modprobe zfs'", Refusal::NoModule),
        ("could not find any snapshots to destroy; check snapshot names.", Refusal::NotFound),
        ("cannot create 'tank/x': out of space", Refusal::Other),
    ] {
        assert_eq!(Refusal::of(text), refusal, "{text}");
    }
}

#[test]
fn an_error_is_one_line_without_escapes() {
    let (_dir, zfs) = stand_in("printf 'cannot: \\033[31mno\\n  really\\n' >&2; exit 1");
    let error = zfs.create(&dataset("tank/x"), &[]).unwrap_err();
    assert_eq!(error.to_string(), "zfs create tank/x: cannot: ?[31mno really");
    let (_dir, zfs) = stand_in("exit 2");
    assert!(zfs.exists(&dataset("t")).unwrap_err().to_string().ends_with("exit status: 2"));
}

#[test]
fn words_reach_it_as_they_are() {
    let (dir, zfs) = stand_in("printf '<%s>' \"$@\" \"$LC_ALL\" >\"${0%/*}/words\"");
    let snapshot = dataset("tank/a").at("ready").unwrap();
    let set = [(Property::new("mountpoint"), "legacy"), (Property::new("a:b"), "x y")];
    zfs.clone_snapshot(&snapshot, &dataset("tank/b"), &set).unwrap();
    let words = std::fs::read_to_string(dir.path().join("words")).unwrap();
    assert_eq!(words, "<clone><-o><mountpoint=legacy><-o><a:b=x y><tank/a@ready><tank/b><C>");
}

#[test]
fn properties_are_read_by_name() {
    let (_dir, zfs) = stand_in("printf 'used\\t123\\na:b\\t-\\norigin\\ttank/x@y\\n'");
    let names = [Property::new("origin"), Property::new("a:b")];
    let values = zfs.properties(&dataset("tank"), &names).unwrap();
    assert_eq!(values, [Some("tank/x@y".to_owned()), None]);
    let error = zfs.properties(&dataset("tank"), &[Property::new("type")]).unwrap_err();
    assert!(error.to_string().contains("it says nothing of type"), "{error}");
}

#[test]
fn a_program_that_hangs_is_given_up() {
    for script in ["exec sleep 1000", "exec >&- 2>&-; exec sleep 1000"] {
        let (_dir, zfs) = stand_in(script);
        let error = zfs.with_patience(Duration::from_millis(50)).version().unwrap_err();
        assert!(matches!(error, ZfsError::Silent { .. }), "{error}");
    }
}

#[test]
fn a_program_that_prints_for_ever_is_cut_off() {
    let (_dir, zfs) = stand_in("exec yes >&2");
    let error = zfs.version().unwrap_err();
    assert!(error.to_string().len() < 40_000);
}

#[test]
fn no_program() {
    let error = Zfs::new("/nonexistent/zfs").version().unwrap_err();
    assert!(error.to_string().starts_with("cannot run /nonexistent/zfs: No such file"), "{error}");
    assert_eq!(error.hints(), ["install zfsutils-linux"]);
}
