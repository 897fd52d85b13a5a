//! `state.json`, through a store of its own. What is read is written the same, and damage is an
//! error that names the file.

use lxcri_core::id::ContainerId;
use lxcri_core::store::{SCHEMA, Store, StoreError};

use crate::broken::{Outcome, holds, never, same};

const FILE: &str = "state.json";

pub(super) fn run(input: &[u8]) -> Outcome {
    let directory = tempfile::tempdir().map_err(never("a temporary directory is made"))?;
    let id = "fuzz".parse::<ContainerId>().map_err(never("the id is one"))?;
    let store = Store::new(directory.path().join("root"));
    let (entry, _lock) = store.reserve(&id).map_err(never("the id is free"))?;
    entry.write(FILE, input).map_err(never("bytes are written"))?;
    let record = match entry.record() {
        Ok(record) => record,
        Err(StoreError::Damaged { path, problem }) => {
            holds(!problem.is_empty(), "damage has a reason")?;
            return same(&path, &entry.file(FILE), "damage names the file");
        }
        Err(other) => return Err(never("the only failure is damage")(other)),
    };
    same(&record.schema, &SCHEMA, "a file of another version is refused")?;
    same(&record.id.as_str().parse(), &Ok(record.id.clone()), "the id is an id")?;
    entry.write_record(&record).map_err(never("a record is written"))?;
    let again = entry.record().map_err(never("a record is read back"))?;
    same(&again, &record, "a record is read as it was written")
}
