//! The configuration file. Loading and checking agree; every problem names a place of the text; a
//! configuration printed as TOML reads back to the same values.

use std::os::fd::AsRawFd;
use std::path::PathBuf;

use lxcri_backends::ROOMS;
use lxcri_core::config::{self, Config, Origin, Schema, Sources, Value};
use rustix::fs::{MemfdFlags, memfd_create};

use crate::broken::{Broken, Outcome, holds, never, same};

pub(super) fn run(input: &[u8]) -> Outcome {
    let sections = ROOMS.iter().filter_map(|room| room.section.copied());
    let schema = Schema::new(sections, ROOMS.iter().map(|room| room.name))
        .map_err(never("the rooms' sections fit together"))?;
    let file = File::of(input)?;
    let problems = config::check(&schema, std::slice::from_ref(&file.path));
    let lines = input.split(|byte| *byte == b'\n').count();
    for problem in &problems {
        holds(!problem.to_string().contains('\n'), "a problem is one line")?;
        if let Origin::File { position: Some(position), .. } = &problem.origin {
            let is_inside = (1..=lines).contains(&position.line) && position.column >= 1;
            holds(is_inside, "a problem lies in the file")?;
        }
    }
    match config::load(&schema, &sources(&file)) {
        Ok(config) => {
            holds(problems.is_empty(), "what is loaded has no problems")?;
            holds(std::str::from_utf8(input).is_ok(), "what is loaded is text")?;
            reads_back(&schema, &config)
        }
        Err(_) => holds(!problems.is_empty(), "what is not loaded has a problem"),
    }
}

fn reads_back(schema: &Schema, config: &Config) -> Outcome {
    let file = File::of(config.to_toml().as_bytes())?;
    let again = config::load(schema, &sources(&file)).map_err(never("what is printed is read"))?;
    same(&values(&again), &values(config), "what is printed has the same values")?;
    let rules = |config: &Config| {
        let rule = |route: &lxcri_core::routing::Route| {
            let route = route.clone();
            format!("{:?}", (route.id, route.bundle, route.annotation, route.backend))
        };
        config.routes().iter().map(rule).collect::<Vec<_>>()
    };
    same(&rules(&again), &rules(config), "what is printed has the same routes")
}

fn values(config: &Config) -> Vec<(&'static str, &'static str, Option<Value>)> {
    let settings = config.settings().iter();
    settings.map(|set| (set.section, set.key.name, set.value.clone())).collect()
}

fn sources(file: &File) -> Sources {
    Sources {
        config_flag: Some(file.path.clone()),
        overrides: Vec::new(),
        environment: Vec::new(),
        euid: 0,
        working_directory: None,
        system_directory: PathBuf::from("/nonexistent"),
    }
}

/// A file in memory, with a path to open it by.
struct File {
    _memory: std::fs::File,
    path: PathBuf,
}

impl File {
    fn of(bytes: &[u8]) -> Result<Self, Broken> {
        let memory = memfd_create("config.toml", MemfdFlags::CLOEXEC)
            .map_err(never("a file in memory is made"))?;
        let path = PathBuf::from(format!("/proc/self/fd/{}", memory.as_raw_fd()));
        std::fs::write(&path, bytes).map_err(never("bytes are written"))?;
        Ok(Self { _memory: memory.into(), path })
    }
}
