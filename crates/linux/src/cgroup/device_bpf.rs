//! Device rules on cgroup v2: a program of type BPF_PROG_TYPE_CGROUP_DEVICE made from the rules.
//!
//! The kernel runs the program whenever a process of the cgroup opens or makes a device node; it
//! answers 1 to allow and 0 to deny (kernel: include/uapi/linux/bpf.h `bpf_cgroup_dev_ctx`). Of
//! several rules about one device and one kind of access the last counts, so the program asks the
//! rules from last to first and strikes out each access that one of them allows.

use super::devices::{Access, Rule, complete};
use super::error::Result;
use super::resources::{DeviceRule, DeviceType};

/// One BPF instruction (kernel: `struct bpf_insn`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub(super) struct Instruction {
    pub(super) code: u8,
    /// Destination register in the low four bits, source register in the high four.
    pub(super) registers: u8,
    pub(super) offset: i16,
    pub(super) immediate: i32,
}

// Operation codes: class | operation | source (kernel: Documentation/bpf/standardization).
const LOAD_WORD: u8 = 0x61;
const AND_IMMEDIATE: u8 = 0x54;
const SHIFT_RIGHT_IMMEDIATE: u8 = 0x74;
const MOVE_REGISTER: u8 = 0xbc;
const MOVE_IMMEDIATE: u8 = 0xb7;
const JUMP: u8 = 0x05;
const EXIT: u8 = 0x95;
// Of class JMP32: numbers above i32::MAX must not be compared sign-extended.
const JUMP_IF_NOT_EQUAL: u8 = 0x56;
const JUMP_IF_ANY_BIT: u8 = 0x46;

const RESULT: u8 = 0;
const CONTEXT: u8 = 1;
const KIND: u8 = 2;
const WANTED: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;

const BLOCK_DEVICE: i32 = 1;
const CHARACTER_DEVICE: i32 = 2;

/// The program that [`super::Cgroup::apply`] attaches for the device rules of a configuration, as the
/// bytes that bpf(2) takes.
///
/// # Errors
/// When a rule is invalid.
pub fn device_program(entries: &[DeviceRule]) -> Result<Vec<u8>> {
    let bytes = |i: Instruction| {
        let [low, high] = i.offset.to_ne_bytes();
        let [a, b, c, d] = i.immediate.to_ne_bytes();
        [i.code, i.registers, low, high, a, b, c, d]
    };
    Ok(program(&complete(entries)?).into_iter().flat_map(bytes).collect())
}

/// The program for `rules`; what no rule mentions is denied.
pub(super) fn program(rules: &[Rule]) -> Vec<Instruction> {
    let mut code = prologue();
    for rule in rules.iter().rev() {
        let body = body(rule);
        let tests = tests(rule);
        let decides_everything = tests.is_empty() && rule.access == Access::ALL;
        let all_tests = tests.len();
        for (index, (register, value)) in tests.into_iter().enumerate() {
            let over = all_tests - index - 1 + body.len();
            code.push(immediate(JUMP_IF_NOT_EQUAL, register, short(over), value));
        }
        code.extend(body);
        if decides_everything {
            // The verifier refuses instructions that are never reached.
            return code;
        }
    }
    code.extend(answer(0));
    code
}

/// Takes the context apart: `access_type` holds the access in its upper and the type in its lower
/// half.
fn prologue() -> Vec<Instruction> {
    let load = |register, offset| Instruction {
        code: LOAD_WORD,
        registers: register | CONTEXT << 4,
        offset,
        immediate: 0,
    };
    vec![
        load(KIND, 0),
        Instruction { code: MOVE_REGISTER, registers: WANTED | KIND << 4, offset: 0, immediate: 0 },
        immediate(SHIFT_RIGHT_IMMEDIATE, WANTED, 0, 16),
        immediate(AND_IMMEDIATE, KIND, 0, 0xffff),
        load(MAJOR, 4),
        load(MINOR, 8),
    ]
}

