//! Names of users. The program is static, so that NSS cannot be asked: /etc/passwd alone is read.

use std::collections::BTreeMap;

/// User names by id.
#[derive(Debug, Default)]
pub(crate) struct Owners(BTreeMap<u32, String>);

impl Owners {
    /// Those of this machine. Without a readable /etc/passwd there are none.
    pub(crate) fn of_this_machine() -> Self {
        std::fs::read("/etc/passwd").map(|bytes| Self::parse(&bytes)).unwrap_or_default()
    }

    fn parse(passwd: &[u8]) -> Self {
        let mut names = BTreeMap::new();
        for line in String::from_utf8_lossy(passwd).lines() {
            let mut fields = line.split(':');
            let (name, uid) = (fields.next(), fields.nth(1).and_then(|uid| uid.parse().ok()));
            if let (Some(name), Some(uid)) = (name, uid)
                && !name.is_empty()
            {
                names.entry(uid).or_insert_with(|| name.to_owned());
            }
        }
        Self(names)
    }

    /// The user's name, or `#uid` where it has none, as runc writes it.
    pub(crate) fn name(&self, uid: u32) -> String {
        self.0.get(&uid).cloned().unwrap_or_else(|| format!("#{uid}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_name_of_an_id_counts() {
        let passwd = b"root:x:0:0:root:/root:/bin/sh\ntoor:x:0:0::/:/bin/sh\n\n#x\n:x:7:7\n\
            bad:x:-1:1::\nbig:x:4294967296:1::\nw\xffb:x:33:33::/:/bin/sh";
        let owners = Owners::parse(passwd);
        assert_eq!(owners.name(0), "root");
        assert_eq!(owners.name(33), "w\u{fffd}b");
        assert_eq!(owners.name(7), "#7");
    }
}
