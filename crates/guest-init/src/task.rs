//! What PID 1 is to run.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use lxcri_linux::capability::Set;
use lxcri_linux::payload::{CapabilitySets, Payload};
use lxcri_linux::rlimit;
use lxcri_linux::seccomp::{MAX_INSTRUCTIONS, Program};

use crate::codec::{Malformed, Reader, Writer};

/// Bytes of one instruction of a filter (kernel: `struct sock_filter`).
const INSTRUCTION: usize = 8;

/// The user's process and its surroundings.
#[derive(Debug)]
pub struct Task {
    /// The process. Its limits and its oom score are the runtime's to set, from outside: PID 1 has
    /// no rights on the host that would raise one.
    pub payload: Payload,
    /// Whether it is PID 1 of a pid namespace of its own, below that of `lxcri-init`.
    pub own_pids: bool,
    /// Mount options of the procfs that then takes the place of the one at `/proc`, which shows the
    /// outer pid namespace; `None` leaves nothing there.
    pub proc_options: Option<Vec<String>>,
    /// Whether it gets a new terminal, and its rows and columns where they are known.
    pub terminal: Option<Option<(u16, u16)>>,
    /// Whether a stand-in is handed over with it.
    pub has_stand_in: bool,
}

impl Task {
    pub(crate) fn encode(&self, writer: &mut Writer) {
        encode_payload(&self.payload, writer);
        writer.u8(u8::from(self.own_pids));
        writer.option(self.proc_options.as_ref(), |writer, options| {
            writer.list(options, |writer, option| writer.text(option));
        });
        writer.option(self.terminal, |writer, size| {
            writer.option(size, |writer, (rows, columns)| {
                writer.u32(rows.into());
                writer.u32(columns.into());
            });
        });
        writer.u8(u8::from(self.has_stand_in));
    }

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            payload: decode_payload(reader)?,
            own_pids: reader.bool()?,
            proc_options: reader.option(|reader| reader.list(Reader::text))?,
            terminal: reader.option(|reader| {
                reader.option(|reader| Ok((extent(reader.u32()?)?, extent(reader.u32()?)?)))
            })?,
            has_stand_in: reader.bool()?,
        })
    }
}

fn extent(number: u32) -> Result<u16, Malformed> {
    u16::try_from(number)
        .map_err(|_| Malformed::Unknown { what: "size of a terminal", found: number.into() })
}

fn encode_payload(payload: &Payload, writer: &mut Writer) {
    let texts = |writer: &mut Writer, list: &[String]| writer.list(list, |w, text| w.text(text));
    texts(writer, &payload.args);
    texts(writer, &payload.env);
    writer.bytes(payload.cwd.as_os_str().as_bytes());
    writer.u32(payload.uid);
    writer.u32(payload.gid);
    writer.list(&payload.groups, |writer, group| writer.u32(*group));
    writer.option(payload.umask, Writer::u32);
    let CapabilitySets { bounding, effective, inheritable, permitted, ambient } =
        payload.capabilities;
    for set in [bounding, effective, inheritable, permitted, ambient] {
        writer.u64(set.bits());
    }
    writer.list(&payload.rlimits, |writer, (resource, soft, hard)| {
        writer.text(rlimit::name(*resource));
        writer.u64(*soft);
        writer.u64(*hard);
    });
    writer.u8(u8::from(payload.no_new_privileges));
    writer.option(payload.oom_score_adj, |writer, score| writer.u32(score.cast_unsigned()));
    writer.option(payload.apparmor_profile.as_deref(), Writer::text);
    writer.option(payload.personality, Writer::u64);
    writer.option(payload.seccomp.as_ref(), |writer, program| {
        writer.bytes(&program.instructions);
        writer.u32(program.flags);
    });
    writer.option(payload.session_keyring.as_deref(), Writer::text);
    writer.u32(payload.preserve_fds);
}

fn decode_payload(reader: &mut Reader<'_>) -> Result<Payload, Malformed> {
    Ok(Payload {
        args: reader.list(Reader::text)?,
        env: reader.list(Reader::text)?,
        cwd: PathBuf::from(OsStr::from_bytes(reader.bytes()?)),
        uid: reader.u32()?,
        gid: reader.u32()?,
        groups: reader.list(Reader::u32)?,
        umask: reader.option(Reader::u32)?,
        capabilities: decode_capabilities(reader)?,
        rlimits: reader.list(decode_limit)?,
        no_new_privileges: reader.bool()?,
        oom_score_adj: reader.option(Reader::u32)?.map(u32::cast_signed),
        apparmor_profile: reader.option(Reader::text)?,
        personality: reader.option(Reader::u64)?,
        seccomp: reader.option(decode_filter)?,
        session_keyring: reader.option(Reader::text)?,
        preserve_fds: reader.u32()?,
    })
}

