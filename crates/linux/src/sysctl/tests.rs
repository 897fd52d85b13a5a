use super::*;
use crate::forked_child;
use crate::procfs::Proc;

const ALL: OwnNamespaces = OwnNamespaces { ipc: true, network: true, uts: true };

#[test]
fn namespaces_decide() {
    let ipc = OwnNamespaces { ipc: true, ..OwnNamespaces::default() };
    let network = OwnNamespaces { network: true, ..OwnNamespaces::default() };
    let uts = OwnNamespaces { uts: true, ..OwnNamespaces::default() };
    let cases = [
        (ipc, "an ipc", &["kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem"][..]),
        (ipc, "an ipc", &["kernel.shmall", "kernel.shmmax", "kernel.shmmni"]),
        (ipc, "an ipc", &["kernel.shm_rmid_forced", "fs.mqueue.msg_max", "fs/mqueue/msg_max"]),
        (
            network,
            "a network",
            &["net.ipv4.ip_forward", "net/ipv4/ip_forward", "net.core.somaxconn"],
        ),
        (
            network,
            "a network",
            &["net.ipv4.conf.eno2/100.rp_filter", "net/ipv4/conf/eno2.100/rp_filter"],
        ),
        (uts, "a uts", &["kernel.domainname", "kernel/domainname"]),
    ];
    for (own, name, keys) in cases {
        let others = OwnNamespaces { ipc: !own.ipc, network: !own.network, uts: !own.uts };
        for key in keys {
            check(key, "1", own).unwrap();
            check(key, "1\t2 3", ALL).unwrap();
            let error = check(key, "1", others).unwrap_err();
            assert!(
                matches!(error, Error::SharedNamespace { namespace, .. } if namespace == name),
                "{key}: {error}"
            );
        }
    }
    let error = check("kernel.hostname", "x", ALL).unwrap_err();
    assert!(matches!(error, Error::HasField { field: "hostname", .. }), "{error}");
}

#[test]
fn the_machine_s_own_are_refused() {
    for key in [
        "kernel.core_pattern",
        "kernel/core_pattern",
        "kernel.modprobe",
        "kernel.msgmax.x",
        "kernel.MSGMAX",
        "kernel.sem_next_id",
        "vm.overcommit_memory",
        "fs.file-max",
        "fs.mqueue",
        "fs.mqueuex.a",
        "fs/binfmt_misc/register",
        "network.x",
        "user.max_user_namespaces",
        "kernel.yama/ptrace_scope",
        "kernel/msg.max",
    ] {
        let error = check(key, "1", ALL).unwrap_err();
        assert!(matches!(error, Error::NotNamespaced { .. }), "{key}: {error}");
        assert!(error.to_string().contains(key));
    }
}

#[test]
fn hostile_keys() {
    for key in [
        "",
        "net",
        ".",
        "/",
        "..",
        "...",
        "net.",
        "net/",
        ".net.x",
        "/net/x",
        "/etc/passwd",
        "net..x",
        "net//x",
        "net/../kernel/core_pattern",
        "net.//.kernel.core_pattern",
        "net././.kernel",
        "net/./x",
        "net.x\0",
        "net.x\n",
        "net.x y",
        "net/x\u{1b}[0m",
        "net.ipv4.",
        "fs/mqueue/../file-max",
        "fs.mqueue.//.file-max",
    ] {
        for error in [
            check(key, "1", ALL).unwrap_err(),
            write(Proc::open().unwrap().as_fd(), key, "1").unwrap_err(),
        ] {
            assert!(matches!(error, Error::Key { .. }), "{key:?}: {error}");
            assert!(!error.to_string().contains(['\n', '\0', '\u{1b}']), "{key:?}");
        }
    }
}

#[test]
fn hostile_values() {
    let long = "1".repeat(4096);
    for value in ["", "1\n", "1\n2", "1\0", "\u{1b}", "\r", long.as_str()] {
        let error = check("net.ipv4.ip_forward", value, ALL).unwrap_err();
        assert!(matches!(error, Error::Value { .. }), "{value:?}: {error}");
        let error = write(Proc::open().unwrap().as_fd(), "net.ipv4.ip_forward", value).unwrap_err();
        assert!(matches!(error, Error::Value { .. }), "{value:?}: {error}");
    }
    check("net.ipv4.ip_forward", &long[1..], ALL).unwrap();
}

#[test]
fn written_in_a_namespace_of_its_own() {
    let proc = Proc::open().unwrap();
    let outcome = forked_child::run(|| {
        if !forked_child::unshare(libc::CLONE_NEWUTS | libc::CLONE_NEWIPC | libc::CLONE_NEWNET) {
            return b"skipped".to_vec();
        }
        write(proc.as_fd(), "kernel.domainname", "lxcri.test").unwrap();
        write(proc.as_fd(), "kernel/msgmax", "12345").unwrap();
        write(proc.as_fd(), "net.ipv4.conf.lo.rp_filter", "2").unwrap();
        assert!(matches!(
            write(proc.as_fd(), "kernel.msgmax", "not a number"),
            Err(Error::Write { .. })
        ));
        assert!(matches!(write(proc.as_fd(), "net.no.such", "1"), Err(Error::Write { .. })));
        assert!(matches!(write(proc.as_fd(), "net.ipv4", "1"), Err(Error::Write { .. })));
        ["kernel/domainname", "kernel/msgmax", "net/ipv4/conf/lo/rp_filter"]
            .map(|name| std::fs::read(format!("/proc/sys/{name}")).unwrap())
            .concat()
    });
    if outcome.output == b"skipped" {
        eprintln!("skipped: needs CAP_SYS_ADMIN");
        return;
    }
    assert_eq!(String::from_utf8(outcome.output).unwrap(), "lxcri.test\n12345\n2\n");
}
