//! Kernel parameters: by LXC where its key can name them, by lxcri-init otherwise.

use lxcri_linux::sysctl;

use super::file::Group;
use super::inside::Sysctl;
use super::planner::Planner;
use super::problem::{Problem, Result};
use super::text;

/// setdomainname(2) sets it in a user namespace too, where writing the parameter is not allowed.
const DOMAIN_NAME: [&str; 2] = ["kernel.domainname", "kernel/domainname"];

pub(crate) fn plan(planner: &mut Planner<'_>) -> Result<()> {
    const FIELD: &str = "linux.sysctl";
    let own = planner.namespaces.own_for_sysctl();
    for (key, value) in planner.linux.sysctl.clone() {
        let wrong = |error: sysctl::Error| Problem::field(FIELD, error.to_string());
        sysctl::check(&key, &value, own).map_err(wrong)?;
        if DOMAIN_NAME.contains(&key.as_str()) {
            domain_name(planner, value)?;
            continue;
        }
        match dotted(&key).filter(|_| text::check_value(&value).is_ok()) {
            Some(name) => planner.file.add(Group::Kernel, &name, &value, FIELD)?,
            None => planner.inside.sysctls.push(Sysctl { key, value }),
        }
    }
    Ok(())
}

fn domain_name(planner: &mut Planner<'_>, value: String) -> Result<()> {
    let name = &mut planner.inside.domainname;
    if name.as_ref().is_some_and(|other| *other != value) {
        return Err(Problem::field("linux.sysctl", "kernel.domainname contradicts domainname"));
    }
    *name = Some(value);
    Ok(())
}

/// LXC's key, which has a dot for every slash of the path: a name with a dot in it has none.
fn dotted(key: &str) -> Option<String> {
    let is_dotted = !key.contains('/');
    let is_path = !key.contains('.');
    let name = match (is_dotted, is_path) {
        (true, _) => key.to_owned(),
        (_, true) => key.trim_start_matches('/').replace('/', "."),
        _ => return None,
    };
    let name = format!("lxc.sysctl.{name}");
    text::check_key(&name).is_ok().then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_dots_are_not_for_lxc() {
        let table = [
            ("net.ipv4.ip_forward", Some("lxc.sysctl.net.ipv4.ip_forward")),
            ("net/ipv4/ip_forward", Some("lxc.sysctl.net.ipv4.ip_forward")),
            ("net.ipv4.conf.eno2/100.rp_filter", None),
            ("net/ipv4/conf/eno2.100/rp_filter", None),
            ("net.ipv4.conf.a@b.rp_filter", None),
        ];
        for (key, wanted) in table {
            assert_eq!(dotted(key).as_deref(), wanted, "{key}");
        }
    }
}