/// What must be equal for the rule to be about the device.
fn tests(rule: &Rule) -> Vec<(u8, i32)> {
    let kind = match rule.kind {
        DeviceType::All => None,
        DeviceType::Char => Some((KIND, CHARACTER_DEVICE)),
        DeviceType::Block => Some((KIND, BLOCK_DEVICE)),
    };
    let major = rule.major.map(|major| (MAJOR, major.cast_signed()));
    let minor = rule.minor.map(|minor| (MINOR, minor.cast_signed()));
    kind.into_iter().chain(major).chain(minor).collect()
}

/// What a rule does to a request that it is about.
fn body(rule: &Rule) -> Vec<Instruction> {
    let mut code = Vec::new();
    if rule.access != Access::ALL {
        let bits = i32::from(rule.access.bits());
        if rule.allow {
            code.push(immediate(AND_IMMEDIATE, WANTED, 0, !bits & i32::from(Access::ALL.bits())));
            code.push(immediate(JUMP_IF_NOT_EQUAL, WANTED, 2, 0));
        } else {
            code.push(immediate(JUMP_IF_ANY_BIT, WANTED, 1, bits));
            code.push(Instruction { code: JUMP, registers: 0, offset: 2, immediate: 0 });
        }
    }
    code.extend(answer(i32::from(rule.allow)));
    code
}

fn answer(value: i32) -> [Instruction; 2] {
    [
        immediate(MOVE_IMMEDIATE, RESULT, 0, value),
        Instruction { code: EXIT, registers: 0, offset: 0, immediate: 0 },
    ]
}

fn immediate(code: u8, register: u8, offset: i16, immediate: i32) -> Instruction {
    Instruction { code, registers: register, offset, immediate }
}

