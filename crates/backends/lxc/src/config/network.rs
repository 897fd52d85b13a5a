//! The network of a container: the host's, one joined by path, an empty one, or a veth on a bridge
//! as the user's request says.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use lxcri_core::oci::NamespaceKind;

use super::file::Group;
use super::planner::Planner;
use super::problem::{Problem, Result};

/// Longest name of an interface (kernel: IFNAMSIZ without its NUL).
const NAME_MAX: usize = 15;

/// The network of a new network namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Network {
    /// The loopback interface, up.
    #[default]
    Empty,
    /// Loopback, and an interface on a bridge of the host.
    Veth(Veth),
}

/// A pair of interfaces, one inside and one on a bridge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Veth {
    /// The bridge.
    pub bridge: String,
    /// The interface's name inside, such as `eth0`.
    pub name: String,
    /// Its peer's name on the host; LXC chooses one where absent.
    pub host_name: Option<String>,
    /// Hardware address; LXC chooses one where absent.
    pub mac: Option<[u8; 6]>,
    /// Maximum transfer unit in bytes.
    pub mtu: Option<u32>,
    /// Untagged VLAN of the bridge port.
    pub vlan: Option<u16>,
    /// Addresses.
    pub addresses: Vec<Address>,
    /// IPv4 gateway.
    pub gateway4: Option<Ipv4Addr>,
    /// IPv6 gateway.
    pub gateway6: Option<Ipv6Addr>,
}

/// An address with the length of its network's prefix in bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// The address.
    pub ip: IpAddr,
    /// At most 32 or 128.
    pub prefix: u8,
}

pub(crate) fn plan(planner: &mut Planner<'_>) -> Result<()> {
    let is_new = planner.namespaces.is_new(NamespaceKind::Network);
    match &planner.how.network {
        Network::Veth(_) if !is_new => {
            let problem = "a veth needs a new network namespace";
            Err(Problem::field("linux.namespaces", problem))
        }
        Network::Veth(veth) => add(planner, &veth.clone()),
        Network::Empty if is_new => {
            planner.file.fixed(Group::Network, "lxc.net.0.type", "empty");
            Ok(())
        }
        Network::Empty if !planner.namespaces.has(NamespaceKind::Network) => {
            planner.file.fixed(Group::Network, "lxc.net.0.type", "none");
            Ok(())
        }
        Network::Empty => Ok(()),
    }
}

fn add(planner: &mut Planner<'_>, veth: &Veth) -> Result<()> {
    planner.file.fixed(Group::Network, "lxc.net.0.type", "veth");
    for (key, value) in values(veth)? {
        planner.file.add(Group::Network, &format!("lxc.net.0.{key}"), &value, "network")?;
    }
    planner.file.fixed(Group::Network, "lxc.net.0.flags", "up");
    Ok(())
}

fn values(veth: &Veth) -> Result<Vec<(&'static str, String)>> {
    let mut values = vec![("link", name(&veth.bridge)?), ("name", name(&veth.name)?)];
    if let Some(peer) = &veth.host_name {
        values.push(("veth.pair", name(peer)?));
    }
    if let Some(mac) = veth.mac {
        let bytes: Vec<_> = mac.iter().map(|byte| format!("{byte:02x}")).collect();
        values.push(("hwaddr", bytes.join(":")));
    }
    values.extend(veth.mtu.map(|mtu| ("mtu", mtu.to_string())));
    values.extend(veth.vlan.map(|vlan| ("veth.vlan.id", vlan.to_string())));
    for Address { ip, prefix } in &veth.addresses {
        let (key, most) = if ip.is_ipv4() { ("ipv4.address", 32) } else { ("ipv6.address", 128) };
        if *prefix > most {
            return Err(Problem::field("network", format!("{ip}/{prefix} is no network")));
        }
        values.push((key, format!("{ip}/{prefix}")));
    }
    values.extend(veth.gateway4.map(|gateway| ("ipv4.gateway", gateway.to_string())));
    values.extend(veth.gateway6.map(|gateway| ("ipv6.gateway", gateway.to_string())));
    Ok(values)
}

/// A name that the kernel takes for an interface, and a shell for one word.
fn name(name: &str) -> Result<String> {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let fits = !name.is_empty() && name.len() <= NAME_MAX && name.bytes().all(known);
    if fits && !matches!(name, "." | "..") {
        return Ok(name.to_owned());
    }
    Err(Problem::field("network", format!("{name:?} is no name of an interface")))
}
