//! The system call filter: text in liblxc's format, version 2, or the profile itself for lxcri-init.
//!
//! liblxc's format knows four actions and no flags, and filters all architectures of the machine's
//! family alike. lxcri-init loads what libseccomp makes of the whole profile, right before the user's
//! program: then lxcri-init's own calls, such as mount(2), need not be in it.

use lxcri_linux::seccomp::{Argument, Profile as Filter, Rule};

use super::file::Group;
use super::how::By;
use super::plan::Profile;
use super::planner::{Planner, our_path};
use super::problem::{Problem, Result};

/// The file's name in the container's directory of LXC.
const FILE: &str = "seccomp";

/// Largest errno that a system call can return (kernel: `MAX_ERRNO`).
const MAX_ERRNO: u32 = 4095;

/// EPERM, where the profile gives none.
const DEFAULT_ERRNO: u32 = 1;

/// The most lines of a profile: the kernel takes 4096 instructions, and a line is at least one.
const LINES_MAX: usize = 20_000;

/// Arguments that a system call has.
const ARGUMENTS: u32 = 6;

/// A name that liblxc takes for a rule of its own.
const KEYWORD: &str = "reject_force_umount";

const OPERATORS: [&str; 7] = [
    "SCMP_CMP_EQ",
    "SCMP_CMP_GE",
    "SCMP_CMP_GT",
    "SCMP_CMP_LE",
    "SCMP_CMP_LT",
    "SCMP_CMP_MASKED_EQ",
    "SCMP_CMP_NE",
];

/// Actions of the runtime-spec that liblxc's format has no word for.
const BEYOND_LIBLXC: [&str; 3] = ["SCMP_ACT_KILL_PROCESS", "SCMP_ACT_LOG", "SCMP_ACT_TRACE"];

const NOTIFY: &str = "SCMP_ACT_NOTIFY";

/// Flags that change nothing for a filter without a listener in a program of one thread.
const EMPTY_FLAGS: [&str; 2] =
    ["SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"];

/// What liblxc filters on this machine, as the runtime-spec names it.
const FAMILY: &[&str] = if cfg!(target_arch = "x86_64") {
    &["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]
} else if cfg!(target_arch = "aarch64") {
    &["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"]
} else {
    &[]
};

/// An action with what it returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Allow,
    Errno(u32),
    Kill,
    Trap,
}

pub(crate) fn plan(planner: &mut Planner<'_>) -> Result<()> {
    let Some(filter) = planner.linux.seccomp.clone() else { return Ok(()) };
    check_text(&filter)?;
    if refuses_listener(planner, &filter) {
        return Ok(());
    }
    if planner.how.seccomp == By::Init {
        planner.inside.seccomp = Some(filter);
        return Ok(());
    }
    if refuses(planner, &filter) {
        return Ok(());
    }
    let text = text(&filter)?;
    let path = planner.directory().join(FILE);
    let shown = our_path(&path, "the path of the seccomp profile")?.to_owned();
    let file = &mut planner.file;
    file.add(Group::Rights, "lxc.seccomp.profile", &shown, "linux.seccomp")?;
    // Without it liblxc loads nothing where its own process has a filter already.
    file.fixed(Group::Rights, "lxc.seccomp.allow_nesting", "1");
    planner.seccomp = Some(Profile { path, text });
    Ok(())
}

/// Every text of a profile, whoever loads it: names of this form have no line break either.
fn check_text(filter: &Filter) -> Result<()> {
    let word = |name: &str| {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        !name.is_empty() && name.len() <= 64 && name.bytes().all(known)
    };
    let wrong =
        |field: String, name: &str| Err(Problem::field(field, format!("{name:?} is no name")));
    if !word(&filter.default_action) {
        return wrong("linux.seccomp.defaultAction".into(), &filter.default_action);
    }
    let lists = [("architectures", Some(&filter.architectures)), ("flags", filter.flags.as_ref())];
    for (list, names) in lists {
        let mut names = names.into_iter().flatten().enumerate();
        if let Some((index, name)) = names.find(|(_, name)| !word(name)) {
            return wrong(format!("linux.seccomp.{list}[{index}]"), name);
        }
    }
    for (index, rule) in filter.syscalls.iter().enumerate() {
        let field = |rest: &str| format!("linux.seccomp.syscalls[{index}]{rest}");
        if rule.names.is_empty() {
            return Err(Problem::field(field(".names"), "names no system call"));
        }
        if let Some(name) = rule.names.iter().find(|name| !word(name)) {
            return wrong(field(".names"), name);
        }
        if !word(&rule.action) {
            return wrong(field(".action"), &rule.action);
        }
        if let Some(argument) = rule.args.iter().find(|argument| !word(&argument.op)) {
            return wrong(field(".args"), &argument.op);
        }
    }
    Ok(())
}

