//! What only the virtual machine can show: ZFS and CRIU on Debian's own kernel.

use std::process::Command;
use std::process::ExitCode;

use lxcri_testkit::Place;
use lxcri_testkit::Room;
use lxcri_testkit::Tier;
use lxcri_testkit::Verdict;
use lxcri_testkit::ensure;
use lxcri_testkit::verdict::Context;

use crate::registry;
use crate::registry::cases;

cases!("vm": zfs_life, criu_check);

/// The test program.
#[must_use]
pub fn main() -> ExitCode {
    registry::main(Place::Guest(Tier::Vm), CASES)
}

/// Runs a script that has to work and returns what it printed.
fn shell(room: &Room, script: &str) -> Verdict<String> {
    let mut command = Command::new("bash");
    command.args(["-euc", script]).current_dir(room.dir());
    Ok(room.run_command(&mut command)?.ok()?.stdout)
}

/// A pool is made, a dataset snapshotted, cloned, rolled back, destroyed.
fn zfs_life(room: &Room) -> Verdict {
    let disk = room.dir().join("disk");
    shell(room, "truncate -s 256M disk")?;
    shell(
        room,
        &format!("zpool create -O mountpoint=none -R \"$PWD/pool\" lxcri {}", disk.display()),
    )?;
    let printed = shell(
        room,
        "zfs create -o mountpoint=/data lxcri/data
         echo first >pool/data/file
         zfs snapshot lxcri/data@one
         echo second >pool/data/file
         zfs clone -o mountpoint=/clone lxcri/data@one lxcri/clone
         cat pool/clone/file
         zfs rollback lxcri/data@one
         cat pool/data/file
         ! zfs destroy lxcri/data@one 2>refused
         grep -o 'has dependent clones' refused
         zfs destroy lxcri/clone
         zfs destroy -r lxcri/data
         zfs list -H -o name -t all -r lxcri",
    );
    // Whatever happened: a pool on a file that is about to vanish is destroyed.
    let destroyed = shell(room, "zpool destroy lxcri && rm -rf pool disk");
    let printed = printed?;
    destroyed?;
    ensure!(
        printed.lines().collect::<Vec<_>>() == ["first", "first", "has dependent clones", "lxcri"],
        "{printed}"
    );
    Ok(())
}

/// CRIU finds in this kernel what it needs.
fn criu_check(room: &Room) -> Verdict {
    let mut command = Command::new("criu");
    command.arg("check");
    let finished = room.run_command(&mut command)?.ok()?;
    // What it found out of the kernel, which it keeps for the next call.
    std::fs::remove_file("/run/criu.kdat").context("/run/criu.kdat")?;
    ensure!(
        finished.stderr.contains("Looks good") || finished.stdout.contains("Looks good"),
        "{finished}"
    );
    Ok(())
}