/// A jump never passes over more than the seven instructions of one rule.
fn short(distance: usize) -> i16 {
    i16::try_from(distance).unwrap_or(i16::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::devices::{DEFAULT_ALLOWED_DEVICES, complete};
    use super::*;

    /// Runs a program as the kernel would; panics on what the verifier would refuse.
    fn run(code: &[Instruction], kind: u32, access: u8, major: u32, minor: u32) -> bool {
        let context = [u32::from(access) << 16 | kind, major, minor];
        let mut registers = [0_u32; 16];
        let mut at = 0;
        for _ in 0..=code.len() {
            let i = code[at];
            let (to, from) = (usize::from(i.registers & 15), usize::from(i.registers >> 4));
            let value = i.immediate.cast_unsigned();
            at += 1;
            let jump = match i.code {
                LOAD_WORD => {
                    assert_eq!(from, usize::from(CONTEXT));
                    registers[to] = context[usize::try_from(i.offset).unwrap() / 4];
                    false
                }
                AND_IMMEDIATE => {
                    registers[to] &= value;
                    false
                }
                SHIFT_RIGHT_IMMEDIATE => {
                    registers[to] >>= value;
                    false
                }
                MOVE_REGISTER => {
                    registers[to] = registers[from];
                    false
                }
                MOVE_IMMEDIATE => {
                    registers[to] = value;
                    false
                }
                JUMP => true,
                JUMP_IF_NOT_EQUAL => registers[to] != value,
                JUMP_IF_ANY_BIT => registers[to] & value != 0,
                EXIT => return registers[0] == 1,
                code => panic!("unknown operation {code:#x}"),
            };
            if jump {
                at += usize::try_from(i.offset).unwrap();
            }
        }
        panic!("the program does not end");
    }

    const CHAR: u32 = 2;
    const BLOCK: u32 = 1;
    const R: u8 = 2;
    const W: u8 = 4;
    const M: u8 = 1;

    fn rule(
        allow: bool,
        kind: DeviceType,
        major: Option<u32>,
        minor: Option<u32>,
        bits: u8,
    ) -> Rule {
        Rule { allow, kind, major, minor, access: Access::from_bits(bits) }
    }

    #[test]
    fn the_defaults() {
        let code = program(&complete(&[]).unwrap());
        for (kind, access, major, minor, allowed) in [
            (CHAR, R | W, 1, 3, true),
            (CHAR, R | W | M, 136, 7, true),
            (CHAR, M, 77, 77, true),
            (BLOCK, M, 8, 0, true),
            (BLOCK, R, 8, 0, false),
            (BLOCK, R | M, 8, 0, false),
            (CHAR, R, 1, 1, false),
            (CHAR, R, 10, 229, false),
            (BLOCK, R, 1, 3, false),
        ] {
            assert_eq!(
                run(&code, kind, access, major, minor),
                allowed,
                "{kind} {access} {major}:{minor}"
            );
        }
    }

    #[test]
    fn the_last_rule_about_an_access_counts() {
        let code = program(&[
            rule(true, DeviceType::Char, Some(10), None, R | W | M),
            rule(false, DeviceType::Char, Some(10), Some(5), W),
            rule(true, DeviceType::Block, Some(8), Some(1), R),
            rule(true, DeviceType::Block, Some(8), Some(1), W),
        ]);
        assert!(run(&code, CHAR, R | W, 10, 4));
        assert!(run(&code, CHAR, R, 10, 5));
        assert!(!run(&code, CHAR, W, 10, 5));
        assert!(!run(&code, CHAR, R | W, 10, 5));
        // Two rules together cover what neither does alone.
        assert!(run(&code, BLOCK, R | W, 8, 1));
        assert!(!run(&code, BLOCK, R | W | M, 8, 1));
    }

    #[test]
    fn total_rules_end_the_program() {
        let all = |allow| rule(allow, DeviceType::All, None, None, 7);
        let code =
            program(&[all(false), rule(false, DeviceType::Char, Some(1), None, 7), all(true)]);
        assert_eq!(code.len(), prologue().len() + 2);
        assert!(run(&code, CHAR, R, 1, 3));
        let code = program(&[all(true), rule(false, DeviceType::All, Some(8), None, W)]);
        assert!(!run(&code, BLOCK, W, 8, 0));
        assert!(run(&code, BLOCK, R, 8, 0));
        assert!(!run(&program(&[]), CHAR, R, 1, 3));
    }

    #[test]
    fn numbers_of_32_bits_compare_right() {
        let code = program(&[rule(true, DeviceType::Char, Some(u32::MAX), Some(1 << 31), R)]);
        assert!(run(&code, CHAR, R, u32::MAX, 1 << 31));
        assert!(!run(&code, CHAR, R, 1, 1 << 31));
    }

    #[test]
    fn every_combination_agrees_with_the_rules() {
        let rules: Vec<Rule> = [rule(false, DeviceType::All, None, None, 7)]
            .into_iter()
            .chain([
                rule(true, DeviceType::All, Some(1), None, R | M),
                rule(false, DeviceType::Block, None, Some(3), R),
                rule(true, DeviceType::Char, Some(1), Some(3), W),
            ])
            .chain(DEFAULT_ALLOWED_DEVICES)
            .collect();
        let code = program(&rules);
        for kind in [CHAR, BLOCK] {
            for access in 1..=7_u8 {
                for (major, minor) in [(1, 3), (1, 4), (2, 3), (136, 0), (5, 1)] {
                    let expected = (0..3).map(|b| 1 << b).filter(|b| access & b != 0).all(|bit| {
                        let about = |r: &&Rule| {
                            r.access.bits() & bit != 0
                                && (r.kind == DeviceType::All
                                    || (r.kind == DeviceType::Char) == (kind == CHAR))
                                && r.major.is_none_or(|m| m == major)
                                && r.minor.is_none_or(|m| m == minor)
                        };
                        rules.iter().rev().find(about).is_some_and(|r| r.allow)
                    });
                    let got = run(&code, kind, access, major, minor);
                    assert_eq!(got, expected, "{kind} {access} {major}:{minor}");
                }
            }
        }
    }
}