fn refuses_listener(planner: &mut Planner<'_>, filter: &Filter) -> bool {
    const BECAUSE: &str = "there is no listener for it";
    let mut refused = Vec::new();
    for (name, text) in
        [("listenerPath", &filter.listener_path), ("listenerMetadata", &filter.listener_metadata)]
    {
        if text.as_ref().is_some_and(|text| !text.is_empty()) {
            refused.push(format!("linux.seccomp.{name}"));
        }
    }
    if filter.default_action == NOTIFY {
        refused.push(format!("linux.seccomp.defaultAction={NOTIFY}"));
    }
    if filter.syscalls.iter().any(|rule| rule.action == NOTIFY) {
        refused.push(format!("linux.seccomp.syscalls[].action={NOTIFY}"));
    }
    refused.iter().for_each(|field| planner.refuse(field, BECAUSE));
    !refused.is_empty()
}

/// What the profile can say and liblxc's format cannot.
fn refuses(planner: &mut Planner<'_>, filter: &Filter) -> bool {
    let mut refused = Vec::new();
    if BEYOND_LIBLXC.contains(&filter.default_action.as_str()) {
        refused.push(format!("linux.seccomp.defaultAction={}", filter.default_action));
    }
    for rule in &filter.syscalls {
        if BEYOND_LIBLXC.contains(&rule.action.as_str()) {
            refused.push(format!("linux.seccomp.syscalls[].action={}", rule.action));
        }
    }
    for flag in filter.flags.iter().flatten() {
        if !EMPTY_FLAGS.contains(&flag.as_str()) {
            refused.push(format!("linux.seccomp.flags[]={flag}"));
        }
    }
    let because = "liblxc's format of profiles cannot express it";
    refused.iter().for_each(|field| planner.refuse(field, because));
    let listed = &filter.architectures;
    let is_family = FAMILY.iter().all(|name| listed.iter().any(|listed| listed == name));
    if !listed.is_empty() && !is_family {
        let because = "liblxc filters all architectures of this machine's family alike";
        planner.refuse("linux.seccomp.architectures", because);
        return true;
    }
    !refused.is_empty()
}

/// The profile as text.
fn text(filter: &Filter) -> Result<String> {
    let default = action(&filter.default_action, filter.default_errno_ret, "defaultAction")?;
    let (policy, word) = match default {
        Action::Allow => ("denylist", "allow".to_owned()),
        other => ("allowlist", word(other)),
    };
    let mut lines = vec!["2".to_owned(), format!("{policy} {word}"), "[all]".to_owned()];
    for (index, rule) in filter.syscalls.iter().enumerate() {
        add(&mut lines, index, rule, default)?;
        if lines.len() > LINES_MAX {
            let problem = format!("has more than {LINES_MAX} rules");
            return Err(Problem::field("linux.seccomp.syscalls", problem));
        }
    }
    lines.push(String::new());
    Ok(lines.join("\n"))
}

fn add(lines: &mut Vec<String>, index: usize, rule: &Rule, default: Action) -> Result<()> {
    let place = format!("syscalls[{index}]");
    let action = action(&rule.action, rule.errno_ret, &place)?;
    let conditions = conditions(&rule.args, &place)?;
    // libseccomp refuses what says nothing new.
    if action == default {
        return Ok(());
    }
    for name in &rule.names {
        if name.starts_with(KEYWORD) {
            let problem = format!("{name:?} is a word of LXC's, and no system call");
            return Err(Problem::field(format!("linux.seccomp.{place}.names"), problem));
        }
        for conditions in &conditions {
            lines.push(format!("{name} {}{conditions}", word(action)));
        }
    }
    Ok(())
}

/// Conditions that must all hold, a line each. libseccomp cannot hold two on one argument; with such a
/// profile runc makes every condition a rule of its own, and so does native.
fn conditions(args: &[Argument], place: &str) -> Result<Vec<String>> {
    let mut seen = 0u32;
    let mut repeated = false;
    let mut all = Vec::with_capacity(args.len());
    for arg in args {
        let wrong =
            |problem: String| Err(Problem::field(format!("linux.seccomp.{place}.args"), problem));
        if arg.index >= ARGUMENTS {
            return wrong(format!("argument index {} is not between 0 and 5", arg.index));
        }
        if !OPERATORS.contains(&arg.op.as_str()) {
            return wrong(format!("unknown operator {:?}", arg.op));
        }
        repeated |= seen & (1 << arg.index) != 0;
        seen |= 1 << arg.index;
        // There the value that is compared comes first and the mask last.
        all.push(match arg.op.as_str() {
            "SCMP_CMP_MASKED_EQ" => {
                format!(" [{},{},{},{}]", arg.index, arg.value_two, arg.op, arg.value)
            }
            op => format!(" [{},{},{op}]", arg.index, arg.value),
        });
    }
    Ok(match (all.is_empty(), repeated) {
        (true, _) => vec![String::new()],
        (false, true) => all,
        (false, false) => vec![all.concat()],
    })
}

