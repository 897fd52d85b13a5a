use std::os::unix::fs::symlink;

use super::*;

const PASSWD_TEXT: &str = "root:x:0:0:root:/root:/bin/sh\n\
    bad:x:-1:0::/:/bin/sh\n\
    app:x:101:102:App:/srv/app:/sbin/nologin\n\
    7777:x:33:33::relative:/bin/sh\n\
    short:x:9\n\n:::::\n\
    huge:x:4294967296:1::/:\n\
    twin:x:101:5:::\n";

const GROUP_TEXT: &str = "root:x:0:\napp:x:102:\nlog:x:4:syslog,app\naudio:x:29: app ,x\nbad:x:z:app\n\
    sudo:x:27:app";

fn image() -> (tempfile::TempDir, Root) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dir.path().join("rootfs/etc")).unwrap();
    std::fs::write(dir.path().join("rootfs/etc/passwd"), PASSWD_TEXT).unwrap();
    std::fs::write(dir.path().join("rootfs/etc/group"), GROUP_TEXT).unwrap();
    let root = Root::open(&dir.path().join("rootfs")).unwrap();
    (dir, root)
}

fn resolve(root: &Root, user: &str, further: &[&str]) -> Result<Identity, String> {
    let further: Vec<String> = further.iter().map(ToString::to_string).collect();
    Accounts::new(root).resolve(user, &further).map_err(|error| error.to_string())
}

#[test]
fn names_numbers_and_groups() {
    let (_dir, root) = image();
    type Row<'r> = (&'r str, u32, u32, &'r [u32], Option<&'r str>);
    let table: [Row<'_>; 9] = [
        ("", 0, 0, &[0], Some("/root")),
        ("root", 0, 0, &[0], Some("/root")),
        ("app", 101, 102, &[102, 4, 29, 27], Some("/srv/app")),
        ("101", 101, 102, &[102, 4, 29, 27], Some("/srv/app")),
        ("app:root", 101, 0, &[0], Some("/srv/app")),
        ("app:55", 101, 55, &[55], Some("/srv/app")),
        ("65532:65532", 65532, 65532, &[65532], None),
        ("1234", 1234, 0, &[0], None),
        (":log", 0, 4, &[4], Some("/root")),
    ];
    for (user, uid, gid, groups, home) in table {
        let found = resolve(&root, user, &[]).unwrap();
        assert_eq!((found.uid, found.gid), (uid, gid), "{user}");
        assert_eq!(found.groups, groups, "{user}");
        assert_eq!(found.home.as_deref(), home, "{user}");
    }
    // A name of digits is a name first, as with Docker; its home is not to be used.
    assert_eq!(resolve(&root, "7777", &[]).unwrap().uid, 33);
    assert_eq!(resolve(&root, "7777", &[]).unwrap().home, None);
    assert_eq!(resolve(&root, "app:102", &["log", "44", "102"]).unwrap().groups, [102, 4, 44]);
}

#[test]
fn who_is_not_there() {
    let (_dir, root) = image();
    let table = [
        ("nobody", "unable to find user nobody: no matching entries in passwd file"),
        ("bad", "unable to find user bad: no matching entries in passwd file"),
        ("app:nobody", "unable to find group nobody: no matching entries in group file"),
        ("a\x1b[31m", "unable to find user a\\x1b[31m: no matching entries in passwd file"),
        ("2147483648", "user 2147483648: uids and gids must be in range 0-2147483647"),
        ("-1", "user -1: uids and gids must be in range 0-2147483647"),
        ("0:99999999999", "group 99999999999: uids and gids must be in range 0-2147483647"),
    ];
    for (user, message) in table {
        assert_eq!(resolve(&root, user, &[]).unwrap_err(), message);
    }
}

#[test]
fn an_image_without_accounts() {
    let dir = tempfile::tempdir().unwrap();
    let root = Root::open(dir.path()).unwrap();
    assert_eq!(resolve(&root, "", &[]).unwrap().groups, [0]);
    assert_eq!(resolve(&root, "65532", &["7"]).unwrap().groups, [0, 7]);
    assert!(resolve(&root, "app", &[]).unwrap_err().contains("no matching entries"));
}

/// Each of these is in the place of passwd; a name cannot be looked up, a number goes through.
fn hostile(make: impl FnOnce(&Path), problem: &str) {
    let (dir, root) = image();
    let passwd = dir.path().join("rootfs/etc/passwd");
    std::fs::remove_file(&passwd).unwrap();
    make(&passwd);
    let error = resolve(&root, "app", &[]).unwrap_err();
    assert!(error.contains(problem), "{error}");
    assert_eq!(resolve(&root, "12", &[]).unwrap().uid, 12);
    assert_eq!(resolve(&root, "", &[]).unwrap().uid, 0);
}

#[test]
fn passwd_is_anything_but_a_file() {
    let make_fifo = |path: &Path| {
        let mode = Mode::from_raw_mode(0o666);
        rustix::fs::mknodat(rustix::fs::CWD, path, FileType::Fifo, mode, 0).unwrap();
    };
    hostile(make_fifo, "the image's /etc/passwd: is no regular file");
    hostile(|path| std::fs::create_dir(path).unwrap(), "is no regular file");
    hostile(|path| symlink("passwd", path).unwrap(), "/etc/passwd: Too many levels");
    let huge = |path: &Path| {
        let file = std::fs::File::create(path).unwrap();
        file.set_len(1 << 40).unwrap();
    };
    hostile(huge, "is larger than 1024 KiB");
}

#[test]
fn a_link_out_ends_inside() {
    let (dir, root) = image();
    let outside = dir.path().join("passwd");
    std::fs::write(&outside, "app:x:0:0::/:").unwrap();
    for target in [outside.to_str().unwrap(), "../../passwd", "/proc/self/root/etc/passwd"] {
        let passwd = dir.path().join("rootfs/etc/passwd");
        std::fs::remove_file(&passwd).unwrap();
        symlink(target, &passwd).unwrap();
        assert!(resolve(&root, "app", &[]).unwrap_err().contains("no matching"), "{target}");
    }
    // A link that stays inside is the image's own affair.
    std::fs::write(dir.path().join("rootfs/accounts"), PASSWD_TEXT).unwrap();
    std::fs::remove_file(dir.path().join("rootfs/etc/passwd")).unwrap();
    symlink("/accounts", dir.path().join("rootfs/etc/passwd")).unwrap();
    assert_eq!(resolve(&root, "app", &[]).unwrap().uid, 101);
}

#[test]
fn hostile_homes_are_left_out() {
    let text = b"a:x:1:1::/h\x1bome:\nb:x:2:2::/a\0b:\nc:x:3:3::/\xff:/bin/sh\n";
    let homes: Vec<_> = parse_passwd(text).into_iter().map(|entry| entry.home).collect();
    assert_eq!(homes, ["", "", "/\u{fffd}"]);
}
