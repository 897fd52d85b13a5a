//! Block I/O: weights and rates (kernel: Documentation/block/bfq-iosched.rst,
//! admin-guide/cgroup-v1/blkio-controller.rst, admin-guide/cgroup-v2.rst "IO").

use rustix::io::Errno;

use super::Cgroup;
use super::convert::io_weight;
use super::directory::Directory;
use super::error::{Error, MissingBecause, Result};
use super::resources::{BlockIo, ThrottleDevice};

/// The weights that v1 and config.json have; BFQ's begin at 1, and 0 means "not set".
const WEIGHTS: std::ops::RangeInclusive<u16> = 10..=1000;

/// Whether anything is asked for.
pub(super) fn limits(io: &BlockIo) -> bool {
    *io != BlockIo { weight: io.weight.filter(|weight| *weight == 0), ..BlockIo::default() }
}

fn weight(weight: Option<u16>) -> Option<u16> {
    weight.filter(|weight| *weight != 0)
}

/// What no kernel takes, found before anything is written.
pub(super) fn check(io: &BlockIo) -> Result<()> {
    let leaf = io.leaf_weight.is_some() || io.weight_device.iter().any(|d| d.leaf_weight.is_some());
    if leaf {
        return Err(Error::NotOffered {
            what: "blockIO.leafWeight",
            reason: "the kernel has no such setting since 5.0",
        });
    }
    let all = [io.weight].into_iter().chain(io.weight_device.iter().map(|device| device.weight));
    for asked in all.filter_map(weight) {
        if !WEIGHTS.contains(&asked) {
            return Err(Error::Invalid {
                field: "blockIO.weight".into(),
                value: asked.to_string(),
                reason: "is not between 10 and 1000",
            });
        }
    }
    Ok(())
}

/// Sets the limits on v1.
pub(super) fn apply_v1(cgroup: &Cgroup, io: &BlockIo) -> Result<()> {
    check(io)?;
    if !limits(io) {
        return Ok(());
    }
    let directory = cgroup.open_controller("blkio")?.ok_or_else(|| Error::ControllerMissing {
        what: "blockIO limit".into(),
        controller: "blkio".into(),
        place: cgroup.path(),
        why: MissingBecause::NotMounted,
    })?;
    let same = |weight: u16| u64::from(weight);
    let devices = [("blkio.bfq.weight_device", same as _), ("blkio.weight_device", same as _)];
    apply_weights(&directory, io, [("blkio.bfq.weight", same), ("blkio.weight", same)], devices)?;
    for (file, _, devices) in throttles(io) {
        for ThrottleDevice { major, minor, rate } in devices {
            directory.write(file, &format!("{major}:{minor} {rate}"))?;
        }
    }
    Ok(())
}

/// Sets the limits on v2.
pub(super) fn apply_v2(directory: &Directory, io: &BlockIo) -> Result<()> {
    check(io)?;
    let same = |weight: u16| u64::from(weight);
    let scales: [Scale; 2] = [("io.bfq.weight", same), ("io.weight", io_weight)];
    apply_weights(directory, io, scales, scales)?;
    for (_, key, devices) in throttles(io) {
        for ThrottleDevice { major, minor, rate } in devices {
            // On v1 a rate of 0 takes the limit away, here a word does.
            let rate = if *rate == 0 { "max".to_owned() } else { rate.to_string() };
            directory.write("io.max", &format!("{major}:{minor} {key}={rate}"))?;
        }
    }
    Ok(())
}

