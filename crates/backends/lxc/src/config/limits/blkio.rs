//! Block I/O: weights and rates (kernel: block/bfq-iosched.rst, cgroup-v1/blkio-controller.rst,
//! cgroup-v2.rst "IO").

use lxcri_linux::cgroup::convert::io_weight;
use lxcri_linux::cgroup::{BlockIo, ThrottleDevice};

use super::super::host::WeightFile;
use super::super::planner::Planner;
use super::super::problem::{Problem, Result};
use super::super::read_back::Wanted;
use super::Limit;

/// The weights that v1 and config.json have; 0 means "not set".
const WEIGHTS: std::ops::RangeInclusive<u16> = 10..=1000;

/// The most devices of one kind of limit.
const DEVICES_MAX: usize = 256;

pub(super) fn plan(planner: &mut Planner<'_>, io: &BlockIo) -> Result<()> {
    const GONE: &str = "Linux has no such setting any more";
    if io.leaf_weight.is_some_and(|weight| weight != 0) {
        planner.refuse("linux.resources.blockIO.leafWeight", GONE);
    }
    if io.weight_device.iter().any(|device| device.leaf_weight.is_some_and(|weight| weight != 0)) {
        planner.refuse("linux.resources.blockIO.weightDevice[].leafWeight", GONE);
    }
    if let Some(asked) = io.weight {
        weight(planner, "linux.resources.blockIO.weight", None, asked)?;
    }
    bound("weightDevice", io.weight_device.len())?;
    for device in &io.weight_device {
        let name = (device.major, device.minor);
        let asked = device.weight.unwrap_or(0);
        weight(planner, "linux.resources.blockIO.weightDevice", Some(name), asked)?;
    }
    for (name, v1, v2, devices) in throttles(io) {
        bound(name, devices.len())?;
        for device in devices {
            throttle(planner, &format!("linux.resources.blockIO.{name}"), (v1, v2), device)?;
        }
    }
    Ok(())
}

fn bound(name: &str, count: usize) -> Result<()> {
    if count <= DEVICES_MAX {
        return Ok(());
    }
    let field = format!("linux.resources.blockIO.{name}");
    Err(Problem::field(field, format!("has {count} devices, the most is {DEVICES_MAX}")))
}

fn weight(
    planner: &mut Planner<'_>,
    field: &str,
    device: Option<(i64, i64)>,
    weight: u16,
) -> Result<()> {
    if weight == 0 {
        return Ok(());
    }
    if !WEIGHTS.contains(&weight) {
        return Err(Problem::field(field, format!("{weight} is not between 10 and 1000")));
    }
    let Some(is_v1) = planner.is_v1(field, "io") else { return Ok(()) };
    let Some(kind) = planner.host.cgroups.weight else {
        planner.refuse(field, "this kernel weighs no block I/O");
        return Ok(());
    };
    let file = match (is_v1, kind, device.is_some()) {
        (true, WeightFile::Bfq, false) => "blkio.bfq.weight",
        (true, WeightFile::Bfq, true) => "blkio.bfq.weight_device",
        (true, WeightFile::General, false) => "blkio.weight",
        (true, WeightFile::General, true) => "blkio.weight_device",
        (false, WeightFile::Bfq, _) => "io.bfq.weight",
        (false, WeightFile::General, _) => "io.weight",
    };
    let number = if file == "io.weight" { io_weight(weight) } else { u64::from(weight) };
    let value = match device {
        Some((major, minor)) => format!("{major}:{minor} {number}"),
        None => number.to_string(),
    };
    let wanted = Wanted::Weight(device, number);
    planner.limit(Limit { field, controller: "io", file, value, wanted })
}

fn throttle(
    planner: &mut Planner<'_>,
    field: &str,
    (v1, v2): (&str, &'static str),
    device: &ThrottleDevice,
) -> Result<()> {
    let Some(is_v1) = planner.is_v1(field, "io") else { return Ok(()) };
    let ThrottleDevice { major, minor, rate } = device;
    let name = (*major, *minor);
    let (file, value, key) = if is_v1 {
        (v1, format!("{major}:{minor} {rate}"), "")
    } else {
        // On v1 a rate of 0 takes the limit away, here a word does.
        let rate = if *rate == 0 { "max".to_owned() } else { rate.to_string() };
        ("io.max", format!("{major}:{minor} {v2}={rate}"), v2)
    };
    let wanted = Wanted::Rate(name, key, *rate);
    planner.limit(Limit { field, controller: "io", file, value, wanted })
}

/// Field, file on v1, key in `io.max` on v2, devices.
fn throttles(io: &BlockIo) -> [(&'static str, &'static str, &'static str, &[ThrottleDevice]); 4] {
    [
        (
            "throttleReadBpsDevice",
            "blkio.throttle.read_bps_device",
            "rbps",
            &io.throttle_read_bps_device,
        ),
        (
            "throttleWriteBpsDevice",
            "blkio.throttle.write_bps_device",
            "wbps",
            &io.throttle_write_bps_device,
        ),
        (
            "throttleReadIOPSDevice",
            "blkio.throttle.read_iops_device",
            "riops",
            &io.throttle_read_iops_device,
        ),
        (
            "throttleWriteIOPSDevice",
            "blkio.throttle.write_iops_device",
            "wiops",
            &io.throttle_write_iops_device,
        ),
    ]
}
