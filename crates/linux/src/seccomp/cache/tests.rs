use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use super::*;

fn profile() -> Profile {
    Profile {
        default_action: "SCMP_ACT_ALLOW".into(),
        syscalls: vec![Rule {
            names: vec!["getppid".into(), "no_such_call".into()],
            action: "SCMP_ACT_ERRNO".into(),
            errno_ret: Some(77),
            args: vec![],
        }],
        ..Profile::default()
    }
}

/// A cache with the entry of [`profile`] in it.
fn warm() -> (tempfile::TempDir, PathBuf, PathBuf) {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path().join("cache");
    compile_cached(&profile(), &dir).unwrap();
    let entry = dir.join(file_name(&key(&profile()).unwrap()));
    assert!(entry.is_file());
    (base, dir, entry)
}

/// A program that lets everything pass: what a forger would want us to load.
fn allow_all() -> Vec<u8> {
    let all = Profile { default_action: "SCMP_ACT_ALLOW".into(), ..Profile::default() };
    compile(&all).unwrap().instructions
}

fn assert_real(dir: &Path, what: &str) {
    let got = compile_cached(&profile(), dir).unwrap();
    assert_eq!(got.instructions, compile(&profile()).unwrap().instructions, "{what}");
}

#[test]
fn second_time_comes_from_the_cache() {
    let (_base, dir, entry) = warm();
    assert_eq!(fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(fs::metadata(&entry).unwrap().permissions().mode() & 0o077, 0);
    let hit = compile_cached(&profile(), &dir).unwrap();
    assert_eq!(hit.instructions, compile(&profile()).unwrap().instructions);
    assert!(hit.unknown_syscalls.is_empty(), "a hit does not compile");
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 1, "no temporary file stays");

    // Proof that the file is what is read: a well-formed entry of ours is taken as it is.
    let planted = format_entry(&key(&profile()).unwrap(), &allow_all());
    fs::write(&entry, planted).unwrap();
    assert_eq!(compile_cached(&profile(), &dir).unwrap().instructions, allow_all());
}

#[test]
fn every_single_bit_counts() {
    let (_base, dir, entry) = warm();
    let good = fs::read(&entry).unwrap();
    for position in 0..good.len() {
        let mut bad = good.clone();
        bad[position] ^= 1;
        assert!(parse_entry(&bad, &key(&profile()).unwrap()).is_err(), "byte {position}");
    }
    let mut bad = good.clone();
    bad[HEADER_SIZE + 4] ^= 0x80;
    fs::write(&entry, &bad).unwrap();
    assert_real(&dir, "tampered");
    assert_eq!(fs::read(&entry).unwrap(), good, "the entry is replaced");
}

#[test]
fn damaged_entries_are_compiled_again() {
    let (_base, dir, entry) = warm();
    let key = key(&profile()).unwrap();
    let good = fs::read(&entry).unwrap();
    let cases: [(&str, Vec<u8>); 7] = [
        ("empty", vec![]),
        ("short", good[..20].to_vec()),
        ("half", good[..good.len() / 2].to_vec()),
        ("longer", [good.clone(), vec![0]].concat()),
        ("for another profile", format_entry(&[7; 32], &allow_all())),
        ("no instructions", format_entry(&key, &[])),
        ("huge", format_entry(&key, &vec![0; LARGEST])),
    ];
    for (what, content) in cases {
        fs::write(&entry, content).unwrap();
        assert_real(&dir, what);
        assert_eq!(fs::read(&entry).unwrap(), good, "{what}: replaced");
    }
}

#[test]
fn what_others_could_have_written_is_not_trusted() {
    let forged = format_entry(&key(&profile()).unwrap(), &allow_all());
    let set_mode = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    for mode in [0o620, 0o602, 0o666] {
        let (_base, dir, entry) = warm();
        fs::write(&entry, &forged).unwrap();
        set_mode(&entry, mode);
        assert_real(&dir, &format!("file mode {mode:o}"));
    }
    for mode in [0o770, 0o707, 0o1777] {
        let (_base, dir, entry) = warm();
        fs::write(&entry, &forged).unwrap();
        set_mode(&dir, mode);
        assert_real(&dir, &format!("directory mode {mode:o}"));
        assert_eq!(fs::read(&entry).unwrap(), forged, "nothing is written there either");
    }
}