fn action(name: &str, errno: Option<u32>, place: &str) -> Result<Action> {
    let wrong = |problem: String| Err(Problem::field(format!("linux.seccomp.{place}"), problem));
    let action = match name {
        "SCMP_ACT_ALLOW" => Action::Allow,
        "SCMP_ACT_ERRNO" => match errno.unwrap_or(DEFAULT_ERRNO) {
            value if value <= MAX_ERRNO => return Ok(Action::Errno(value)),
            value => return wrong(format!("errno {value} is not between 0 and {MAX_ERRNO}")),
        },
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => Action::Kill,
        "SCMP_ACT_TRAP" => Action::Trap,
        other => return wrong(format!("unknown action {other:?}")),
    };
    match errno {
        None => Ok(action),
        Some(_) => wrong(format!("{name} takes no errno")),
    }
}

fn word(action: Action) -> String {
    match action {
        Action::Allow => "allow".to_owned(),
        Action::Errno(value) => format!("errno {value}"),
        Action::Kill => "kill".to_owned(),
        Action::Trap => "trap".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(json: &str) -> Filter {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn profiles_as_text() {
        let allow = filter(
            r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
                {"names": ["mkdir", "rmdir"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38},
                {"names": ["read"], "action": "SCMP_ACT_ALLOW"},
                {"names": ["kill"], "action": "SCMP_ACT_KILL_THREAD", "args": [
                    {"index": 1, "value": 10, "op": "SCMP_CMP_EQ"},
                    {"index": 0, "value": 2, "op": "SCMP_CMP_GT"}]},
                {"names": ["clone"], "action": "SCMP_ACT_TRAP", "args": [
                    {"index": 0, "value": 2114060288, "valueTwo": 5, "op": "SCMP_CMP_MASKED_EQ"}]},
                {"names": ["personality"], "action": "SCMP_ACT_ERRNO", "args": [
                    {"index": 0, "value": 0, "op": "SCMP_CMP_EQ"},
                    {"index": 0, "value": 8, "op": "SCMP_CMP_EQ"}]}]}"#,
        );
        let wanted = "2\ndenylist allow\n[all]\nmkdir errno 38\nrmdir errno 38\n\
            kill kill [1,10,SCMP_CMP_EQ] [0,2,SCMP_CMP_GT]\n\
            clone trap [0,5,SCMP_CMP_MASKED_EQ,2114060288]\n\
            personality errno 1 [0,0,SCMP_CMP_EQ]\npersonality errno 1 [0,8,SCMP_CMP_EQ]\n";
        assert_eq!(text(&allow).unwrap(), wanted);
        let deny = filter(
            r#"{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38, "syscalls": [
                {"names": ["read"], "action": "SCMP_ACT_ALLOW"}]}"#,
        );
        assert_eq!(text(&deny).unwrap(), "2\nallowlist errno 38\n[all]\nread allow\n");
    }

    #[test]
    fn what_makes_no_sense() {
        let rule = |rest: &str| {
            filter(&format!(r#"{{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{{{rest}}}]}}"#))
        };
        let table = [
            (rule(r#""names": [], "action": "SCMP_ACT_KILL""#), "syscalls[0].names"),
            (rule(r#""names": ["a b"], "action": "SCMP_ACT_KILL""#), "\"a b\" is no name"),
            (rule(r#""names": ["a\n[all]"], "action": "SCMP_ACT_KILL""#), "is no name"),
            (rule(r#""names": ["a"], "action": "SCMP_ACT_NOPE""#), "unknown action"),
            (rule(r#""names": ["a"], "action": "SCMP_ACT_KILL", "errnoRet": 1"#), "no errno"),
            (rule(r#""names": ["a"], "action": "SCMP_ACT_ERRNO", "errnoRet": 4096"#), "4096"),
            (rule(r#""names": ["reject_force_umount"], "action": "SCMP_ACT_KILL""#), "LXC's"),
            (
                rule(
                    r#""names": ["a"], "action": "SCMP_ACT_KILL",
                    "args": [{"index": 6, "value": 1, "op": "SCMP_CMP_EQ"}]"#,
                ),
                "index 6",
            ),
            (
                rule(
                    r#""names": ["a"], "action": "SCMP_ACT_KILL",
                    "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_IN"}]"#,
                ),
                "unknown operator",
            ),
        ];
        for (filter, wanted) in table {
            let error = check_text(&filter).and_then(|()| text(&filter)).unwrap_err().to_string();
            assert!(error.contains(wanted), "{error}");
        }
    }
}
