//! An image's passwd and group. What is read of them can become a process: ids in range, names and
//! homes without control characters. Written down, it is read the same.

use lxcri_images::spec::{GroupEntry, PasswdEntry, parse_group, parse_passwd};

use crate::broken::{Outcome, holds, same};

/// The largest id that is taken.
const MAX_ID: u32 = i32::MAX.cast_unsigned();

pub(super) fn run(input: &[u8]) -> Outcome {
    let users = parse_passwd(input);
    for user in &users {
        is_name(&user.name)?;
        holds(user.uid <= MAX_ID && user.gid <= MAX_ID, "a user's ids are in range")?;
        let home = &user.home;
        let sound = home.starts_with('/') && !home.contains(char::is_control);
        holds(home.is_empty() || sound, "a home is an absolute path of one line")?;
    }
    let text: String = users.iter().map(passwd_line).collect();
    same(&parse_passwd(text.as_bytes()), &users, "users are read as they are written")?;
    let groups = parse_group(input);
    for group in &groups {
        is_name(&group.name)?;
        group.members.iter().try_for_each(|member| is_name(member))?;
        holds(group.gid <= MAX_ID, "a group's id is in range")?;
    }
    let text: String = groups.iter().map(group_line).collect();
    same(&parse_group(text.as_bytes()), &groups, "groups are read as they are written")
}

fn is_name(name: &str) -> Outcome {
    holds(!name.is_empty() && !name.contains(char::is_control), "a name is one, and of one line")
}

fn passwd_line(user: &PasswdEntry) -> String {
    let PasswdEntry { name, uid, gid, home } = user;
    format!("{name}:x:{uid}:{gid}::{home}:\n")
}

fn group_line(group: &GroupEntry) -> String {
    format!("{}:x:{}:{}\n", group.name, group.gid, group.members.join(","))
}
