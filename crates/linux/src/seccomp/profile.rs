//! `linux.seccomp` of config.json (OCI runtime-spec, config-linux.md "Seccomp").

use serde::{Deserialize, Serialize};

/// The whole `linux.seccomp` object.
///
/// Names of actions, operators, architectures and flags stay text here, so that an unknown one is
/// reported by [`compile`](super::compile) with its name instead of failing the whole document.
/// Properties that we do not know are skipped, as the runtime-spec asks of runtimes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Profile {
    /// What happens to a system call that no rule matches.
    pub default_action: String,
    /// Return value of the default action where it takes one (`SCMP_ACT_ERRNO`, `SCMP_ACT_TRACE`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_errno_ret: Option<u32>,
    /// Architectures besides the native one, which is always in the filter.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub architectures: Vec<String>,
    /// Flags of seccomp(2). Absent is not the same as empty: absent asks for the runtime's default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flags: Option<Vec<String>>,
    /// Socket that would receive the notify descriptor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listener_path: Option<String>,
    /// Opaque text for the process behind `listener_path`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listener_metadata: Option<String>,
    /// The rules.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub syscalls: Vec<Rule>,
}

/// One element of `syscalls`: the same treatment for several system calls.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rule {
    /// Names of system calls, at least one.
    pub names: Vec<String>,
    /// What happens on a match.
    pub action: String,
    /// Return value where the action takes one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub errno_ret: Option<u32>,
    /// Conditions on the arguments; none means that the rule always matches.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<Argument>,
}

/// A condition on one argument of a system call.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Argument {
    /// Which argument, 0 to 5.
    pub index: u32,
    /// The value to compare with; with `SCMP_CMP_MASKED_EQ` the mask.
    pub value: u64,
    /// With `SCMP_CMP_MASKED_EQ` the value to compare the masked argument with; unused otherwise.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub value_two: u64,
    /// The comparison.
    pub op: String,
}

// serde's skip_serializing_if hands out a reference.
fn is_zero(value: &u64) -> bool {
    *value == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_the_spec_s_json() {
        let json = serde_json::json!({
            "defaultAction": "SCMP_ACT_ERRNO",
            "defaultErrnoRet": 38,
            "architectures": ["SCMP_ARCH_X86_64"],
            "flags": ["SECCOMP_FILTER_FLAG_LOG"],
            "listenerPath": "/run/agent.sock",
            "listenerMetadata": "text",
            "syscalls": [
                {"names": ["read", "write"], "action": "SCMP_ACT_ALLOW"},
                {"names": ["clone"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1, "args": [
                    {"index": 0, "value": 18446744073709551615u64, "valueTwo": 7, "op": "SCMP_CMP_MASKED_EQ"},
                ]},
            ],
        });
        let profile: Profile = serde_json::from_value(json.clone()).unwrap();
        assert_eq!(profile.default_errno_ret, Some(38));
        assert_eq!(profile.syscalls[1].args[0].value, u64::MAX);
        assert_eq!(profile.syscalls[1].args[0].value_two, 7);
        assert_eq!(serde_json::to_value(&profile).unwrap(), json);
    }

    #[test]
    fn the_least_there_can_be() {
        let profile: Profile =
            serde_json::from_str(r#"{"defaultAction":"SCMP_ACT_ALLOW","later":{}}"#).unwrap();
        assert_eq!(profile.flags, None, "absent flags differ from an empty list");
        let with_flags: Profile =
            serde_json::from_str(r#"{"defaultAction":"x","flags":[]}"#).unwrap();
        assert_eq!(with_flags.flags, Some(vec![]));
        for bad in [
            "{}",
            r#"{"defaultAction":1}"#,
            r#"{"defaultAction":"x","defaultErrnoRet":-1}"#,
            r#"{"defaultAction":"x","syscalls":[{"action":"x"}]}"#,
            r#"{"defaultAction":"x","syscalls":[{"names":["a"]}]}"#,
            r#"{"defaultAction":"x","syscalls":[{"names":["a"],"action":"x","args":[{"value":1,"op":"x"}]}]}"#,
            r#"{"defaultAction":"x","syscalls":[{"names":["a"],"action":"x","args":[{"index":-1,"value":1,"op":"x"}]}]}"#,
        ] {
            assert!(serde_json::from_str::<Profile>(bad).is_err(), "{bad}");
        }
    }
}