type Scale = (&'static str, fn(u16) -> u64);

/// BFQ's files where the kernel has them, otherwise the others.
fn apply_weights(
    directory: &Directory,
    io: &BlockIo,
    whole: [Scale; 2],
    devices: [Scale; 2],
) -> Result<()> {
    if let Some(weight) = weight(io.weight) {
        write_weight(directory, "", weight, whole)?;
    }
    for device in &io.weight_device {
        if let Some(weight) = weight(device.weight) {
            let name = format!("{}:{} ", device.major, device.minor);
            write_weight(directory, &name, weight, devices)?;
        }
    }
    Ok(())
}

fn write_weight(
    directory: &Directory,
    device: &str,
    weight: u16,
    scales: [Scale; 2],
) -> Result<()> {
    for (file, scale) in scales {
        let text = format!("{device}{}", scale(weight));
        match directory.try_write(file, &text) {
            Ok(()) => return Ok(()),
            Err(Errno::NOENT) => {}
            Err(e) => return Err(directory.write_failed(file, &text, e)),
        }
    }
    Err(Error::NotOffered {
        what: "blockIO.weight",
        reason: "this kernel weighs no block I/O (it has neither BFQ nor io.weight)",
    })
}

/// File on v1, key in `io.max` on v2, devices.
fn throttles(io: &BlockIo) -> [(&'static str, &'static str, &[ThrottleDevice]); 4] {
    [
        ("blkio.throttle.read_bps_device", "rbps", &io.throttle_read_bps_device),
        ("blkio.throttle.write_bps_device", "wbps", &io.throttle_write_bps_device),
        ("blkio.throttle.read_iops_device", "riops", &io.throttle_read_iops_device),
        ("blkio.throttle.write_iops_device", "wiops", &io.throttle_write_iops_device),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn io(json: &str) -> BlockIo {
        serde_json::from_str(json).unwrap()
    }

    fn fake(files: &[&str]) -> (tempfile::TempDir, Directory) {
        let directory = tempfile::tempdir().unwrap();
        for file in files {
            std::fs::write(directory.path().join(file), "").unwrap();
        }
        let opened = Directory::open(directory.path()).unwrap();
        (directory, opened)
    }

    #[test]
    fn weights_go_to_bfq_first() {
        let asked = io(r#"{"weight":500}"#);
        let (_keep, both) = fake(&["io.bfq.weight", "io.weight"]);
        apply_v2(&both, &asked).unwrap();
        assert_eq!(both.read("io.bfq.weight").unwrap(), "500");
        assert_eq!(both.read("io.weight").unwrap(), "");
        let (_keep, one) = fake(&["io.weight"]);
        apply_v2(&one, &asked).unwrap();
        assert_eq!(one.read("io.weight").unwrap(), "4950");
        let (_keep, none) = fake(&[]);
        assert!(matches!(apply_v2(&none, &asked), Err(Error::NotOffered { .. })));
        assert!(apply_v2(&none, &io(r#"{"weight":0}"#)).is_ok());
    }

    #[test]
    fn lines_name_their_device() {
        let (_keep, directory) = fake(&["io.max", "io.bfq.weight"]);
        let rate = r#"{"throttleWriteIOPSDevice":[{"major":8,"minor":16,"rate":7}]}"#;
        apply_v2(&directory, &io(rate)).unwrap();
        assert_eq!(directory.read("io.max").unwrap(), "8:16 wiops=7");
        let (_keep, directory) = fake(&["io.max", "io.bfq.weight"]);
        let none = r#"{"throttleReadBpsDevice":[{"major":8,"minor":16,"rate":0}]}"#;
        apply_v2(&directory, &io(none)).unwrap();
        assert_eq!(directory.read("io.max").unwrap(), "8:16 rbps=max");
        let weight = r#"{"weightDevice":[{"major":8,"minor":16,"weight":20}]}"#;
        apply_v2(&directory, &io(weight)).unwrap();
        assert_eq!(directory.read("io.bfq.weight").unwrap(), "8:16 20");
    }

    #[test]
    fn what_no_kernel_takes_is_refused() {
        for json in [
            r#"{"weight":9}"#,
            r#"{"weight":1001}"#,
            r#"{"leafWeight":100}"#,
            r#"{"weightDevice":[{"major":8,"minor":0,"leafWeight":100}]}"#,
            r#"{"weightDevice":[{"major":8,"minor":0,"weight":5}]}"#,
        ] {
            assert!(check(&io(json)).is_err(), "{json}");
        }
        assert!(check(&io(r#"{"weight":0}"#)).is_ok());
        assert!(!limits(&BlockIo::default()) && !limits(&io(r#"{"weight":0}"#)));
        assert!(limits(&io(r#"{"weight":10}"#)));
    }
}
