//! From `config.json` to what an LXC container needs: a [`Plan`]. Decides and makes nothing, so it can
//! be shown, tested and fuzzed without a container.
//!
//! Facts are from lxc.container.conf(5) of LXC 5.0 and 6.0 and from how liblxc reads its files, which
//! is more lenient than it looks: it compares mount options by prefix and drops those it does not
//! know, cuts lines of a mount at 4095 bytes, strips quotes and blanks around values, clears a list
//! where a value is empty, leaves cgroup v2 keys out on a hybrid host, and says nothing of all that.
//! Whatever would be dropped is done by lxcri-init instead or refused here.

mod capabilities;
mod device_rules;
mod devices;
mod file;
mod files;
mod hooks;
mod host;
mod how;
mod idmap;
mod inside;
mod limits;
mod mounts;
mod namespaces;
mod network;
mod plan;
mod planner;
mod problem;
mod process;
mod raw;
mod read_back;
mod rights;
mod root;
mod seccomp;
mod sysctls;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod text;

pub use files::{Destination, Files, Found, HostDevice, OnDisk};
pub use hooks::HostHooks;
pub use host::{Cgroups, Host, Liblxc, V1Hierarchy, V2Tree, WeightFile};
pub use how::{AppArmor, By, How, Init, OwnMount};
pub use inside::{
    Capabilities, DeviceKind, DeviceNode, Inside, MountAttributes, NewMount, Rlimit, Sysctl,
};
pub use network::{Address, Network, Veth};
pub use plan::{Plan, Profile};
pub use planner::plan;
pub use problem::Problem;
pub use read_back::{ReadBack, Wanted};