fn decode_capabilities(reader: &mut Reader<'_>) -> Result<CapabilitySets, Malformed> {
    let mut set = || reader.u64().map(Set::from_bits);
    Ok(CapabilitySets {
        bounding: set()?,
        effective: set()?,
        inheritable: set()?,
        permitted: set()?,
        ambient: set()?,
    })
}

fn decode_limit(
    reader: &mut Reader<'_>,
) -> Result<(rustix::process::Resource, u64, u64), Malformed> {
    let resource = rlimit::parse(&reader.text()?)
        .map_err(|_| Malformed::Unknown { what: "resource limit", found: 0 })?;
    Ok((resource, reader.u64()?, reader.u64()?))
}

fn decode_filter(reader: &mut Reader<'_>) -> Result<Program, Malformed> {
    let instructions = reader.bytes()?.to_vec();
    let count = instructions.len() / INSTRUCTION;
    if count == 0 || count > MAX_INSTRUCTIONS || !instructions.len().is_multiple_of(INSTRUCTION) {
        let found = instructions.len();
        let most = MAX_INSTRUCTIONS * INSTRUCTION;
        return Err(Malformed::TooMuch { what: "a filter", found, most });
    }
    Ok(Program { instructions, flags: reader.u32()?, unknown_syscalls: Vec::new() })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A task with something in every field.
    pub(crate) fn full() -> Task {
        let set = Set::from_bits;
        Task {
            payload: Payload {
                args: vec!["sh".into(), "-c".into(), "exit 7\n".into()],
                env: vec!["A=b c".into(), "=".into()],
                cwd: "/tmp".into(),
                uid: 1,
                gid: u32::MAX - 1,
                groups: vec![5, 6],
                umask: Some(0o27),
                capabilities: CapabilitySets {
                    bounding: set(1),
                    effective: set(2),
                    inheritable: set(3),
                    permitted: set(u64::MAX),
                    ambient: set(5),
                },
                rlimits: vec![(rustix::process::Resource::Nofile, 10, u64::MAX)],
                no_new_privileges: true,
                oom_score_adj: Some(-1000),
                apparmor_profile: Some("profile".into()),
                personality: Some(8),
                seccomp: Some(Program {
                    instructions: vec![6; 16],
                    flags: 2,
                    unknown_syscalls: Vec::new(),
                }),
                session_keyring: Some("c1".into()),
                preserve_fds: 0,
            },
            own_pids: true,
            proc_options: Some(vec!["nosuid".into(), "hidepid=2".into()]),
            terminal: Some(Some((24, 80))),
            has_stand_in: true,
        }
    }

    fn bytes_of(task: &Task) -> Vec<u8> {
        let mut writer = Writer::default();
        task.encode(&mut writer);
        writer.into_bytes()
    }

    #[test]
    fn every_field_arrives() {
        let task = full();
        let bytes = bytes_of(&task);
        let mut reader = Reader::new(&bytes);
        let again = Task::decode(&mut reader).unwrap();
        reader.end().unwrap();
        assert_eq!(format!("{again:?}"), format!("{task:?}"));
        assert_eq!(bytes_of(&again), bytes);
    }

    #[test]
    fn a_task_that_is_cut_off_anywhere_is_none() {
        let bytes = bytes_of(&full());
        for length in 0..bytes.len() {
            assert!(Task::decode(&mut Reader::new(&bytes[..length])).is_err(), "{length}");
        }
    }

    #[test]
    fn filters_have_a_shape() {
        let mut task = full();
        for length in [0, 12, INSTRUCTION * (MAX_INSTRUCTIONS + 1)] {
            let instructions = vec![0; length];
            task.payload.seccomp =
                Some(Program { instructions, flags: 0, unknown_syscalls: Vec::new() });
            assert!(Task::decode(&mut Reader::new(&bytes_of(&task))).is_err(), "{length}");
        }
    }
}