#[test]
fn links_and_special_files_are_not_followed() {
    let forged = format_entry(&key(&profile()).unwrap(), &allow_all());
    let (base, dir, entry) = warm();
    let elsewhere = base.path().join("elsewhere");
    fs::write(&elsewhere, &forged).unwrap();

    fs::remove_file(&entry).unwrap();
    symlink(&elsewhere, &entry).unwrap();
    assert_real(&dir, "symbolic link");
    assert!(entry.symlink_metadata().unwrap().is_file(), "replaced, not written through");

    fs::remove_file(&entry).unwrap();
    fs::hard_link(&elsewhere, &entry).unwrap();
    assert_real(&dir, "hard link");
    assert_eq!(fs::read(&elsewhere).unwrap(), forged);

    fs::remove_file(&entry).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &entry,
        rustix::fs::FileType::Fifo,
        Mode::RUSR | Mode::WUSR,
        0,
    )
    .unwrap();
    assert_real(&dir, "fifo must not block");

    fs::remove_file(&entry).unwrap();
    fs::create_dir(&entry).unwrap();
    assert_real(&dir, "directory");

    let (_base2, dir2, entry2) = warm();
    fs::write(&entry2, &forged).unwrap();
    let link = base.path().join("link");
    symlink(&dir2, &link).unwrap();
    assert_real(&link, "linked directory");
}

#[test]
fn another_owner_is_not_trusted() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can give files away");
        return;
    }
    let forged = format_entry(&key(&profile()).unwrap(), &allow_all());
    let (_base, dir, entry) = warm();
    fs::write(&entry, &forged).unwrap();
    std::os::unix::fs::chown(&entry, Some(12345), None).unwrap();
    assert_real(&dir, "file of uid 12345");

    let (_base, dir, entry) = warm();
    fs::write(&entry, &forged).unwrap();
    std::os::unix::fs::chown(&dir, Some(12345), None).unwrap();
    assert_real(&dir, "directory of uid 12345");
}

#[test]
fn no_cache_is_no_failure() {
    let base = tempfile::tempdir().unwrap();
    let file = base.path().join("file");
    fs::write(&file, "x").unwrap();
    for dir in [file.as_path(), Path::new("/proc/nowhere/at/all"), Path::new("")] {
        assert_real(dir, &dir.display().to_string());
    }
    let broken = Profile { default_action: "SCMP_ACT_NOPE".into(), ..Profile::default() };
    assert!(compile_cached(&broken, &base.path().join("c")).is_err());
}

#[test]
fn a_full_cache_is_emptied() {
    let (_base, dir, entry) = warm();
    fs::remove_file(&entry).unwrap();
    for number in 0..MOST_ENTRIES {
        fs::write(dir.join(format!("{number}.bpf")), "").unwrap();
    }
    fs::write(dir.join("not ours"), "").unwrap();
    assert_real(&dir, "full");
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 2);
    assert!(entry.is_file() && dir.join("not ours").is_file());
}

fn one(change: fn(&mut Argument)) -> Vec<Argument> {
    let mut argument = Argument::default();
    change(&mut argument);
    vec![argument]
}

#[test]
fn the_key_knows_every_field() {
    let base = profile();
    let original = key(&base).unwrap();
    let changed = |change: fn(&mut Profile)| {
        let mut profile = base.clone();
        change(&mut profile);
        key(&profile).unwrap()
    };
    let keys = [
        changed(|p| p.default_action = "SCMP_ACT_LOG".into()),
        changed(|p| p.default_errno_ret = Some(0)),
        changed(|p| p.architectures.push("SCMP_ARCH_X86".into())),
        changed(|p| p.listener_path = Some("/x".into())),
        changed(|p| p.listener_metadata = Some("/x".into())),
        changed(|p| p.syscalls.clear()),
        changed(|p| p.syscalls[0].names[0].push('s')),
        changed(|p| p.syscalls[0].names = vec!["getppidno_such_call".into()]),
        changed(|p| p.syscalls[0].action = "SCMP_ACT_TRAP".into()),
        changed(|p| p.syscalls[0].errno_ret = None),
        changed(|p| p.syscalls[0].args = one(|_| ())),
        changed(|p| p.syscalls[0].args = one(|arg| arg.index = 1)),
        changed(|p| p.syscalls[0].args = one(|arg| arg.value = 1)),
        changed(|p| p.syscalls[0].args = one(|arg| arg.value_two = 1)),
        changed(|p| p.syscalls[0].args = one(|arg| arg.op = "x".into())),
        changed(|p| p.syscalls.push(p.syscalls[0].clone())),
    ];
    for (position, key) in keys.iter().enumerate() {
        assert_ne!(*key, original, "change {position}");
        assert!(!keys[..position].contains(key), "change {position} looks like another");
    }
    assert_eq!(changed(|p| p.flags = Some(vec![])), original, "flags are not in the instructions");
}
