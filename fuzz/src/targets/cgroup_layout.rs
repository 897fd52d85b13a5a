//! `/proc/self/mountinfo` and `/proc/self/cgroup`, here with a line `%%` between them.
//!
//! A cgroup planned from them lies below its hierarchy's mount, ends as was asked for, and is read
//! as it was written.

use lxcri_linux::cgroup::{Cgroup, Layout, LayoutKind};

use crate::broken::{Outcome, holds, never, same};

const BETWEEN: &[u8] = b"%%\n";

pub(super) fn run(input: &[u8]) -> Outcome {
    let at = input.windows(BETWEEN.len()).position(|window| window == BETWEEN);
    let (mountinfo, own) = match at {
        Some(at) => (&input[..at], &input[at + BETWEEN.len()..]),
        None => (input, b"0::/\n".as_slice()),
    };
    let Ok(layout) = Layout::parse(mountinfo, own) else { return Ok(()) };
    for (path, end) in [(Some("/a/b"), "a/b"), (Some("c"), "c"), (None, "id-1")] {
        // Only a relative path may fail: where our own cgroup is not visible.
        match Cgroup::plan(&layout, path, "id-1") {
            Ok(cgroup) => planned(&layout, &cgroup, end)?,
            Err(error) => holds(end != "a/b", &format!("an absolute path has a place: {error}"))?,
        }
    }
    for path in ["/..", "/a/../b", "..", "/", "/a\0b", "/a\nb"] {
        let plan = Cgroup::plan(&layout, Some(path), "id-1");
        holds(plan.is_err(), "a path out of the hierarchy is refused")?;
    }
    Ok(())
}

fn planned(layout: &Layout, cgroup: &Cgroup, end: &str) -> Outcome {
    same(&cgroup.kind(), &layout.kind(), "a cgroup has the kind of its layout")?;
    let json = serde_json::to_value(cgroup).map_err(never("a cgroup is written"))?;
    let again: Cgroup =
        serde_json::from_value(json.clone()).map_err(never("a cgroup is read back"))?;
    same(&again, cgroup, "a cgroup is read as it was written")?;
    holds(!cgroup.directories().is_empty(), "a cgroup has a directory")?;
    if layout.kind() == LayoutKind::V2 {
        holds(cgroup.v1_directories().is_empty(), "a v2 cgroup has nothing on v1")?;
    }
    let v1 = json["v1"].as_array().map(Vec::as_slice).unwrap_or_default();
    for place in v1.iter().chain(json.get("v2")) {
        let path = place["path"].as_str().unwrap_or_default();
        holds(!path.starts_with('/') && !path.is_empty(), "a path is below its mount")?;
        holds(!path.split('/').any(|part| part == ".."), "a path goes down only")?;
        let is_whole = path == end || path.ends_with(&format!("/{end}"));
        holds(is_whole, "a path ends as was asked for")?;
    }
    Ok(())
}
