//! `update`.

use std::path::PathBuf;
use std::process::ExitCode;

use lxcri_core::oci::Resources;
use lxcri_linux::cgroup::{BlockIo, Cpu, Memory, Pids};

use super::id;
use crate::failure::Failure;
use crate::program::Program;
use crate::{json_file, size};

/// Words of `update`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Sizes take the units k, m, g and t in steps of 1024; -1 means no limit.

Examples:
  proxmox-lxcri update --memory 512m --pids-limit 100 web-1
  proxmox-lxcri update --cpu-quota 50000 --cpu-period 100000 web-1
  echo '{\"memory\": {\"limit\": 536870912}}' | proxmox-lxcri update --resources - web-1")]
pub(crate) struct Args {
    /// Read linux.resources of the runtime specification from a file, or from standard input (-)
    #[arg(short, long, value_name = "FILE", conflicts_with = "option")]
    resources: Option<PathBuf>,
    #[command(flatten)]
    options: Options,
    /// The container
    id: String,
}

/// Resources that have an option of their own.
#[derive(clap::Args, Debug, Default)]
#[group(id = "option", multiple = true)]
struct Options {
    /// Most memory
    #[arg(long, value_name = "SIZE", value_parser = size::limit, allow_negative_numbers = true)]
    memory: Option<i64>,
    /// Memory that is taken back last
    #[arg(long, value_name = "SIZE", value_parser = size::limit, allow_negative_numbers = true)]
    memory_reservation: Option<i64>,
    /// Most memory and swap together
    #[arg(long, value_name = "SIZE", value_parser = size::limit, allow_negative_numbers = true)]
    memory_swap: Option<i64>,
    /// Microseconds over which the quota is counted
    #[arg(long, value_name = "TIME", value_parser = clap::value_parser!(u64).range(1..))]
    cpu_period: Option<u64>,
    /// Microseconds of CPU time in one period
    #[arg(long, value_name = "TIME", value_parser = nonzero, allow_negative_numbers = true)]
    cpu_quota: Option<i64>,
    /// Microseconds of unused quota that are saved up
    #[arg(long, value_name = "TIME")]
    cpu_burst: Option<u64>,
    /// Share of CPU time against other containers, 2 to 262144
    #[arg(long, value_name = "SHARES", value_parser = clap::value_parser!(u64).range(1..))]
    cpu_share: Option<u64>,
    /// 1 to run only when nothing else does, 0 as usual
    #[arg(long, value_name = "0|1", value_parser = clap::value_parser!(i64).range(0..=1))]
    cpu_idle: Option<i64>,
    /// Microseconds over which real-time CPU time is counted
    #[arg(long, value_name = "TIME", value_parser = clap::value_parser!(u64).range(1..))]
    cpu_rt_period: Option<u64>,
    /// Microseconds of real-time CPU time in one such period
    #[arg(long, value_name = "TIME", value_parser = nonzero, allow_negative_numbers = true)]
    cpu_rt_runtime: Option<i64>,
    /// CPUs to run on, such as 0-3,7
    #[arg(long, value_name = "LIST")]
    cpuset_cpus: Option<String>,
    /// Memory nodes to allocate from
    #[arg(long, value_name = "LIST")]
    cpuset_mems: Option<String>,
    /// Most processes and threads
    #[arg(long, value_name = "N", value_parser = nonzero, allow_negative_numbers = true)]
    pids_limit: Option<i64>,
    /// Share of disk time, 10 to 1000
    #[arg(long, value_name = "WEIGHT", value_parser = clap::value_parser!(u16).range(10..=1000))]
    blkio_weight: Option<u16>,
}

/// A number that says something: 0 stands for "not set" in resources.
fn nonzero(text: &str) -> Result<i64, String> {
    match text.parse() {
        Ok(0) => Err("0 would change nothing; -1 means no limit".to_owned()),
        Ok(number) => Ok(number),
        Err(error) => Err(error.to_string()),
    }
}

impl Options {
    /// The same as a document; parts without a value stay out.
    fn resources(&self) -> Resources {
        let memory = Memory {
            limit: self.memory,
            reservation: self.memory_reservation,
            swap: self.memory_swap,
            ..Memory::default()
        };
        let cpu = Cpu {
            shares: self.cpu_share,
            quota: self.cpu_quota,
            burst: self.cpu_burst,
            period: self.cpu_period,
            realtime_runtime: self.cpu_rt_runtime,
            realtime_period: self.cpu_rt_period,
            cpus: self.cpuset_cpus.clone(),
            mems: self.cpuset_mems.clone(),
            idle: self.cpu_idle,
        };
        let weight = self.blkio_weight;
        Resources {
            memory: (memory != Memory::default()).then_some(memory),
            cpu: (cpu != Cpu::default()).then_some(cpu),
            pids: self.pids_limit.map(|limit| Pids { limit: Some(limit) }),
            block_io: weight.map(|weight| BlockIo { weight: Some(weight), ..BlockIo::default() }),
            ..Resources::default()
        }
    }
}

/// Changes what was named and leaves the rest.
pub(crate) fn run(args: &Args, program: &Program) -> Result<ExitCode, Failure> {
    let runtime = program.runtime()?;
    let id = id(&args.id)?;
    let resources = match &args.resources {
        Some(path) => json_file::read(path)?,
        None => args.options.resources(),
    };
    if resources == Resources::default() {
        return Err(Failure::new("nothing to change was named")
            .hint("`proxmox-lxcri help update` lists what can be changed"));
    }
    runtime.update(&id, &resources)?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_become_a_document() {
        let options = Options {
            memory: Some(-1),
            cpu_idle: Some(0),
            pids_limit: Some(7),
            blkio_weight: Some(10),
            ..Options::default()
        };
        let text = serde_json::to_string(&options.resources()).unwrap();
        let wanted = r#"{"memory":{"limit":-1},"cpu":{"idle":0},"pids":{"limit":7},"blockIO":{"weight":10}}"#;
        assert_eq!(text, wanted);
    }
}
