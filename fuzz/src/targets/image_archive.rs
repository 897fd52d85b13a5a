//! The table of a tar archive's members.
//!
//! A file and a stream of the same bytes have the same table, or the same fault. A name goes down
//! only, and what it stands for lies within the archive, whatever the links between names are.

use std::io::Write;

use lxcri_images::archive::{MAX_MEMBERS, Table};

use crate::broken::{Outcome, holds, never, same};

pub(super) fn run(input: &[u8]) -> Outcome {
    let listed = Table::list("archive", input);
    let mut file = tempfile::tempfile().map_err(never("a temporary file is made"))?;
    file.write_all(input).map_err(never("bytes are written"))?;
    let scanned = Table::scan("archive", file);
    let (listed, scanned) = match (listed, scanned) {
        (Ok(listed), Ok(scanned)) => (listed, scanned),
        (Err(one), Err(other)) => {
            return same(&one.to_string(), &other.to_string(), "a fault has one message");
        }
        (one, other) => return holds(one.is_ok() == other.is_ok(), "a file is as a stream"),
    };
    let names = |table: &Table| table.names().map(ToOwned::to_owned).collect::<Vec<_>>();
    same(&names(&listed), &names(&scanned), "a file has the names of a stream")?;
    holds(listed.names().count() <= MAX_MEMBERS, "a table has a bound")?;
    for name in listed.names() {
        holds(name.split('/').all(goes_down), "a name goes down only")?;
        let size = listed.size(name);
        same(&size, &scanned.size(name), "a file has the sizes of a stream")?;
        let length = u64::try_from(input.len()).unwrap_or(u64::MAX);
        holds(size.is_none_or(|size| size <= length), "content lies within the archive")?;
        same(&listed.size(&format!("./{name}/")), &size, "a name is found however it is written")?;
    }
    let outside =
        ["..", "../x", "/..", "", ".", "/"].iter().any(|name| listed.size(name).is_some());
    holds(!outside, "nothing is outside")
}

fn goes_down(part: &str) -> bool {
    !part.is_empty() && part != "." && part != ".."
}
